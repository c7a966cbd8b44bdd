"""The tracked mesh over the pictures of a video, to see at a glance where it fits."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from data_prep.camera import Camera
from data_prep.pictures.files import write_video
from data_prep.surface import Surface
from data_prep.video_dataset import VideoDataset, VideoFrame

Picture = UInt8[np.ndarray, "_ _ 3"]
Progress = Callable[[str, int, int], None]
"""Called with what is being made, how much is done, and of how much."""

TALLEST = 360
"""Rows of the video's pictures at most; encoding takes longer than drawing in larger ones."""
CHUNK = 64
"""Frames that are posed at once."""
COLOR = (0.55, 0.68, 0.84)
RIM_COLOR = (0.62, 0.95, 1.0)
"""Of the mesh where it faces the viewer, and where it turns away (outline, sides of the nose, lids); sRGB."""
OPACITY, RIM_OPACITY = 0.55, 0.9
LIGHT = (-0.45, -0.6, -0.66)
"""Unit direction towards the light in the camera's frame: from above, beside the viewer."""
USED, COVERED, LEFT_OUT = (80, 255, 90), (255, 60, 50), (225, 45, 45)

FLAG_WORDS = {
    "no_face": "no face",
    "hand": "hand over the face",
    "blur": "blurred",
    "out_of_frame": "partly outside the picture",
    "profile": "turned far to the side",
    "dark": "dark",
    "other_shot": "another shot",
    "small_face": "small face",
    "two_faces": "more than one face",
    "poor_fit": "the model does not fit",
    "no_person": "nobody in the picture",
    "two_people": "more than one person",
}
"""What the flags of a frame mean, in a few words."""


def flag_words(flag: str) -> str:
    """A flag in plain words; flags that are not known keep their name."""
    return FLAG_WORDS.get(flag, flag.replace("_", " "))


def left_out_words(frame: VideoFrame) -> str:
    """What to write beside a frame: that it is used, or why it is not."""
    reasons = ", ".join(flag_words(flag) for flag in frame.flags)
    if frame.use:
        return f"used ({reasons})" if reasons else "used"
    return f"left out: {reasons}" if reasons else "left out"


@dataclass(frozen=True)
class _Layer:
    """The mesh in one part of a picture, from `top` and `left` on: colour (times opacity) and opacity."""

    top: int
    left: int
    color: Float[Tensor, "3 height width"]
    opacity: Float[Tensor, "1 height width"]


