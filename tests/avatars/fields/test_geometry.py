import pytest
import torch

from avatars.fields.encoding import FeatureGrids, with_smooth_slopes
from avatars.fields.geometry import GeometryField, GridGeometry, MlpGeometry
from avatars.fields.grid import GridSpec
from avatars.fields.patches import patched_grid
from body_models.errors import InputError

PART = torch.tensor([[-0.05, -0.05, -0.05], [0.1, 0.1, 0.1]])
BASE = patched_grid(torch.full((3,), -0.15), torch.full((3,), 0.15), 0.03, [PART], 0.015)
FEATURES = [(GridSpec((-0.15, -0.15, -0.15), 0.05, (7, 7, 7)), 4), (GridSpec((-0.15, -0.15, -0.15), 0.1, (4, 4, 4)), 2)]


def grid_geometry(smooth=True, condition=0):
    torch.manual_seed(0)
    return GridGeometry(BASE, FEATURES, width=8, feature_size=5, smooth=smooth, condition=condition)


def conditioned_geometry():
    return grid_geometry(condition=3)


def mlp_geometry():
    torch.manual_seed(0)
    return MlpGeometry((0.0, 0.01, 0.0), 4.0, width=16, depth=4, octaves=2, feature_size=5)


def shaken(field):
    field = field.double()
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, dtype=torch.float64))
    return field


def points(count=20):
    return 0.28 * torch.rand(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) - 0.14


def sphere(radius, count=300):
    directions = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    return radius * torch.nn.functional.normalize(directions, dim=1)


@pytest.mark.parametrize("condition", [0, 3])
def test_start_from_comes_back_at_the_nodes_and_the_residual_is_silent(condition):
    field = grid_geometry(condition=condition)
    sdf = BASE.nodes().norm(dim=1) - 0.1
    field.start_from(sdf)
    first = BASE.patches[0]
    away = ~BASE.patches[1].contains(first.nodes())
    assert torch.allclose(field.sdf(first.nodes()[away]), sdf[: first.count][away], atol=1e-6)
    assert torch.allclose(field.sdf(sphere(0.1)), torch.zeros(300), atol=2.3e-3)  # spacing² over 8, by curvature
    if condition:
        assert field.residual(torch.randn(4, 8)).abs().max() == 0
    else:
        assert field.residual is None


@pytest.mark.parametrize("make", [grid_geometry, conditioned_geometry, mlp_geometry])
def test_parts_of_the_answer_agree(make):
    field = shaken(make())
    assert isinstance(field, GeometryField)
    geometry, gradient = field.with_gradient(points())
    assert torch.allclose(geometry.sdf, field.sdf(points()))
    assert torch.allclose(geometry.feature, field(points()).feature)
    assert geometry.feature.shape == (20, 5)
    assert gradient.shape == (20, 3)


@pytest.mark.parametrize("make", [grid_geometry, mlp_geometry])
def test_no_points(make):
    geometry, gradient = make().with_gradient(torch.zeros(0, 3))
    assert geometry.sdf.shape == (0,)
    assert gradient.shape == (0, 3)


@pytest.mark.parametrize("make", [grid_geometry, conditioned_geometry, mlp_geometry])
def test_gradient_is_that_of_finite_differences(make):
    field, step = shaken(make()), 1e-7
    moves = step * torch.eye(3, dtype=torch.float64)
    differences = [(field.sdf(points() + move) - field.sdf(points() - move)) / (2 * step) for move in moves]
    assert torch.allclose(field.gradient(points()), torch.stack(differences, 1), atol=1e-5)


@pytest.mark.parametrize("make", [lambda: grid_geometry(False), grid_geometry, conditioned_geometry, mlp_geometry])
def test_gradient_is_differentiable_by_points_and_parameters(make):
    field = shaken(make())
    assert torch.autograd.gradcheck(lambda x: field.with_gradient(x)[1], points(4).requires_grad_())
    shape = [p for name, p in field.named_parameters() if name != "base" and p.numel() < 2000]
    chosen = field.base if isinstance(field, GridGeometry) and field.residual is None else shape[0]
    loss = field.with_gradient(points())[1].square().sum()
    (slope,) = torch.autograd.grad(loss, chosen)
    direction, step = torch.randn_like(slope), 1e-6
    losses = []
    for sign in (1, -1):
        with torch.no_grad():
            chosen.add_(sign * step * direction)
        losses.append(field.with_gradient(points())[1].square().sum().item())
        with torch.no_grad():
            chosen.sub_(sign * step * direction)
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx((slope * direction).sum().item(), rel=1e-4)


