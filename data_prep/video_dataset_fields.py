"""The fields of a tracked video and what must hold for them, whichever layout they come from."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from body_models.errors import InputError
from data_prep.video_dataset_files import is_inside

SHAPES: dict[str, tuple[str | int, ...]] = {
    "betas": ("shape",),
    "intrinsics": ("frame", 3, 3),
    "camera_from_world": ("frame", 4, 4),
    "poses": ("frame", "bone", 3),
    "translations": ("frame", 3),
    "expressions": ("frame", "expression"),
    "landmarks": ("frame", "landmark", 2),
    "landmark_weights": ("frame", "landmark"),
}
HOLES = ("landmarks",)
"""The only tensor that may hold NaN."""
MAPS = ("semantic", "normal")
"""Files that a frame may have besides its picture and mask; an index leaves them away where there are none."""


@dataclass(frozen=True)
class VideoFrame:
    """One picture of a tracked video."""

    source: int
    """Number of the frame in the video, from 0."""
    time: float
    """Seconds from the video's start."""
    image: str
    """File of the picture, relative to the folder."""
    mask: str | None = None
    """File of the person's coverage; a picture with transparency may be its own mask. None without one."""
    flags: tuple[str, ...] = ()
    """What is wrong with the frame, such as "blur" or "hand"."""
    use: bool = True
    """Whether the frame is fit for fitting."""
    semantic: str | None = None
    """File of the map of classes, see `video_maps`. None without one."""
    normal: str | None = None
    """File of the map of normals, see `video_maps`. None without one."""

    @property
    def files(self) -> dict[str, str]:
        """The files of the frame, by what they are."""
        named = {"image": self.image, "mask": self.mask, "semantic": self.semantic, "normal": self.normal}
        return {field: name for field, name in named.items() if name is not None}

    def with_files(self, files: Mapping[str, str]) -> "VideoFrame":
        """The frame with some of its files named anew."""
        changes: dict[str, Any] = dict(files)
        return replace(self, **changes)


def check_frames(frames: Sequence[VideoFrame], width: int, height: int, frame_rate: float) -> None:
    """Raise InputError for no frames, empty pictures, impossible rates or times, and files given twice or outside."""
    if not frames:
        raise InputError("A video dataset needs at least one frame.")
    if width < 1 or height < 1:
        raise InputError(f"Pictures of {width} x {height} pixels ('width', 'height') are empty.")
    if not 0 < frame_rate < float("inf"):
        raise InputError(f"A 'frame_rate' of {frame_rate} is not possible.")
    for number, frame in enumerate(frames):
        for field, name in frame.files.items():
            if not is_inside(name):
                raise InputError(f"The {field} of frame {number} is said to be {name!r}, outside the dataset's folder.")
        if frame.source < 0 or not 0 <= frame.time < float("inf"):
            raise InputError(f"Frame {number} has 'source' {frame.source} and 'time' {frame.time}; both count from 0.")
    for field in ("source", "image", "mask", *MAPS):
        counts = Counter(value for value in (getattr(frame, field) for frame in frames) if value is not None)
        if counts and counts.most_common(1)[0][1] > 1:
            raise InputError(f"Two frames have the same {field}, {counts.most_common(1)[0][0]!r}.")


def check_names(model: str, joints: Sequence[str], expressions: Sequence[str], width: int) -> None:
    """Raise InputError for names that repeat, are empty, or do not go with the width of the expression."""
    for field, names in (("joint_names", joints), ("expression_names", expressions)):
        if len(set(names)) < len(names) or "" in names:
            raise InputError(f"Names in '{field}' repeat, or one is empty: {', '.join(names)}.")
    if expressions and len(expressions) != width:
        raise InputError(f"{len(expressions)} 'expression_names' do not go with {width} expression numbers.")
    if not model or not joints:
        raise InputError("The name of the tracked 'model', or all 'joint_names', are missing.")


def check_tensors(values: Mapping[str, Tensor], sizes: Mapping[str, int]) -> None:
    """Raise InputError for tensors of wrong shapes, that are not finite, or that are no cameras or weights."""
    known = dict(sizes)
    for name, dims in SHAPES.items():
        found = tuple(values[name].shape)
        wanted = tuple(d if isinstance(d, int) else known.setdefault(d, n) for d, n in zip(dims, found, strict=False))
        if found != wanted or len(found) != len(dims):
            raise InputError(f"'{name}' has the shape {found}; expected {wanted} ({', '.join(map(str, dims))}).")
        finite = values[name].isfinite() | (values[name].isnan() if name in HOLES else False)
        if not bool(finite.all()):
            first = torch.nonzero(~finite)[0].tolist()
            raise InputError(f"'{name}' holds a value that is not finite, the first at index {first}.")
    weights = values["landmark_weights"]
    if bool(((weights < 0) | (weights > 1)).any()):
        raise InputError("'landmark_weights' are not all from 0 to 1.")
    _check_cameras(values["intrinsics"].double(), values["camera_from_world"].double())


def _check_cameras(intrinsics: Tensor, camera_from_world: Tensor) -> None:
    rest = intrinsics[:, [1, 2, 2, 2], [0, 0, 1, 2]] - intrinsics.new_tensor([0.0, 0.0, 0.0, 1.0])
    wrong = (intrinsics[:, [0, 1], [0, 1]] <= 0).any(1) | (rest != 0).any(1)
    if bool(wrong.any()):
        frame = int(torch.nonzero(wrong)[0])
        raise InputError(f"'intrinsics' of frame {frame} are no camera's: {intrinsics[frame].tolist()}.")
    rotation = camera_from_world[:, :3, :3]
    off = (rotation @ rotation.mT - torch.eye(3).to(rotation)).abs().amax((1, 2)) > 1e-3
    bottom = camera_from_world[:, 3] != rotation.new_tensor([0.0, 0.0, 0.0, 1.0])
    wrong = off | bottom.any(1) | (torch.linalg.det(rotation) < 0)
    if bool(wrong.any()):
        frame = int(torch.nonzero(wrong)[0])
        matrix = camera_from_world[frame].tolist()
        raise InputError(f"'camera_from_world' of frame {frame} is no rotation with a shift: {matrix}.")


def parse_frame(number: int, entry: object) -> VideoFrame:
    """A frame from its entry in the index; raises InputError that names the field."""
    if not isinstance(entry, dict):
        raise InputError(f"frame {number} is {entry!r} instead of named fields")
    where = f" of frame {number}"
    return VideoFrame(
        source=value_of(entry, "source", int, where),
        time=float(value_of(entry, "time", (int, float), where)),
        image=value_of(entry, "image", str, where),
        mask=value_of(entry, "mask", (str, type(None)), where),
        flags=texts_of(entry, "flags", where),
        use=bool(value_of(entry, "use", bool, where)),
        **{name: value_of({name: None} | entry, name, (str, type(None)), where) for name in MAPS},
    )


def value_of(entry: Mapping[str, Any], field: str, kind: Any, where: str = "") -> Any:
    """A field of the given type; raises InputError that names it. Truth values do not pass for numbers."""
    if field not in entry:
        raise InputError(f"'{field}'{where} is missing")
    value = entry[field]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise InputError(f"'{field}'{where} is {str(value)[:80]!r}, a {type(value).__name__}")
    return value


def texts_of(entry: Mapping[str, Any], field: str, where: str = "") -> tuple[str, ...]:
    """A field that holds a list of texts."""
    texts = value_of(entry, field, list, where)
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"'{field}'{where} holds something else than texts")
    return tuple(texts)
