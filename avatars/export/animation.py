"""An avatar in motion, to a video file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from avatars.export.cameras import follow_cameras
from avatars.export.motions import motion_for, standing_motion
from avatars.export.stage import film
from avatars.models.avatar import Avatar
from body_models import InputError, Motion
from data_prep.camera import Camera
from data_prep.pictures import write_video
from data_prep.surface import Surface

STANDING_SECONDS = 6.0


@dataclass(frozen=True)
class VideoOptions:
    """How a motion is filmed."""

    fps: float | int = 30.0
    """Frames a second."""
    size: int = 512
    """Height and width of the picture (pixels)."""
    turntable: bool = False
    """The camera circles the person once."""
    exact: bool = False
    """Each frame's surface by root finding: seconds a frame, free of skinning's flaws."""
    start: float | int = 0.0
    """Second of the motion at which the video starts."""
    end: float | int | None = None
    """Second at which it ends; the motion's own end if not given."""
    resolution: int = 192
    """Cells along the longest side when the surface is extracted."""
    supersampling: int = 2
    """Rays along each side of a pixel; 1 is faster, 2 has smooth edges."""

    def __post_init__(self) -> None:
        if not 1 <= self.fps <= 240:
            raise InputError(f"{self.fps} frames a second is not usable; use 1 to 240.")
        if not 32 <= self.size <= 4096:
            raise InputError(f"A picture of {self.size} pixels is not in 32 to 4096.")
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise InputError(f"Cannot film from second {self.start} to {self.end}; the end must come after the start.")


def animate(
    avatar: Avatar,
    motion: Motion | Path | str | None,
    path: Path | str,
    options: VideoOptions | None = None,
    quiet: bool = False,
) -> Path:
    """Film the avatar in a motion (BVH, AMASS npz, or a clip); without one it stands and the camera circles it.

    Writes .mp4, .gif or a folder of PNGs, whole or not at all. Raises InputError for a motion that cannot be read or
    whose skeleton is not known, times beyond its end, or another ending of the name.
    """
    options, path = options or VideoOptions(turntable=motion is None), Path(path)
    if path.suffix.lower() not in (".mp4", ".gif", ""):
        raise InputError(f"Cannot write a video as '{path.name}'; end the name in .mp4 or .gif, or name a folder.")
    if motion is None:
        motion = standing_motion(avatar, STANDING_SECONDS)
    clip = _cut(motion_for(avatar, motion, options.resolution), options).resample(float(options.fps))
    body = avatar.body(options.resolution)
    cameras = follow_cameras(clip, body, options.size, options.turntable)
    frames = _film(avatar, clip, cameras, options)
    return write_video(_counted(frames, len(clip), quiet), path, options.fps)


def _cut(clip: Motion, options: VideoOptions) -> Motion:
    first = round(options.start * clip.frame_rate)
    last = len(clip) if options.end is None else min(len(clip), round(options.end * clip.frame_rate) + 1)
    if first >= len(clip):
        raise InputError(
            f"The video would start at second {options.start:g}, but motion '{clip.name}' lasts {clip.duration:.2f} s."
        )
    return clip.cut(first, max(last, first + 1))


def _film(
    avatar: Avatar, clip: Motion, cameras: list[Camera], options: VideoOptions
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Rendered frames, one at a time."""
    body = avatar.body(options.resolution)
    moving = Surface(body.vertices, body.faces)
    for pose, place, camera in zip(clip.rotations, clip.translations, cameras, strict=True):
        if options.exact:
            mesh = avatar.pose(pose, place).mesh(options.resolution, exact=True)
            moving = Surface(mesh.vertices, mesh.faces)
        else:
            moving.update(body.pose_vertices(pose, place))
        yield film(moving, camera, options.supersampling)


def _counted(
    frames: Iterator[UInt8[np.ndarray, "height width 3"]], total: int, quiet: bool
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """The same frames, with a bar that tells the time left."""
    columns = (
        TextColumn("Filming"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        task = progress.add_task("Filming", total=total)
        for frame in frames:
            yield frame
            progress.advance(task)
