import pytest
import torch

from avatars.deform.sampled import SampledSkinning
from avatars.deform.skinning import forward_skin
from avatars.fields.affine import apply_affine
from avatars.fields.patches import patched_grid
from body_models.skeleton import rotation_matrices

LOWER, UPPER = torch.tensor([-0.2, -0.1, 0.0]), torch.tensor([0.2, 0.2, 0.3])
GRID = patched_grid(LOWER, UPPER, 0.06, [torch.tensor([[-0.05, 0.0, 0.1], [0.08, 0.1, 0.2]])], 0.02)
FRAMES = 3


def skinning(bones=6, offsets=True, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    transforms = torch.eye(4).repeat(FRAMES, bones, 1, 1)
    turns = 0.3 * torch.randn(FRAMES * bones, 3, generator=generator)
    transforms[..., :3, :3] = rotation_matrices(turns).unflatten(0, (FRAMES, bones))
    transforms[..., :3, 3] = 0.1 * torch.randn(FRAMES, bones, 3, generator=generator)
    logs = 3 * torch.randn(GRID.count, bones, generator=generator)
    moves = 0.003 * torch.randn(FRAMES, GRID.count, 3, generator=generator) if offsets else None
    return SampledSkinning(GRID, logs.to(dtype), transforms.to(dtype), None if moves is None else moves.to(dtype))


def some_points(count=300, reach=0.05):
    generator = torch.Generator().manual_seed(1)
    points = LOWER - reach + (UPPER - LOWER + 2 * reach) * torch.rand(count, 3, generator=generator)
    return points, torch.randint(FRAMES, (count,), generator=generator)


@pytest.mark.parametrize("bones", [1, 6, 70])
@pytest.mark.parametrize("offsets", [False, True])
def test_the_fused_deformation_is_that_of_its_parts(bones, offsets):
    points, frame = some_points()
    single, double = skinning(bones, offsets), skinning(bones, offsets, torch.float64)
    wanted = apply_affine(double.blend(points.double(), frame), double.shifted(points.double(), frame))
    assert torch.allclose(forward_skin(single, points, frame).double(), wanted, atol=3e-6)
    jacobian = double.jacobian_twin(points.double(), frame)
    assert torch.allclose(single.jacobian(points, frame).double(), jacobian, atol=1e-4 * float(jacobian.abs().max()))
    assert torch.equal(double.jacobian(points.double(), frame), jacobian)


def test_jacobians_are_derivatives():
    points, frame = some_points(20, reach=-0.02)
    field = skinning(dtype=torch.float64)
    places = points.double().requires_grad_()
    carried = forward_skin(field, places, frame)
    rows = [torch.autograd.grad(carried[:, axis].sum(), places, retain_graph=True)[0] for axis in range(3)]
    assert torch.allclose(field.jacobian(places.detach(), frame), torch.stack(rows, 1), atol=1e-6)


def test_gradients_pass_where_they_are_wanted():
    points, frame = some_points(50)
    field = skinning()
    for value in (field.log_weights, field.posed_from_canonical, field.offsets):
        value.requires_grad_()
    carried = forward_skin(field, points, frame)
    carried.square().sum().backward()
    assert all(v.grad is not None for v in (field.log_weights, field.posed_from_canonical, field.offsets))
    with torch.no_grad():
        assert torch.allclose(forward_skin(field, points, frame), carried, atol=3e-6)
    places = points.clone().requires_grad_()
    assert forward_skin(skinning(), places, frame).requires_grad


def test_points_that_are_no_numbers_stay_alone():
    points, frame = some_points(10)
    damaged = points.clone()
    damaged[4] = torch.nan
    field = skinning()
    found, whole = forward_skin(field, damaged, frame), forward_skin(field, points, frame)
    assert found[4].isnan().all()
    others = torch.arange(10) != 4
    assert torch.equal(found[others], whole[others])


def test_frames_that_are_not_there_are_refused():
    points, frame = some_points(10)
    frame[3] = FRAMES
    with pytest.raises(IndexError, match="there are 3"):
        forward_skin(skinning(), points, frame)
    with pytest.raises(IndexError):
        skinning().shifted(points, frame)


def test_no_points():
    points, frame = some_points(10)
    assert forward_skin(skinning(), points[:0], frame[:0]).shape == (0, 3)
    assert skinning().jacobian(points[:0], frame[:0]).shape == (0, 3, 3)
