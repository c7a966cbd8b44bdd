"""A soft shadow on the floor, from how close the mesh comes to it."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, grid_sample

CELLS = 96
REACH = 0.12
"""Height over which a part's shadow fades, in heights of the mesh."""
DARKEST = 0.55


def contact_shadow(
    vertices: Float[Tensor, "vertex 3"],
    origins: Float[Tensor, "ray 3"],
    directions: Float[Tensor, "ray 3"],
) -> Float[Tensor, "ray"]:
    """Brightness of what each ray sees beside the mesh: below 1 where it meets the floor near low vertices."""
    lower, upper = vertices.amin(dim=0), vertices.amax(dim=0)
    center, half = ((lower + upper) / 2)[[0, 2]], float((upper - lower).max()) * 0.75
    dark = _darkness(vertices, lower[1], center, half)
    steps = (lower[1] - origins[:, 1]) / directions[:, 1]
    meets = (steps > 0) & steps.isfinite()
    floor = origins + torch.where(meets, steps, 0.0)[:, None] * directions
    place = ((floor[:, [0, 2]] - center) / half).clamp(-2, 2)
    found = grid_sample(dark[None, None], place[None, None], align_corners=False)[0, 0, 0]
    return 1 - torch.where(meets, found, 0.0)


def _darkness(
    vertices: Float[Tensor, "vertex 3"], floor: Float[Tensor, ""], center: Float[Tensor, "2"], half: float
) -> Float[Tensor, "row column"]:
    """Map over z (rows) and x (columns): blurred coverage by vertices, weighted by their nearness to the floor."""
    cell = ((vertices[:, [0, 2]] - center) / half + 1) * (CELLS / 2)
    column, row = cell.long().clamp(0, CELLS - 1).unbind(dim=-1)
    nearness = torch.exp(-(vertices[:, 1] - floor) / (REACH * half / 0.75))
    empty = torch.zeros(CELLS * CELLS, device=vertices.device)
    cover = empty.scatter_reduce(0, row * CELLS + column, nearness, "amax").reshape(1, 1, CELLS, CELLS)
    offsets = torch.arange(-6, 7, device=vertices.device)
    kernel = torch.exp(-(offsets**2) / (2 * 2.0**2)) / (2.0 * math.sqrt(2 * math.pi))
    blurred = conv2d(
        conv2d(cover, kernel[None, None, None], padding=(0, 6)), kernel[None, None, :, None], padding=(6, 0)
    )
    return DARKEST * blurred[0, 0].clamp(max=1)
