import pytest
import torch

from avatars.fit.loop import step_generator
from avatars.fit.video_surface import Diverged, note_changes, smoothed_on_grid, surface_mesh
from data_prep.video_dataset import read_video_dataset
from tests.avatars.fit.tiny_video import tiny_method


@pytest.fixture
def method(talking):
    return tiny_method(read_video_dataset(talking / "data"), talking / "tiny.yaml")[0]


def test_every_parameter_learns_and_is_in_one_group(method):
    sum(method.losses(0, step_generator(0, 0)).values()).backward()
    grouped = [id(p) for group in method.parameter_groups() for p in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in method.module.parameters()}
    for name, parameter in method.module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert bool(parameter.grad.any()), name


def test_fields_on_grids_have_one_step_size_each(method):
    model = method.module.imavatar
    uniform = [p for group in method.parameter_groups() if group.get("uniform") for p in group["params"]]
    grids = [model.geometry.base, *model.motion.weights.parameters(), *model.motion.offsets.parameters()]
    assert {id(p) for p in uniform} == {id(p) for p in grids}


def test_bumps_cost_smoothness(method):
    geometry = method.module.imavatar.geometry
    ball = (geometry.base_grid.nodes() - torch.tensor([0.0, 0.03, 0.03])).norm(dim=1) - 0.1
    terms = []
    for height in (0.0, 0.01):
        bumps = height * torch.randn(len(ball), generator=torch.Generator().manual_seed(0))
        geometry.start_from(ball + bumps)
        method.restart(1.0)
        terms.append(method.losses(0, step_generator(0, 0))["smooth"].item())
    assert terms[1] > 2 * terms[0] > 0


def test_only_the_frames_of_a_step_are_corrected(method):
    sum(method.losses(0, step_generator(0, 0)).values()).backward()
    moved = method.module.translation_shift.grad.abs().sum(1) > 0
    assert int(moved.sum()) == method.options.frames_per_step


def test_the_same_step_draws_the_same_rays(method):
    first, second = method.losses(4, step_generator(0, 4)), method.losses(4, step_generator(0, 4))
    assert {name: term.item() for name, term in first.items()} == {name: term.item() for name, term in second.items()}


def test_terms_that_are_turned_off_are_left_out(method):
    from dataclasses import replace

    off = replace(method.options.losses, smooth=0.0, eikonal=0.0, anchor=0.0)
    method.options = replace(method.options, losses=off, supervised=False)
    assert set(method.losses(0, step_generator(0, 0))) == {"colour", "mask", "prior"}


def test_the_tracked_model_itself_agrees_with_its_supervision(method):
    terms = method.losses(0, step_generator(0, 0))
    assert terms["skinning"] < 0.01
    assert terms["offsets"] < 0.01


def test_a_lost_surface_is_noticed(method):
    with torch.no_grad():
        method.module.imavatar.geometry.base.fill_(0.3)
    with pytest.raises(Diverged, match="surface is gone"):
        method.losses(0, step_generator(0, 0))


def test_a_surface_that_shrinks_to_a_speck_is_noticed(method):
    geometry, box = method.module.imavatar.geometry, method.module.imavatar.box
    nodes = geometry.base_grid.nodes()
    with torch.no_grad():
        geometry.base.copy_((nodes - box[1] + 0.05).norm(dim=1, keepdim=True) - 0.03)
    with pytest.raises(Diverged, match=r"covers|gone"):
        method.losses(0, step_generator(0, 0))


def test_numbers_that_are_lost_are_noticed(method):
    with torch.no_grad():
        next(iter(method.module.imavatar.colour.mlp.parameters())).fill_(float("nan"))
    with pytest.raises(Diverged, match="no longer finite"):
        method.losses(0, step_generator(0, 0))


def test_smoothing_keeps_constants_within_and_the_sum(method):
    grid = method.module.imavatar.geometry.base_grid
    shape = grid.patches[0].shape
    smooth = smoothed_on_grid(torch.ones(grid.count, 1), grid)[: grid.patches[0].count].reshape(shape)
    assert torch.allclose(smooth[2:-2, 2:-2, 2:-2], torch.ones(()), atol=1e-5)


def test_smaller_steps_after_a_restart(method):
    before = [group["lr"] for group in method.parameter_groups()]
    method.restart(0.5)
    assert [group["lr"] for group in method.parameter_groups()] == pytest.approx([0.5 * rate for rate in before])


def test_the_mesh_is_the_surface(method):
    mesh = surface_mesh(method.module.imavatar, 48)
    assert method.module.imavatar.sdf(mesh.vertices).abs().median() < 1e-3


def test_changes_by_fused_optimisers_are_noted():
    layer = torch.nn.Linear(2, 2)
    before, values = layer.weight._version, layer.weight.detach().clone()
    note_changes(layer)
    assert layer.weight._version > before
    assert torch.equal(layer.weight, values)
