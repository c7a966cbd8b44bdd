"""A head avatar in motion, as pictures."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from avatars.export.driving.head_motion import drive
from avatars.export.driving.head_neutral import resting_head
from avatars.export.films.clips import VideoOptions, cut_clip
from avatars.export.films.head_cameras import head_cameras
from avatars.models.head_avatar import HeadAvatar
from body_models import Motion
from data_prep.camera import Camera
from data_prep.pictures.mesh import merged

WHITE = 1.0
SECONDS = 6.0


def head_shots(
    avatar: HeadAvatar, motion: Motion | Path | str | None, options: VideoOptions
) -> tuple[int, Iterator[UInt8[np.ndarray, "height width 3"]]]:
    """How many pictures a video has, and the pictures; without a motion the head rests."""
    driven = drive(avatar, resting_clip(avatar) if motion is None else motion)
    clip = cut_clip(driven, options.start, options.end).resample(float(options.fps))
    cameras = head_cameras(avatar, len(clip), options.size, options.view, options.turntable)
    return len(clip), _film(avatar, clip, cameras, options)


def resting_clip(avatar: HeadAvatar, seconds: float = SECONDS) -> Motion:
    """The head at rest for a while."""
    rest = resting_head(avatar)
    return Motion(
        "rest",
        avatar.skeleton,
        avatar.model.joints,
        rest.rotation.expand(2, -1, -1),
        rest.translation.expand(2, -1),
        1 / seconds,
        rest.expression.expand(2, -1),
        avatar.expression_names,
    )


def _film(
    avatar: HeadAvatar, clip: Motion, cameras: list[Camera], options: VideoOptions
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    rays = options.supersampling
    for frame, camera in enumerate(cameras):
        expression = None if clip.expression is None else clip.expression[frame]
        posed = avatar.pose(expression, clip.rotations[frame], clip.translations[frame])
        fine = camera.resized(rays * camera.width, rays * camera.height)
        yield merged(posed.render(fine, options.exact, options.resolution, WHITE), rays).to_uint8()
