"""Pictures of a tracked video in memory, at the size that is fitted to, and the rays that are drawn from them."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int8, UInt8
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion
from torch import Tensor
from torch.nn.functional import normalize

from body_models import InputError
from data_prep.camera import Camera
from data_prep.video_dataset import VideoDataset
from data_prep.video_maps import resized_classes, resized_normals

EDGE = 0.03
"""Half the width of the band about the mask's edge, in longer sides of the picture."""
ROOM = 0.15
"""Room about the landmarks that still counts as the face, in sides of their box."""
UNLABELLED = 255
"""The class of pixels in frames that have no map of classes, among others that have."""
LEAST = 2
"""Frames that a head can be fitted to."""
MOST_EMPTY = 0.1
"""Share of frames whose masks may show nobody, as where a segmentation fails."""


@dataclass(frozen=True)
class PixelRays:
    """Some pixels with their rays (world, unit directions) and what the pictures show there."""

    frame: Int[Tensor, "ray"]
    """Which of the frames that were asked for, counted from 0 in the order asked."""
    origins: Float[Tensor, "ray 3"]
    directions: Float[Tensor, "ray 3"]
    rgb: Float[Tensor, "ray 3"]
    """sRGB-coded, 0 to 1."""
    alpha: Float[Tensor, "ray"]
    """How much of the pixel the person covers, 0 to 1."""
    label: Int[Tensor, "ray"] | None = None
    """The pixel's `FaceClass`, or UNLABELLED; None where no frame has a map of classes."""
    normal: Float[Tensor, "ray 3"] | None = None
    """Unit, in the world, zero where not known; None where no frame has a map of normals."""

    def to(self, device: torch.device) -> "PixelRays":
        """The same rays on a device."""
        return self._mapped(lambda values: values.to(device))

    def rows(self, some: Bool[Tensor, "ray"]) -> "PixelRays":
        """Some of the rays."""
        return self._mapped(lambda values: values[some])

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> "PixelRays":
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {name: None if value is None else change(value) for name, value in known.items()}
        return PixelRays(**changed)


