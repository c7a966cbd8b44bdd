"""A clothed person: a body of random build in random clothes."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from body_models.body import Body
from body_models.errors import InputError
from body_models.model import BodyModel
from data_prep.people.synthetic.garments import Covered, cover
from data_prep.people.synthetic.loft import Loft
from data_prep.people.synthetic.long_hair import bun, hair_weights, long_hair
from data_prep.people.synthetic.outfit import Outfit, random_outfit
from data_prep.people.synthetic.skirts import skirt, skirt_weights
from data_prep.people.synthetic.template import skin_of
from data_prep.people.synthetic.wardrobe import Garment, open_wardrobe
from data_prep.people.synthetic.wear import Piece, choose, put_on
from data_prep.surface import Surface

CHILDREN = 0.12
"""Share of children."""
HIDDEN = 0.03
"""What lies deeper than this in another part is left out (metres)."""

LoftedPart = tuple[Loft, Float[np.ndarray, "_ bone"]]
"""A part that leaves the body, with the weights of its points."""


@dataclass(frozen=True)
class ClothedPerson:
    """Somebody in clothes (metres, Y up, facing +Z at rest)."""

    betas: Float[Tensor, "betas"]
    body: Body
    """The naked body."""
    clothed: Body
    """The clothed surface with its own, smoother skinning weights; parts may overlap. Same joints."""
    outfit: Outfit
    garments: tuple[str, ...] = ()
    """Names of the MakeHuman garments worn."""

    def pose_vertices(
        self, pose: Float[Tensor, "bone 3"], translation: Float[Tensor, "3"]
    ) -> Float[Tensor, "vertex 3"]:
        """The clothed surface in a pose (axis-angle, radians)."""
        return self.clothed.pose_vertices(pose, translation)


def make_clothed_person(
    model: BodyModel, seed: int, betas_count: int = 24, assets: Path | None = None
) -> ClothedPerson:
    """A random person of any build and age in random clothes; the seed decides on everything.

    `betas_count` says how many shape parameters vary. With `assets`, a folder of MakeHuman clothes, about half of the
    people wear some of these. Raises InputError for a count that the model does not have and for assets that are
    missing or damaged.
    """
    if not 1 <= betas_count <= len(model.shape_basis):
        raise InputError(f"Cannot vary {betas_count} betas: {model.name} has {len(model.shape_basis)}; ask for fewer.")
    random = np.random.default_rng(seed)
    child = bool(random.uniform() < CHILDREN)
    betas = _random_betas(random, betas_count, child)
    body = model.body(torch.from_numpy(betas).float())
    outfit = random_outfit(random, child)
    garments: tuple[Garment, ...] = ()
    if assets is not None:
        outfit, garments = choose(open_wardrobe(assets, model), outfit, np.random.default_rng([seed, 2]))
    clothed = dress_person(model, betas, body, outfit, garments)
    names = tuple(garment.name for garment in garments)
    return ClothedPerson(torch.from_numpy(betas).float(), body, clothed, outfit, names)


def dress_person(
    model: BodyModel,
    betas: Float[np.ndarray, "betas"],
    body: Body,
    outfit: Outfit,
    garments: tuple[Garment, ...] = (),
) -> Body:
    """The clothed surface of a body in an outfit and in further garments."""
    covered = cover(skin_of(model), betas, body, outfit)
    lofts: list[LoftedPart] = []
    if outfit.skirt_length > 0:
        loft = skirt(covered, body, outfit)
        lofts.append((loft, skirt_weights(loft, body)))
    for wanted, make in ((outfit.hair and outfit.hair_length > 0, long_hair), (outfit.hair and outfit.bun > 0, bun)):
        if wanted:
            loft = make(covered, body, outfit)
            lofts.append((loft, hair_weights(loft, body)))
    covered, pieces = put_on(covered, garments, betas) if garments else (covered, [])
    points, faces, weights = _join(covered, lofts, pieces)
    return replace(
        body,
        vertices=torch.from_numpy(points).float(),
        faces=torch.from_numpy(faces),
        skinning_weights=torch.from_numpy(weights).float(),
        expression_basis=None,
        expression_basis_joints=None,
        expression_names=(),
        pose_basis=None,
    )


def _random_betas(random: np.random.Generator, count: int, child: bool) -> Float[np.ndarray, "betas"]:
    """Shape parameters; the first is size, of which a third of a metre makes one."""
    betas = np.clip(random.normal(size=count), -2.5, 2.5)
    betas[0] = random.uniform(-1.7, -0.7) if child else np.clip(-0.2 + 0.25 * random.normal(), -0.7, 0.45)
    return betas


def _join(
    covered: Covered, lofts: list[LoftedPart], pieces: list[Piece]
) -> tuple[Float[np.ndarray, "vertex 3"], Int[np.ndarray, "face 3"], Float[np.ndarray, "vertex bone"]]:
    """All parts in one mesh without what lies deep inside another."""
    points = [covered.points]
    faces = [covered.faces[~_hidden(covered, lofts)[covered.faces].all(1)]]
    weights = [covered.weights]
    start = len(covered.points)
    if lofts:
        surface = Surface(torch.from_numpy(covered.points).float(), torch.from_numpy(covered.faces))
    for loft, loft_weights in lofts:
        loft_points, loft_faces = loft.points(), loft.faces()
        deep = (surface.signed_distance(torch.from_numpy(loft_points).float()) < -HIDDEN).numpy()
        points.append(loft_points)
        faces.append(loft_faces[~deep[loft_faces].all(1)] + start)
        weights.append(loft_weights)
        start += len(loft_points)
    for piece in pieces:
        points.append(piece.points)
        faces.append(piece.faces + start)
        weights.append(piece.weights)
        start += len(piece.points)
    joined = np.concatenate(faces)
    used, joined = np.unique(joined, return_inverse=True)
    return np.concatenate(points)[used], joined.reshape(-1, 3), np.concatenate(weights)[used]


def _hidden(covered: Covered, lofts: list[LoftedPart]) -> Bool[np.ndarray, "vertex"]:
    hidden = np.zeros(len(covered.points), dtype=bool)
    for loft, _ in lofts:
        hidden |= loft.contains(covered.points, HIDDEN)
    return hidden
