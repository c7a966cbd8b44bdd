"""What there is to be drawn of an avatar in one stance: bones for the browser to skin with, or a mesh as it is."""

from dataclasses import dataclass

import roma
from jaxtyping import Float, Int
from torch import Tensor

from avatars.export.rig import Rig, RigMotion
from avatars.viewer.colouring import blended, dense_weights, heat, normal_colours, vertex_normals
from avatars.viewer.state import BONE, BONES, NORMALS, OWN, PLAIN, Display


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


@dataclass(frozen=True)
class Rolled:
    """A rig in colours with a motion that the browser plays by itself, from now on and again and again."""

    rig: Rig
    colours: Float[Tensor, "vertex 3"]
    """Linear, 0 to 1."""
    unlit: bool
    """Whether they hold light already."""
    times: Float[Tensor, "key"]
    """Seconds from now on, strictly rising."""
    motion: RigMotion
    """How the rig stands at these."""


Shown = Boned | Meshed | Rolled


def shown_rig(
    rig: Rig,
    rotations: Float[Tensor, "rig_bone 3"],
    translation: Float[Tensor, "3"],
    expression: Float[Tensor, "expression"],
    display: Display,
    own: OwnColours | None = None,
) -> Boned | Meshed:
    """A rig in a pose, in its own colours or those that tell something.

    Only bones move where that is all there is to do: with a plain surface and no morph targets.
    """
    if display.colouring == PLAIN and len(rig.morphs) == 0:
        return Boned(rig, rig.posed_from_bind(rotations[None], translation[None])[0])
    posed = rig.pose(_played(rig, rotations[None], translation[None], expression[None]))[0]
    if display.colouring == OWN and own is not None:
        return Meshed(posed, rig.faces, own.colours, own.unlit)
    if display.colouring == NORMALS:
        return Meshed(posed, rig.faces, normal_colours(vertex_normals(posed, rig.faces)), unlit=True)
    return Meshed(posed, rig.faces, weight_colours(rig, display))


def rolled_rig(
    rig: Rig,
    times: Float[Tensor, "key"],
    rotations: Float[Tensor, "key rig_bone 3"],
    translations: Float[Tensor, "key 3"],
    expressions: Float[Tensor, "key expression"],
    display: Display,
    own: OwnColours | None = None,
) -> Rolled:
    """A rig in motion, in its own colours or those of its weights."""
    if display.colouring != OWN or own is None:
        told = weight_colours(rig, display)
        own = OwnColours(rig.vertices.new_ones(rig.vertices.shape) if told is None else told, unlit=False)
    return Rolled(rig, own.colours, own.unlit, times, _played(rig, rotations, translations, expressions))


def _played(
    rig: Rig,
    rotations: Float[Tensor, "key rig_bone 3"],
    translations: Float[Tensor, "key 3"],
    expressions: Float[Tensor, "key expression"],
) -> RigMotion:
    """Stances as a clip of the rig, without a rate of its own; a rig without morph targets leaves expressions out."""
    weights = rig.morph_weights(rotations, expressions if len(rig.morphs) else None)
    return RigMotion(rig.name, rotations, translations, weights, frame_rate=1.0)


def shown_mesh(mesh: Meshed, display: Display) -> Meshed:
    """A posed mesh without weights in the colours that are wished, as far as it has them."""
    if display.colouring == NORMALS:
        normals = vertex_normals(mesh.vertices, mesh.faces)
        return Meshed(mesh.vertices, mesh.faces, normal_colours(normals), unlit=True)
    if display.colouring == OWN:
        return mesh
    return Meshed(mesh.vertices, mesh.faces)


def weight_colours(rig: Rig, display: Display) -> Float[Tensor, "vertex 3"] | None:
    """Colours that tell weights; None where others are wished."""
    if display.colouring not in (BONE, BONES):
        return None
    weights = dense_weights(rig.bones, rig.weights, len(rig.skeleton))
    if display.colouring == BONES:
        return blended(weights)
    names = rig.skeleton.joint_names
    return heat(weights[:, names.index(display.bone) if display.bone in names else 0])
