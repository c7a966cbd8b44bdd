"""Pictures of an avatar to files: one PNG, a video, or a folder of maps with the cameras that saw them."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from avatars.export.driving.motions import motion_on
from avatars.export.films.views import View
from avatars.export.pictures.camera_files import TRANSFORMS, read_cameras, write_cameras
from avatars.export.pictures.painter import Painter
from avatars.export.pictures.render_options import (
    DEPTH,
    MASK,
    NORMAL,
    RGB,
    STILL,
    TRANSPARENT,
    VIDEOS,
    RenderOptions,
    check_render_path,
)
from avatars.export.pictures.rendered_maps import Pixels, map_pixels, three_channels
from avatars.export.pictures.shots import Shots, posed_as, shots_of_motion, shots_of_pose
from avatars.export.progress import counted
from avatars.export.shapes import pose_of_clip
from avatars.models.avatar import Avatar
from avatars.models.head_avatar import HeadAvatar
from body_models import InputError, Motion
from data_prep.atomic import replacing
from data_prep.camera import Camera
from data_prep.pictures import write_video

_log = logging.getLogger(__name__)

KEYS = {MASK: "mask_path", DEPTH: "depth_file_path", NORMAL: "normal_file_path"}
"""How `transforms.json` names the maps beside the pictures."""


def render(
    avatar: Avatar | HeadAvatar,
    path: Path | str,
    options: RenderOptions | None = None,
    pose: int | str | Float[Tensor, "bone 3"] | None = None,
    motion: Motion | Path | str | None = None,
    frame: int | None = None,
    cameras: Sequence[Camera] | Path | str | None = None,
    quiet: bool = False,
) -> Path:
    """Write pictures of an avatar of any kind: a .png, an .mp4 or .gif, or a folder (no ending).

    The avatar is in one pose (the number of a training pose or of a frame of a head's video, joint angles in radians,
    "canonical", or a `frame` of a motion) or goes through a whole motion; without either a body is in its canonical
    pose, and a head rests. Meshes that `export` writes of the same pose lie where the pictures see them. `cameras` are
    given as such or as a file that `read_cameras` reads; else the camera stands where the options say. A .png of
    several maps is several files, NAME.png and NAME_depth.png, and so on; a folder has one folder a map, and
    `transforms.json`. All is written whole or not at all. Raises InputError for what does not go together or cannot be
    written.
    """
    options = options or RenderOptions()
    path = check_render_path(path, options)
    shots = _shots(avatar, options, pose, motion, frame, _cameras(cameras, options))
    if path.suffix.lower() == STILL:
        return _write_still(shots, path, options)
    titled = counted(range(len(shots)), len(shots), "Rendering", quiet)
    if path.suffix.lower() in VIDEOS:
        return write_video(_film(shots, titled, options), path, options.fps)
    return _write_folder(shots, titled, path, options)


def _cameras(cameras: Sequence[Camera] | Path | str | None, options: RenderOptions) -> list[Camera] | None:
    if cameras is None:
        return None
    if options.turntable:
        raise InputError("Give either cameras or a turntable, not both.")
    if options.view != View():
        raise InputError("Cameras that are given stand where they stand; leave --yaw, --pitch and --fov away.")
    found = read_cameras(cameras) if isinstance(cameras, Path | str) else list(cameras)
    if not found:
        raise InputError("No cameras were given; give one or more, or None.")
    return found


def _shots(
    avatar: Avatar | HeadAvatar,
    options: RenderOptions,
    pose: int | str | Float[Tensor, "bone 3"] | None,
    motion: Motion | Path | str | None,
    frame: int | None,
    cameras: list[Camera] | None,
) -> Shots:
    if pose is not None and motion is not None:
        raise InputError("Give either a pose or a motion, not both.")
    if motion is None and frame is not None:
        raise InputError(f"Frame {frame} is one of a motion: give --motion FILE too, or --pose {frame}.")
    if motion is None:
        outside = isinstance(avatar, HeadAvatar) and pose is not None and not isinstance(pose, int)
        return shots_of_pose(avatar, posed_as(avatar, pose), options, cameras, outside)
    if frame is None and options.views is not None:
        raise InputError("--views is for the turntable of one pose; a motion has a picture a frame (see --fps).")
    clip = motion_on(avatar, motion)
    if frame is None:
        return shots_of_motion(avatar, clip, options, cameras)
    return shots_of_pose(avatar, pose_of_clip(avatar, clip, frame), options, cameras)


def _drawn(
    shots: Shots, numbers: Iterator[int], options: RenderOptions, background: str
) -> Iterator[dict[str, Pixels]]:
    """The maps of each picture by name."""
    painter = Painter(options)
    for number in numbers:
        camera = shots.cameras[number]
        image = painter.picture(shots.posed(number), camera)
        yield {name: map_pixels(name, image, camera, background) for name in options.maps}


def _write_still(shots: Shots, path: Path, options: RenderOptions) -> Path:
    if len(shots) != 1:
        raise InputError(
            f"There are {len(shots)} pictures to make and '{path.name}' is one; name a folder or a video (.mp4), or "
            "take one --frame of the motion."
        )
    pictures = next(_drawn(shots, iter(range(1)), options, options.background or TRANSPARENT))
    for place, (name, pixels) in enumerate(pictures.items()):
        target = path if place == 0 else path.with_name(f"{path.stem}_{name}{path.suffix}")
        with replacing(target) as temporary:
            Image.fromarray(pixels).save(temporary, format="PNG")
    return path


def _film(
    shots: Shots, numbers: Iterator[int], options: RenderOptions
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    for pictures in _drawn(shots, numbers, options, options.background or "white"):
        yield three_channels(pictures[options.maps[0]])


def _write_folder(shots: Shots, numbers: Iterator[int], folder: Path, options: RenderOptions) -> Path:
    if _lamps_wander(shots, options):
        _log.info("The lamps move with the camera; views that are to agree, as for a NeRF, take --light world or none.")
    with replacing(folder) as temporary:
        for name in options.maps:
            (temporary / name).mkdir(parents=True)
        drawn = _drawn(shots, numbers, options, options.background or TRANSPARENT)
        for number, pictures in enumerate(drawn):
            for name, pixels in pictures.items():
                Image.fromarray(pixels).save(temporary / _file(name, number), format="PNG")
        write_cameras(
            shots.cameras, temporary / TRANSFORMS, [_entry(shots, number, options) for number in range(len(shots))]
        )
    return folder


def _lamps_wander(shots: Shots, options: RenderOptions) -> bool:
    """Whether views of one body disagree about its light."""
    body = isinstance(shots.avatar, Avatar) and shots.clip is None
    return body and len(shots) > 1 and RGB in options.maps and options.light == "camera"


def _entry(shots: Shots, number: int, options: RenderOptions) -> dict[str, Any]:
    """What `transforms.json` tells of a picture beside its camera."""
    entry: dict[str, Any] = {"file_path": _file(options.maps[0], number)}
    entry |= {key: _file(name, number) for name, key in KEYS.items() if name in options.maps}
    return entry if shots.clip is None else entry | {"time": number / max(1, len(shots) - 1)}


def _file(name: str, number: int) -> str:
    return f"{name}/frame_{number:05d}{STILL}"
