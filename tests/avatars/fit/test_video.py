import json
import shutil
from dataclasses import replace

import pytest
import torch

import avatars.fit.video_safely as module
from avatars.fit import fit_video
from avatars.fit.video_frames import split_frames
from avatars.fit.video_method import VideoMethod
from avatars.fit.video_options import VideoFitOptions, load_video_preset
from avatars.fit.video_surface import Diverged
from avatars.models.file import load_avatar
from body_models import InputError
from data_prep.video_dataset import read_video_dataset, write_video_dataset
from tests.avatars.fit.tiny_video import FRAMES


@pytest.fixture(autouse=True)
def frequent_checkpoints(monkeypatch):
    monkeypatch.setattr(module, "CHECKPOINT_EVERY", 2)


def fit(talking, out, **settings):
    known = {"preset": str(talking / "tiny.yaml"), "quiet": True, "device": "cpu"}
    return fit_video(settings.pop("source", talking / "data"), out, **{**known, **settings})


def tensors(avatar):
    tracks = {"its poses": avatar.tracks.poses, "its expressions": avatar.tracks.expressions}
    return avatar.model.state_dict() | tracks


@pytest.fixture(scope="module")
def whole(talking, tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setattr(module, "CHECKPOINT_EVERY", 2)
    out = tmp_path_factory.mktemp("whole") / "bob.avatar"
    avatar = fit(talking, out)
    patch.undo()
    return avatar, out


def test_the_file_holds_the_head(whole, talking):
    avatar, out = whole
    stored = load_avatar(out)
    assert len(stored.tracks) == FRAMES
    assert stored.expression_names == avatar.expression_names
    assert torch.allclose(stored.tracks.poses, avatar.tracks.poses)
    truth = read_video_dataset(talking / "data")
    assert torch.allclose(stored.tracks.translations, truth.translations, atol=5e-3)


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(whole, talking, tmp_path, monkeypatch):
    losses = VideoMethod.losses

    def interrupted(self, step, generator):
        if step == 3:
            raise KeyboardInterrupt
        return losses(self, step, generator)

    out = tmp_path / "bob.avatar"
    monkeypatch.setattr(VideoMethod, "losses", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(talking, out)
    monkeypatch.setattr(VideoMethod, "losses", losses)
    one, other = tensors(whole[0]), tensors(fit(talking, out, resume=True))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_divergence_goes_back_with_half_the_step(talking, tmp_path, monkeypatch, capsys):
    losses, seen = VideoMethod.losses, []

    def diverging(self, step, generator):
        seen.append((step, self.rate_factor))
        if step == 3 and self.rate_factor == 1.0:
            with torch.no_grad():
                self.module.imavatar.geometry.base.fill_(float("nan"))
            raise Diverged("the loss is no longer finite (test)")
        return losses(self, step, generator)

    monkeypatch.setattr(VideoMethod, "losses", diverging)
    fit(talking, tmp_path / "bob.avatar", steps=4, quiet=False)
    assert seen == [(step, 1.0) for step in range(4)] + [(step, 0.5) for step in range(2, 4)]
    assert json.loads((tmp_path / "bob.avatar.work/rollbacks.json").read_text()) == {"halvings": 1}
    assert "half the step sizes" in capsys.readouterr().err


def test_a_lost_surface_is_not_saved(talking, tmp_path, monkeypatch):
    losses, check, seen = VideoMethod.losses, VideoMethod.check, []

    def noted(self, step, generator):
        seen.append((step, self.rate_factor))
        return losses(self, step, generator)

    def vanished(self):
        if len(seen) == 4:
            with torch.no_grad():
                self.module.imavatar.geometry.base.fill_(1.0)
        check(self)

    monkeypatch.setattr(VideoMethod, "losses", noted)
    monkeypatch.setattr(VideoMethod, "check", vanished)
    fit(talking, tmp_path / "bob.avatar", steps=4)
    assert seen == [(step, 1.0) for step in range(4)] + [(step, 0.5) for step in range(2, 4)]


def test_a_source_that_is_no_video_leaves_earlier_work_alone(tmp_path):
    out, source = tmp_path / "bob.avatar", tmp_path / "talk.mp4"
    kept = tmp_path / "bob.avatar.work" / "job.json"
    kept.parent.mkdir()
    kept.write_text("{}")
    source.write_text("no video")
    with pytest.raises(InputError, match="no video that can be read"):
        fit_video(source, out, quiet=True)
    assert kept.read_text() == "{}"


def test_divergence_again_and_again_ends_with_advice(talking, tmp_path, monkeypatch):
    def diverging(self, step, generator):
        raise Diverged("the surface is gone")

    monkeypatch.setattr(VideoMethod, "losses", diverging)
    with pytest.raises(InputError, match=r"after 3 retries .*surface is gone.*masks.*rates"):
        fit(talking, tmp_path / "bob.avatar")
    assert not (tmp_path / "bob.avatar").exists()


def test_other_errors_are_not_taken_for_divergence(talking, tmp_path, monkeypatch):
    def full(self, step, generator):
        raise InputError("The disk is full.")

    monkeypatch.setattr(VideoMethod, "losses", full)
    with pytest.raises(InputError, match="disk is full"):
        fit(talking, tmp_path / "bob.avatar")


def test_the_end_is_held_out_when_asked_for(talking):
    dataset = read_video_dataset(talking / "data")
    split = split_frames(dataset, VideoFitOptions())
    assert (split.train, split.test) == (tuple(range(6)), (6, 7))
    frames = tuple(replace(frame, use=number != 2) for number, frame in enumerate(dataset.frames))
    split = split_frames(replace(dataset, frames=frames), replace(VideoFitOptions(), hold_out=0.0, frames=3))
    assert (split.train, split.test) == ((0, 4, 7), ())


def test_a_dataset_without_masks_is_refused(talking, tmp_path):
    shutil.copytree(talking / "data", tmp_path / "data")
    dataset = read_video_dataset(tmp_path / "data")
    frames = tuple(replace(frame, mask=None) for frame in dataset.frames)
    write_video_dataset(replace(dataset, frames=frames), tmp_path / "data")
    with pytest.raises(InputError, match=r"no mask .*avatars prepare"):
        fit(talking, tmp_path / "bob.avatar", source=tmp_path / "data")
    assert not (tmp_path / "bob.avatar.work").exists()


@pytest.mark.parametrize("off", [0.6, 5.0, float("1e6")])
def test_a_head_beside_the_masks_is_refused_before_the_fit(talking, tmp_path, off):
    dataset = read_video_dataset(talking / "data")
    aside = dataset.translations + off * torch.tensor([1.0, 0.0, 0.0])
    write_video_dataset(replace(dataset, translations=aside), tmp_path / "data")
    with pytest.raises(InputError, match=r"do not fit together: 0% .*summary\.html.*units"):
        fit(talking, tmp_path / "bob.avatar", source=tmp_path / "data")
    assert not (tmp_path / "bob.avatar").exists()


def test_one_frame_is_refused(talking, tmp_path):
    write_video_dataset(read_video_dataset(talking / "data").subset([0]), tmp_path / "data")
    with pytest.raises(InputError, match="1 of 1 frames can be fitted to: a head needs 2"):
        fit(talking, tmp_path / "bob.avatar", source=tmp_path / "data")


def test_a_changed_frame_size_is_refused(talking, tmp_path):
    from PIL import Image

    shutil.copytree(talking / "data", tmp_path / "data")
    picture = tmp_path / "data/frames/000003.png"
    Image.open(picture).resize((30, 30)).save(picture)
    with pytest.raises(InputError, match="30 x 30 pixels instead of 64 x 64"):
        fit(talking, tmp_path / "bob.avatar", source=tmp_path / "data")


def test_expressions_of_another_length_are_refused(talking, tmp_path):
    dataset = read_video_dataset(talking / "data")
    fewer = replace(dataset, expressions=dataset.expressions[:, :7], expression_names=dataset.expression_names[:7])
    write_video_dataset(fewer, tmp_path / "data")
    with pytest.raises(InputError, match="7 expression numbers a frame, but anny-head has 52"):
        fit(talking, tmp_path / "bob.avatar", source=tmp_path / "data")


def test_a_missing_source_and_a_wrong_size_are_told(talking, tmp_path):
    with pytest.raises(InputError, match="No video or dataset at"):
        fit(talking, tmp_path / "bob.avatar", source=tmp_path / "none.mp4")
    with pytest.raises(InputError, match="--size must be from 32"):
        fit(talking, tmp_path / "bob.avatar", size=8)


def test_presets():
    fast, paper = load_video_preset("fast"), load_video_preset("paper")
    assert fast == VideoFitOptions()
    assert (paper.imavatar.network, paper.imavatar.geometry_width, paper.imavatar.colour_depth) == ("mlp", 512, 4)
    assert (paper.size, paper.rays, paper.frames_per_step) == (256, 2048, 1)
    with pytest.raises(InputError, match=r"No preset 'quick'. Presets: .*fast.*nerface.*paper"):
        load_video_preset("quick")