@pytest.mark.parametrize("make", [grid_geometry, mlp_geometry])
def test_an_eikonal_step_reaches_every_parameter_of_the_shape(make):
    field = shaken(make())
    geometry, gradient = field.with_gradient(points(200))
    ((gradient.norm(dim=1) - 1).square().sum() + geometry.sdf.sum() + geometry.feature.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in field.parameters())
    assert all(p.grad.abs().max() > 0 for p in field.parameters())


def test_no_graph_without_gradients():
    with torch.no_grad():
        geometry, gradient = mlp_geometry().with_gradient(torch.rand(4, 3))
    assert not gradient.requires_grad
    assert not geometry.sdf.requires_grad


def test_smooth_normals_of_a_sphere_are_closer_than_the_exact_slopes():
    errors = []
    for smooth in (False, True):
        field = grid_geometry(smooth)
        field.start_from(BASE.nodes().norm(dim=1) - 0.1)
        normals = torch.nn.functional.normalize(field.with_gradient(sphere(0.1))[1], dim=1)
        errors.append((normals * sphere(1.0)).sum(1).clamp(-1, 1).arccos().mean())
    assert errors[1] < 0.6 * errors[0]


def test_smooth_slopes_of_a_plane_are_its_own():
    table = (BASE.nodes().double() @ torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64))[:, None]
    inner = 0.8 * points()
    slopes = with_smooth_slopes(BASE, table, inner)[1][:, :, 0]
    assert torch.allclose(slopes, slopes.new_tensor([1.0, -2.0, 3.0]).expand_as(slopes), atol=1e-5)


def test_shared_rows_stay_within_the_table_and_trilinear():
    grids = FeatureGrids([(GridSpec((-0.15, -0.15, -0.15), 0.01, (31, 31, 31)), 2)], most_rows=8).double()
    assert grids.tables[0].shape == (256, 2)
    values, slopes = grids.with_slopes(points())
    assert torch.allclose(values, grids(points()))
    assert torch.autograd.gradcheck(grids, points(5).requires_grad_())
    assert slopes.shape == (20, 3, 2)


def test_paper_sizes_and_first_sphere():
    torch.manual_seed(0)
    field = MlpGeometry((0.1, 0.0, 0.0))
    assert sum(p.numel() for p in field.parameters()) == pytest.approx(1.98e6, rel=5e-3)
    centre = torch.tensor([[0.1, 0.0, 0.0]])
    with torch.no_grad():
        assert field.sdf(centre).item() < -0.01
        assert (field.sdf(centre + sphere(0.06)) < 0).all()
        assert (field.sdf(centre + sphere(0.18)) > 0).all()


def test_bad_sizes():
    with pytest.raises(InputError, match="at least one"):
        GridGeometry(BASE, [], 8, 4)
    with pytest.raises(InputError, match="at least one"):
        GridGeometry(BASE, FEATURES, 0, 4)
    with pytest.raises(InputError, match="channel"):
        GridGeometry(BASE, [(FEATURES[0][0], 0)], 8, 4)
    with pytest.raises(InputError, match="scale"):
        MlpGeometry(scale=0.0)


def test_a_conditioned_field_is_told_and_starts_without_minding():
    torch.manual_seed(0)
    field = conditioned_geometry()
    hint = field.hints(torch.randn(20, 3))
    some = points().float()
    assert torch.equal(field.sdf(some, hint), field.sdf(some))
    field = shaken(field)
    hint = field.hints(torch.randn(20, 3, dtype=torch.float64))
    some = points().requires_grad_()
    (expected,) = torch.autograd.grad(field.sdf(some, hint).sum(), some)
    assert torch.allclose(field.gradient(some, hint), expected, atol=1e-8)
    assert (field.sdf(some, hint) - field.sdf(some)).abs().max() > 1e-6
    assert torch.allclose(field(some, hint).feature, field.with_gradient(some, hint)[0].feature)
    assert torch.equal(field.sdf(some, field.hints(torch.zeros(20, 3, dtype=torch.float64))), field.sdf(some))


def test_without_a_condition_the_shape_is_the_grid_alone():
    field = shaken(grid_geometry())
    before = field.sdf(points())
    with torch.no_grad():
        for name, parameter in field.named_parameters():
            if name != "base":
                parameter.add_(1.0)
    assert torch.equal(field.sdf(points()), before)
    assert torch.equal(field(points()).sdf, before)
