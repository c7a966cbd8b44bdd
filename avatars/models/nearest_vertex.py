"""B-Morph: every point of a frame is brought back as the nearest vertex of the posed head model would be."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.broyden import inverse_3x3
from avatars.fields.affine import apply_affine
from avatars.fields.geometry import Geometry
from avatars.fields.patches import PatchedGrid
from avatars.models.head_deformation import Drive, RootOnly
from avatars.models.posed_surface import CanonicalHead, PosedSurface
from body_models.precision import matmul
from body_models.skeleton import invert_rigid
from data_prep.surface import Surface

MODEL = ("vertices", "faces", "skinning", "basis")
"""Buffers whose sizes are the head model's."""


class NearestVertex(RootOnly):
    """Weights and blendshapes of the head model's vertices, fixed; nothing is learned.

    The surface of a frame lies in head space, where the root joint is as in the canonical pose, and is
    sdf(T_v^-1 x - offset_v) there, v being the vertex of the model in that frame that is nearest to x.
    """

    vertices: Tensor
    """Canonical (metres)."""
    faces: Tensor
    skinning: Tensor
    basis: Tensor
    """Displacements by all coefficients, in canonical space."""

    def __init__(self, grid: PatchedGrid, bones: int, coefficients: int) -> None:
        super().__init__(grid)
        self.register_buffer("vertices", torch.zeros(0, 3))
        self.register_buffer("faces", torch.zeros(0, 3, dtype=torch.long))
        self.register_buffer("skinning", torch.zeros(0, bones))
        self.register_buffer("basis", torch.zeros(0, coefficients, 3))

    def start_from(self, model: Surface, values: Float[Tensor, "vertex channel"]) -> None:
        """Take a canonical head model's surface, and at its vertices weights, then blendshapes (metres)."""
        bones = self.skinning.shape[1]
        used = model.faces.unique()
        self.vertices, self.faces = model.vertices[used], torch.searchsorted(used, model.faces)
        self.skinning, self.basis = values[used, :bones], values[used, bones:].unflatten(1, (-1, 3))

    def surface(self, head: CanonicalHead, drive: Drive, hints: Float[Tensor, "frame width"] | None) -> PosedSurface:
        """The surface in head space, which the root joint's transform carries into the world."""
        bones = matmul(invert_rigid(drive.transforms[:, :1]), drive.transforms)[:, :, :3]
        blended = matmul(self.skinning, bones.flatten(2)).unflatten(2, (3, 4))
        offsets = torch.einsum("fk,vkc->fvc", drive.coefficients, self.basis)
        linear, shift = blended[..., :3], blended[..., 3]
        back = inverse_3x3(linear.flatten(0, 1)).unflatten(0, linear.shape[:2])
        home = -matmul(back, shift[..., None])[..., 0] - offsets
        out = matmul(linear, offsets[..., None])[..., 0] + shift
        return BackwardSurface(
            head, self.deformation(drive), drive.condition, hints, self,
            torch.cat([linear, out[..., None]], 3).detach(), torch.cat([back, home[..., None]], 3),
        )  # fmt: skip

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *others: Any) -> None:
        for name in MODEL:
            own, stored = getattr(self, name), state_dict.get(prefix + name)
            if stored is not None and stored.shape[1:] == own.shape[1:]:
                setattr(self, name, own.new_zeros(stored.shape))
        super()._load_from_state_dict(state_dict, prefix, *others)
        count = len(self.vertices)
        within = bool(((self.faces >= 0) & (self.faces < count)).all())
        if not within or len(self.skinning) != count or len(self.basis) != count:
            raise ValueError("the head model's vertices, faces, weights and blendshapes do not go together")


@dataclass(frozen=True)
class BackwardSurface(PosedSurface):
    """A surface in head space, whose points are brought back into canonical space for all that fields say of them."""

    morph: NearestVertex
    there: Float[Tensor, "frame vertex 3 4"]
    """From canonical to head space as each vertex goes, constant."""
    back: Float[Tensor, "frame vertex 3 4"]
    """From head space to canonical space."""

    def canonical(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        """Where points of head space come from, differentiable by them, bones and coefficients."""
        return apply_affine(self._back(points, frame), points)

    def sdf(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point"]:
        """Signed distance of the canonical points of points in head space (metres)."""
        return self.model.sdf(self.canonical(points, frame), self._hint(frame))

    def sdf_gradient(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        """Its gradient in head space, within the reach of a vertex."""
        back = self._back(points, frame)
        return _pulled(self.model.gradient(apply_affine(back, points), self._hint(frame)), back)

    def surface(
        self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]
    ) -> tuple[Geometry, Float[Tensor, "point 3"]]:
        """Signed distance with feature, and the gradient in head space that normals are made of."""
        back = self._back(points, frame)
        geometry, gradient = self.model.surface(apply_affine(back, points), self._hint(frame))
        return geometry, _pulled(gradient, back)

    def region(self, box: Float[Tensor, "2 3"]) -> Float[Tensor, "2 3"]:
        """The box as the head model's box moves and grows from canonical to head space."""
        before, now = self.morph.vertices, torch.cat([model.vertices for model in self._models])
        return torch.stack([box[0] + now.amin(0) - before.amin(0), box[1] + now.amax(0) - before.amax(0)])

    @torch.no_grad()
    def own(self, vertices: Float[Tensor, "vertex 3"]) -> Float[Tensor, "frame vertex 3"]:
        """Points of the canonical surface as the vertices nearest to them go: near every frame's surface."""
        nearest = _nearest(Surface(self.morph.vertices, self.morph.faces), vertices)
        moved = torch.stack([apply_affine(there[nearest], vertices) for there in self.there])
        return moved if self.hints is None else self._towards(moved)

    @cached_property
    def _models(self) -> list[Surface]:
        """The head model in head space, in every frame."""
        vertices, faces = self.morph.vertices, self.morph.faces
        return [Surface(apply_affine(there, vertices), faces) for there in self.there]

    def _back(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 4"]:
        nearest = torch.zeros_like(frame)
        for number in frame.unique().tolist():
            rows = frame == number
            nearest[rows] = _nearest(self._models[number], points[rows])
        return self.back[frame, nearest]


def _nearest(model: Surface, points: Float[Tensor, "point 3"]) -> Int[Tensor, "point"]:
    """The vertex nearest to the closest point of a surface."""
    closest = model.closest(points.detach().nan_to_num())
    return model.faces[closest.face].gather(1, closest.barycentric.argmax(1, keepdim=True))[:, 0]


def _pulled(gradient: Float[Tensor, "point 3"], back: Float[Tensor, "point 3 4"]) -> Float[Tensor, "point 3"]:
    """A gradient in canonical space as one in head space."""
    return (gradient[:, :, None] * back[..., :3]).sum(1)
