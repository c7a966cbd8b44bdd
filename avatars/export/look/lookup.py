"""What the full-resolution surface is like under each texel of the light mesh."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn.functional import normalize

from data_prep.surface import Surface

AGREEING = 0.2
"""A surface point belongs to a texel if the cosine of the angle between their normals is above this."""
REACH = 0.05
"""How far along the normal the surface is sought where the nearest point is that of another side (metres)."""
HITS, STEP = 3, 1e-5
"""It is sought behind as many sheets less one, on from as far behind each (metres)."""
NEIGHBOURS = 6
BESIDE = 200_000
"""At most about as many known texels are asked for what their neighbours lack."""
TURN_COUNTS = 0.05
"""What a difference of normals (by one) counts beside a distance (metres), when neighbours are sought."""


@dataclass(frozen=True)
class Found:
    """Points of the full-resolution surface, one a texel."""

    points: Float[Tensor, "texel 3"]
    normals: Float[Tensor, "texel 3"]
    """Unit, interpolated."""
    right: Bool[Tensor, "texel"]
    """Whether the surface there faces the way that the texel does."""


def found_on(
    surface: Surface,
    surface_normals: Float[Tensor, "vertex 3"],
    points: Float[Tensor, "texel 3"],
    normals: Float[Tensor, "texel 3"],
) -> Found:
    """The nearest surface point of each point (metres), or the one along its normal where the nearest faces away."""
    nearest = surface.closest(points)
    place = nearest.point
    fine = normalize(surface.interpolate(surface_normals, nearest.face, nearest.barycentric), dim=1)
    wrong = ((fine * normals).sum(1) < AGREEING).nonzero()[:, 0]
    if len(wrong):
        distance, along, turned = _along(surface, surface_normals, points[wrong], normals[wrong])
        better = distance < REACH
        place[wrong[better]], fine[wrong[better]] = along[better], turned[better]
    return Found(place, fine, (fine * normals).sum(1) >= AGREEING)


def _along(
    surface: Surface,
    surface_normals: Float[Tensor, "vertex 3"],
    points: Float[Tensor, "ray 3"],
    normals: Float[Tensor, "ray 3"],
) -> tuple[Float[Tensor, "ray"], Float[Tensor, "ray 3"], Float[Tensor, "ray 3"]]:
    """The nearest surface point out- or inwards that faces as its ray does: distance, infinite for none, and normal."""
    best, place, fine = torch.full_like(points[:, 0], torch.inf), points.clone(), normals.clone()
    for direction in (normals, -normals):
        travelled = torch.zeros_like(best)
        for _ in range(HITS):
            hits = surface.cast(points + travelled[:, None] * direction, direction)
            travelled = travelled + hits.distance.clamp(max=REACH)
            turned = normalize(surface.interpolate(surface_normals, hits.face.clamp(min=0), hits.barycentric), dim=1)
            better = (hits.face >= 0) & ((turned * normals).sum(1) >= AGREEING) & (travelled < best)
            best[better], fine[better] = travelled[better], turned[better]
            place[better] = (points + travelled[:, None] * direction)[better]
            travelled = travelled + STEP
    return best, place, fine


def mended(
    values: Float[Tensor, "texel channel"],
    known: Bool[Tensor, "texel"],
    points: Float[Tensor, "texel 3"],
    normals: Float[Tensor, "texel 3"],
) -> Float[Tensor, "texel channel"]:
    """The values with unknown ones from known texels that are near on the surface and face about the same way."""
    if bool(known.all()) or not bool(known.any()):
        return values
    lost, given = (~known).nonzero()[:, 0], known.nonzero()[:, 0]
    given = given[:: -(-len(given) // BESIDE)]
    tree = cKDTree(_places(points[given], normals[given]))
    distance, near = tree.query(_places(points[lost], normals[lost]), k=min(NEIGHBOURS, len(given)))
    shares = 1 / torch.from_numpy(distance).to(values).reshape(len(lost), -1).clamp_min(1e-5)
    near = given[torch.from_numpy(near).to(given).reshape(len(lost), -1)]
    whole = values.clone()
    whole[lost] = (values[near] * shares[..., None]).sum(1) / shares.sum(1, keepdim=True)
    return whole


def _places(points: Float[Tensor, "texel 3"], normals: Float[Tensor, "texel 3"]) -> Float[np.ndarray, "texel 6"]:
    return torch.cat([points, TURN_COUNTS * normals], 1).cpu().numpy()
