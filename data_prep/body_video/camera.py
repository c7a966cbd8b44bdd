"""The one camera of a body video: at the origin, looking along -Z, its focal length possibly unknown."""

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError

FOCAL_GUESS = 0.8
"""Focal length in long sides of the picture: between phones' video (0.7 to 0.8) and webcams (0.75 to 1)."""
FOCAL_SPREAD = 0.25
"""Standard deviation of the logarithm of the focal length about the guess."""
NEAREST = 0.2
"""Points nearer than this (metres) are projected as if they were there."""


def guessed_intrinsics(width: int, height: int) -> Float[Tensor, "3 3"]:
    """A usual camera's intrinsics for a picture of this size (pixels)."""
    focal = FOCAL_GUESS * max(width, height)
    return torch.tensor([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]], dtype=torch.float64)


def checked_intrinsics(intrinsics: Float[Tensor, "3 3"]) -> Float[Tensor, "3 3"]:
    """The user's intrinsics in double precision; raises InputError unless they are a pinhole's without skew."""
    given = intrinsics.double()
    upper = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    focals = torch.stack([given[0, 0], given[1, 1]])
    if not given.isfinite().all() or bool((focals <= 0).any()) or not torch.allclose(given * upper, given):
        raise InputError(
            f"The intrinsics {given.tolist()} are not a pinhole's: give [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in "
            "pixels with fx and fy above 0, or leave them away to have the focal length estimated."
        )
    return given


def project(points: Float[Tensor, "*batch 3"], intrinsics: Float[Tensor, "3 3"]) -> Float[Tensor, "*batch 2"]:
    """World points (metres) to pixels (x right, y down)."""
    focals = torch.stack([intrinsics[0, 0], -intrinsics[1, 1]])
    depth = (-points[..., 2:]).clamp_min(NEAREST)
    return points[..., :2] / depth * focals + intrinsics[:2, 2]


def projection_jacobian(
    points: Float[Tensor, "*batch 3"], intrinsics: Float[Tensor, "3 3"]
) -> Float[Tensor, "*batch 2 3"]:
    """Derivative of `project` by the points (pixels per metre)."""
    focals = torch.stack([intrinsics[0, 0], -intrinsics[1, 1]])
    depth = (-points[..., 2:]).clamp_min(NEAREST)
    across = torch.diag_embed((focals / depth).expand(*points.shape[:-1], 2))
    along = focals * points[..., :2] / depth**2
    return torch.cat([across, along[..., None]], dim=-1)


def scaled_focal(intrinsics: Float[Tensor, "3 3"], factor: Float[Tensor, ""]) -> Float[Tensor, "3 3"]:
    """Both focal lengths times a factor, the principal point kept."""
    scale = torch.ones_like(intrinsics)
    scale[0, 0] = scale[1, 1] = factor
    return intrinsics * scale


def placed(
    points: Float[Tensor, "frame point 3"],
    pixels: Float[Tensor, "frame point 2"],
    weights: Float[Tensor, "frame point"],
    intrinsics: Float[Tensor, "3 3"],
) -> Float[Tensor, "frame 3"]:
    """Translation of each frame's points that brings them nearest to their pixels (linear least squares)."""
    focals = torch.stack([intrinsics[0, 0], -intrinsics[1, 1]])
    rays = (pixels - intrinsics[:2, 2]) / focals
    rows = torch.cat([torch.eye(2).to(rays).expand(*rays.shape[:2], 2, 2), rays[..., None]], dim=-1)
    targets = -(points[..., :2] + rays * points[..., 2:])
    root = weights.sqrt()[..., None]
    matrix, target = (rows * root[..., None]).flatten(1, 2), (targets * root).flatten(1, 2)
    normal = matrix.mT @ matrix + 1e-9 * torch.eye(3).to(matrix)
    return torch.linalg.solve(normal, (matrix.mT @ target[..., None])[..., 0])
