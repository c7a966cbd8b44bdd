"""A random person on the Anny head: identity, colours, hair, teeth, neck and shoulders, ready to be posed."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import scipy.sparse as sparse
import torch
from jaxtyping import Float, Int
from torch import Tensor

from body_models import load_body_model
from body_models.anny.head import anny_head_parts
from body_models.body import Body
from body_models.model import BodyModel
from body_models.skeleton import Skeleton
from data_prep._mesh_edit import unique_edges
from data_prep.surface import Surface
from data_prep.synthetic_heads import paint
from data_prep.synthetic_heads.hair import hair_cap, hair_curtain, random_style
from data_prep.synthetic_heads.noise import ramp
from data_prep.synthetic_heads.pieces import Boxes, Piece, grid_faces
from data_prep.synthetic_heads.shoulders import neckline, shoulders
from data_prep.synthetic_heads.texture import Texture, cells

HAIR, TEETH, TRUNK = 100, 101, 102
"""Numbers of the parts beside the model's own, which count from 0 as `anny_head_parts` lists them."""
_RESOLUTION = {"skin": 9, "left_eye_front": 26, "right_eye_front": 26}
SHOULDERS_TURN = 0.25
"""Share of the head's rotation that the shoulders make."""


@dataclass(frozen=True)
class SyntheticPerson:
    """Somebody at rest (metres, Y up, facing +Z): the model's identity, and the model's head with all that is worn."""

    betas: Float[Tensor, "shape"]
    head: Body
    dressed: Body
    """The head's vertices and faces come first; its last joint is the shoulders'."""
    part: Int[Tensor, "face"]
    texture: Texture


@lru_cache(maxsize=1)
def head_model() -> tuple[BodyModel, Int[np.ndarray, "face"]]:
    """The Anny head and the part of each of its faces."""
    model = load_body_model("anny-head")
    part = np.zeros(len(model.faces), dtype=np.int64)
    for number, faces in enumerate(anny_head_parts().values()):
        part[faces.numpy()] = number
    return model, part


def make_person(random: np.random.Generator) -> SyntheticPerson:
    """A random adult or half-grown person; all follows from the random numbers."""
    model, head_part = head_model()
    count = len(model.shape_basis)
    betas = torch.from_numpy(random.uniform(-1.3, 1.3, count) * np.where(np.arange(count) < 1, 0.6, 0.8)).float()
    head = model.body(betas)
    pieces = _pieces(model, head, head_part, random)
    dressed = _assembled(head, [piece for piece, _ in pieces])
    part = np.concatenate([head_part, *(np.full(len(piece.faces), number) for piece, number in pieces)])
    texture = _painted(model, head, dressed, part, random)
    return SyntheticPerson(betas, head, dressed, torch.from_numpy(part), texture)


def dressed_pose(person: SyntheticPerson, pose: Float[Tensor, "*batch 5 3"]) -> Float[Tensor, "*batch 6 3"]:
    """The pose with the shoulders', which undo most of the head's turn (axis-angle, radians)."""
    return torch.cat([pose, (SHOULDERS_TURN - 1) * pose[..., :1, :]], dim=-2)


def _pieces(
    model: BodyModel, head: Body, part: Int[np.ndarray, "face"], random: np.random.Generator
) -> list[tuple[Piece, int]]:
    template, person = model.template.double().numpy(), head.vertices.double().numpy()
    faces = head.faces.numpy()
    weights = np.pad(head.skinning_weights.double().numpy(), ((0, 0), (0, 1)))
    boxes, style = Boxes.between(template, person), random_style(random)
    size = float(boxes.stretch.mean() * random.uniform(0.96, 1.06))
    pieces = [(hair_cap(template, person, faces[part == 0], weights, style, random), HAIR)]
    if style.length > 0:
        pieces.append((hair_curtain(style, boxes, len(person), random), HAIR))
    pieces.append((_teeth(template, person, weights), TEETH))
    pieces.append((shoulders(person, faces, weights, size, True, random), TRUNK))
    return pieces


def _teeth(template: np.ndarray, person: np.ndarray, weights: np.ndarray) -> Piece:
    """The upper row, behind the upper lip and fixed to the skull."""
    rows, columns = 6, 40
    down, around = np.meshgrid(np.linspace(0, 1, rows), np.linspace(-1.25, 1.25, columns), indexing="ij")
    arch = np.stack([0.0215 * np.sin(around), -0.017 - 0.0115 * down, 0.075 + 0.0305 * np.cos(around)], -1).reshape(
        -1, 3
    )
    near = (np.abs(template[:, 0]) < 0.012) & (np.abs(template[:, 1] + 0.021) < 0.006) & (template[:, 2] > 0.1)
    moved = (person[near] - template[near]).mean(0)
    bones = np.zeros((len(arch), 6))
    bones[:, 1] = 1.0
    return Piece(
        arch + moved, grid_faces(rows, columns, closed=False), bones, sparse.csr_matrix((len(arch), len(person)))
    )


