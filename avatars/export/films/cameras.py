"""Where the camera stands in a video: near the whole clip, or walking along with the person."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.export.films.views import STEEPEST, View
from body_models import Body, Motion
from body_models.skeleton import rotation_matrices
from data_prep.camera import Camera, look_at

SKIN_VERTICES = 500
"""Vertices by which the room that a motion takes is measured."""
FOLLOW_BEYOND = 0.8
"""Travel, in heights of the person, from which the camera walks along instead of holding the whole clip."""
SMOOTH_SECONDS = 0.5
ELEVATION = 0.2
SIDE_VIEW = math.radians(35)
VIEW_DEGREES = 28.0
MARGIN = 1.12
FRAMES_AT_ONCE = 256


def follow_cameras(
    clip: Motion,
    body: Body,
    size: int,
    turntable: bool = False,
    view: View | None = None,
    aside: float = SIDE_VIEW,
    elevation: float = ELEVATION,
) -> list[Camera]:
    """A camera for each frame of a clip on the body's skeleton, at a steady distance that holds the person (metres).

    It sees the person from the front, but `aside` and from above (`elevation`; radians), or circles once from the front
    with `turntable`; a view counts from there.
    """
    view = view or View()
    points = _some_vertices(clip, body)
    targets = _targets(points, clip)
    start = facing(clip) + (0.0 if turntable else aside)
    azimuth = start + view.yaws(len(clip), turntable, 360.0).to(targets)
    elevation = min(elevation + math.radians(view.pitch), math.radians(STEEPEST))
    backward = torch.stack(
        [
            azimuth.sin() * math.cos(elevation),
            torch.full_like(azimuth, math.sin(elevation)),
            azimuth.cos() * math.cos(elevation),
        ],
        dim=1,
    )
    degrees = float(view.fov or VIEW_DEGREES)
    eyes = targets + backward * _distance(points - targets[:, None], backward, degrees)
    up = targets.new_tensor([0.0, 1.0, 0.0])
    return [look_at(eye, target, up, degrees, size, size) for eye, target in zip(eyes, targets, strict=True)]


def facing(clip: Motion) -> float:
    """Azimuth of where the person looks on average; 0 is +Z (radians)."""
    ahead = rotation_matrices(clip.rotations[:, :1])[:, 0, :, 2].mean(0)
    return math.atan2(float(ahead[0]), float(ahead[2]))


def _some_vertices(clip: Motion, body: Body) -> Float[Tensor, "frame vertex 3"]:
    stride = max(1, len(body.vertices) // SKIN_VERTICES)
    some = body.subset(torch.arange(0, len(body.vertices), stride, device=body.joints.device))
    parts = zip(clip.rotations.split(FRAMES_AT_ONCE), clip.translations.split(FRAMES_AT_ONCE), strict=True)
    return torch.cat([some.pose_vertices(rotations, translations) for rotations, translations in parts])


def _targets(points: Float[Tensor, "frame vertex 3"], clip: Motion) -> Float[Tensor, "frame 3"]:
    """What each camera looks at: the middle of the clip, or of the person where they travel; always at one height."""
    lower, upper = points.amin(1), points.amax(1)
    targets = ((lower.amin(0) + upper.amax(0)) / 2).repeat(len(clip), 1)
    track = ((lower + upper) / 2)[:, [0, 2]]
    travel = float((track.amax(0) - track.amin(0)).norm())
    if travel > FOLLOW_BEYOND * float((upper - lower)[:, 1].max()):
        targets[:, [0, 2]] = _smoothed(track, SMOOTH_SECONDS * clip.frame_rate)
    return targets


def _distance(
    offsets: Float[Tensor, "frame vertex 3"], backward: Float[Tensor, "frame 3"], degrees: float
) -> Float[Tensor, ""]:
    """How far the camera must stand from its target so that all points stay in the picture."""
    right = torch.nn.functional.normalize(
        torch.stack([backward[:, 2], torch.zeros_like(backward[:, 0]), -backward[:, 0]], dim=1), dim=1
    )
    axes = torch.stack([right, torch.linalg.cross(backward, right), backward], dim=1)
    x, y, z = (offsets @ axes.mT).unbind(-1)
    return (MARGIN * torch.maximum(x.abs(), y.abs()) / math.tan(math.radians(degrees) / 2) + z).max()


def _smoothed(track: Float[Tensor, "frame 2"], sigma: float) -> Float[Tensor, "frame 2"]:
    """A track without its quick wobbles: Gaussian mean over neighbouring frames, the ends continued straight."""
    if len(track) < 3:
        return track
    reach = max(1, min(len(track) - 1, round(3 * sigma)))
    before = 2 * track[0] - track[1 : reach + 1].flip(0)
    after = 2 * track[-1] - track[-reach - 1 : -1].flip(0)
    padded = torch.cat([before, track, after])
    offsets = torch.arange(-reach, reach + 1, device=track.device)
    kernel = torch.exp(-(offsets**2) / (2 * max(sigma, 1e-3) ** 2))
    kernel = (kernel / kernel.sum()).to(track)
    return torch.nn.functional.conv1d(padded.T[:, None], kernel[None, None])[:, 0].T
