"""The head's silhouette: where the skull ends along rays from the face's centre, against the person's mask.

Only rays that leave upward of the ears count, as farther down neck and shoulders join the mask. Hair may stand out
beyond the skull; the skull may not stand out of the mask.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.model import BodyModel
from data_prep.tracking.measured import Measured
from data_prep.tracking.motion_model import HeadState, focal_column, rigid_jacobian

_WIDEST = math.radians(95.0)
"""Rays within this angle of the head's up direction are used."""
_OUTSIDE, _INSIDE = 0.03, 0.12
"""Standard deviation of the mask's edge inside and outside of the skull's, in face sizes: no hair within the head."""
_CAP = 0.35
"""Hair (or a neighbour) that stands out farther says nothing about the skull."""
_INDEPENDENT = 8.0
"""So many independent measurements all rays together count for."""


@dataclass(frozen=True)
class Skull:
    """Points of the head's surface that no expression moves much, from the nose upward (metres, rest)."""

    rest: Float[Tensor, "point 3"]
    shape: Float[Tensor, "point 3 shape"]


@dataclass(frozen=True)
class OutlineRows:
    """Linearised silhouette residuals: what the mask's edge lies beyond the skull's, in the picture's units."""

    gap: Float[Tensor, "frame ray"]
    jacobian: Float[Tensor, "frame ray unknown"]
    """By the rigid unknowns, then identity and log focal."""
    precision: Float[Tensor, "frame ray"]


def skull(model: BodyModel, identities: int, above: float, dtype: torch.dtype) -> Skull:
    """The model's skin above a height of the rest pose, without the eyes."""
    names = model.skeleton.joint_names
    moving = model.skinning_weights[:, [names.index(n) for n in ("jaw", "left_eye", "right_eye")]].sum(1)
    rows = torch.nonzero((moving < 0.05) & (model.template[:, 1] > above))[:, 0]
    center = model.template[rows].mean(0)
    outward = (model.template[rows] - center).norm(dim=1)
    rows = rows[outward > 0.6 * outward.median()]
    rows = rows[:: max(1, len(rows) // 2500)]
    return Skull(model.template[rows].to(dtype), model.shape_basis[:identities, rows].permute(1, 2, 0).to(dtype))


def outline_rows(skull: Skull, pivot: Tensor, state: HeadState, measured: Measured, shared: bool) -> OutlineRows | None:
    """Residuals of the rays, the skull's farthest point in each ray's bin standing for its edge; None without rays."""
    if measured.centers is None or measured.outlines is None:
        return None
    rest = skull.rest + skull.shape @ state.betas
    support, extent = _supports(rest, pivot, state, measured)
    chosen = rest[support]
    image, rigid, by_camera = rigid_jacobian(chosen, pivot, state)
    rays = _directions(measured.outlines.shape[1], rest)
    columns = [rigid]
    if shared:
        columns.append((by_camera @ state.rotations[:, None]) @ skull.shape[support])
        columns.append(focal_column(image, by_camera, state))
    jacobian = (rays[:, None] @ torch.cat(columns, -1))[:, :, 0]
    distance = ((image - measured.centers[:, None]) * rays).sum(-1)
    gap = measured.outlines - distance
    return OutlineRows(gap.nan_to_num(0.0), jacobian, _precision(gap, extent, state, measured, rays))


def _supports(rest: Tensor, pivot: Tensor, state: HeadState, measured: Measured) -> tuple[Tensor, Tensor]:
    """Index of the farthest point in each ray's bin, and its distance (-inf for an empty bin)."""
    assert measured.centers is not None
    assert measured.outlines is not None
    count = measured.outlines.shape[1]
    arms = (rest - pivot) @ state.rotations.mT
    depth = (state.log_focal - state.places[:, 2]).exp()[:, None]
    center = state.places[:, :2] * (-state.places[:, 2:]).exp()
    image = (
        state.log_focal.exp() * (arms[..., :2] + center[:, None]) / (arms[..., 2] + depth).clamp_min(1e-3)[..., None]
    )
    away = image - measured.centers[:, None]
    distance = away.norm(dim=-1)
    bins = (torch.atan2(away[..., 1], away[..., 0]) * (count / (2 * math.pi))).round().long() % count
    extent = torch.full((len(away), count), -torch.inf).to(distance)
    extent = extent.scatter_reduce(1, bins, distance, "amax")
    index = torch.where(distance == extent.gather(1, bins), torch.arange(len(rest)), 0)
    support = torch.zeros(len(away), count, dtype=torch.long).scatter_reduce(1, bins, index, "amax")
    return support, extent


def _precision(gap: Tensor, extent: Tensor, state: HeadState, measured: Measured, rays: Tensor) -> Tensor:
    """Inverse variance of each ray (picture's units); 0 where the ray tells nothing."""
    up = state.rotations[:, :2, 1]
    level = up.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    upward = (rays @ (up / level)[..., None])[..., 0] > math.cos(_WIDEST)
    scaled = gap / measured.sizes[:, None]
    deviation = torch.where(scaled < 0, _OUTSIDE, _INSIDE)
    fade = (1 - (scaled.clamp(-_CAP, _CAP) / _CAP) ** 2) ** 2
    used = upward & gap.isfinite() & extent.isfinite() & measured.seen[:, None]
    share = _INDEPENDENT / max(1, len(rays) // 2)
    return torch.where(used, fade * share / (deviation * measured.sizes[:, None]) ** 2, 0.0)


def _directions(count: int, like: Tensor) -> Float[Tensor, "ray 2"]:
    angles = torch.arange(count) * (2 * math.pi / count)
    return torch.stack([angles.cos(), angles.sin()], -1).to(like)
