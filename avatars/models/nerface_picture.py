"""Pictures of a NerFACE: colour, coverage, depth and normals of every pixel's ray."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.models.nerface import Nerface
from data_prep.camera import Camera

RAYS_AT_ONCE = 1024
"""Rays that are rendered at a time: what they need stays in a processor's cache."""
FINER = 2
"""Pictures are made with this many times the samples that a ray has in training."""
CLEAR = 0.01
"""Rays that are expected to meet less than this optical depth see the background alone."""
COVERED = 0.5
"""Pixels that are covered by more have a depth and a normal."""


@dataclass(frozen=True)
class VolumePicture:
    """A head's volume as a camera sees it; pixels covered by less than half have depth inf and normal zero."""

    rgb: Float[Tensor, "height width 3"]
    """sRGB-coded, 0 to 1, before the background that was asked for."""
    opacity: Float[Tensor, "height width"]
    depth: Float[Tensor, "height width"]
    """Along the camera's z (metres)."""
    normal: Float[Tensor, "height width 3"]
    """Unit, world space."""


@torch.no_grad()
def volume_picture(
    model: Nerface,
    pose: Float[Tensor, "bone 3"],
    translation: Float[Tensor, "3"],
    expression: Float[Tensor, "expression"],
    camera: Camera,
    background: float = 1.0,
    samples: int | None = None,
) -> VolumePicture:
    """A picture before a grey background (sRGB-coded, 0 to 1), one ray a pixel.

    Normals are those of the density at the mean distance of what a ray sees. Raises InputError for a pose or
    expression of another head model.
    """
    volume = model.posed(pose[None], translation[None], expression[None])
    samples = samples or FINER * model.options.samples
    origins, directions = (values.reshape(-1, 3).to(pose) for values in camera.rays())
    frame = torch.zeros(len(origins), dtype=torch.long, device=origins.device)
    rgb, normal = torch.full_like(origins, background), torch.zeros_like(origins)
    opacity, depth = torch.zeros_like(origins[:, 0]), torch.full_like(origins[:, 0], torch.inf)
    hopeful = torch.cat(
        [
            some[volume.expects(origins[some], directions[some], frame[some]) > CLEAR]
            for some in torch.arange(len(origins), device=origins.device).split(RAYS_AT_ONCE)
        ]
    )
    along = directions @ camera.camera_from_world[2, :3].to(pose)
    for some in hopeful.split(RAYS_AT_ONCE):
        seen = volume.see(origins[some], directions[some], frame[some], samples)
        rgb[some], opacity[some] = seen.before(background).clamp(0, 1), seen.opacity
        covered = seen.opacity > COVERED
        met, distance = some[covered], seen.distance[covered]
        depth[met] = distance * along[met]
        normal[met] = volume.normals(origins[met] + distance[:, None] * directions[met], frame[met])
    shape = (camera.height, camera.width)
    return VolumePicture(*(values.unflatten(0, shape) for values in (rgb, opacity, depth, normal)))
