"""A body: one identity of any body or head model at rest, ready to be posed."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from body_models.errors import InputError
from body_models.precision import matmul
from body_models.prepared import Prepared
from body_models.skeleton import Skeleton, invert_rigid, posed_from_rest, rotation_matrices, transform_points
from body_models.skinning import blend_offsets, deform, pose_feature


@dataclass(frozen=True)
class Body:
    """One person at rest: surface, joints, skinning weights and blendshapes (metres, Y up, facing +Z).

    Tensors that need no gradient must not be changed in place once the body was posed: copies of them are kept in
    other layouts.
    """

    skeleton: Skeleton
    vertices: Float[Tensor, "vertex 3"]
    faces: Int[Tensor, "face 3"]
    skinning_weights: Float[Tensor, "vertex bone"]
    joints: Float[Tensor, "bone 3"]
    canonical_pose: Float[Tensor, "bone 3"]
    """Axis-angle pose (legs apart, mouth a little open) in which canonical fields live."""
    expression_basis: Float[Tensor, "expression vertex 3"] | None = None
    """Vertex displacement of each expression parameter; None for a face that does not move."""
    expression_basis_joints: Float[Tensor, "expression bone 3"] | None = None
    """Joint displacement that goes with `expression_basis`."""
    expression_names: tuple[str, ...] = ()
    pose_basis: Float[Tensor, "corrective vertex 3"] | None = None
    """Pose correctives: vertex displacement for each entry of `pose_feature`; None without correctives."""

    @cached_property
    def _prepared(self) -> Prepared:
        return Prepared(self.skinning_weights, self.pose_basis)

    def rest(self, expression: Float[Tensor, "*batch expression"] | None) -> tuple[Tensor, Tensor]:
        """Vertices and joints at rest with an expression; missing trailing expression parameters are zero.

        Raises InputError for more parameters than the body has.
        """
        self._check_expression(expression)
        if expression is None or self.expression_basis is None or self.expression_basis_joints is None:
            return self.vertices, self.joints
        count = expression.shape[-1]
        return (
            self.vertices + blend_offsets(expression, self.expression_basis[:count]),
            self.joints + blend_offsets(expression, self.expression_basis_joints[:count]),
        )

    def posed_from_rest(
        self,
        pose: Float[Tensor, "*#batch bone 3"],
        translation: Float[Tensor, "*#batch 3"],
        expression: Float[Tensor, "*#batch expression"] | None = None,
    ) -> Float[Tensor, "*batch bone 4 4"]:
        """Bone transforms from rest to a pose (axis-angle, radians; root first).

        Raises InputError as `pose_vertices` does.
        """
        self._check_pose(pose, translation)
        _, joints = self.rest(expression)
        return posed_from_rest(rotation_matrices(pose), translation, joints, self.skeleton.parents)

    def canonical_from_rest(self) -> Float[Tensor, "bone 4 4"]:
        """Bone transforms from rest to the canonical pose."""
        return self.posed_from_rest(self.canonical_pose, self.joints.new_zeros(3))

    def posed_from_canonical(
        self, pose: Float[Tensor, "*batch bone 3"], translation: Float[Tensor, "*batch 3"]
    ) -> Float[Tensor, "*batch bone 4 4"]:
        """Bone transforms from the canonical pose to a pose, the `B_i` of SNARF (section 3.1)."""
        return matmul(self.posed_from_rest(pose, translation), invert_rigid(self.canonical_from_rest()))

    def pose_vertices(
        self,
        pose: Float[Tensor, "*#batch bone 3"],
        translation: Float[Tensor, "*#batch 3"],
        expression: Float[Tensor, "*#batch expression"] | None = None,
    ) -> Float[Tensor, "*batch vertex 3"]:
        """The surface in a pose: expression and correctives, then linear blend skinning (SMPL, equations 2 to 9).

        Missing trailing expression parameters are zero. Raises InputError for numbers of joints or parameters that are
        not the body's. Values are not looked at, since the processor would have to wait for a graphics card's: NaN in,
        NaN out. `BodyModel.pose` and `posed`, `Motion` and the readers of files refuse what is not finite.
        """
        self._check_pose(pose, translation)
        self._check_expression(expression)
        rotations = rotation_matrices(pose)
        joints, blendshapes = self.joints, []
        if expression is not None and self.expression_basis is not None and self.expression_basis_joints is not None:
            count = expression.shape[-1]
            joints = joints + blend_offsets(expression, self.expression_basis_joints[:count])
            blendshapes.append((expression, self.expression_basis[:count]))
        if self.pose_basis is not None:
            blendshapes.append((pose_feature(rotations), self.pose_basis))
        transforms = posed_from_rest(rotations, translation, joints, self.skeleton.parents)
        prepared = None if torch.compiler.is_compiling() else self._prepared
        return deform(self.vertices, blendshapes, self.skinning_weights, transforms, prepared)

    def pose_joints(
        self,
        pose: Float[Tensor, "*#batch bone 3"],
        translation: Float[Tensor, "*#batch 3"],
        expression: Float[Tensor, "*#batch expression"] | None = None,
    ) -> Float[Tensor, "*batch bone 3"]:
        """The joint centres in a pose; raises InputError as `pose_vertices` does."""
        self._check_pose(pose, translation)
        _, joints = self.rest(expression)
        transforms = posed_from_rest(rotation_matrices(pose), translation, joints, self.skeleton.parents)
        return transform_points(transforms, joints.expand(*transforms.shape[:-2], 3))

    def canonical(self) -> Float[Tensor, "vertex 3"]:
        """The surface in the canonical pose."""
        return self.pose_vertices(self.canonical_pose, self.joints.new_zeros(3))

    def _check_pose(self, pose: Tensor, translation: Tensor) -> None:
        bones = len(self.skeleton)
        if pose.shape[-2:] != (bones, 3):
            raise InputError(
                f"A pose of shape {tuple(pose.shape)} does not fit this body; expected (..., {bones}, 3): axis-angle "
                f"(radians) of each joint. Poses of another skeleton go through retarget(motion, body)."
            )
        if translation.shape[-1:] != (3,):
            raise InputError(f"A translation of shape {tuple(translation.shape)} given; expected (..., 3) (metres).")

    def _check_expression(self, expression: Tensor | None) -> None:
        known = 0 if self.expression_basis is None else len(self.expression_basis)
        if expression is not None and expression.shape[-1] > known:
            raise InputError(
                f"{expression.shape[-1]} expression parameters given (shape {tuple(expression.shape)}), but this body "
                f"has {known or 'none: leave the expression away, or take a body with a face'}."
            )

    def to(self, target: torch.device | str | torch.dtype) -> "Body":
        """The same body on a device, or in another floating-point precision."""
        return replace(self, **moved_tensors(self, target))

    def subset(self, keep: Int[Tensor, "kept"]) -> "Body":
        """The same body with some of its vertices only and no faces, for cheap posing."""
        return replace(
            self,
            vertices=self.vertices[keep],
            skinning_weights=self.skinning_weights[keep],
            faces=self.faces.new_zeros((0, 3)),
            expression_basis=None if self.expression_basis is None else self.expression_basis[:, keep],
            pose_basis=None if self.pose_basis is None else self.pose_basis[:, keep],
        )


def moved_tensors(record: Any, target: torch.device | str | torch.dtype) -> dict[str, Any]:
    """A dataclass's tensors on a device, or (the floating-point ones) in a precision."""
    tensors = {name: value for name, value in vars(record).items() if isinstance(value, Tensor)}
    if isinstance(target, torch.dtype):
        return {name: value.to(target) for name, value in tensors.items() if value.is_floating_point()}
    return {name: value.to(target) for name, value in tensors.items()}
