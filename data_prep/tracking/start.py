"""A first placement of the head in every frame, from landmarks of the mean head under scaled orthography."""

import math

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from data_prep.tracking.head_points import HeadPoints
from data_prep.tracking.measured import Measured
from data_prep.tracking.motion_model import HeadState


def scaled_orthographic(points: HeadPoints, measured: Measured, log_focal: float) -> HeadState:
    """Rotation, picture position and size of each frame by linear least squares; unseen frames from their neighbours.

    After DeMenthon and Davis (Model-based object pose in 25 lines of code, 1995), without their iterations.
    """
    arms = (points.rest - points.pivot).double()
    homogeneous = torch.cat([arms, torch.ones_like(arms[:, :1])], 1)
    weights = measured.precision.double()
    weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-12)
    normal = torch.einsum("fp,pi,pj->fij", weights, homogeneous, homogeneous)
    normal = normal + 1e-9 * torch.eye(4, dtype=normal.dtype)
    right = torch.einsum("fp,pi,fpk->fik", weights, homogeneous, measured.landmarks.double())
    rows = torch.linalg.solve(normal, right).mT  # frame 2 4
    first, second = rows[:, 0, :3], rows[:, 1, :3]
    size = (first.norm(dim=-1) * second.norm(dim=-1)).sqrt().clamp_min(1e-6)
    frame = torch.stack([first, second, torch.linalg.cross(first, second, dim=-1) / size[:, None]], 1)
    rotations = roma.special_procrustes(frame / size[:, None, None] + 1e-9 * torch.eye(3, dtype=frame.dtype))
    places = torch.cat([rows[:, :, 3], size.log()[:, None]], 1)
    rotations, places = fill_unseen(rotations, places, measured.seen, measured.times)
    dtype = points.rest.dtype
    return HeadState(
        rotations=rotations.to(dtype),
        places=places.to(dtype),
        coefficients=torch.zeros(len(measured), points.coefficients, dtype=dtype),
        betas=torch.zeros(points.shape.shape[-1], dtype=dtype),
        log_focal=torch.tensor(log_focal, dtype=dtype),
    )


def fill_unseen(
    rotations: Float[Tensor, "frame 3 3"], places: Float[Tensor, "frame 3"], seen: Tensor, times: Float[Tensor, "frame"]
) -> tuple[Tensor, Tensor]:
    """Placements of unseen frames between the nearest seen ones, by time; held at the ends."""
    if bool(seen.all()):
        return rotations, places
    known = torch.nonzero(seen)[:, 0]
    after = torch.searchsorted(known, torch.arange(len(seen))).clamp(max=len(known) - 1)
    later = known[after]
    earlier = torch.where(later > torch.arange(len(seen)), known[(after - 1).clamp_min(0)], later)
    span = (times[later] - times[earlier]).clamp_min(1e-9)
    share = ((times - times[earlier]) / span).clamp(0, 1).to(places)
    turn = roma.rotmat_to_rotvec(rotations[later] @ rotations[earlier].mT)
    between = roma.rotvec_to_rotmat(share[:, None] * turn) @ rotations[earlier]
    return between, torch.lerp(places[earlier], places[later], share[:, None])


def focal_starts(prior: float) -> list[float]:
    """Logarithms of focal lengths to begin from: wide, usual and long."""
    return [math.log(prior * factor) for factor in (0.65, 1.0, 1.6)]
