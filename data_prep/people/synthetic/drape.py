"""How garments hang on a person's skin: bridges over hollows, ease, collars, folds and hair that thins at its edge."""

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Bool, Float, Int

from body_models.body import Body
from data_prep._clothes import (
    CLEARANCE,
    Part,
    bone_share,
    bridge,
    joints,
    mean_within,
    ramp,
    room,
    skull,
    smooth_normals,
)
from data_prep._mesh_edit import Mesh, low_pass, smooth, unique_edges
from data_prep.people.synthetic import levels
from data_prep.people.synthetic.folds import Joints, fold_height
from data_prep.people.synthetic.outfit import Outfit

INNER = 5
"""Part of a shirt beneath an open jacket, beside those of `Part`."""
THIN = 0.0006
"""Thickness of hair at its edge (metres)."""


def drape(
    mesh: Mesh,
    part: Int[np.ndarray, "vertex"],
    mean: sparse.csr_matrix,
    neutral: Float[np.ndarray, "vertex 3"],
    neutral_joints: Joints,
    body: Body,
    outfit: Outfit,
) -> Float[np.ndarray, "vertex 3"]:
    """Where the vertices of a dressed skin come to lie; `neutral` are those of the mean body (metres)."""
    worn = (part != Part.SKIN) & (part != Part.SHOES)
    skin = Mesh(low_pass(mesh.points, mean, worn & (mean @ worn > 0.999), 70), mesh.faces)
    normals = smooth_normals(skin, part, mean)
    least = np.where(part == Part.HAIR, THIN + (CLEARANCE - THIN) * _hair_share(mesh, body, outfit), CLEARANCE)
    within = mean_within(skin.faces, worn, part)
    taut = smooth(bridge(skin, normals, worn, mean)[:, None], within, worn, 6)
    ease = smooth(_looseness(mesh, skin, part, body, outfit)[:, None], within, worn, 6)[:, 0]
    ease = ease + _raised(mesh, part, neutral, neutral_joints, body, outfit)
    ease = np.where(part == Part.HAIR, ease * _hair_share(mesh, body, outfit), ease)
    space = room(Mesh(skin.points + taut * worn[:, None] * normals, skin.faces), normals, worn)
    lift = taut[:, 0] + np.minimum(np.maximum(ease, least), np.maximum(space, least))
    hem = worn & _beside_another(skin.faces, part)
    offset = (lift * worn)[:, None] * normals
    offset = smooth(offset, mean_within(skin.faces, hem, part), hem, 30)
    points = smooth(skin.points + offset, mean, worn & ~hem, 4)
    lack = least - ((points - skin.points) * normals).sum(1)
    return points + (np.maximum(lack, 0.0) * worn)[:, None] * normals


def _hair_share(mesh: Mesh, body: Body, outfit: Outfit) -> Float[np.ndarray, "vertex"]:
    """From 0 at the hairline to 1 in full hair."""
    return ramp(levels.hair(mesh, body, outfit), -0.002, 0.035) ** 0.8


def _raised(
    mesh: Mesh,
    part: Int[np.ndarray, "vertex"],
    neutral: Float[np.ndarray, "vertex 3"],
    neutral_joints: Joints,
    body: Body,
    outfit: Outfit,
) -> Float[np.ndarray, "vertex"]:
    """Height of folds, collar and lapels."""
    height = np.zeros(len(part))
    for garment, kind in (("top", Part.SHIRT), ("bottom", Part.TROUSERS), ("hair", Part.HAIR)):
        chosen = part == kind
        height[chosen] += fold_height(garment, neutral[chosen], neutral_joints, outfit.folds)
    if outfit.collar > 0:
        height += (part == Part.SHIRT) * outfit.collar * _collar(mesh, body, outfit)
    return height


def _collar(mesh: Mesh, body: Body, outfit: Outfit) -> Float[np.ndarray, "vertex"]:
    """1 on the collar, and on the lapels of an open top, else 0."""
    around = ramp(levels.neckline(mesh, body, outfit.neckline), 0.052, 0.038)
    if outfit.opening <= 0:
        return around
    joint = joints(body)
    share = (mesh.points[:, 1] - joint["pelvis"][1]) / (joint["neck"][1] - joint["pelvis"][1])
    wide = 0.01 + 0.045 * ramp(share, 0.45, 0.85)
    edge = levels.front_edge(mesh, body, outfit)
    return np.maximum(around, ramp(share, 0.42, 0.5) * ramp(edge - wide, 0.008, -0.006) * (mesh.points[:, 2] > 0))


def _looseness(
    mesh: Mesh, skin: Mesh, part: Int[np.ndarray, "vertex"], body: Body, outfit: Outfit
) -> Float[np.ndarray, "vertex"]:
    """How far the clothes stand off the skin (metres)."""
    joint, scale = joints(body), levels.scale_of(body)
    x, y, _ = skin.points.T
    shirt_down = ramp(y, joint["left_collar"][1] - 0.05 * scale, joint["pelvis"][1])
    sleeve_out = ramp(np.abs(x), joint["left_shoulder"][0], joint["left_elbow"][0])
    sleeve_out = sleeve_out * (1 - 0.6 * ramp(np.abs(x), joint["left_elbow"][0], joint["left_wrist"][0]))
    arm = bone_share(mesh.values, body, *levels.ARM)
    loose = (1 - arm) * shirt_down + 0.7 * arm * sleeve_out
    leg_down = ramp(y, joint["left_hip"][1], joint["left_ankle"][1])
    crown, _, _ = skull(skin.points, body)
    hair_up = ramp(y, crown - 0.15 * scale, crown)
    return np.select(
        [part == Part.SHIRT, part == Part.TROUSERS, part == Part.HAIR, part == INNER],
        [
            outfit.top_thickness + scale * outfit.top_ease * loose,
            0.006 + scale * outfit.trouser_ease * (0.35 + 0.9 * leg_down),
            0.006 + scale * outfit.hair_volume * (0.3 + 0.7 * hair_up),
            0.004 + 0.25 * scale * outfit.top_ease * shirt_down,
        ],
        0.0,
    )


def _beside_another(faces: Int[np.ndarray, "face 3"], part: Int[np.ndarray, "vertex"]) -> Bool[np.ndarray, "vertex"]:
    """Vertices with a neighbour of another part."""
    edges = unique_edges(faces)
    beside = np.zeros(len(part), dtype=bool)
    beside[edges[part[edges[:, 0]] != part[edges[:, 1]]]] = True
    return beside
