from dataclasses import fields, replace

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.broyden import broyden
from avatars.deform.skinning import forward_skin
from avatars.render import (
    RayHits,
    attach_off_surface_gradient,
    attach_surface_gradient,
    march,
    meet_surface,
    posed_normals,
)
from tests.avatars.render.shapes import EXACT, Ellipsoid, Parameters, bent, double, rays_from, sphere, view_directions

NAMES = [field.name for field in fields(Parameters)]


def start_hits(parameters: Parameters, aside: float = 0.04) -> tuple[RayHits, Tensor, Tensor, Tensor]:
    """First hits of rays from all sides."""
    origins, directions, frame = rays_from(view_directions(), aside)
    near, far = torch.full_like(origins[:, 0], 0.5), torch.full_like(origins[:, 0], 1.5)
    return march(origins, directions, frame, Ellipsoid(parameters), near, far, EXACT), origins, directions, frame


def with_gradient(value: Tensor) -> Tensor:
    return value.detach().clone().requires_grad_()


def solved_hits(
    parameters: Parameters,
    start: Float[Tensor, "ray 3"],
    origins: Float[Tensor, "ray 3"],
    directions: Float[Tensor, "ray 3"],
    frame: Int[Tensor, "ray"],
) -> Float[Tensor, "ray 3"]:
    """Hits found anew for any parameters and rays, differentiable."""
    field = Ellipsoid(parameters)
    met = meet_surface(origins.detach(), directions.detach(), frame, field, start, EXACT)
    assert bool(met.converged.all())
    hits = RayHits(met.canonical, met.distance, met.converged)
    return attach_surface_gradient(hits, origins, directions, frame, field)


@pytest.mark.parametrize("name", NAMES)
def test_surface_gradient_agrees_with_finite_differences(name: str) -> None:
    hits, origins, directions, frame = start_hits(bent())

    def points(value: Tensor) -> Tensor:
        return solved_hits(replace(bent(), **{name: value}), hits.canonical, origins, directions, frame)

    assert torch.autograd.gradcheck(points, with_gradient(getattr(bent(), name)), atol=1e-8, rtol=1e-5)


def test_surface_gradient_by_rays_agrees_with_finite_differences() -> None:
    """The directions need no unit length for it."""
    hits, origins, directions, frame = start_hits(bent())

    def points(o: Tensor, d: Tensor) -> Tensor:
        return solved_hits(bent(), hits.canonical, o, d, frame)

    inputs = (with_gradient(origins), with_gradient(directions))
    assert torch.autograd.gradcheck(points, inputs, atol=1e-8, rtol=1e-5)


def test_a_sphere_that_grows_moves_hits_towards_the_eye() -> None:
    """On a ray through the centre the hit follows the radius, in every direction."""
    hits, origins, directions, frame = start_hits(sphere(0.2), aside=0.0)
    growth = with_gradient(double(0.0))
    parameters = replace(sphere(0.2), radii=double(0.2, 0.2, 0.2) + growth)
    points = attach_surface_gradient(hits, origins, directions, frame, Ellipsoid(parameters))
    (slope,) = torch.autograd.grad((points * directions).sum(), growth)
    assert float(slope) == pytest.approx(-len(directions), rel=1e-9)


def test_values_do_not_change() -> None:
    hits, origins, directions, frame = start_hits(bent())
    for attach in (attach_surface_gradient, attach_off_surface_gradient):
        assert torch.equal(attach(hits, origins, directions, frame, Ellipsoid(bent())), hits.canonical)


def test_grazing_rays_pass_no_gradient() -> None:
    origins, directions, frame = rays_from(view_directions(), aside=0.2)
    hits = RayHits(origins + directions, torch.ones_like(origins[:, 0]), torch.ones(len(origins)).bool())
    inputs = [with_gradient(value) for value in sphere(0.2).tensors()]
    field = Ellipsoid(Parameters(*inputs))
    attach_surface_gradient(hits, origins, directions, frame, field).sum().backward()
    assert all(float(value.grad.abs().max()) == 0 for value in inputs if value.grad is not None)


@pytest.mark.parametrize("name", [*NAMES[2:], "rays"])
def test_off_surface_gradient_agrees_with_finite_differences(name: str) -> None:
    hits, origins, directions, frame = start_hits(bent())
    distance = hits.distance - 0.05
    start = attach_off_surface_gradient(hits, origins, directions, frame, Ellipsoid(bent()))

    def points(value: Tensor, shift: Tensor) -> Tensor:
        field = Ellipsoid(bent() if name == "rays" else replace(bent(), **{name: value}))
        o = origins + shift
        d = value if name == "rays" else directions
        target = (o + distance[:, None] * d).detach()

        def residual(x: Tensor, active: Tensor) -> Tensor:
            return forward_skin(field.deformation, x, frame[active]) - target[active]

        inverse = torch.linalg.inv(field.deformation.jacobian(start, frame))
        found, converged = broyden(residual, start.detach(), inverse, 60, 1e-13, 1.0)
        assert bool(converged.all())
        return attach_off_surface_gradient(RayHits(found, distance, converged), o, d, frame, field)

    value = directions if name == "rays" else getattr(bent(), name)
    inputs = (with_gradient(value), with_gradient(torch.zeros_like(origins)))
    assert torch.autograd.gradcheck(points, inputs, atol=1e-8, rtol=1e-5)


def test_normals_are_orthogonal_to_the_posed_surface_and_point_outward() -> None:
    hits, _, _, frame = start_hits(bent())
    field = Ellipsoid(bent())
    normals = posed_normals(field, hits.canonical, frame)
    assert torch.allclose(normals.norm(dim=1), torch.ones(len(normals)).double())
    gradient = torch.nn.functional.normalize(field.sdf_gradient(hits.canonical, frame), dim=1)
    for axis in torch.eye(3).double():
        tangent = torch.linalg.cross(gradient, axis.expand_as(gradient))
        here, there = (forward_skin(field.deformation, hits.canonical + s * tangent, frame) for s in (-1e-6, 1e-6))
        assert float(((there - here) / 2e-6 * normals).sum(1).abs().max()) < 1e-6
    below, above = (forward_skin(field.deformation, hits.canonical + s * gradient, frame) for s in (-1e-6, 1e-6))
    assert bool((((above - below) * normals).sum(1) > 0).all())


def test_normals_of_a_sphere_point_from_its_centre() -> None:
    hits, _, _, frame = start_hits(sphere(0.2))
    normals = posed_normals(Ellipsoid(sphere(0.2)), hits.canonical, frame)
    assert torch.allclose(normals, hits.canonical / 0.2, atol=1e-9)
