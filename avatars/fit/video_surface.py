"""The canonical surface during a fit: meshed, watched, and moved in smooth dents."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avatars.fields.patches import PatchedGrid
from avatars.meshing import TriangleMesh, extract_surface
from avatars.models.imavatar import Imavatar
from body_models import InputError

SMOOTHINGS = 2
"""How often the base grid's gradient is averaged over neighbouring nodes."""
RAGS = 3.0
"""A surface that has grown to this many times its first area is taken to be in rags."""


class Diverged(InputError):
    """The fit has lost its numbers or its surface."""


@torch.no_grad()
def note_changes(model: nn.Module) -> None:
    """Raise the version counters of all parameters, by which models know that what they keep is out of date.

    Fused optimisers change parameters without counting.
    """
    for parameter in model.parameters():
        parameter[:0].zero_()


@torch.no_grad()
def surface_mesh(model: Imavatar, resolution: int) -> TriangleMesh:
    """The canonical surface, floating pieces and all; raises Diverged when there is none."""

    def inside(points: Float[Tensor, "point 3"]) -> Float[Tensor, "point"]:
        return -model.sdf(points)

    try:
        return extract_surface(inside, model.box[0], model.box[1], resolution=resolution)
    except InputError as error:
        raise Diverged(f"the surface is gone ({error})") from error


def smoothed_on_grid(values: Float[Tensor, "node channel"], grid: PatchedGrid) -> Float[Tensor, "node channel"]:
    """Values averaged over neighbouring nodes, a few spacings wide.

    As gradients they move the surface in smooth dents instead of node by node (Nicolet et al., Large Steps, 2021).
    """
    parts = []
    for patch, start in zip(grid.patches, grid.offsets, strict=True):
        channels = values[start : start + patch.count].T.reshape(1, -1, *patch.shape)
        for axis in (2, 3, 4) * SMOOTHINGS:
            channels = _mean_of_three(channels, axis)
        parts.append(channels.flatten(2)[0].T)
    return torch.cat(parts)


def _mean_of_three(values: Float[Tensor, "*shape"], axis: int) -> Float[Tensor, "*shape"]:
    """Each value's mean with its neighbours along an axis, zeros beyond the ends."""
    total, count = values.clone(), values.shape[axis] - 1
    total.narrow(axis, 1, count).add_(values.narrow(axis, 0, count))
    total.narrow(axis, 0, count).add_(values.narrow(axis, 1, count))
    return total.div_(3)


def area(mesh: TriangleMesh) -> float:
    """Sum of all triangles (square metres)."""
    return float(mesh.to_trimesh().area)


def check_rags(mesh: TriangleMesh, first: float) -> None:
    """Raise Diverged when a surface has many times the area it began with."""
    now = area(mesh)
    if now > RAGS * first:
        raise Diverged(f"the surface is in rags: {now / first:.1f} times the area that it began with")