@dataclass(frozen=True)
class Pictures:
    """All frames as bytes on the processor, with cameras of their size and the places that matter."""

    rgb: UInt8[Tensor, "frame height width 3"]
    alpha: UInt8[Tensor, "frame height width"]
    intrinsics: Float[Tensor, "frame 3 3"]
    camera_from_world: Float[Tensor, "frame 4 4"]
    faces: Int[Tensor, "frame 4"]
    """First row, first column, last row and last column (both excluded) of the face."""
    edge: Int[Tensor, "pixel"]
    """Numbers of the pixels near the masks' edges, frame after frame."""
    edge_start: Int[Tensor, "frame_and_one"]
    """Where each frame's pixels begin in `edge`, and where the last one's end."""
    labels: UInt8[Tensor, "frame height width"] | None = None
    """Each pixel's `FaceClass`, UNLABELLED in frames without a map of classes; None where no frame has one."""
    normals: Int8[Tensor, "frame height width 3"] | None = None
    """Times 127, in the camera's axes (x right, y up, z towards it), zero where not known; None where nothing is."""

    def __len__(self) -> int:
        return len(self.rgb)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width (pixels)."""
        return self.rgb.shape[1], self.rgb.shape[2]

    @cached_property
    def world_from_pixel(self) -> Float[Tensor, "frame 3 3"]:
        """Pixel coordinates to the world's directions."""
        return self.camera_from_world[:, :3, :3].mT @ torch.linalg.inv(self.intrinsics)

    @cached_property
    def centres(self) -> Float[Tensor, "frame 3"]:
        """The pinholes (world, metres)."""
        return -(self.camera_from_world[:, :3, :3].mT @ self.camera_from_world[:, :3, 3:])[..., 0]

    def camera(self, frame: int) -> Camera:
        """The camera of a frame at this size."""
        height, width = self.size
        return Camera(self.intrinsics[frame], self.camera_from_world[frame], width, height)

    def draw(self, frames: Int[Tensor, "frame"], rays: int, face_share: float, generator: torch.Generator) -> PixelRays:
        """Random pixels of some frames: in the face's box, near the mask's edge and anywhere, the latter two alike."""
        each = max(1, rays // len(frames))
        in_face = round(face_share * each)
        near_edge = (each - in_face) // 2
        parts = (
            self._in_faces(frames, in_face, generator),
            self._near_edges(frames, near_edge, generator),
            torch.randint(self.size[0] * self.size[1], (len(frames), each - in_face - near_edge), generator=generator),
        )
        return self.at(frames, torch.cat(parts, 1))

    def at(self, frames: Int[Tensor, "frame"], pixels: Int[Tensor, "frame pixel"]) -> PixelRays:
        """Given pixels (row times width plus column) of given frames."""
        local = torch.arange(len(frames)).repeat_interleave(pixels.shape[1])
        frame, pixel = frames[local], pixels.reshape(-1)
        row, column = pixel // self.size[1], pixel % self.size[1]
        homogeneous = torch.stack([column + 0.5, row + 0.5, torch.ones_like(pixel)], 1).float()
        directions = (self.world_from_pixel[frame] @ homogeneous[..., None])[..., 0]
        rgb, alpha = self.rgb[frame, row, column].float() / 255, self.alpha[frame, row, column].float() / 255
        label = None if self.labels is None else self.labels[frame, row, column].long()
        normal = None if self.normals is None else self._turned(self.normals[frame, row, column], frame)
        return PixelRays(local, self.centres[frame], normalize(directions, dim=1), rgb, alpha, label, normal)

    def _turned(self, normals: Int8[Tensor, "ray 3"], frame: Int[Tensor, "ray"]) -> Float[Tensor, "ray 3"]:
        """Normals of maps in the world, of unit length or zero."""
        opencv = normals * normals.new_tensor([1, -1, -1])
        world_from_camera = self.camera_from_world[frame, :3, :3].mT
        return normalize((world_from_camera @ opencv.float()[..., None])[..., 0], dim=1)

    def _in_faces(
        self, frames: Int[Tensor, "frame"], count: int, generator: torch.Generator
    ) -> Int[Tensor, "frame pixel"]:
        first, last = self.faces[frames, None, :2], self.faces[frames, None, 2:]
        share = torch.rand(len(frames), count, 2, generator=generator)
        place = torch.minimum((first + share * (last - first)).long(), last - 1)
        return place[..., 0] * self.size[1] + place[..., 1]

    def _near_edges(
        self, frames: Int[Tensor, "frame"], count: int, generator: torch.Generator
    ) -> Int[Tensor, "frame pixel"]:
        start, stop = self.edge_start[frames, None], self.edge_start[frames + 1, None]
        share = torch.rand(len(frames), count, generator=generator)
        return self.edge[torch.minimum((start + share * (stop - start)).long(), stop - 1)]


def load_pictures(dataset: VideoDataset, size: int, progress: Callable[[int, int], None] | None = None) -> Pictures:
    """Read all pictures and masks of a dataset, made smaller so that the longer side has `size` pixels.

    `progress` hears of each frame done, of how many. Raises InputError for missing masks or files that cannot be read,
    and for masks that cannot be the person's: empty or full ones.
    """
    check_masks(dataset)
    scale = min(1.0, size / max(dataset.width, dataset.height))
    width, height = max(1, round(scale * dataset.width)), max(1, round(scale * dataset.height))
    rgb, alpha, maps = [], [], _Maps(dataset, (width, height))
    for index in range(len(dataset)):
        coverage = Image.fromarray((255 * dataset.alpha(index)).round().astype(np.uint8))
        rgb.append(np.asarray(Image.fromarray(dataset.image(index)).resize((width, height), Image.Resampling.BOX)))
        alpha.append(np.asarray(coverage.resize((width, height), Image.Resampling.BOX)))
        maps.read(index)
        if progress is not None:
            progress(index + 1, len(dataset))
    masks = np.stack(alpha)
    _check_persons(dataset, masks >= 128)
    edges = [_edge_pixels(mask) for mask in masks]
    starts = np.cumsum([0, *(len(edge) for edge in edges)])
    resize = torch.tensor([[width / dataset.width], [height / dataset.height], [1.0]])
    return Pictures(
        rgb=torch.from_numpy(np.stack(rgb)),
        alpha=torch.from_numpy(masks),
        intrinsics=dataset.intrinsics.float() * resize,
        camera_from_world=dataset.camera_from_world.float(),
        faces=torch.stack([_face(dataset, index, masks[index]) for index in range(len(dataset))]),
        edge=torch.from_numpy(np.concatenate(edges)),
        edge_start=torch.from_numpy(starts),
        labels=maps.labels,
        normals=maps.normals,
    )


class _Maps:
    """The maps of a dataset at another size, None of the kinds that it has none of."""

    def __init__(self, dataset: VideoDataset, size: tuple[int, int]) -> None:
        self._dataset, self._size = dataset, size
        files = {name for frame in dataset.frames for name in frame.files}
        shape = (len(dataset), size[1], size[0])
        self.labels = torch.full(shape, UNLABELLED, dtype=torch.uint8) if "semantic" in files else None
        self.normals = torch.zeros(*shape, 3, dtype=torch.int8) if "normal" in files else None

    def read(self, index: int) -> None:
        """Take in the maps of one frame."""
        classes, normals = self._dataset.semantic(index), self._dataset.normal(index)
        if self.labels is not None and classes is not None:
            self.labels[index] = torch.from_numpy(resized_classes(classes, self._size).copy())
        if self.normals is not None and normals is not None:
            self.normals[index] = torch.from_numpy((127 * resized_normals(normals, self._size)).round().astype(np.int8))


def check_masks(dataset: VideoDataset) -> None:
    """Raise InputError for too few frames, or when one has no mask."""
    if len(dataset) < LEAST:
        raise InputError(
            f"There is {len(dataset)} usable frame: a head cannot be fitted to less than {LEAST}, and wants hundreds. "
            "Prepare a longer video in which the head turns and talks."
        )
    without = [number for number, frame in enumerate(dataset.frames) if frame.mask is None]
    if without:
        raise InputError(
            f"{len(without)} of {len(dataset)} frames have no mask (the first is {dataset.frames[without[0]].image}); "
            "run `avatars prepare` on the video to make masks, or give it your own with --masks FOLDER."
        )


def _check_persons(dataset: VideoDataset, inside: Bool[np.ndarray, "frame height width"]) -> None:
    """Raise InputError where the masks cannot be those of the tracked person."""
    again = "make masks with `avatars prepare VIDEO`, or give it your own with --masks FOLDER (white is the person)"
    empty = np.flatnonzero(~inside.any((1, 2)))
    if len(empty) == len(inside):
        raise InputError(f"The masks are empty: no person in any frame. To mend it, {again}.")
    if len(empty) > MOST_EMPTY * len(inside):
        raise InputError(
            f"{len(empty)} of {len(inside)} masks are empty though a head is tracked there (the first is "
            f"{dataset.frames[empty[0]].mask}). To mend it, {again}; or set `use` of these frames to false in "
            "dataset.json."
        )
    if inside.all():
        raise InputError(
            f"The masks cover whole pictures: they tell no person from the background. To mend it, {again}."
        )


def _edge_pixels(mask: UInt8[np.ndarray, "height width"]) -> Int[np.ndarray, "pixel"]:
    """Pixels near the mask's edge; all pixels where there is none."""
    inside = mask >= 128
    steps = max(1, round(EDGE * max(mask.shape)))
    band = binary_dilation(inside, iterations=steps) & ~binary_erosion(inside, iterations=steps, border_value=1)
    return np.flatnonzero(band if band.any() else np.ones_like(band))


def _face(dataset: VideoDataset, index: int, mask: UInt8[np.ndarray, "height width"]) -> Int[Tensor, "4"]:
    """The box about the landmarks with some room; about the mask where no landmark was seen, or the whole picture."""
    height, width = mask.shape
    seen = dataset.landmarks[index][dataset.landmarks[index].isfinite().all(1)]
    if len(seen) > 3:
        seen = seen * torch.tensor([width / dataset.width, height / dataset.height])
        first, last = seen.amin(0).flip(0), seen.amax(0).flip(0)
        first, last = first - ROOM * (last - first), last + ROOM * (last - first)
    else:
        covered = torch.from_numpy(mask >= 128).nonzero()
        if len(covered) == 0:
            return torch.tensor([0, 0, height, width])
        first, last = covered.amin(0).float(), covered.amax(0).float() + 1
    most = torch.tensor([height, width])
    low = torch.minimum(first.floor().long().clamp_min(0), most - 1)
    return torch.cat([low, torch.maximum(torch.minimum(last.ceil().long(), most), low + 1)])
