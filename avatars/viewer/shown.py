"""What there is to be drawn of an avatar in one stance: bones for the browser to skin with, or a mesh as it is."""

from dataclasses import dataclass

import roma
from jaxtyping import Float, Int
from torch import Tensor

from avatars.export.rig import Rig
from avatars.viewer.colouring import blended, dense_weights, heat, normal_colours, vertex_normals
from avatars.viewer.state import BONE, BONES, NORMALS, OWN, PLAIN, Display
from body_models.skinning import blend_offsets


@dataclass(frozen=True)
class Boned:
    """A rig whose bones stand elsewhere; its mesh is known to the page already."""

    rig: Rig
    transforms: Float[Tensor, "bone 4 4"]
    """From the bind pose (metres)."""

    def wxyzs(self) -> Float[Tensor, "bone 4"]:
        """The turns as quaternions, in viser's order."""
        return roma.rotmat_to_unitquat(self.transforms[:, :3, :3])[:, [3, 0, 1, 2]]

    def positions(self) -> Float[Tensor, "bone 3"]:
        """The shifts (metres)."""
        return self.transforms[:, :3, 3]


@dataclass(frozen=True)
class Meshed:
    """A posed mesh (metres), perhaps with linear colours."""

    vertices: Float[Tensor, "vertex 3"]
    faces: Int[Tensor, "face 3"]
    colours: Float[Tensor, "vertex 3"] | None = None
    unlit: bool = False
    """Whether the colours hold light already."""


@dataclass(frozen=True)
class OwnColours:
    """What an avatar's vertices look like."""

    colours: Float[Tensor, "vertex 3"]
    """Linear, 0 to 1."""
    unlit: bool
    """Whether they hold light already."""


Shown = Boned | Meshed


def shown_rig(
    rig: Rig,
    rotations: Float[Tensor, "rig_bone 3"],
    translation: Float[Tensor, "3"],
    expression: Float[Tensor, "expression"],
    display: Display,
    own: OwnColours | None = None,
) -> Shown:
    """A rig in a pose, in its own colours or those that tell something.

    Only bones move where that is all there is to do: with a plain surface and no morph targets.
    """
    transforms = rig.posed_from_bind(rotations[None], translation[None])[0]
    if display.colouring == PLAIN and len(rig.morphs) == 0:
        return Boned(rig, transforms)
    vertices = rig.vertices
    if len(rig.morphs):
        vertices = vertices + blend_offsets(rig.morph_weights(rotations[None], expression[None])[0], rig.morphs)
    matrices = rig.blended(transforms[None])[0]
    posed = (matrices[:, :3, :3] @ vertices[..., None])[..., 0] + matrices[:, :3, 3]
    if display.colouring == OWN and own is not None:
        return Meshed(posed, rig.faces, own.colours, own.unlit)
    return Meshed(posed, rig.faces, _told(rig, posed, display), unlit=display.colouring == NORMALS)


def shown_mesh(mesh: Meshed, display: Display) -> Meshed:
    """A posed mesh without weights in the colours that are wished, as far as it has them."""
    if display.colouring == NORMALS:
        normals = vertex_normals(mesh.vertices, mesh.faces)
        return Meshed(mesh.vertices, mesh.faces, normal_colours(normals), unlit=True)
    if display.colouring == OWN:
        return mesh
    return Meshed(mesh.vertices, mesh.faces)


def _told(rig: Rig, posed: Float[Tensor, "vertex 3"], display: Display) -> Float[Tensor, "vertex 3"] | None:
    """Colours that tell weights or normals; None for a plain surface."""
    if display.colouring == NORMALS:
        return normal_colours(vertex_normals(posed, rig.faces))
    if display.colouring not in (BONE, BONES):
        return None
    weights = dense_weights(rig.bones, rig.weights, len(rig.skeleton))
    if display.colouring == BONES:
        return blended(weights)
    names = rig.skeleton.joint_names
    return heat(weights[:, names.index(display.bone) if display.bone in names else 0])
