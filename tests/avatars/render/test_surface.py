import pytest
import torch

from avatars.deform.skinning import forward_skin
from avatars.render import TraceOptions, march, meet_surface
from body_models import InputError
from tests.avatars.render.shapes import EXACT, Ellipsoid, bent, rays_from, sphere, view_directions


def test_newton_meets_a_sphere_exactly() -> None:
    origins, directions, frame = rays_from(view_directions())
    wanted = -(origins * directions).sum(1) - (0.2**2 - 0.04**2) ** 0.5
    start = origins + (wanted + 0.004)[:, None] * directions + 0.003
    found = meet_surface(origins, directions, frame, Ellipsoid(sphere(0.2)), start, EXACT)
    assert bool(found.converged.all())
    assert torch.allclose(found.distance, wanted, atol=1e-11)
    assert torch.allclose(found.canonical, origins + wanted[:, None] * directions, atol=1e-11)
    assert bool((found.slope < 0).all())


def test_marching_finds_the_sphere_or_the_nearest_approach() -> None:
    field = Ellipsoid(sphere(0.2))
    origins, directions, frame = rays_from(view_directions())
    near, far = torch.full_like(origins[:, 0], 0.6), torch.full_like(origins[:, 0], 1.4)
    found = march(origins, directions, frame, field, near, far, EXACT)
    assert bool(found.hit.all())
    assert torch.allclose(found.distance, torch.full_like(near, 1 - (0.2**2 - 0.04**2) ** 0.5), atol=1e-9)
    passing = rays_from(view_directions(), aside=0.23)[0]
    found = march(passing, directions, frame, field, near, far, EXACT)
    assert not bool(found.hit.any())
    assert float((found.distance - 1).abs().max()) < 0.8 / 63
    assert float((field.sdf(found.canonical, frame) - 0.03).abs().max()) < 1e-3


@pytest.mark.parametrize("tolerance", [1e-13, 1e-30])
def test_marching_meets_a_bent_ellipsoid(tolerance: float) -> None:
    """Without Newton's method too, which a tolerance that no point can meet puts out of use."""
    field = Ellipsoid(bent())
    origins, directions, frame = rays_from(view_directions())
    near, far = torch.full_like(origins[:, 0], 0.5), torch.full_like(origins[:, 0], 1.5)
    options = TraceOptions(tolerance=tolerance, newton_steps=40, refinements=8)
    found = march(origins, directions, frame, field, near, far, options)
    assert bool(found.hit.all())
    posed = forward_skin(field.deformation, found.canonical, frame)
    assert torch.allclose(posed, origins + found.distance[:, None] * directions, atol=2e-5)
    assert float(field.sdf(found.canonical, frame).abs().max()) < 2e-5
    before = march(origins, directions, frame, field, near, found.distance - 1e-3, options, samples=200)
    assert not bool(before.hit.any())


def test_points_without_roots_leave_no_gaps() -> None:
    origins, directions, frame = rays_from(view_directions())
    far = torch.full_like(origins[:, 0], 60.0)
    found = march(origins, directions, frame, Ellipsoid(bent()), far - 1, far, TraceOptions())
    assert not bool(found.hit.any())
    assert bool(found.canonical.isfinite().all())


def test_no_rays_give_no_hits() -> None:
    none = torch.zeros(0, 3).double()
    found = march(none, none, torch.zeros(0).long(), Ellipsoid(bent()), none[:, 0], none[:, 0], TraceOptions())
    assert len(found.hit) == 0


def test_options_refuse_what_cannot_work() -> None:
    with pytest.raises(InputError, match="samples must be 2"):
        TraceOptions(samples=1)
    with pytest.raises(InputError, match="refinements must be 1"):
        TraceOptions(refinements=0)
    with pytest.raises(InputError, match="tolerance must be"):
        TraceOptions(tolerance=0.0)
