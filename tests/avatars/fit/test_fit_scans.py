import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import avatars.fit.scans as module
from avatars.cli import main
from avatars.fit import fit_scans
from avatars.fit.progress import Progress
from avatars.fit.scans import left_out, register_with_poses
from avatars.metrics import iou
from avatars.models import load
from body_models import InputError, load_poses, write_amass
from data_prep.dataset import read_dataset
from data_prep.pictures.mesh import linear_to_srgb
from data_prep.registration.register import scan_surface
from data_prep.sampling import label_points, sample_uniform
from data_prep.scans import load_scans
from tests.avatars.fit.tiny import run_python

EVERY = 6
"""Steps between checkpoints in these tests."""


@pytest.fixture(autouse=True)
def frequent_checkpoints(monkeypatch):
    options = module.LoopOptions
    monkeypatch.setattr(module, "LoopOptions", lambda *values: replace(options(*values), checkpoint_every=EVERY))


def fit(scans: Path, out: Path, **settings):
    known = {"poses": scans / "train/poses.npz", "preset": str(scans / "tiny.yaml"), "quiet": True}
    return fit_scans(settings.pop("source", scans / "train"), out, **{**known, **settings})


def tensors(avatar):
    colours = {f"colour {name}": value for name, value in avatar.colour.state_dict().items()}
    return avatar.model.state_dict() | {"its poses": avatar.poses, "its translations": avatar.translations} | colours


def same(first, second):
    one, other = tensors(first), tensors(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def finished(whole, tmp_path):
    """A copy of that run to change."""
    shutil.copytree(whole[1].parent, tmp_path / "copy")
    return tmp_path / "copy" / whole[1].name


def test_the_file_holds_the_avatar(whole, scans):
    avatar, out = whole
    stored = load(out)
    assert stored.info.names == ("scan_000", "scan_001", "scan_002")
    truth = load_poses(scans / "train/poses.npz").motion
    assert torch.allclose(stored.poses, truth.rotations, atol=1e-5)
    assert torch.allclose(stored.translations, truth.translations, atol=1e-5)
    assert (out.parent / f"{out.name}.work" / "curves").is_dir()
    assert {file.name for file in out.parent.iterdir()} == {out.name, f"{out.name}.work"}
    assert avatar.model.state_dict().keys() == stored.model.state_dict().keys()


def test_training_poses_look_like_the_scans(whole, scans):
    stored = load(whole[1])
    for number, scan in enumerate(load_scans(scans / "train").scans):
        surface = scan_surface(scan)
        points = sample_uniform(surface, 20_000, torch.Generator().manual_seed(number))
        predicted = stored.training_pose(number).occupancy(points) > 0
        assert iou(predicted, label_points(surface, points).occupied) > 0.9


def test_training_poses_have_the_colours_of_the_scans(whole, scans):
    stored = load(whole[1])
    for number, scan in enumerate(load_scans(scans / "train", colours=6000).scans):
        points = torch.from_numpy(scan.colours.points)
        shown = linear_to_srgb(stored.training_pose(number).colours(points))
        off = (shown - torch.from_numpy(scan.colours.coded) / 255).abs().mean(1)
        assert float(off.median()) < 0.08  # cells of two centimetres, stripes of four and a half


def test_resume_with_nothing_to_resume_starts(whole, scans, tmp_path):
    assert same(fit(scans, tmp_path / "new folder" / "a.avatar", resume=True), whole[0])


def test_resume_of_a_finished_avatar_gives_it_again(whole, scans, finished):
    finished.unlink()
    assert same(fit(scans, finished, resume=True), whole[0])
    assert same(load(finished), load(whole[1]))


KILLED = f"""
import os
from dataclasses import replace
import avatars.fit.scans as module
from avatars.fit.scan_method import ScanMethod
scans, out, step = arguments
options, losses = module.LoopOptions, ScanMethod.losses
module.LoopOptions = lambda *values: replace(options(*values), checkpoint_every={EVERY})
def die(*_):
    os._exit(9)
def dying(self, number, generator):
    return die() if number == int(step) else losses(self, number, generator)
ScanMethod.losses = dying
if step == "-1":
    module.write_dataset = die
if step == "20":
    module.save = die
preset = scans + "/tiny.yaml"
module.fit_scans(scans + "/train", out, poses=scans + "/train/poses.npz", preset=preset, quiet=True)
"""


@pytest.mark.parametrize("step", [-1, 15, 20])
def test_a_killed_run_resumes_to_the_same_avatar(whole, scans, tmp_path, step):
    """Killed before the dataset is written, between two checkpoints, before the avatar is written."""
    out = tmp_path / "a.avatar"
    assert run_python(KILLED, scans, out, step).returncode == 9
    assert not out.exists()
    assert same(fit(scans, out, resume=True), whole[0])
    assert same(load(out), load(whole[1]))


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"seed": 1}, "seed"), ({"steps": 7}, "steps"), ({"poses": None}, "poses"), ({"source": "scans"}, "source")],
)
def test_resume_with_other_settings_is_refused(scans, finished, changes, named):
    before = finished.read_bytes()
    with pytest.raises(InputError, match=rf"other settings.*{named}"):
        fit(scans, finished, resume=True, **changes)
    assert finished.read_bytes() == before


