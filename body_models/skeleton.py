"""A kinematic tree and its forward kinematics."""

from dataclasses import dataclass
from itertools import pairwise

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.precision import matmul


@dataclass(frozen=True)
class Skeleton:
    """Named joints of a kinematic tree; every parent comes before its children, the root first."""

    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    """Index of each joint's parent; -1 for the root."""

    def __post_init__(self) -> None:
        if len(self.joint_names) != len(self.parents):
            raise InputError(f"{len(self.joint_names)} joint names but {len(self.parents)} parents.")
        if self.parents[:1] != (-1,) or any(not 0 <= p < j for j, p in enumerate(self.parents) if j > 0):
            raise InputError("A skeleton's first joint must be its only root and parents must precede their children.")

    def __len__(self) -> int:
        return len(self.joint_names)

    def index(self, name: str) -> int:
        """Index of a joint by name; raises InputError when there is none of that name."""
        if name not in self.joint_names:
            raise InputError(f"No joint '{name}'. Joints: {', '.join(self.joint_names)}.")
        return self.joint_names.index(name)

    def children(self, joint: int) -> tuple[int, ...]:
        """Indices of a joint's children."""
        return tuple(j for j, parent in enumerate(self.parents) if parent == joint)

    @property
    def mirror(self) -> tuple[int, ...]:
        """For each joint the index of its left-right counterpart (itself on the midline).

        Raises InputError when a `left_` or `right_` joint has none.
        """
        return tuple(self.index(_swap_side(name)) for name in self.joint_names)


def posed_from_rest(
    rotations: Float[Tensor, "*#batch bone 3 3"],
    translation: Float[Tensor, "*#batch 3"],
    joints: Float[Tensor, "*#batch bone 3"],
    parents: tuple[int, ...],
) -> Float[Tensor, "*batch bone 4 4"]:
    """Rigid transform of each bone from the rest pose to the pose (metres).

    A joint's rotation turns its subtree about the joint, in axes parallel to the world's at rest (SMPL's convention);
    the translation moves the whole body after that.
    """
    batch = torch.broadcast_shapes(rotations.shape[:-3], translation.shape[:-1], joints.shape[:-2])
    root = joints[..., :1, :] + translation[..., None, :]
    offsets = joints[..., 1:, :] - joints[..., list(parents[1:]), :]
    offsets = torch.cat([root, offsets.expand(*root.shape[:-2], -1, -1)], dim=-2)
    rotations = rotations.expand(*batch, -1, -1, -1)
    parent_from_bone = rigid(rotations, offsets.expand(*batch, -1, -1))
    world_from_bone = _chained(parent_from_bone, parents)
    world_rotations = world_from_bone[..., :3, :3]
    return rigid(world_rotations, world_from_bone[..., :3, 3] - matmul(world_rotations, joints[..., None])[..., 0])


def _chained(local: Tensor, parents: tuple[int, ...]) -> Tensor:
    """Products of each bone's transform with all its ancestors', all bones of one depth together."""
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    levels = [[bone for bone, d in enumerate(depth) if d == level] for level in range(max(depth) + 1)]
    chained = [local[..., :1, :, :]]
    for above, level in pairwise(levels):
        parent_rows = [above.index(parents[bone]) for bone in level]
        chained.append(matmul(chained[-1][..., parent_rows, :, :], local[..., level, :, :]))
    order = [bone for level in levels for bone in level]
    return torch.cat(chained, dim=-3)[..., [order.index(bone) for bone in range(len(parents))], :, :]


def rigid(rotation: Float[Tensor, "*batch 3 3"], translation: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 4 4"]:
    """Homogeneous matrices from rotations and translations."""
    top = torch.cat([rotation, translation[..., None]], dim=-1)
    bottom = top.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*top.shape[:-2], 1, 4)
    return torch.cat([top, bottom], dim=-2)


def invert_rigid(transforms: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 4 4"]:
    """Inverse of rigid transforms, by transposing the rotation."""
    rotation = transforms[..., :3, :3].mT
    return rigid(rotation, -matmul(rotation, transforms[..., :3, 3:])[..., 0])


def transform_points(
    transforms: Float[Tensor, "*batch 4 4"], points: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 3"]:
    """Apply one homogeneous transform to each point."""
    return matmul(transforms[..., :3, :3], points[..., None])[..., 0] + transforms[..., :3, 3]


def rotation_matrices(pose: Float[Tensor, "*batch bone 3"]) -> Float[Tensor, "*batch bone 3 3"]:
    """Rotation matrices of axis-angle vectors (radians)."""
    return roma.rotvec_to_rotmat(pose)


def _swap_side(name: str) -> str:
    for start, end, other_start, other_end in (
        ("left_", "", "right_", ""),
        ("right_", "", "left_", ""),
        ("", ".L", "", ".R"),
        ("", ".R", "", ".L"),
    ):
        if name.startswith(start) and name.endswith(end):
            return other_start + name[len(start) : len(name) - len(end)] + other_end
    return name
