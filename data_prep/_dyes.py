"""Plausible colours for a synthetic person: skin, a striped shirt, denim, shoes and hair."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from body_models.body import Body
from data_prep._clothes import Part

SKINS = ((0.93, 0.76, 0.65), (0.84, 0.64, 0.5), (0.68, 0.47, 0.35), (0.46, 0.3, 0.22))
HAIRS = ((0.13, 0.1, 0.09), (0.28, 0.18, 0.12), (0.55, 0.4, 0.24))
SHIRTS = ((0.12, 0.4, 0.45), (0.62, 0.26, 0.2), (0.24, 0.42, 0.27), (0.75, 0.55, 0.18), (0.45, 0.27, 0.45))
STRIPES = (0.9, 0.88, 0.84)
STRIPE = 0.09
"""Width of a pair of stripes of the shirt (metres): several vertices, so that they are seen."""
SOLE = 0.02
"""Height of the shoes' soles (metres)."""


def dye(clothed: Body, part: Int[Tensor, "vertex"], seed: int) -> UInt8[Tensor, "vertex 3"]:
    """sRGB-coded colours of a clothed person at rest; the seed decides, apart from all that shapes the person."""
    random = np.random.default_rng([seed, 3])
    points, kind = clothed.vertices.double().numpy(), part.numpy()
    skin, hair = np.array(SKINS[random.integers(len(SKINS))]), np.array(HAIRS[random.integers(len(HAIRS))])
    shirt = np.array(SHIRTS[random.integers(len(SHIRTS))])
    colours = np.tile(skin, (len(points), 1))
    wave = 0.5 + 0.5 * np.tanh(4 * (np.sin(2 * np.pi * points[:, 1] / STRIPE) - 0.4))  # soft: vertices are far apart
    striped = shirt + wave[:, None] * (np.array(STRIPES) - shirt)
    colours[kind == Part.SHIRT] = striped[kind == Part.SHIRT]
    colours[kind == Part.TROUSERS] = (0.2, 0.27, 0.42)
    worn = 0.12 * np.exp(-((((points[:, 2] - points[:, 2].mean()) - 0.06) / 0.05) ** 2))
    colours += np.where(kind == Part.TROUSERS, worn, 0.0)[:, None]  # denim is paler on the front of the legs
    colours[kind == Part.SHOES] = (0.85, 0.84, 0.82)
    colours[(kind == Part.SHOES) & (points[:, 1] < points[:, 1].min() + SOLE)] = (0.25, 0.24, 0.23)
    colours[kind == Part.HAIR] = hair
    _paint_face(colours, points, clothed, kind == Part.SKIN)
    colours *= 1 + 0.03 * random.normal(size=(len(points), 1)) * (kind == Part.HAIR)[:, None]
    return torch.from_numpy(np.rint(255 * colours.clip(0, 1)).astype(np.uint8))


def _paint_face(
    colours: Float[np.ndarray, "vertex 3"],
    points: Float[np.ndarray, "vertex 3"],
    clothed: Body,
    skin: Bool[np.ndarray, "vertex"],
) -> None:
    """Redder cheeks, by places on the head alone."""
    names = clothed.skeleton.joint_names
    if "head" not in names:
        return
    own = skin & (clothed.skinning_weights[:, names.index("head")].numpy() > 0.5)
    if not own.any():
        return
    head = points[own]
    low, high = head.min(0), head.max(0)
    place = (points - low) / np.maximum(high - low, 1e-6)
    front = own & (place[:, 2] > 0.6)
    cheeks = np.exp(-(((np.abs(place[:, 0] - 0.5) - 0.22) / 0.1) ** 2) - ((place[:, 1] - 0.4) / 0.12) ** 2) * front
    colours += cheeks[:, None] * np.array([0.05, -0.02, -0.02])