def test_resume_with_an_edited_preset(scans, tmp_path):
    preset = tmp_path / "mine.yaml"
    preset.write_text((scans / "tiny.yaml").read_text())
    fit(scans, tmp_path / "a.avatar", preset=str(preset), steps=2)
    preset.write_text(preset.read_text().replace("0.03", "0.04"))
    with pytest.raises(InputError, match="snarf"):
        fit(scans, tmp_path / "a.avatar", preset=str(preset), steps=2, resume=True)
    preset.write_text(preset.read_text().replace("0.04", "0.03").replace("1.0e-2", "1.0e-3"))
    fit(scans, tmp_path / "a.avatar", preset=str(preset), steps=2, resume=True)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_resume_with_a_damaged_record(scans, finished, content):
    (finished.with_name(f"{finished.name}.work") / "job.json").write_text(content)
    with pytest.raises(InputError, match="start anew"):
        fit(scans, finished, resume=True)


def test_resume_with_a_damaged_checkpoint_or_dataset(scans, finished):
    work = finished.with_name(f"{finished.name}.work")
    checkpoint, poses = work / "checkpoint.safetensors", work / "dataset" / "poses.safetensors"
    for path in (checkpoint, poses):
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(InputError, match=path.name):
            fit(scans, finished, resume=True)


def test_without_resume_an_earlier_run_is_cleared(whole, scans, finished):
    work = finished.with_name(f"{finished.name}.work")
    (work / "checkpoint.safetensors").write_bytes(b"broken")
    assert same(fit(scans, finished), whole[0])


def test_a_mistyped_source_keeps_the_earlier_run(scans, finished):
    work = finished.with_name(f"{finished.name}.work")
    with pytest.raises(InputError, match="no file or folder"):
        fit(scans, finished, source=scans / "typo")
    assert (work / "checkpoint.safetensors").is_file()


@pytest.fixture
def no_work(monkeypatch):
    """The long work must not begin."""
    monkeypatch.setattr(module, "load_scans", lambda *_, **__: pytest.fail("the work began"))


