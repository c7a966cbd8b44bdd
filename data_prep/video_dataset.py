"""A tracked video of one person, in memory and as a folder on disk.

Schema, version 1 (metres, Y up, facing +Z at rest; axis-angle in radians, root first; OpenCV cameras, pixel centres at
+0.5):

    dataset.json          written last: a folder without it is incomplete
        format "avatars-video", version, kind "head" or "body", units "metres", up "y"
        model             the tracked body model, such as "anny-head"
        width, height     of every picture (pixels); frame_rate (frames a second)
        joint_names, expression_names
        frames            [{"source", "time", "image", "mask", "flags", "use"}, ...], where there are such maps with
                          "semantic" and "normal"; files are relative to the folder
        warnings, notes   [...]
    tracks.safetensors    betas (shape), intrinsics (frame 3 3), camera_from_world (frame 4 4), poses (frame bone 3),
                          translations (frame 3), expressions (frame expression), landmarks (frame landmark 2; NaN where
                          unseen), landmark_weights (frame landmark; 0 to 1)
    frames/000000.png     sRGB pictures
    masks/000000.png      8-bit coverage of the person
    semantics/000000.png  where there are any: numbers of face parsing, see `video_maps`
    normals/000000.png    where there are any: normals in the camera's axes, see `video_maps`
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from body_models.errors import InputError
from body_models.load import load_body_model
from body_models.model import BodyModel
from body_models.motion.head_tracks import head_joints
from body_models.motion.motion import Motion
from body_models.names import HEAD_SKELETON
from data_prep.camera import Camera
from data_prep.tensor_files import read_tensors, write_tensors
from data_prep.video_dataset_fields import (
    HOLES,
    MAPS,
    SHAPES,
    VideoFrame,
    check_frames,
    check_names,
    check_tensors,
    parse_frame,
    texts_of,
    value_of,
)
from data_prep.video_dataset_files import (
    AGAIN,
    INDEX,
    TRACKS,
    broken_index,
    check_picture,
    copy_alpha,
    copy_parsed,
    copy_rgb,
    read_alpha,
    read_index,
    read_rgb,
    withdraw,
    write_json,
)
from data_prep.video_maps import MEND, read_classes, read_normals

VERSION = 1
FIXED: dict[str, object] = {"format": "avatars-video", "units": "metres", "up": "y"}
FOLDERS = {"image": "frames", "mask": "masks", "semantic": "semantics", "normal": "normals"}
"""Where the files of frames are kept."""
COPIES = {"image": copy_rgb, "mask": copy_alpha, "semantic": copy_parsed, "normal": copy_rgb}
_GENDERS = ("neutral", "female", "male")


@dataclass(frozen=True)
class VideoDataset:
    """A video of one person with the person's identity, and camera, pose and expression of each frame."""

    frames: tuple[VideoFrame, ...]
    width: int
    height: int
    frame_rate: float
    model: str
    """Name of the tracked body model, such as "anny-head" or "flame"."""
    betas: Float[Tensor, "shape"]
    joint_names: tuple[str, ...]
    expression_names: tuple[str, ...]
    """Empty for components without names."""
    intrinsics: Float[Tensor, "frame 3 3"]
    """In pixels of the stored pictures."""
    camera_from_world: Float[Tensor, "frame 4 4"]
    poses: Float[Tensor, "frame bone 3"]
    """Axis-angle, radians, root first."""
    translations: Float[Tensor, "frame 3"]
    """As `Body.pose_vertices` takes them (metres, world space)."""
    expressions: Float[Tensor, "frame expression"]
    landmarks: Float[Tensor, "frame landmark 2"]
    """In pixels of the stored pictures; NaN where unseen."""
    landmark_weights: Float[Tensor, "frame landmark"]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    folder: Path | None = None
    """Where the files that the frames name are."""

    def __post_init__(self) -> None:
        check_frames(self.frames, self.width, self.height, self.frame_rate)
        check_names(self.model, self.joint_names, self.expression_names, self.expressions.shape[-1])
        sizes = {"frame": len(self.frames), "bone": len(self.joint_names)}
        check_tensors({name: getattr(self, name) for name in SHAPES}, sizes)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def kind(self) -> str:
        """ "head" for a head on its own, else "body"."""
        return "head" if self.joint_names == HEAD_SKELETON.joint_names else "body"

    def camera(self, index: int) -> Camera:
        """The camera of a frame (pixels of the stored picture)."""
        return Camera(self.intrinsics[index], self.camera_from_world[index], self.width, self.height)

    def path(self, name: str) -> Path:
        """Where a file that a frame names is; raises InputError when the dataset has no folder yet."""
        if self.folder is None:
            raise InputError("This dataset is in memory only; write_video_dataset it and read it to have its pictures.")
        return self.folder / name

    def image(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """The picture of a frame (sRGB); raises InputError when the file cannot be read."""
        return read_rgb(self.path(self.frames[index].image), (self.width, self.height))

    def alpha(self, index: int) -> Float[np.ndarray, "height width"]:
        """How much of each pixel the person covers, 0 to 1; raises InputError when there is no mask."""
        mask = self.frames[index].mask
        if mask is None:
            raise InputError(
                f"Frame {index} ({self.frames[index].image}) has no mask; run `avatars prepare` on the video to make "
                "masks, or give your own with --masks."
            )
        return read_alpha(self.path(mask), (self.width, self.height))

    def semantic(self, index: int) -> UInt8[np.ndarray, "height width"] | None:
        """The class of each pixel (`video_maps.FaceClass`), or None; raises InputError when the file is no such map."""
        name = self.frames[index].semantic
        return None if name is None else read_classes(self.path(name), (self.width, self.height))

    def normal(self, index: int) -> Float[np.ndarray, "height width 3"] | None:
        """The unit normal of each pixel in the camera's axes, or None; zero where not known.

        x points right, y up and z towards the camera. Raises InputError when the file cannot be read.
        """
        name = self.frames[index].normal
        return None if name is None else read_normals(self.path(name), (self.width, self.height))

    def body_model(self) -> BodyModel:
        """The body model that was tracked; raises InputError when its files are missing."""
        family, _, gender = self.model.rpartition("_")
        return load_body_model(family, gender) if gender in _GENDERS else load_body_model(self.model)

    def motion(self) -> Motion:
        """The tracked motion of all frames, ready to drive this or any other head or body.

        A head whose model's files are missing gets the joints of a typical head. Raises InputError when a body's are.
        """
        skeleton, joints = HEAD_SKELETON, head_joints()
        try:
            model = self.body_model()
            if model.skeleton.joint_names != self.joint_names:
                raise InputError(f"The joints of this dataset are not those of {self.model}; prepare the video again.")
            skeleton, joints = model.skeleton, model.body(self.betas).joints
        except InputError:
            if self.kind != "head":
                raise
        return Motion(
            name=self.folder.name if self.folder is not None else self.model,
            skeleton=skeleton,
            rest_joints=joints.to(self.poses),
            rotations=self.poses,
            translations=self.translations,
            frame_rate=self.frame_rate,
            expression=self.expressions if self.expressions.shape[1] > 0 else None,
            expression_names=self.expression_names,
        )

    def subset(self, indices: Sequence[int]) -> "VideoDataset":
        """Some of the frames, in the order given; raises InputError for none, or one that is not there."""
        wrong = [index for index in indices if not -len(self) <= index < len(self)]
        if wrong or not indices:
            raise InputError(f"Frames {wrong or 'none'} asked of {len(self)}; give some of 0 to {len(self) - 1}.")
        rows = list(indices)
        per_frame = {name: getattr(self, name)[rows] for name, dims in SHAPES.items() if dims[0] == "frame"}
        return replace(self, frames=tuple(self.frames[index] for index in indices), **per_frame)


def write_video_dataset(dataset: VideoDataset, folder: Path | str) -> None:
    """Write a dataset's tracks and index; incomplete until the last file is there.

    The pictures must be in the folder already; those of a dataset that was read elsewhere (`dataset.folder`) are copied
    to `frames`, `masks`, `semantics` and `normals`. Raises InputError when a picture is missing or the place cannot be
    written.
    """
    folder = Path(folder)
    withdraw(folder)
    if dataset.folder is not None and dataset.folder.resolve() != folder.resolve():
        dataset = _copied(dataset, folder)
    check_pictures(dataset, folder)
    write_tensors(folder / TRACKS, {name: getattr(dataset, name) for name in SHAPES})
    write_index(dataset, folder)


def write_index(dataset: VideoDataset, folder: Path | str) -> None:
    """Write the index alone, as when frames of a dataset that is there already gained files."""
    write_json(Path(folder) / INDEX, _index(dataset))


def read_video_dataset(folder: Path | str) -> VideoDataset:
    """Read a dataset as `write_video_dataset` left it.

    Raises InputError that names file and field when the folder is missing, incomplete, damaged or of a newer version.
    """
    folder = Path(folder)
    index = read_index(folder, VERSION, FIXED)
    try:
        frames = tuple(parse_frame(number, entry) for number, entry in enumerate(value_of(index, "frames", list)))
        if not frames:
            raise InputError("it names no frames: a dataset needs at least one frame")
        known: dict[str, Any] = {
            "frames": frames,
            "width": value_of(index, "width", int),
            "height": value_of(index, "height", int),
            "frame_rate": float(value_of(index, "frame_rate", (int, float))),
            "model": value_of(index, "model", str),
            **{name: texts_of(index, name) for name in ("joint_names", "expression_names", "warnings", "notes")},
        }
    except InputError as error:
        raise broken_index(folder, str(error)) from error
    sizes = {"frame": len(frames), "bone": len(known["joint_names"])}
    tensors = read_tensors(folder / TRACKS, SHAPES, sizes, AGAIN, HOLES)
    try:
        dataset = VideoDataset(**known, **tensors, folder=folder)
        if dataset.kind != index.get("kind"):
            raise InputError(f"its kind is {index.get('kind')!r}, but its joints are those of a {dataset.kind}")
    except InputError as error:
        raise broken_index(folder, str(error).rstrip(".")) from error
    check_pictures(dataset, folder)
    return dataset


def _index(dataset: VideoDataset) -> dict[str, Any]:
    plain = ("model", "width", "height", "frame_rate", "joint_names", "expression_names", "warnings", "notes")
    frames = [{field.name: getattr(frame, field.name) for field in fields(frame)} for frame in dataset.frames]
    for frame in frames:
        for name in MAPS:
            if frame[name] is None:
                del frame[name]
    values = {name: getattr(dataset, name) for name in plain}
    return FIXED | {"version": VERSION, "kind": dataset.kind} | values | {"frames": frames}


def _copied(dataset: VideoDataset, folder: Path) -> VideoDataset:
    """The dataset with its pictures copied to another folder under our names."""
    size, frames = (dataset.width, dataset.height), []
    for number, frame in enumerate(dataset.frames):
        names = {field: f"{FOLDERS[field]}/{number:06d}.png" for field in frame.files}
        for field, name in names.items():
            COPIES[field](dataset.path(frame.files[field]), folder / name, size)
        frames.append(frame.with_files(names))
    return replace(dataset, frames=tuple(frames), folder=folder)


def check_pictures(dataset: VideoDataset, folder: Path) -> None:
    """Raise InputError unless every picture, mask and map is in the folder and of the dataset's size."""
    for number, frame in enumerate(dataset.frames):
        for field, name in frame.files.items():
            mend = MEND if field in MAPS else AGAIN
            check_picture(folder / name, (dataset.width, dataset.height), f"the {field} of frame {number}", mend)
