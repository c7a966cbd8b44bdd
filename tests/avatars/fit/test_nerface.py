import copy
from dataclasses import replace

import pytest
import torch

from avatars.fit import fit_video
from avatars.fit.loop import step_generator
from avatars.fit.nerface_method import NerfaceMethod, TrackedNerface, nerface_from_head
from avatars.fit.video_frames import checked_body
from avatars.fit.video_options import VideoFitOptions, load_video_preset
from avatars.fit.video_rays import load_pictures
from avatars.fit.video_report import likeness, view_of
from avatars.fit.video_surface import Diverged
from avatars.models.avatar import AvatarInfo
from avatars.models.file import load_avatar
from avatars.models.head_avatar import HeadTracks
from avatars.models.head_start import head_box
from avatars.models.imavatar_options import ImavatarOptions
from avatars.models.nerface_avatar import NerfaceAvatar
from body_models import InputError
from data_prep.video_dataset import read_video_dataset
from tests.avatars.fit.tiny_video import FRAMES, SIZE

PRESET = """
method: nerface
steps: 2
size: 64
rays: 200
frames_per_step: 2
refresh: 2
rates: {features: 0.02, network: 0.005}
nerface: {feature_spacings: [0.05, 0.02], feature_channels: 2, width: 16, expected_spacing: 0.02}
"""


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    file = tmp_path_factory.mktemp("preset") / "nerface.yaml"
    file.write_text(PRESET)
    return str(file)


@pytest.fixture
def method(talking, preset):
    dataset, options = read_video_dataset(talking / "data"), load_video_preset(preset)
    torch.manual_seed(0)
    model = nerface_from_head(checked_body(dataset), options.nerface, options.imavatar)
    module = TrackedNerface(model, dataset.poses, dataset.translations, dataset.expressions)
    return NerfaceMethod(module.train(), load_pictures(dataset, options.size), options)


def test_two_steps_end_in_a_file_that_renders(talking, preset, tmp_path):
    out = tmp_path / "bob.avatar"
    settings = {"preset": preset, "quiet": True, "device": "cpu", "evaluate": True}
    avatar = fit_video(talking / "data", out, **settings)
    stored = load_avatar(out)
    assert isinstance(stored, NerfaceAvatar)
    assert len(stored.tracks) == FRAMES - 2
    image = stored.frame(0).render(stored.tracks.camera.resized(16, 16))
    assert image.rgb.isfinite().all()
    again = fit_video(talking / "data", out, resume=True, **settings)
    first, second = avatar.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_it_learns_the_person(method):
    optimiser = torch.optim.Adam(method.parameter_groups(), betas=(0.9, 0.99))
    firsts, lasts = [], []
    for step in range(40):
        terms = method.losses(step, step_generator(0, step))
        (firsts if step < 5 else lasts).append({name: term.item() for name, term in terms.items()})
        optimiser.zero_grad()
        sum(terms.values()).backward()
        optimiser.step()
    for name in ("colour", "mask"):
        assert sum(t[name] for t in lasts[-5:]) < 0.6 * sum(t[name] for t in firsts)
    module, pictures = method.module, method.pictures
    tracks = [values.detach() for values in module.corrected()]
    render = view_of(NerfaceAvatar(copy.deepcopy(module.nerface), HeadTracks(*tracks), AvatarInfo((), "anny-head")))
    found = likeness(render, *tracks, pictures)
    assert found.iou > 0.5
    assert found.psnr > 10
    view = render(*(values[0] for values in tracks), pictures.camera(0))
    assert view.rgb.shape == (SIZE, SIZE, 3)
    lengths = view.normal.norm(dim=-1)
    assert ((lengths < 1e-6) | ((lengths - 1).abs() < 1e-4)).all()


def test_every_parameter_learns_and_is_in_one_group(method):
    sum(method.losses(0, step_generator(0, 0)).values()).backward()
    grouped = [id(p) for group in method.parameter_groups() for p in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in method.module.parameters()}
    for name, parameter in method.module.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert bool(parameter.grad.any()), name


def test_only_the_frames_of_a_step_are_corrected(method):
    sum(method.losses(0, step_generator(0, 0)).values()).backward()
    moved = method.module.translation_shift.grad.abs().sum(1) > 0
    assert int(moved.sum()) == method.options.frames_per_step


def test_the_same_step_draws_the_same_rays(method):
    first, second = method.losses(1, step_generator(0, 1)), method.losses(1, step_generator(0, 1))
    assert {name: term.item() for name, term in first.items()} == {name: term.item() for name, term in second.items()}


def test_tracks_stay_where_refinement_is_off(method):
    options = replace(method.options, refine=False)
    fixed = NerfaceMethod(method.module, method.pictures, options)
    assert len(fixed.parameter_groups()) == 2
    assert set(fixed.losses(0, step_generator(0, 0))) == {"colour", "mask"}


def test_numbers_that_are_lost_are_noticed(method):
    with torch.no_grad():
        method.module.nerface.field.density.bias.fill_(float("nan"))
    with pytest.raises(Diverged, match="no longer finite"):
        method.losses(0, step_generator(0, 0))


def test_a_lost_head_is_noticed(method):
    with torch.no_grad():
        method.module.nerface.field.density.bias.fill_(-40.0)
    method.losses(0, step_generator(0, 0))  # early fog may be thin
    with pytest.raises(Diverged, match="covers 0%"):
        method.losses(200, step_generator(0, 200))
    with pytest.raises(Diverged, match="covers 0%"):
        method.check()


def test_smaller_steps_after_a_restart(method):
    before = [group["lr"] for group in method.parameter_groups()]
    method.restart(0.5)
    assert [group["lr"] for group in method.parameter_groups()] == pytest.approx([0.5 * rate for rate in before])


def test_its_space_is_that_of_the_other_methods(talking, method):
    body = checked_body(read_video_dataset(talking / "data"))
    assert torch.equal(method.module.nerface.box, head_box(body.canonical(), ImavatarOptions()))


def test_the_preset_and_unknown_methods():
    options = load_video_preset("nerface")
    assert options.method == "nerface"
    assert options.rays == VideoFitOptions().rays
    with pytest.raises(InputError, match=r"Unknown method 'nerf'.*imavatar or nerface"):
        VideoFitOptions(method="nerf")
