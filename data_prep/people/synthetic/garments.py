"""Top, trousers, shoes and short hair as one closed surface on a body's outer skin."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from body_models.body import Body
from data_prep._clothes import Part, cut, feet
from data_prep._mesh_edit import Mesh, extrude_faces, mean_of, neighbour_mean, smooth
from data_prep._shoes import put_on_shoes
from data_prep.people.synthetic import levels
from data_prep.people.synthetic.drape import INNER, drape
from data_prep.people.synthetic.outfit import Outfit
from data_prep.people.synthetic.template import Skin


@dataclass(frozen=True)
class Covered:
    """A dressed surface at rest (metres)."""

    points: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    weights: Float[np.ndarray, "vertex bone"]
    part: Int[np.ndarray, "vertex"]


def cover(skin: Skin, betas: Float[np.ndarray, "betas"], body: Body, outfit: Outfit) -> Covered:
    """Cover a person's skin with what hugs the body."""
    bones = len(body.skeleton)
    mesh, part = _cut_garments(skin.mesh(betas), body, outfit)
    mean = neighbour_mean(mesh.faces, len(mesh.values))
    weights = smooth(mesh.values[:, 3 : 3 + bones], mean, part != Part.SKIN, 20)
    points = drape(mesh, part, mean, mesh.values[:, 3 + bones :], skin.joints, body, outfit)
    return Covered(points, mesh.faces, weights / weights.sum(1, keepdims=True), part)


def _cut_garments(mesh: Mesh, body: Body, outfit: Outfit) -> tuple[Mesh, Int[np.ndarray, "vertex"]]:
    part = np.full(len(mesh.values), int(Part.SKIN))
    is_open = outfit.top and outfit.opening > 0
    garments = [
        (int(Part.SHIRT), outfit.top, levels.open_top if is_open else levels.top),
        (INNER, is_open, levels.inner_shirt),
        (int(Part.TROUSERS), outfit.trousers, levels.trousers),
        (int(Part.HAIR), outfit.hair, levels.hair),
    ]
    for kind, wanted, level in garments:
        if wanted:
            mesh, part, chosen = cut(mesh, part, level(mesh, body, outfit))
            mesh = _even_hems(extrude_faces(mesh, chosen, (part[mesh.faces] == Part.SKIN).all(1)), len(chosen))
            part = np.pad(part, (0, len(mesh.values) - len(part)), constant_values=kind)
            part[mesh.faces[: len(chosen)][chosen]] = kind
    if not outfit.shoes:
        return mesh, part
    mesh, part, chosen = cut(mesh, part, feet(mesh, body))
    used = np.unique(mesh.faces[~chosen])
    mesh, is_shoe = put_on_shoes(mesh, chosen)
    return mesh, np.concatenate([part[used], np.full(is_shoe.sum(), int(Part.SHOES))])


def _even_hems(mesh: Mesh, before: int) -> Mesh:
    """Hems just extruded, run smoothly; `before` faces were there before their walls."""
    walls = mesh.faces[before:]
    chain = walls[: len(walls) // 2, :2]
    on_hem = np.unique(chain)
    moving = np.zeros(len(mesh.values), dtype=bool)
    moving[on_hem] = True
    values = smooth(mesh.values, mean_of(chain, len(mesh.values)), moving, 6)
    values[len(values) - len(on_hem) :] = values[on_hem]
    return Mesh(values, mesh.faces)
