"""How far a reconstruction is from the truth: overlap of solids, distance and tilt between surfaces."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from body_models.errors import InputError
from data_prep.surface import Surface


def iou(predicted_inside: Bool[Tensor, "point"], true_inside: Bool[Tensor, "point"]) -> float:
    """Points inside both solids over points inside either, in [0, 1]; two empty solids agree fully."""
    both = (predicted_inside & true_inside).sum()
    either = (predicted_inside | true_inside).sum()
    return 1.0 if int(either) == 0 else float(both / either)


def chamfer_and_normal_consistency(
    mesh_a: Surface,
    mesh_b: Surface,
    samples: int = 100_000,
    generator: torch.Generator | None = None,
) -> tuple[float, float]:
    """Chamfer distance (millimetres) and normal consistency (in [-1, 1], higher is better) of two surfaces.

    From `samples` points drawn uniformly on each surface to the closest points of the other: the mean distance, and
    the mean dot product of the two face normals. Both are averaged over the two directions.
    """
    if samples < 1:
        raise InputError(f"Cannot compare surfaces with {samples} samples; use 10000 or more.")
    distance_ab, dot_ab = _directed(mesh_a, mesh_b, samples, generator)
    distance_ba, dot_ba = _directed(mesh_b, mesh_a, samples, generator)
    chamfer = 1000 * (distance_ab.mean() + distance_ba.mean()) / 2
    return float(chamfer), float((dot_ab.mean() + dot_ba.mean()) / 2)


def _directed(
    source: Surface, target: Surface, samples: int, generator: torch.Generator | None
) -> tuple[Float[Tensor, "sample"], Float[Tensor, "sample"]]:
    """Distance (metres) from samples of one surface to the other, and the dot product of the normals there."""
    drawn = source.sample(samples, generator)
    closest = target.closest(drawn.points)
    return closest.distance, (drawn.normals * target.face_normals[closest.face]).sum(dim=-1)
