"""A rigged mesh: what it is made of, and how an engine moves it (morph targets, then linear blend skinning)."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from avatars.export.rig.clip import RigMotion
from body_models import InputError, Skeleton
from body_models.body import moved_tensors
from body_models.precision import matmul
from body_models.skeleton import invert_rigid, posed_from_rest, rotation_matrices
from body_models.skinning import blend_offsets, pose_feature


@dataclass(frozen=True)
class Correctives:
    """How the last morphs of a rig follow from its pose: `pose_feature(rotations) @ matrix + bias`."""

    matrix: Float[Tensor, "feature corrective"]
    bias: Float[Tensor, "corrective"]

    def weights(self, rotations: Float[Tensor, "frame bone 3"]) -> Float[Tensor, "frame corrective"]:
        """Weights of the correctives in poses (axis-angle, radians)."""
        return matmul(pose_feature(rotation_matrices(rotations)), self.matrix) + self.bias

    def to(self, device: torch.device | str) -> "Correctives":
        """The same on a device."""
        return Correctives(self.matrix.to(device), self.bias.to(device))


@dataclass(frozen=True)
class Rig:
    """A mesh with bones, influences and morph targets (metres, Y up, facing +Z)."""

    name: str
    skeleton: Skeleton
    """All bones; a head's begin with one that only carries its place, and may end with the ghost of IMavatar."""
    joints: Float[Tensor, "bone 3"]
    """At rest, where all rotations are zero."""
    bind_pose: Float[Tensor, "bone 3"]
    """Axis-angle pose in which vertices, normals and morphs are given."""
    vertices: Float[Tensor, "vertex 3"]
    normals: Float[Tensor, "vertex 3"]
    faces: Int[Tensor, "face 3"]
    bones: Int[Tensor, "vertex influence"]
    """What moves each vertex, the strongest first; slots that are not used name bone 0 with weight 0."""
    weights: Float[Tensor, "vertex influence"]
    """Sum to 1."""
    morphs: Float[Tensor, "morph vertex 3"]
    """Displacements in the bind pose, added before skinning."""
    morph_names: tuple[str, ...]
    """Expressions, then correctives."""
    correctives: Correctives | None = None
    """What tells the last morphs of the pose."""
    uv: Float[Tensor, "vertex 2"] | None = None
    """Texture coordinates; (0, 0) is the upper left corner of the picture."""
    tangents: Float[Tensor, "vertex 4"] | None = None
    """Unit, towards growing u; the last number is the sign of the bitangent (glTF 2.0, 3.7.2.1)."""

    @property
    def expressions(self) -> int:
        """How many of the morphs are expressions."""
        return len(self.morphs) - (0 if self.correctives is None else len(self.correctives.bias))

    def bind_from_rest(self) -> Float[Tensor, "bone 4 4"]:
        """Bone transforms from rest to the bind pose."""
        rotations, nowhere = rotation_matrices(self.bind_pose), self.joints.new_zeros(3)
        return posed_from_rest(rotations, nowhere, self.joints, self.skeleton.parents)

    def posed_from_bind(
        self, rotations: Float[Tensor, "frame bone 3"], translations: Float[Tensor, "frame 3"]
    ) -> Float[Tensor, "frame bone 4 4"]:
        """Bone transforms from the bind pose to poses (axis-angle, radians; metres)."""
        posed = posed_from_rest(rotation_matrices(rotations), translations, self.joints, self.skeleton.parents)
        return matmul(posed, invert_rigid(self.bind_from_rest()))

    def blended(self, transforms: Float[Tensor, "frame bone 4 4"]) -> Float[Tensor, "frame vertex 4 4"]:
        """Each vertex's transform: the mean of its bones' by its weights (linear blend skinning)."""
        return (self.weights[..., None, None] * transforms[:, self.bones]).sum(2)

    def morph_weights(
        self, rotations: Float[Tensor, "frame bone 3"], expression: Float[Tensor, "frame expression"] | None = None
    ) -> Float[Tensor, "frame morph"]:
        """Weights of all morphs in poses with expressions; neutral ones where none are given.

        Raises InputError for another number of expression parameters than the rig has.
        """
        if expression is None:
            expression = rotations.new_zeros(len(rotations), self.expressions)
        if expression.shape[1] != self.expressions:
            raise InputError(
                f"{expression.shape[1]} expression parameters given, but rig '{self.name}' has {self.expressions}."
            )
        if self.correctives is None:
            return expression
        return torch.cat([expression, self.correctives.weights(rotations)], 1)

    def pose(self, motion: RigMotion) -> Float[Tensor, "frame vertex 3"]:
        """The vertices in all frames, in plain words; `RigPoser` does the same fast."""
        moved = self.vertices.expand(len(motion), -1, -1)
        if len(self.morphs):
            moved = moved + blend_offsets(motion.morph_weights, self.morphs)
        transforms = self.posed_from_bind(motion.rotations, motion.translations)
        own = self.blended(transforms)
        return matmul(own[..., :3, :3], moved[..., None])[..., 0] + own[..., :3, 3]

    def taken(self, index: Int[Tensor, "taken"], faces: Int[Tensor, "face 3"]) -> "Rig":
        """The rig with some of its vertices, perhaps repeated as at the seams of a texture, and triangles of these."""
        own = ("vertices", "normals", "bones", "weights", "uv", "tangents")
        parts = {name: getattr(self, name) for name in own if getattr(self, name) is not None}
        taken = {name: value[index] for name, value in parts.items()}
        return replace(self, faces=faces, morphs=self.morphs[:, index], **taken)

    def rebound(self, pose: Float[Tensor, "bone 3"]) -> "Rig":
        """The same rig bound in another pose (axis-angle, radians): that is where its mesh then stands."""
        still = self.joints.new_zeros(1, 3)
        own = self.blended(self.posed_from_bind(pose[None], still))[0]
        turn = own[:, :3, :3]
        vertices = matmul(turn, self.vertices[..., None])[..., 0] + own[:, :3, 3]
        morphs = matmul(turn, self.morphs[..., None])[..., 0]
        tangents = self.tangents
        if tangents is not None:
            tangents = torch.cat([normalize(matmul(turn, tangents[:, :3, None])[..., 0], dim=1), tangents[:, 3:]], 1)
        normals = normalize(torch.linalg.solve(turn.mT, self.normals[..., None])[..., 0], dim=1)
        return replace(self, bind_pose=pose, vertices=vertices, normals=normals, morphs=morphs, tangents=tangents)

    def to(self, device: torch.device | str) -> "Rig":
        """The same rig on a device."""
        correctives = None if self.correctives is None else self.correctives.to(device)
        return replace(self, correctives=correctives, **moved_tensors(self, device))