def _assembled(head: Body, pieces: list[Piece]) -> Body:
    """One body of the head's vertices, then each piece's, with a sixth bone for the shoulders."""
    assert head.expression_basis is not None
    assert head.expression_basis_joints is not None
    count = len(head.vertices)
    points, faces, weights, bases = [head.vertices], [head.faces], [], [head.expression_basis]
    weights.append(torch.nn.functional.pad(head.skinning_weights, (0, 1)))
    flat = head.expression_basis.permute(1, 0, 2).flatten(1).numpy()
    for piece in pieces:
        points.append(torch.from_numpy(piece.points).float())
        faces.append(torch.from_numpy(piece.faces).long() + count)
        weights.append(torch.from_numpy(piece.weights).float())
        moved = torch.from_numpy(np.asarray(piece.follows @ flat)).float()
        bases.append(moved.unflatten(1, (-1, 3)).permute(1, 0, 2))
        count += len(piece.points)
    names, parents = head.skeleton.joint_names, head.skeleton.parents
    joint_basis = head.expression_basis_joints
    return replace(
        head,
        skeleton=Skeleton((*names, "shoulders"), (*parents, 0)),
        vertices=torch.cat(points),
        faces=torch.cat(faces),
        skinning_weights=torch.cat(weights),
        joints=torch.cat([head.joints, head.joints[:1]]),
        canonical_pose=torch.nn.functional.pad(head.canonical_pose, (0, 0, 0, 1)),
        expression_basis=torch.cat(bases, dim=1),
        expression_basis_joints=torch.cat([joint_basis, joint_basis[:, :1]], dim=1),
    )


def _painted(
    model: BodyModel, head: Body, dressed: Body, part: Int[np.ndarray, "face"], random: np.random.Generator
) -> Texture:
    names = list(anny_head_parts())
    resolution = np.full(len(part), 5)
    for name, value in _RESOLUTION.items():
        resolution[part == names.index(name)] = value
    faces = dressed.faces.numpy()
    behind = model.template.numpy()[faces[: len(model.faces)], 2].mean(1) < 0.03
    resolution[: len(behind)][behind] = 4
    grid = cells(resolution)
    points = dressed.vertices.double().numpy()
    boxes = Boxes.between(model.template.double().numpy(), head.vertices.double().numpy())
    alike = (points - boxes.center) / boxes.stretch + boxes.template_center
    alike[: len(model.template)] = model.template.double().numpy()
    at, place, cell_part = grid.at(alike, faces), grid.at(points, faces), part[grid.face]
    palette, size = paint.random_palette(random), float(boxes.stretch.mean())
    depth = float(random.uniform(0.0, 0.04))
    values = np.zeros((len(at), 4))

    def fill(chosen: np.ndarray, colors: np.ndarray) -> None:
        values[chosen] = colors

    skin = np.isin(
        cell_part, (names.index("skin"), *(names.index(f"{s}_eye_socket") for s in ("left", "right")), TRUNK)
    )
    fill(skin, paint.paint_skin(at[skin], _eye_rims(model, part[: len(model.faces)]), palette, random))
    mouth = np.isin(cell_part, (names.index("mouth_cavity"), names.index("tongue")))
    fill(mouth, paint.paint_mouth(at[mouth], palette))
    seed = int(random.integers(1 << 30))
    for side in ("left", "right"):
        eye = np.isin(cell_part, [names.index(f"{side}_eye_{half}") for half in ("front", "back")])
        centre = head.joints[head.skeleton.index(f"{side}_eye")].double().numpy()
        fill(eye, paint.paint_eye(place[eye] - centre, palette, seed))
    hair, trunk, teeth = cell_part == HAIR, cell_part == TRUNK, cell_part == TEETH
    fill(hair, paint.paint_hair(at[hair], palette, random))
    below = neckline(place[trunk], size, depth)
    fill(trunk, paint.paint_trunk(below, place[trunk], values[trunk], palette, random))
    fill(teeth, paint.paint_teeth(at[teeth]))
    values[:, :3] *= grid.at(_openness(dressed, part)[:, None], faces)
    return grid.painted(values)


def _eye_rims(model: BodyModel, head_part: Int[np.ndarray, "face"]) -> Float[np.ndarray, "rim 3"]:
    """Places close together along the edges of the lids, where sockets meet skin."""
    faces, names = model.faces.numpy(), list(anny_head_parts())
    sockets = np.isin(head_part, [names.index(f"{side}_eye_socket") for side in ("left", "right")])
    both = np.concatenate([unique_edges(faces[sockets]), unique_edges(faces[head_part == 0])])
    edges, count = np.unique(both, axis=0, return_counts=True)
    ends = model.template.double().numpy()[edges[count == 2]]
    return np.concatenate([ends[:, 0] + share * (ends[:, 1] - ends[:, 0]) for share in np.linspace(0, 1, 12)])


def _openness(dressed: Body, part: Int[np.ndarray, "face"]) -> Float[np.ndarray, "vertex"]:
    """How much light reaches each vertex, 0 to 1: rays that get away, in the best of three faces; 1 for eyes."""
    openness = np.zeros(len(dressed.vertices))
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(24, 3, generator=generator), dim=-1)
    for name, value in (("", 0.0), ("eyeBlink", 0.9), ("jawOpen", 0.35)):
        expression = torch.tensor(
            [value if name and each.startswith(name) else 0.0 for each in dressed.expression_names]
        )
        vertices = dressed.pose_vertices(torch.zeros(len(dressed.skeleton), 3), torch.zeros(3), expression)
        surface = Surface(vertices, dressed.faces)
        normals = surface.vertex_normals
        rays = torch.nn.functional.normalize(normals[:, None] + 0.98 * directions, dim=-1).reshape(-1, 3)
        origins = (vertices + 0.0015 * normals).repeat_interleave(len(directions), dim=0)
        distance = surface.cast(origins, rays).distance.reshape(-1, len(directions)).numpy()
        openness = np.maximum(openness, ramp(distance, 0.0, 0.07).mean(1))
    names = list(anny_head_parts())
    eyes = np.isin(part, [index for index, name in enumerate(names) if name.endswith(("_front", "_back"))])
    openness = 0.25 + 0.75 * openness
    openness[np.unique(dressed.faces.numpy()[eyes])] = 0.9
    return openness
