"""`avatars dataset`: telling what is inside a dataset, and changing its layout."""

import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image

from avatars.cli import main
from body_models import load_head_motion
from body_models.names import ARKIT_EXPRESSIONS
from data_prep.video_dataset import VideoDataset, read_video_dataset, write_video_dataset
from tests.data_prep.video_datasets import assert_same_tracks, small_dataset


@pytest.fixture
def flame(tmp_path) -> VideoDataset:
    """A FLAME head on disk, in our layout."""
    return written(small_dataset(tmp_path / "flame"))


@pytest.fixture
def anny(tmp_path) -> VideoDataset:
    """An Anny head on disk."""
    flame = small_dataset(tmp_path / "anny")
    expressions = torch.rand(3, len(ARKIT_EXPRESSIONS), generator=torch.Generator().manual_seed(1))
    names = tuple(ARKIT_EXPRESSIONS)
    return written(
        dataclasses.replace(
            flame, model="anny-head", expressions=expressions, expression_names=names, betas=torch.zeros(10)
        )
    )


def written(dataset: VideoDataset) -> VideoDataset:
    write_video_dataset(dataset, dataset.folder)
    return dataset


def does(capsys, *arguments: str | Path) -> str:
    assert main(["dataset", *map(str, arguments)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def fails(capsys, *arguments: str | Path) -> str:
    assert main(["dataset", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_what_is_inside(flame, capsys):
    said = does(capsys, "info", flame.folder)
    for part in (
        "head, model flame",
        "3 at 12.5 a second, 3 usable, 3 with masks",
        "24 x 20 pixels",
        "30 to 30 pixels",
        "50 parameters",
        "blur 1",
        "frame 2: blurred",
        "größer",
    ):
        assert part in said
    assert len({line.index("  ") for line in said.splitlines() if line.startswith("expression")}) == 1


@pytest.mark.parametrize(("layout", "flags"), [("imavatar", ("--subject", "anna", "--clip", "one")), ("vhap", ())])
def test_to_another_layout_and_back(flame, tmp_path, capsys, layout, flags):
    there, back = tmp_path / "there", tmp_path / "back"
    assert f"({layout})" in does(capsys, "convert", flame.folder, there, "--to", layout, *flags)
    assert "model flame" in does(capsys, "info", there)
    does(capsys, "convert", there, back)
    assert_same_tracks(read_video_dataset(back), flame)
    if layout == "imavatar":
        assert next(iter(there.rglob("flame_params.json"))).parts[-3:-1] == ("anna", "one")


@pytest.mark.parametrize("layout", ["imavatar", "vhap"])
def test_only_flame_fits_their_layouts(anny, tmp_path, capsys, layout):
    message = fails(capsys, "convert", anny.folder, tmp_path / "there", "--to", layout)
    assert "anny-head" in message
    assert "flame" in message.lower()
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("which", ["flame", "anny"])
def test_the_motion_alone(which, tmp_path, capsys, request):
    dataset = request.getfixturevalue(which)
    out = tmp_path / "motion.npz"
    assert "Motion of 3 frames" in does(capsys, "convert", dataset.folder, out)
    motion = load_head_motion(out)
    torch.testing.assert_close(motion.rotations, dataset.poses, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(motion.translations, dataset.translations, atol=1e-5, rtol=1e-5)
    assert motion.expression is not None
    torch.testing.assert_close(motion.expression, dataset.expressions, atol=1e-5, rtol=1e-5)
    assert motion.expression_names == dataset.expression_names
    assert motion.frame_rate == pytest.approx(12.5)


def test_ours_to_ours_copies_the_pictures(flame, tmp_path, capsys):
    does(capsys, "convert", flame.folder, tmp_path / "copy")
    assert_same_tracks(read_video_dataset(tmp_path / "copy"), flame)


@pytest.mark.parametrize("layout", ["avatars", "vhap"])
def test_a_folder_in_use_is_left_alone(flame, tmp_path, capsys, layout):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    assert "mine" in fails(capsys, "convert", flame.folder, tmp_path / "mine", "--to", layout)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    fails(capsys, "convert", flame.folder, flame.folder, "--to", layout)
    assert_same_tracks(read_video_dataset(flame.folder), flame)


def test_clips_of_imavatar_stand_beside_each_other(flame, tmp_path, capsys):
    for clip in ("one", "two"):
        does(capsys, "convert", flame.folder, tmp_path / "there", "--to", "imavatar", "--clip", clip)
    assert len(list((tmp_path / "there").rglob("flame_params.json"))) == 2


@pytest.mark.parametrize("layout", ["avatars", "imavatar", "vhap"])
def test_a_file_is_not_written_over(flame, tmp_path, capsys, layout):
    (tmp_path / "file").write_text("mine")
    assert "file" in fails(capsys, "convert", flame.folder, tmp_path / "file", "--to", layout)
    assert (tmp_path / "file").read_text() == "mine"


def test_what_is_no_dataset(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name in ("missing", "empty", "file"):
        assert name in fails(capsys, "info", tmp_path / name)
        assert name in fails(capsys, "convert", tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_layout(flame, tmp_path, capsys):
    message = fails(capsys, "convert", flame.folder, tmp_path / "out", "--to", "nerface")
    assert "'nerface'" in message
    assert "imavatar" in message


def test_maps_are_added_and_told(flame, tmp_path, capsys):
    (tmp_path / "labels").mkdir()
    for frame in range(3):
        Image.new("L", (flame.width, flame.height), 17).save(tmp_path / f"labels/{frame}.png")
    assert main(["dataset", "add-maps", str(flame.folder), "--semantics", str(tmp_path / "labels")]) == 0
    assert "Maps of classes added to 3 frames" in capsys.readouterr().out
    assert "3 of classes, 0 of normals" in does(capsys, "info", flame.folder)
    assert "--semantics" in fails(capsys, "add-maps", flame.folder)
