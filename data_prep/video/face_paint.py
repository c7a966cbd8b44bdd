"""A head model painted like a face, so that a face detector recognises a bare surface."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from body_models.landmarks import Landmarks
from body_models.model import BodyModel
from data_prep.surface import Surface
from data_prep.video.face_points import LEFT_BROW, LOWER_LIP, RIGHT_BROW, UPPER_LIP

IRIS_RADIUS = 5.85e-3
"""Of an iris (metres); people differ by some 4 % only."""
EYES = ("right_eye", "left_eye")
"""Joints, in the order of the face mesh's irises."""
_SKIN, _MOUTH, _LIP, _BROW = (0.6, 0.37, 0.27), (0.09, 0.02, 0.02), (0.42, 0.15, 0.13), (0.07, 0.04, 0.03)
_WHITE, _IRIS, _PUPIL = (0.8, 0.78, 0.76), (0.1, 0.05, 0.03), (0.01, 0.01, 0.01)
_PUPIL_SHARE = 0.42
_EYE_HALVINGS, _SKIN_HALVINGS = 3, 1
_LIPS_OUTLINE = UPPER_LIP[:11] + LOWER_LIP[8::-1]
_RIGHT_BROW_OUTLINE, _LEFT_BROW_OUTLINE = RIGHT_BROW[:5] + RIGHT_BROW[:4:-1], LEFT_BROW[:5] + LEFT_BROW[:4:-1]
_DEPTH = 0.01
"""How far behind an outline's hindmost point (metres) it still colours the skin."""
_VIEWPOINTS = [(yaw, pitch) for yaw in range(-75, 76, 15) for pitch in (-30, 0, 30)]
"""Degrees; whatever none of them sees of the closed mouth and open eyes lies inside."""


@dataclass(frozen=True)
class HeadSurface:
    """Which faces of a head model are its outside, and which its eyes."""

    model: BodyModel
    outside: Bool[Tensor, "face"]
    eyes: Bool[Tensor, "2 face"]
    """Right then left."""

    @cached_property
    def fine(self) -> "Refined":
        """The surface with smaller faces, for sharp colours: on the eyes more so than elsewhere."""
        eyes = self.eyes.any(0)
        count, faces = len(self.model.template), self.model.faces
        skin_edges, skin = _halved(count, faces[~eyes], _SKIN_HALVINGS)
        count += sum(len(edges) for edges in skin_edges)
        eye_edges, eye = _halved(count, faces[eyes], _EYE_HALVINGS)
        return Refined((*skin_edges, *eye_edges), torch.cat([skin, eye]), eye.unique())


@dataclass(frozen=True)
class Refined:
    """Faces halved along their edges: new vertices in the middle of old ones."""

    edges: tuple[Int[Tensor, "_ 2"], ...]
    faces: Int[Tensor, "face 3"]
    eye_vertices: Int[Tensor, "vertex"]

    def vertices(self, coarse: Float[Tensor, "vertex 3"]) -> Float[Tensor, "fine 3"]:
        """The fine surface's vertices from the model's."""
        for edges in self.edges:
            coarse = torch.cat([coarse, coarse[edges].mean(1)])
        return coarse


def head_surface(model: BodyModel) -> HeadSurface:
    """Sort a head model's faces by what can be seen of the template and by what turns with the eyes."""
    joints = [model.skeleton.index(name) for name in EYES]
    eyes = (model.skinning_weights[:, joints] > 0.5)[model.faces].all(1).T
    surface = Surface(model.template, model.faces)
    centers = surface.vertices[surface.faces].mean(1)
    seen = torch.zeros(len(centers), dtype=torch.bool)
    for yaw, pitch in _VIEWPOINTS:
        toward = direction(float(yaw), float(pitch)).expand_as(centers)
        seen |= surface.cast(centers + toward, -toward).face == torch.arange(len(centers))
    return HeadSurface(model, seen & ~eyes.any(0), eyes)


def direction(yaw: float, pitch: float) -> Float[Tensor, "3"]:
    """Unit vector from a head that faces +Z to one who sees it turned by yaw and from above by pitch (degrees)."""
    y, p = torch.deg2rad(torch.tensor([yaw, pitch])).unbind()
    return torch.stack([y.sin() * p.cos(), p.sin(), y.cos() * p.cos()])


def paint(head: HeadSurface, points: Landmarks | None) -> Float[Tensor, "fine 3"]:
    """Linear colours of the fine surface; lips and brows only where points of the face mesh are known."""
    model, fine = head.model, head.fine
    vertices = fine.vertices(model.template)
    inside = torch.ones(len(model.template), dtype=torch.bool)
    inside[model.faces[head.outside].unique()] = False
    share = fine.vertices(inside.float()[:, None].expand(-1, 3))[:, :1]
    colors = torch.lerp(torch.tensor(_SKIN), torch.tensor(_MOUTH), share)
    if points is not None:
        at = points.on(model.template)
        colors[_within(vertices, at[list(_LIPS_OUTLINE)]) & (share[:, 0] < 1)] = torch.tensor(_LIP)
        for outline in (_RIGHT_BROW_OUTLINE, _LEFT_BROW_OUTLINE):
            colors[_within(vertices, at[list(outline)])] = torch.tensor(_BROW)
    on_eye = torch.zeros(len(vertices), dtype=torch.bool)
    on_eye[fine.eye_vertices] = True
    colors[on_eye] = torch.tensor(_WHITE)
    for name in EYES:
        offset = vertices - model.template_joints[model.skeleton.index(name)]
        front, radius = on_eye & (offset[:, 2] > 0), offset[:, :2].norm(dim=1)
        colors[front & (radius < IRIS_RADIUS)] = torch.tensor(_IRIS)
        colors[front & (radius < IRIS_RADIUS * _PUPIL_SHARE)] = torch.tensor(_PUPIL)
    return colors


def _within(vertices: Float[Tensor, "vertex 3"], outline: Float[Tensor, "corner 3"]) -> Bool[Tensor, "vertex"]:
    """Which vertices lie inside an outline, seen from the front and not far behind it."""
    from skimage.measure import points_in_poly  # here, as it takes a while to import

    inside = torch.from_numpy(points_in_poly(vertices[:, :2].numpy(), outline[:, :2].numpy()))
    return inside & (vertices[:, 2] > outline[:, 2].min() - _DEPTH)


def _halved(
    vertex_count: int, faces: Int[Tensor, "face 3"], times: int
) -> tuple[list[Int[Tensor, "_ 2"]], Int[Tensor, "fine 3"]]:
    """Edges to put new vertices on, each time, and the faces between them, four for one."""
    levels = []
    for _ in range(times):
        p, q, r = faces.unbind(1)
        sides = torch.cat([torch.stack(side, 1) for side in ((p, q), (q, r), (r, p))]).sort(1).values
        edges, place = sides.unique(dim=0, return_inverse=True)
        a, b, c = (place + vertex_count).view(3, -1)
        faces = torch.cat([torch.stack(part, 1) for part in ((p, a, c), (a, q, b), (c, b, r), (a, b, c))])
        levels.append(edges)
        vertex_count += len(edges)
    return levels, faces
