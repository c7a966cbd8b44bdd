"""Hair as geometry: a tuft-covered cap over the skull, with a curtain down the back for long hair."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Float, Int

from data_prep._mesh_edit import neighbour_mean, vertex_normals
from data_prep.synthetic_heads.noise import ramp, waves
from data_prep.synthetic_heads.pieces import Boxes, Piece, grid_faces, refined, rigid_piece

_ANGLES = (0, 20, 38, 52, 62, 70, 77, 82, 116, 128, 145, 180)
"""Degrees around the head, from the face to the nape."""
_HAIRLINE = (0.108, 0.108, 0.098, 0.088, 0.068, 0.022, 0.03, 0.068, 0.062, 0.005, -0.042, -0.05)
"""Height of the hairline there on the template (metres)."""
NECK = 1


@dataclass(frozen=True)
class HairStyle:
    """How somebody wears their hair."""

    thickness: float
    """Metres over the crown."""
    lift: float
    """How much higher than on the template the hairline is over the face (metres); negative for a fringe."""
    length: float
    """How far the curtain hangs below the ears (metres); 0 for short hair."""


def random_style(random: np.random.Generator) -> HairStyle:
    """Short to long hair, with one in twelve cropped close."""
    if random.random() < 1 / 12:
        return HairStyle(0.0025, 0.006, 0.0)
    lift = random.choice([random.uniform(-0.004, 0.01), random.uniform(-0.02, -0.008)], p=[0.75, 0.25])
    length = random.choice([0.0, random.uniform(0.06, 0.19)], p=[0.6, 0.4])
    return HairStyle(float(random.uniform(0.007, 0.02)), float(lift), float(length))


def scalp(template: Float[np.ndarray, "point 3"], style: HairStyle) -> Float[np.ndarray, "point"]:
    """How far above the hairline points of the template's surface are (metres); negative on face, ears and neck."""
    x, y, z = template.T
    angle = np.degrees(np.arctan2(np.abs(x), z))
    line = np.interp(angle, _ANGLES, _HAIRLINE) + style.lift * ramp(-angle, -65.0, -30.0)
    ear = (np.abs(x) > 0.0775) & (np.abs(y - 0.034) < 0.037) & (np.abs(z + 0.014) < 0.042)
    return np.where(ear, -0.01, y - line)


def hair_cap(
    template: Float[np.ndarray, "vertex 3"],
    person: Float[np.ndarray, "vertex 3"],
    skin_faces: Int[np.ndarray, "face 3"],
    weights: Float[np.ndarray, "vertex 6"],
    style: HairStyle,
    random: np.random.Generator,
) -> Piece:
    """The scalp's faces, refined and pushed outward by tufts that thin out at the hairline."""
    outward = vertex_normals(person, skin_faces)
    mean = neighbour_mean(skin_faces, len(person))
    for _ in range(12):
        outward = mean @ outward
    chosen = skin_faces[(scalp(template, style)[skin_faces] > -0.006).any(1)]
    used, faces = np.unique(chosen, return_inverse=True)
    rows = sparse.csr_matrix((np.ones(len(used)), (np.arange(len(used)), used)), (len(used), len(person)))
    rows, faces = refined(rows, faces.reshape(-1, 3))
    at, normals = rows @ template, rows @ outward
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    height = scalp(at, style) + 0.002 * waves(at, 0.012, random)
    crown = 0.6 + 0.4 * ramp(at[:, 1], 0.04, 0.13)
    tufts = 1 + 0.12 * waves(at, 0.05, random) + 0.1 * waves(strand_coordinates(at), 0.5, random)
    thickness = style.thickness * crown * np.clip(tufts, 0.4, 1.7) * ramp(height, -0.002, 0.028) + 0.0015
    thickness = np.where(height > -0.001, thickness, -0.004)
    points = rows @ person + thickness[:, None] * normals
    return Piece(points, faces, np.asarray(rows @ weights), rows)


def strand_coordinates(template: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 3"]:
    """Coordinates that hardly change along a strand (which runs down from the crown), in hundreds of hairs."""
    x, y, z = template.T
    around = np.arctan2(x, z + 0.035 - 0.3 * (y - 0.15))
    return np.stack([7 * np.cos(around), 7 * np.sin(around), 6 * y], axis=1)


def hair_curtain(style: HairStyle, boxes: Boxes, head_vertices: int, random: np.random.Generator) -> Piece:
    """Long hair that hangs from behind one ear round the back to behind the other, turning with the skull."""
    rows, columns = 40, 120
    down, around = np.meshgrid(np.linspace(0, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    angle = np.radians(180 - 70 * around.ravel())
    down = down.ravel()
    drop = (0.15 + style.length) * down * (1 + 0.04 * waves(np.cos(angle)[:, None] * 4 + angle[:, None], 1.0, random))
    edge = 0.012 * ramp(np.abs(around.ravel()), 0.8, 1.0)
    tuck = ramp(down, 0.0, 0.35) * (style.thickness * 0.8 + 0.02) - 0.022 - edge
    narrow = 0.018 * ramp(down, 0.3, 0.8) - 0.02 * ramp(down, 0.75, 1.2)
    folds = 0.003 * waves(angle[:, None] * 1.0, 0.35, random) * ramp(down, 0.1, 0.5)
    radius = tuck - narrow + folds
    x = (0.0905 + radius) * np.sin(angle)
    z = (0.096 + radius) * np.cos(angle) - 0.006
    points = boxes.to_person(np.stack([x, 0.09 - drop, z], axis=1))
    return rigid_piece(points, grid_faces(rows, columns, closed=False), NECK, head_vertices)