@pytest.mark.usefixtures("no_work")
class TestBeforeTheWork:
    @pytest.mark.parametrize("resume", [True, False])
    def test_a_foreign_work_folder_stays_as_it_is(self, scans, tmp_path, resume):
        work = tmp_path / "a.avatar.work"
        work.mkdir()
        (work / "thesis.txt").write_text("years of work")
        with pytest.raises(InputError, match="other files"):
            fit(scans, tmp_path / "a.avatar", resume=resume)
        assert (work / "thesis.txt").read_text() == "years of work"

    def test_a_file_in_place_of_the_work_folder(self, scans, tmp_path):
        (tmp_path / "a.avatar.work").write_text("a file")
        with pytest.raises(InputError, match="other files"):
            fit(scans, tmp_path / "a.avatar")

    def test_a_file_as_parent(self, scans, tmp_path):
        (tmp_path / "file").write_text("a file")
        with pytest.raises(InputError, match="no folder"):
            fit(scans, tmp_path / "file" / "deep" / "a.avatar")

    @pytest.mark.parametrize("name", ["", "..", "sub"])
    def test_a_folder_as_out(self, scans, tmp_path, name):
        (tmp_path / "sub").mkdir()
        with pytest.raises(InputError, match="is a folder"):
            fit(scans, tmp_path / name)
        with pytest.raises(InputError, match="is a folder"):
            fit(scans, "")

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"seed": -1}, "seed"),
            ({"seed": 2**40}, "seed"),
            ({"steps": 0}, "--steps"),
            ({"device": "gpu"}, "cuda"),
            ({"preset": "best"}, "fast, paper"),
        ],
    )
    def test_settings_that_are_not_possible(self, scans, tmp_path, settings, message):
        with pytest.raises(InputError, match=message):
            fit(scans, tmp_path / "a.avatar", **settings)
        assert list(tmp_path.iterdir()) == []


def test_an_empty_folder(scans, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no scans in"):
        fit(scans, tmp_path / "a.avatar", source=tmp_path / "empty")


def test_fewer_poses_than_scans(scans, tmp_path, capsys):
    arguments = ["--poses", scans / "test/poses.npz", "--preset", scans / "tiny.yaml", "--out", tmp_path / "a.avatar"]
    assert main(["fit-scans", str(scans / "train"), *map(str, arguments)]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "1 poses, but there are 3 scans" in told
    assert not (tmp_path / "a.avatar").exists()


def test_a_broken_scan_is_named_when_poses_no_longer_go_with_scans(scans, tmp_path):
    shutil.copytree(scans / "train", tmp_path / "train")
    (tmp_path / "train" / "scan_001.ply").write_bytes(b"ply\nbroken")
    with pytest.raises(InputError, match=r"3 poses, but there are 2 scans.*scan_001\.ply"):
        fit(scans, tmp_path / "a.avatar", source=tmp_path / "train")
    assert left_out([]) == ""


def test_poses_that_cannot_be_read(scans, tmp_path):
    (tmp_path / "poses.npz").write_bytes(b"PK nothing")
    for name in ("poses.npz", "none.npz"):
        with pytest.raises(InputError, match=name):
            fit(scans, tmp_path / "a.avatar", poses=tmp_path / name)


@pytest.mark.parametrize("body_model", ["anny", "smpl"])
def test_poses_without_the_shape_or_of_another_body_are_hints(scans, tmp_path, monkeypatch, body_model):
    known = load_poses(scans / "train/poses.npz")
    write_amass(tmp_path / "poses.npz", known.motion, known.betas if body_model == "smpl" else None, body_model)
    loaded = load_scans(scans / "train").scans
    exact = register_with_poses(loaded, scans / "train/poses.npz", 0, Progress(quiet=True))
    hinted = []

    def searched(model, scans, seed, progress, hints):
        hinted.append(hints)
        return exact

    monkeypatch.setattr(module, "register", searched)
    fit(scans, tmp_path / "a.avatar", poses=tmp_path / "poses.npz", steps=1)
    assert hinted[0].shape == known.motion.rotations.shape
    assert not read_dataset(tmp_path / "a.avatar.work" / "dataset").exact_poses


def test_the_record_tells_what_was_asked(whole, scans):
    record = json.loads((whole[1].with_name(f"{whole[1].name}.work") / "job.json").read_text())
    assert record["source"] == str(scans / "train")
    assert (record["steps"], record["seed"]) == (20, 0)
    assert record["options"]["snarf"]["base_spacing"] == 0.03
