"""The free head as an implicit surface that opens its mouth, for tests of tracing."""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int
from skimage.measure import marching_cubes
from torch import Tensor

from avatars.deform.sampled import SampledSkinning
from avatars.deform.skinning import DeformationField, forward_skin
from avatars.fields.grid import interpolate
from avatars.fields.offsets import GridOffsets
from avatars.fields.patches import PatchedGrid, patched_grid
from avatars.fields.weights import GridWeights
from avatars.render import Proxy
from body_models import load_body_model
from data_prep.camera import Camera, look_at
from data_prep.surface import Surface


@dataclass(frozen=True)
class GridSurface:
    """A signed distance on a grid and a deformation."""

    deformation: DeformationField
    grid: PatchedGrid
    table: Float[Tensor, "node 1"]

    def sdf(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point"]:
        return interpolate(self.table, *self.grid.corners(points))[:, 0]

    def sdf_gradient(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        index, _, slopes = self.grid.corner_slopes(points)
        values = self.table[index, 0]
        return (slopes * values[:, None]).sum(-1)


@dataclass(frozen=True)
class Head:
    """The head in several poses: its field, and the mesh of its signed distance in canonical space."""

    field: GridSurface
    vertices: Float[Tensor, "vertex 3"]
    faces: Int[Tensor, "face 3"]

    def proxy(self, margin: float = 4e-3) -> Proxy:
        frames = len(self.field.deformation.posed_from_canonical)
        posed = [
            forward_skin(self.field.deformation, self.vertices, torch.full((len(self.vertices),), number))
            for number in range(frames)
        ]
        return Proxy(self.vertices, self.faces, torch.stack(posed), margin)


@cache
def talking_head(spacing: float = 5e-3, weight_spacing: float = 0.012) -> Head:
    """The average head, at rest in frame 0, in frame 1 with its mouth wide open, smiling and turned aside."""
    model = load_body_model("anny-head")
    body = model.body()
    surface = Surface(body.canonical(), body.faces)
    low, high = surface.vertices.amin(0) - 0.03, surface.vertices.amax(0) + 0.03
    grid = patched_grid(low, high, spacing)
    table = surface.signed_distance(grid.nodes())
    weights, offsets, basis = _fields(body, surface, patched_grid(low, high, weight_spacing))
    expression = torch.zeros(2, len(basis))
    for name, value in (("jawOpen", 0.9), ("mouthSmileLeft", 0.7), ("mouthSmileRight", 0.7), ("browInnerUp", 0.5)):
        expression[1, body.expression_names.index(name)] = value
    pose = body.canonical_pose.repeat(2, 1, 1)
    pose[0] = 0.0
    pose[1, 1, 1], pose[1, 2, 0] = 0.4, 0.3
    bones = body.posed_from_canonical(pose, torch.zeros(2, 3))
    shifts = torch.einsum("fe,nec->fnc", expression, offsets)
    field = GridSurface(SampledSkinning(weights.grid, weights.at_nodes().detach(), bones, shifts), grid, table[:, None])
    volume = table.reshape(grid.patches[0].shape).numpy()
    vertices, faces, _, _ = marching_cubes(volume, 0.0, spacing=(spacing,) * 3)
    vertices = torch.tensor(vertices.copy(), dtype=torch.float32) + torch.tensor(grid.patches[0].lower)
    return Head(field, vertices, torch.tensor(faces.copy(), dtype=torch.long))


def _fields(body, surface, grid):
    closest = surface.closest(grid.nodes())
    weights = GridWeights(grid, len(body.skeleton))
    weights.start_from(surface.interpolate(body.skinning_weights, closest.face, closest.barycentric))
    basis = body.expression_basis
    flat = surface.interpolate(basis.transpose(0, 1).flatten(1), closest.face, closest.barycentric)
    offsets = GridOffsets(grid, len(basis))
    offsets.start_from(flat.unflatten(1, (-1, 3)))
    return weights, offsets.at_nodes().detach().unflatten(1, (-1, 3)), basis


def camera(size: int, azimuth: float = 0.0) -> Camera:
    """A portrait from in front, or from aside by an angle (radians)."""
    turn = torch.tensor(azimuth)
    eye = torch.tensor([0.0, 0.05, 0.04]) + 0.8 * torch.stack([turn.sin(), torch.zeros(()), turn.cos()])
    return look_at(eye, torch.tensor([0.0, 0.05, 0.04]), torch.tensor([0.0, 1.0, 0.0]), 24.0, size, size)
