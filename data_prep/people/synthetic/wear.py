"""MakeHuman garments on a person: open sheets made solid down to the skin, so that winding numbers count them."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from data_prep._clothes import Part, ramp
from data_prep._mesh_edit import directed_edges, neighbour_mean, smooth, vertex_normals
from data_prep.people.synthetic.garments import Covered
from data_prep.people.synthetic.outfit import Outfit
from data_prep.people.synthetic.wardrobe import Garment, Wardrobe
from data_prep.surface import Surface

OFF_SKIN = 0.003
"""Garments keep this far from the skin (metres)."""
SUNK = 0.006
"""Skin beneath garments is drawn in by this, so that it stays inside when the person moves (metres)."""
INTO_SKIN = 0.011
"""How far the inner side of a solid garment reaches into the skin (metres)."""
THICK = 0.004
"""Thickness of what hangs far from the skin (metres)."""
FAR = (0.03, 0.06)
"""From the first distance on, to the second, cloth turns from filled to thin (metres)."""


@dataclass(frozen=True)
class Piece:
    """One closed part of a clothed person (metres)."""

    points: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    weights: Float[np.ndarray, "vertex bone"]


def choose(wardrobe: Wardrobe, outfit: Outfit, random: np.random.Generator) -> tuple[Outfit, tuple[Garment, ...]]:
    """Give half of the people a suit or hair of a wardrobe, or both, in the place of what they would wear."""
    if random.uniform() < 0.5:
        return outfit, ()
    kind = random.choice(["suit", "hair", "both"], p=[0.4, 0.2, 0.4])
    chosen: list[Garment] = []
    if kind != "hair":
        chosen.append(wardrobe.suits[random.integers(len(wardrobe.suits))])
        outfit = replace(outfit, style=chosen[0].name, top=False, trousers=False, skirt_length=0.0, opening=0.0)
        if outfit.shoes and random.uniform() < 0.6:
            chosen.append(wardrobe.shoes[random.integers(len(wardrobe.shoes))])
            outfit = replace(outfit, shoes=False)
    if kind != "suit":
        chosen.append(wardrobe.hair[random.integers(len(wardrobe.hair))])
        outfit = replace(outfit, hair=False)
    return outfit, tuple(chosen)


def put_on(
    covered: Covered, garments: tuple[Garment, ...], betas: Float[np.ndarray, "betas"]
) -> tuple[Covered, list[Piece]]:
    """Garments as solid pieces, and the person with the skin beneath them drawn in."""
    skin = Surface(torch.from_numpy(covered.points).float(), torch.from_numpy(covered.faces))
    normals = vertex_normals(covered.points, covered.faces)
    hidden = np.zeros(len(covered.points), dtype=bool)
    pieces = []
    for garment in garments:
        piece, sheet = _solid(garment, garment.on(betas), skin, normals)
        pieces.append(piece)
        hidden |= _beneath(covered.points, normals, sheet)
    mean = neighbour_mean(covered.faces, len(hidden))
    sunk = smooth(hidden.astype(float)[:, None], mean, np.ones(len(hidden), dtype=bool), 4)
    sunk = np.minimum(sunk, hidden[:, None]) * (covered.part != Part.HAIR)[:, None]
    return replace(covered, points=covered.points - SUNK * sunk * normals), pieces


def _solid(
    garment: Garment, points: Float[np.ndarray, "vertex 3"], skin: Surface, normals: Float[np.ndarray, "skin 3"]
) -> tuple[Piece, Surface]:
    """The garment clear of the skin, closed by an inner side in the skin and walls at its rims; and its outer side."""
    near = skin.closest(torch.from_numpy(points).float())
    foot = near.point.double().numpy()
    outward = skin.interpolate(torch.from_numpy(normals).float(), near.face, near.barycentric).double().numpy()
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    mean = neighbour_mean(garment.faces, len(points))
    everywhere = np.ones(len(points), dtype=bool)
    lack = np.maximum(OFF_SKIN - ((points - foot) * outward).sum(1), 0.0)[:, None]
    points = points + np.maximum(smooth(lack, mean, everywhere, 3), lack) * outward
    far = ramp(((points - foot) * outward).sum(1), *FAR)[:, None]
    thin = points - THICK * vertex_normals(points, garment.faces)
    inner = (1 - far) * (foot - INTO_SKIN * outward) + far * thin
    count = len(points)
    rim = _rim(garment.faces, count)
    below = rim + count
    walls = [np.stack([rim[:, 1], rim[:, 0], below[:, 0]], 1), np.stack([rim[:, 1], below[:, 0], below[:, 1]], 1)]
    faces = np.concatenate([garment.faces, garment.faces[:, ::-1] + count, *walls])
    piece = Piece(np.concatenate([points, inner]), faces, np.concatenate([garment.weights] * 2))
    return piece, Surface(torch.from_numpy(points).float(), torch.from_numpy(garment.faces))


def _rim(faces: Int[np.ndarray, "face 3"], count: int) -> Int[np.ndarray, "edge 2"]:
    """Directed edges that only one face has."""
    edges = directed_edges(faces)
    return edges[~np.isin(edges[:, 0] * count + edges[:, 1], edges[:, 1] * count + edges[:, 0])]


def _beneath(
    points: Float[np.ndarray, "skin 3"], normals: Float[np.ndarray, "skin 3"], sheet: Surface
) -> Bool[np.ndarray, "skin"]:
    """Skin that has the sheet within a few centimetres outside, or just inside."""
    directions = torch.from_numpy(normals).float()
    hits = sheet.cast(torch.from_numpy(points).float() - 0.008 * directions, directions)
    return (hits.distance < FAR[0] + 0.008).numpy()
