"""The colours of a mesh, however a file gives them, drawn at many points of its surface."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from data_prep.pictures.mesh import linear_to_srgb
from data_prep.textures import LINEAR_OF_BYTE, Texture

OPAQUE = 0.5
"""What is less opaque than this in a part that may be transparent is not drawn: the gaps between strands of hair."""
MOST_SAMPLES, SAMPLES_A_FACE = 1_500_000, 4
SAME = 2
"""A surface whose colours differ by no more than so many 255ths has none: exporters fill colours in with white."""


@dataclass(frozen=True)
class PaintedPoints:
    """Points on the surface of a mesh (in its own unit and axes) with their colours."""

    points: Float[np.ndarray, "sample 3"]
    coded: UInt8[np.ndarray, "sample 3"]
    """sRGB-coded, as bytes."""

    def linear(self) -> Float[np.ndarray, "sample 3"]:
        """The colours in linear light, 0 to 1."""
        return LINEAR_OF_BYTE[self.coded]


@dataclass(frozen=True)
class Paint:
    """What gives a part of a mesh its colours: a factor times colours at corners times a texture."""

    corners: Int[np.ndarray, "face 3"]
    """For each corner of each face the row of `colours` and of `uv`."""
    factor: Float[np.ndarray, "4"]
    """Linear, with opacity."""
    colours: Float[np.ndarray, "row 4"] | None = None
    """Linear, with opacity."""
    uv: Float[np.ndarray, "row 2"] | None = None
    """Places in the texture; (0, 0) is its upper left corner, (1, 1) the lower right one."""
    texture: Texture | None = None
    cutoff: float = 0.0
    """Points less opaque than this are left out."""

    def at(self, face: Int[np.ndarray, " sample"], share: Float[np.ndarray, "sample 3"]) -> Float[np.ndarray, "_ 4"]:
        """Linear colours with opacity at points given by face and barycentric coordinates."""
        corners = self.corners[face]
        found = np.broadcast_to(self.factor, (len(face), 4))
        if self.colours is not None:
            found = found * np.einsum("sk,skc->sc", share, self.colours[corners])
        if self.uv is not None and self.texture is not None:
            found = found * self.texture.at(np.einsum("sk,skc->sc", share, self.uv[corners]))
        return found


@dataclass(frozen=True)
class PaintedPart:
    """A part of a mesh with what colours it; without paint it only shapes."""

    vertices: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    paint: Paint | None


def draw_paint(parts: Sequence[PaintedPart], count: int, generator: np.random.Generator) -> PaintedPoints | None:
    """Draw points uniformly by area over all parts; None where nothing is painted, or all in one colour."""
    areas = [_areas(part) for part in parts]
    cumulative = np.cumsum(np.concatenate(areas)) if areas else np.zeros(0)
    if not len(cumulative) or not cumulative[-1] > 0 or all(part.paint is None for part in parts):
        return None
    random = generator.random((count, 3))
    drawn = np.minimum(np.searchsorted(cumulative, random[:, 0] * cumulative[-1], side="right"), len(cumulative) - 1)
    root = np.sqrt(random[:, 1])
    share = np.stack([1 - root, root * (1 - random[:, 2]), root * random[:, 2]], axis=1)
    points, coded, first = [np.zeros((0, 3), np.float32)], [np.zeros((0, 3), np.uint8)], 0
    for part in parts:
        own = np.flatnonzero((drawn >= first) & (drawn < first + len(part.faces)))
        face, first = drawn[own] - first, first + len(part.faces)
        if part.paint is None or not len(own):
            continue
        found = part.paint.at(face, share[own])
        seen = (found[:, 3] >= part.paint.cutoff) & np.isfinite(found).all(1)
        places = np.einsum("sk,skc->sc", share[own], part.vertices[part.faces[face]])
        seen &= np.isfinite(places).all(1)
        points.append(places[seen].astype(np.float32))
        coded.append(coded_bytes(found[seen, :3]))
    painted = PaintedPoints(np.concatenate(points), np.concatenate(coded))
    return None if _is_plain(painted.coded) else painted


def most_samples(parts: Sequence[PaintedPart]) -> int:
    """How many points are worth drawing: many with a texture, a few a face where colours are at the vertices alone."""
    if any(part.paint is not None and part.paint.texture is not None for part in parts):
        return MOST_SAMPLES
    return min(SAMPLES_A_FACE * sum(len(part.faces) for part in parts), MOST_SAMPLES)


def coded_bytes(linear: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Linear light, 0 to 1, as sRGB-coded bytes."""
    coded: np.ndarray = (linear_to_srgb(torch.from_numpy(linear)) * 255).round().byte().numpy()
    return coded


def _areas(part: PaintedPart) -> Float[np.ndarray, " face"]:
    """Area of each face; zero for those with corners that are no numbers or so far off that they must be broken."""
    a, b, c = (part.vertices[part.faces[:, corner]].astype(np.float64) for corner in range(3))
    with np.errstate(over="ignore", invalid="ignore"):
        areas = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return np.where(np.isfinite(areas), areas, 0.0)


def _is_plain(coded: UInt8[np.ndarray, "sample 3"]) -> bool:
    if len(coded) == 0:
        return True
    low, high = np.percentile(coded, (0.05, 99.95), axis=0)
    return bool((high - low <= SAME).all())
