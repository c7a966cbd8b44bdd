"""An avatar in motion, to a video file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from avatars.export.driving.motions import motion_for, standing_motion
from avatars.export.films.cameras import follow_cameras
from avatars.export.films.clips import VideoOptions, cut_clip
from avatars.export.films.head_animation import head_shots
from avatars.export.films.stage import film
from avatars.export.progress import counted
from avatars.models.avatar import Avatar
from avatars.models.head_avatar import HeadAvatar
from body_models import InputError, Motion
from data_prep.camera import Camera
from data_prep.pictures import write_video
from data_prep.surface import Surface

STANDING_SECONDS = 6.0


def animate(
    avatar: Avatar | HeadAvatar,
    motion: Motion | Path | str | None,
    path: Path | str,
    options: VideoOptions | None = None,
    quiet: bool = False,
) -> Path:
    """Film the avatar in a motion; without one it stands, or the head rests, and the camera circles it.

    The motion is a clip, a motion file (BVH, AMASS npz, ARKit CSV, ...) or the dataset of a tracked video. Writes .mp4,
    .gif or a folder of PNGs, whole or not at all. Raises InputError for a motion that cannot be read or does not fit
    the avatar, times beyond its end, or another ending of the name.
    """
    options = options or VideoOptions(turntable=motion is None)
    path = check_video_path(path)
    if isinstance(avatar, HeadAvatar):
        count, frames = head_shots(avatar, motion, options)
    else:
        count, frames = _body_shots(avatar, motion, options)
    return write_video(counted(frames, count, "Filming", quiet), path, options.fps)


def check_video_path(path: Path | str) -> Path:
    """The path of a video to write; raises InputError for an ending that is not one of a video's."""
    path = Path(path)
    if path.suffix.lower() not in (".mp4", ".gif", ""):
        raise InputError(f"Cannot write a video as '{path.name}'; end the name in .mp4 or .gif, or name a folder.")
    return path


def _body_shots(
    avatar: Avatar, motion: Motion | Path | str | None, options: VideoOptions
) -> tuple[int, Iterator[UInt8[np.ndarray, "height width 3"]]]:
    """How many pictures a video has, and the pictures."""
    if motion is None:
        motion = standing_motion(avatar, STANDING_SECONDS)
    clip = cut_clip(motion_for(avatar, motion, options.resolution), options.start, options.end)
    clip = clip.resample(float(options.fps))
    cameras = follow_cameras(clip, avatar.body(options.resolution), options.size, options.turntable, options.view)
    return len(clip), _film(avatar, clip, cameras, options)


def _film(
    avatar: Avatar, clip: Motion, cameras: list[Camera], options: VideoOptions
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Rendered frames, one at a time."""
    body = avatar.body(options.resolution)
    moving = Surface(body.vertices, body.faces)
    fine = avatar.face_colours(options.resolution) if options.colours and not options.exact else None
    for pose, place, camera in zip(clip.rotations, clip.translations, cameras, strict=True):
        if options.exact:
            posed = avatar.pose(pose, place)
            mesh = posed.mesh(options.resolution, exact=True)
            moving = Surface(mesh.vertices, mesh.faces)
            colours = posed.colours(mesh.vertices) if options.colours else None
            yield film(moving, camera, options.supersampling, colours)
        else:
            moving.update(body.pose_vertices(pose, place))
            yield film(moving, camera, options.supersampling, fine)
