"""A body model (any identity) and a body (one identity), behind one interface for all families."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from body_models.errors import InputError
from body_models.skeleton import Skeleton, invert_rigid, posed_from_rest, rotation_matrices, transform_points


@dataclass(frozen=True)
class Body:
    """One person at rest: surface, joints and skinning weights, ready to be posed (metres, Y up, facing +Z)."""

    skeleton: Skeleton
    vertices: Float[Tensor, "vertex 3"]
    faces: Int[Tensor, "face 3"]
    skinning_weights: Float[Tensor, "vertex bone"]
    joints: Float[Tensor, "bone 3"]
    canonical_pose: Float[Tensor, "bone 3"]
    """Axis-angle pose with the legs apart in which canonical fields live."""

    def posed_from_rest(
        self, pose: Float[Tensor, "*batch bone 3"], translation: Float[Tensor, "*batch 3"]
    ) -> Float[Tensor, "*batch bone 4 4"]:
        """Bone transforms from rest to a pose (axis-angle, radians; root first)."""
        return posed_from_rest(rotation_matrices(pose), translation, self.joints, self.skeleton.parents)

    def canonical_from_rest(self) -> Float[Tensor, "bone 4 4"]:
        """Bone transforms from rest to the canonical pose."""
        return self.posed_from_rest(self.canonical_pose, self.joints.new_zeros(3))

    def posed_from_canonical(
        self, pose: Float[Tensor, "*batch bone 3"], translation: Float[Tensor, "*batch 3"]
    ) -> Float[Tensor, "*batch bone 4 4"]:
        """Bone transforms from the canonical pose to a pose, the `B_i` of SNARF (section 3.1)."""
        return self.posed_from_rest(pose, translation) @ invert_rigid(self.canonical_from_rest())

    def pose_vertices(
        self, pose: Float[Tensor, "*batch bone 3"], translation: Float[Tensor, "*batch 3"]
    ) -> Float[Tensor, "*batch vertex 3"]:
        """The surface in a pose, by linear blend skinning."""
        return skin(self.vertices, self.skinning_weights, self.posed_from_rest(pose, translation))

    def pose_joints(
        self, pose: Float[Tensor, "*batch bone 3"], translation: Float[Tensor, "*batch 3"]
    ) -> Float[Tensor, "*batch bone 3"]:
        """The joint centres in a pose."""
        transforms = self.posed_from_rest(pose, translation)
        return transform_points(transforms, self.joints.expand(*transforms.shape[:-2], 3))

    def canonical(self) -> Float[Tensor, "vertex 3"]:
        """The surface in the canonical pose."""
        return self.pose_vertices(self.canonical_pose, self.joints.new_zeros(3))

    def to(self, device: torch.device | str) -> "Body":
        """The same body on a device."""
        return replace(
            self,
            vertices=self.vertices.to(device),
            faces=self.faces.to(device),
            skinning_weights=self.skinning_weights.to(device),
            joints=self.joints.to(device),
            canonical_pose=self.canonical_pose.to(device),
        )

    def subset(self, keep: Int[Tensor, "kept"]) -> "Body":
        """The same body with some of its vertices only and no faces, for cheap posing."""
        empty = self.faces.new_zeros((0, 3))
        return replace(self, vertices=self.vertices[keep], skinning_weights=self.skinning_weights[keep], faces=empty)


@dataclass(frozen=True)
class BodyModel:
    """A family of bodies: template plus linear bases, in SMPL's manner (metres, Y up, facing +Z)."""

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
    pose_basis: Float[Tensor, "corrective vertex 3"]
    canonical_pose: Float[Tensor, "bone 3"]

    @property
    def parameters(self) -> dict[str, tuple[int, str]]:
        """Named parameters: size and role (identity, expression, pose or global)."""
        return {
            "betas": (len(self.shape_basis), "identity"),
            "expression": (len(self.expression_basis), "expression"),
            "body_pose": (3 * (len(self.skeleton) - 1), "pose"),
            "global_orient": (3, "global"),
            "transl": (3, "global"),
        }

    def body(self, betas: Float[Tensor, "shape"] | None = None) -> Body:
        """The body of one identity; prepared once, posed often. Missing trailing betas are zero.

        Raises InputError for more betas than the model has, or betas that are not finite.
        """
        betas = self.template.new_zeros(0) if betas is None else betas.to(self.template)
        count = len(betas)
        if count > len(self.shape_basis):
            raise InputError(f"{count} betas given, but {self.name} has {len(self.shape_basis)}.")
        if not torch.isfinite(betas).all():
            raise InputError(f"The betas for {self.name} hold values that are not finite.")
        return Body(
            skeleton=self.skeleton,
            vertices=self.template + torch.einsum("s,svc->vc", betas, self.shape_basis[:count]),
            faces=self.faces,
            skinning_weights=self.skinning_weights,
            joints=self.template_joints + torch.einsum("s,sjc->jc", betas, self.shape_basis_joints[:count]),
            canonical_pose=self.canonical_pose,
        )

    def to(self, device: torch.device | str) -> "BodyModel":
        """The same model on a device."""
        moved: dict[str, Any] = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **moved)


def skin(
    vertices: Float[Tensor, "vertex 3"],
    weights: Float[Tensor, "vertex bone"],
    transforms: Float[Tensor, "*batch bone 4 4"],
) -> Float[Tensor, "*batch vertex 3"]:
    """Linear blend skinning: move each vertex by the weighted mean of the bones' transforms."""
    affine = transforms[..., :3, :].flatten(-2)  # one GEMM instead of a batched einsum
    blended = (weights @ affine).unflatten(-1, (3, 4))
    return (blended[..., :3] @ vertices[..., None])[..., 0] + blended[..., 3]