class Overlay:
    """Draws a dataset's model, posed as tracked, over its pictures.

    Half the rays of a picture's pixels along each side are cast, since a frame should take milliseconds. Raises
    InputError for a model that is not known or not there.
    """

    def __init__(self, dataset: VideoDataset) -> None:
        self.dataset = dataset
        self.body = dataset.body_model().to(torch.float32).body(dataset.betas.float())
        self._surface = Surface(self.body.vertices, self.body.faces)
        self._chunk: tuple[int, Tensor] = (-1, torch.empty(0))

    def vertices(self, index: int) -> Float[Tensor, "vertex 3"]:
        """The posed surface of a frame in world space (metres); frames are posed in chunks and kept for the next."""
        start = index // CHUNK * CHUNK
        if self._chunk[0] != start:
            rows, data = slice(start, start + CHUNK), self.dataset
            expression = data.expressions[rows].float() if data.expressions.shape[1] else None
            posed = self.body.pose_vertices(data.poses[rows].float(), data.translations[rows].float(), expression)
            self._chunk = (start, posed)
        return self._chunk[1][index - start]

    def draw(self, index: int, picture: Picture, landmarks: bool = True) -> Picture:
        """A picture of the frame, at any size, with the mesh and the landmarks (green used, red covered) over it."""
        height, width = picture.shape[:2]
        camera = self.dataset.camera(index).to("cpu")
        camera = replace(
            camera, intrinsics=camera.intrinsics.float(), camera_from_world=camera.camera_from_world.float()
        )
        drawn = picture.copy()
        layer = self._layer(self.vertices(index), camera.resized(width, height))
        if layer is not None:
            _blend(drawn, layer)
        if landmarks:
            scale = np.array([width / camera.width, height / camera.height])
            points = self.dataset.landmarks[index].double().numpy() * scale
            _dots(drawn, points, self.dataset.landmark_weights[index].double().numpy())
        return drawn

    def _layer(self, vertices: Float[Tensor, "vertex 3"], camera: Camera) -> _Layer | None:
        """The mesh's part of a picture; None where nothing of it is seen."""
        box = _box(vertices, camera)
        if box is None:
            return None
        left, top, right, bottom = box
        shift = torch.tensor([[0.0, 0.0, left], [0.0, 0.0, top], [0.0, 0.0, 0.0]])
        part = Camera(camera.intrinsics - shift, camera.camera_from_world, right - left, bottom - top)
        coarse = part.resized(max(1, part.width // 2), max(1, part.height // 2))
        self._surface.update(vertices)
        layers = self._cast(coarse)[None]
        color, opacity, cover = interpolate(layers, size=(part.height, part.width), mode="bilinear")[0].split([3, 1, 1])
        line = (4 * cover * (1 - cover)).clamp(max=1) * RIM_OPACITY  # one pixel or two where the cover falls to zero
        rim = torch.tensor(RIM_COLOR)[:, None, None]
        return _Layer(top, left, color * (1 - line) + rim * line, opacity * (1 - line) + line)

    def _cast(self, camera: Camera) -> Float[Tensor, "5 height width"]:
        """Colour (times opacity), opacity and cover of each pixel."""
        origins, directions = (rays.reshape(-1, 3) for rays in camera.rays())
        surface = self._surface
        hits = surface.cast(origins, directions)
        seen = hits.face >= 0
        normals = surface.interpolate(surface.vertex_normals, hits.face[seen], hits.barycentric[seen])
        normals = normalize(normals, dim=-1)
        facing = -(normals * directions[seen]).sum(-1, keepdim=True)
        normals, facing = torch.where(facing < 0, -normals, normals), facing.abs()
        lit = (normals @ (camera.camera_from_world[:3, :3].T @ torch.tensor(LIGHT))).clamp(min=0)[:, None]
        rim = (1 - facing) ** 3
        color = torch.tensor(COLOR) * (0.15 + 0.95 * lit) * (1 - rim) + torch.tensor(RIM_COLOR) * rim
        opacity = OPACITY + (RIM_OPACITY - OPACITY) * rim
        layers = torch.zeros(len(directions), 5)
        layers[seen] = torch.cat([color.clamp(0, 1) * opacity, opacity, torch.ones_like(opacity)], dim=-1)
        return layers.T.reshape(5, camera.height, camera.width)


def _box(vertices: Float[Tensor, "vertex 3"], camera: Camera) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom (pixels) of a mesh, the picture's where it reaches behind the camera; None outside."""
    pixels, depth = camera.project(vertices)
    lower, upper = torch.zeros(2), torch.tensor([camera.width, camera.height])
    if float(depth.min()) > 1e-3:
        lower = lower.maximum((pixels.amin(dim=0) - 2).floor())
        upper = upper.minimum((pixels.amax(dim=0) + 2).ceil())
    elif float(depth.max()) <= 1e-3:
        return None
    if bool((upper <= lower).any()):
        return None
    return int(lower[0]), int(lower[1]), int(upper[0]), int(upper[1])


def _blend(picture: Picture, layer: _Layer) -> None:
    """Lay the mesh over its part of a picture, in place."""
    height, width = layer.opacity.shape[1:]
    part = picture[layer.top : layer.top + height, layer.left : layer.left + width]
    beneath = torch.from_numpy(part.astype(np.float32))
    mixed = beneath * (1 - layer.opacity[0, :, :, None]) + 255 * layer.color.permute(1, 2, 0)
    part[:] = mixed.round_().clamp_(0, 255).to(torch.uint8).numpy()


def _dots(picture: Picture, points: Float[np.ndarray, "landmark 2"], weights: Float[np.ndarray, "landmark"]) -> None:
    """Mark landmarks that are inside a picture (pixels; NaN is unseen), in place."""
    height, width = picture.shape[:2]
    reach = 1 if max(height, width) < 300 else 2
    known = np.isfinite(points).all(axis=-1)
    column, row = np.floor(points[known] - (reach - 1) / 2).astype(int).T
    colors = np.where(weights[known, None] > 0, np.array(USED), np.array(COVERED))
    for y in range(reach):
        for x in range(reach):
            inside = (row + y >= 0) & (row + y < height) & (column + x >= 0) & (column + x < width)
            picture[row[inside] + y, column[inside] + x] = colors[inside]


def fitted(picture: Picture, height: int) -> Picture:
    """A picture made no taller than `height`, keeping its proportions."""
    if picture.shape[0] <= height:
        return picture
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))


def framed_red(picture: Picture, thickness: int) -> Picture:
    """A picture with a red border drawn over its rim."""
    framed = np.empty_like(picture)
    framed[:] = LEFT_OUT
    inner = slice(thickness, -thickness)
    framed[inner, inner] = picture[inner, inner]
    return framed


def write_overlay(overlay: Overlay, path: Path, progress: Progress | None = None) -> Path:
    """Write an .mp4 of every frame beside itself with the mesh, and a line of text beneath; see `write_video`."""
    rate = min(max(overlay.dataset.frame_rate, 1.0), 240.0)
    return write_video(_frames(overlay, progress), path, rate)


def _frames(overlay: Overlay, progress: Progress | None) -> Iterator[Picture]:
    dataset = overlay.dataset
    for index, frame in enumerate(dataset.frames):
        picture = fitted(dataset.image(index), TALLEST)
        drawn = overlay.draw(index, picture)
        if not frame.use:
            drawn = framed_red(drawn, max(2, len(drawn) // 100))
        pair = np.concatenate([picture, drawn], axis=1)
        yield np.concatenate([pair, _strip(index, frame, pair.shape[1], max(12, len(pair) // 22))])
        if progress is not None:
            progress("overlay", index + 1, len(dataset.frames))


def _strip(index: int, frame: VideoFrame, width: int, height: int) -> Picture:
    """A line of text: number and time of the frame, and whether it is used."""
    strip = Image.new("RGB", (width, height), (28, 30, 34) if frame.use else (110, 22, 22))
    draw, font = ImageDraw.Draw(strip), label_font(height * 0.62)
    draw.text((height * 0.4, height / 2), f"{index}", fill=(255, 255, 255), font=font, anchor="lm")
    draw.text((height * 3.0, height / 2), f"{frame.time:.2f} s", fill=(165, 170, 178), font=font, anchor="lm")
    tint = (245, 190, 90) if frame.use and frame.flags else (165, 170, 178) if frame.use else (255, 215, 210)
    draw.text((height * 6.5, height / 2), left_out_words(frame), fill=tint, font=font, anchor="lm")
    return np.asarray(strip)


@lru_cache(maxsize=8)
def label_font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The letters of all labels, at a size in pixels."""
    return ImageFont.load_default(max(7.0, size))
