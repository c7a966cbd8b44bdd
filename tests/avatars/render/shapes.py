"""An ellipsoid that bends smoothly and swells with expressions, all in closed form and double precision."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.skinning import Skinning
from avatars.deform.starts import start_table
from avatars.fields.patches import patched_grid
from avatars.render import TraceOptions
from body_models.skeleton import rigid, rotation_matrices

EXACT = TraceOptions(newton_steps=60, tolerance=1e-13, refinements=12)
"""Hits as exact as doubles can have them, for finite differences."""


def double(*values: float) -> Float[Tensor, "value"]:
    return torch.tensor(values, dtype=torch.float64)


@dataclass(frozen=True)
class Bend:
    """Weights of two bones that change smoothly along y."""

    sharpness: Float[Tensor, ""]

    def log_weights(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point bone"]:
        rise = self.sharpness * (points[:, 1] + 0.3 * points[:, 0])
        return torch.stack([-rise, rise], 1)

    def __call__(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point bone"]:
        return torch.softmax(self.log_weights(points), 1)


@dataclass(frozen=True)
class Waves:
    """Two blendshapes of a few centimetres."""

    height: Float[Tensor, "2"]

    def __call__(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point coefficient 3"]:
        first = torch.sin(9 * points.flip(1))
        second = torch.cos(7 * points.roll(1, dims=1) + 1)
        return torch.stack([first, second], 1) * self.height[:, None]


@dataclass(frozen=True)
class Parameters:
    """All that the ellipsoid's surface depends on."""

    radii: Float[Tensor, "3"]
    centre: Float[Tensor, "3"]
    sharpness: Float[Tensor, ""]
    height: Float[Tensor, "2"]
    pose: Float[Tensor, "2 3"]
    coefficients: Float[Tensor, "2 2"]

    def tensors(self) -> tuple[Tensor, ...]:
        return (self.radii, self.centre, self.sharpness, self.height, self.pose, self.coefficients)


class Ellipsoid:
    """The surface in two frames, the second turned the other way; no true distance, its gradient is no unit vector."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        turns = torch.stack([parameters.pose, -parameters.pose])
        bones = rigid(rotation_matrices(turns), 0.1 * turns)
        weights = Bend(parameters.sharpness)
        grid = patched_grid(torch.full((3,), -0.5), torch.full((3,), 0.5), 0.1)
        table = start_table(grid, weights(grid.nodes().to(bones)))
        self.deformation = Skinning(weights, bones, table, Waves(parameters.height), parameters.coefficients)

    def sdf(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point"]:
        scaled = (points - self.parameters.centre) / self.parameters.radii
        return 0.2 * (scaled.square().sum(1).sqrt() - 1)

    def sdf_gradient(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        scaled = (points - self.parameters.centre) / self.parameters.radii
        return 0.2 * scaled / self.parameters.radii / scaled.square().sum(1).sqrt()[:, None]


def bent() -> Parameters:
    """An ellipsoid of 30 to 50 cm, bent by half a radian."""
    return Parameters(
        double(0.15, 0.25, 0.2),
        double(0.01, -0.02, 0.03),
        double(4.0)[0],
        double(0.02, 0.015),
        torch.stack([double(0.1, -0.05, 0.2), double(-0.2, 0.3, -0.3)]),
        torch.stack([double(0.7, -0.4), double(-0.5, 0.9)]),
    )


def sphere(radius: float) -> Parameters:
    """A sphere about the origin that nothing moves."""
    still = replace(bent(), pose=torch.zeros(2, 3).double(), coefficients=torch.zeros(2, 2).double())
    return replace(still, radii=double(radius, radius, radius), centre=double(0.0, 0.0, 0.0))


def rays_from(
    directions: Float[Tensor, "ray 3"], aside: float = 0.04
) -> tuple[Float[Tensor, "ray 3"], Float[Tensor, "ray 3"], Int[Tensor, "ray"]]:
    """Rays of given directions that pass the origin at a little distance, from a metre away, in frames by turns."""
    unit = torch.nn.functional.normalize(directions, dim=1)
    other = torch.nn.functional.normalize(unit.roll(1, dims=1) + double(0.3, 0.2, 0.1), dim=1)
    across = torch.nn.functional.normalize(torch.linalg.cross(unit, other), dim=1)
    return aside * across - unit, unit, torch.arange(len(unit)) % 2


def view_directions() -> Float[Tensor, "ray 3"]:
    """Along every axis both ways, nearly along z, and some between."""
    axes = torch.cat([torch.eye(3), -torch.eye(3)]).double()
    near_z = torch.tensor([[1e-9, 0.0, -1.0], [0.0, -1e-5, 1.0]], dtype=torch.float64)
    between = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.cat([axes, near_z, between])
