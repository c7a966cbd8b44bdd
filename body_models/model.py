"""A body or head model of any family: template and linear bases behind one interface."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from body_models.body import Body, moved_tensors
from body_models.errors import InputError
from body_models.landmarks import ContourLandmarks, Landmarks
from body_models.parameters import Parameter, assemble_pose, check_parameters, pose_parameters
from body_models.prepared import Prepared
from body_models.skeleton import Skeleton, posed_from_rest, rotation_matrices, transform_points
from body_models.skinning import blend_offsets, deform, pose_feature


@dataclass(frozen=True)
class HandSpace:
    """Principal components of finger poses, as SMPL-H and SMPL-X files bring them; left hand first."""

    mean: Float[Tensor, "2 angle"]
    components: Float[Tensor, "2 component angle"]

    def to(self, target: torch.device | str | torch.dtype) -> "HandSpace":
        """The same space on a device or in a precision."""
        return replace(self, **moved_tensors(self, target))


@dataclass(frozen=True)
class Posed:
    """Bodies in poses (metres, Y up)."""

    vertices: Float[Tensor, "*batch vertex 3"]
    joints: Float[Tensor, "*batch bone 3"]
    posed_from_rest: Float[Tensor, "*batch bone 4 4"]


@dataclass(frozen=True)
class BodyModel:
    """A family of bodies or heads: template plus linear bases, in SMPL's manner (metres, Y up, facing +Z).

    Bases that a model does not have are there with no rows, so that every model is used alike.
    """

    name: str
    skeleton: Skeleton
    template: Float[Tensor, "vertex 3"]
    faces: Int[Tensor, "face 3"]
    skinning_weights: Float[Tensor, "vertex bone"]
    template_joints: Float[Tensor, "bone 3"]
    shape_basis: Float[Tensor, "shape vertex 3"]
    """Vertex displacement of one standard deviation of each shape parameter (`betas`)."""
    shape_basis_joints: Float[Tensor, "shape bone 3"]
    """Joint displacement that goes with `shape_basis`."""
    expression_basis: Float[Tensor, "expression vertex 3"]
    expression_basis_joints: Float[Tensor, "expression bone 3"]
    pose_basis: Float[Tensor, "corrective vertex 3"]
    """Pose correctives, one for each entry of `pose_feature`."""
    canonical_pose: Float[Tensor, "bone 3"]
    expression_names: tuple[str, ...] = ()
    """Names of the expression parameters, where they have a meaning (ARKit's, for instance)."""
    landmarks: Landmarks | None = None
    hands: HandSpace | None = None
    contour: ContourLandmarks | None = None
    """The face's outline, which depends on how the head is turned."""

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """Named parameters under smplx's names: size, role and the joints that each turns."""
        known = {
            "betas": Parameter(len(self.shape_basis), "identity"),
            "expression": Parameter(len(self.expression_basis), "expression"),
            **pose_parameters(self.skeleton),
            "transl": Parameter(3, "global"),
        }
        if self.hands is not None:
            count = self.hands.components.shape[1]
            known |= {f"{side}_hand_pca": Parameter(count, "pose") for side in ("left", "right")}
        return known

    def body(self, betas: Float[Tensor, "*shape"] | None = None) -> Body:
        """The body of one identity; prepared once, posed often. Missing trailing betas are zero.

        Raises InputError for betas of several people, more than the model has, or that are not finite.
        """
        betas = self.template.new_zeros(0) if betas is None else betas.to(self.template)
        if betas.ndim != 1:
            raise InputError(
                f"Betas of shape {tuple(betas.shape)} given; {self.name}.body() makes one person: give one row of "
                "numbers, as in betas[0]. For many people at once use posed({'betas': betas, ...})."
            )
        if len(betas) > len(self.shape_basis):
            raise InputError(f"{len(betas)} betas given, but {self.name} has {len(self.shape_basis)}.")
        if not torch.isfinite(betas).all():
            raise InputError(f"The betas for {self.name} hold values that are not finite.")
        vertices, joints = self.shaped(betas, None)
        has_face = len(self.expression_basis) > 0
        return Body(
            skeleton=self.skeleton,
            vertices=vertices,
            faces=self.faces,
            skinning_weights=self.skinning_weights,
            joints=joints,
            canonical_pose=self.canonical_pose,
            expression_basis=self.expression_basis if has_face else None,
            expression_basis_joints=self.expression_basis_joints if has_face else None,
            expression_names=self.expression_names,
            pose_basis=self.pose_basis if len(self.pose_basis) > 0 else None,
        )

    def shaped(
        self, betas: Float[Tensor, "*#batch shape"] | None, expression: Float[Tensor, "*#batch expression"] | None
    ) -> tuple[Tensor, Tensor]:
        """Vertices and joints at rest of each identity with its expression; missing parameters are zero."""
        vertices, joints = self.template, self.template_joints
        for values, basis, basis_joints in self._blendshapes(betas, expression):
            vertices = vertices + blend_offsets(values, basis)
            joints = joints + blend_offsets(values, basis_joints)
        return vertices, joints

    def _blendshapes(self, betas: Tensor | None, expression: Tensor | None) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Coefficients with the vertex and joint bases that they weigh."""
        given = (
            (betas, self.shape_basis, self.shape_basis_joints),
            (expression, self.expression_basis, self.expression_basis_joints),
        )
        return [
            (values, basis[: values.shape[-1]], basis_joints[: values.shape[-1]])
            for values, basis, basis_joints in given
            if values is not None and values.shape[-1] > 0
        ]

    @cached_property
    def _prepared(self) -> Prepared:
        return Prepared(self.skinning_weights, self.pose_basis)

    def pose(self, values: Mapping[str, Tensor]) -> Float[Tensor, "*batch bone 3"]:
        """Axis-angle of every joint from named rotations (radians); joints that are not named stay at rest.

        `left_hand_pca` and `right_hand_pca` are coefficients about the model's mean hand pose. Raises InputError for
        unknown names (with the nearest), wrong sizes and numbers that are not finite.
        """
        check_parameters(values, self.parameters, self.name)
        return assemble_pose(self._with_fingers(values), self.parameters, self.template_joints)

    def posed(self, values: Mapping[str, Tensor]) -> Posed:
        """Surface and joints from named parameters, any batch of identities, expressions and poses at once.

        Every value is `*batch size`; batches are broadcast. For many poses of one identity, `body(...)` is faster.
        Raises InputError as `pose` does.
        """
        pose = self.pose(values)
        given = {name: value.to(self.template) for name, value in values.items()}
        rotations = rotation_matrices(pose)
        joints, blendshapes = self.template_joints, []
        for coefficients, basis, basis_joints in self._blendshapes(given.get("betas"), given.get("expression")):
            joints = joints + blend_offsets(coefficients, basis_joints)
            blendshapes.append((coefficients, basis))
        if len(self.pose_basis) > 0:
            blendshapes.append((pose_feature(rotations), self.pose_basis))
        translation = given.get("transl", self.template.new_zeros(3))
        transforms = posed_from_rest(rotations, translation, joints, self.skeleton.parents)
        prepared = None if torch.compiler.is_compiling() else self._prepared
        return Posed(
            vertices=deform(self.template, blendshapes, self.skinning_weights, transforms, prepared),
            joints=transform_points(transforms, joints.expand(*transforms.shape[:-2], 3)),
            posed_from_rest=transforms,
        )

    def to(self, target: torch.device | str | torch.dtype) -> "BodyModel":
        """The same model on a device, or in another floating-point precision."""
        return replace(
            self,
            **moved_tensors(self, target),
            landmarks=None if self.landmarks is None else self.landmarks.to(target),
            hands=None if self.hands is None else self.hands.to(target),
            contour=None if self.contour is None else self.contour.to(target),
        )

    def _with_fingers(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same parameters with hand components turned into finger rotations."""
        result = dict(values)
        for hand, side in enumerate(("left", "right")):
            coefficients = result.pop(f"{side}_hand_pca", None)
            if coefficients is None or self.hands is None:
                continue
            if f"{side}_hand_pose" in result:
                raise InputError(f"Give {side}_hand_pose or {side}_hand_pca for {self.name}, not both.")
            components = self.hands.components[hand, : coefficients.shape[-1]]
            result[f"{side}_hand_pose"] = self.hands.mean[hand] + coefficients.to(components) @ components
        return result
