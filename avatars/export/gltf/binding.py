"""How a standard of bones wants a rig bound: in which pose, and with which axes of its bones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import roma
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from avatars.export.gltf.bone_axes import mixamo_axes
from avatars.export.gltf.t_pose import standing_in_t
from avatars.export.rig import Rig, RigMotion
from body_models.motion.rigs import match_head_joints
from body_models.precision import matmul
from body_models.skeleton import rigid, transform_points

_UNTURNED = (0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Binding:
    """A rig in the pose in which its mesh is written, and the axes of its bones, with all that follows for nodes."""

    rig: Rig
    axes: Float[Tensor, "bone 4"]
    """World turns of the bones' axes (quaternions XYZW) where no joint is turned."""

    @property
    def plain(self) -> bool:
        """Whether the axes are parallel to the world's where no joint is turned."""
        return bool((self.axes[:, :3] == 0).all())

    def local_turns(self, rotations: Float[Tensor, "frame bone 3"]) -> Float[Tensor, "frame bone 4"]:
        """Turns of the bones relative to their parents' (quaternions XYZW), from those of the joints (axis-angle)."""
        axes = self.axes.double().cpu()
        joints = roma.rotvec_to_unitquat(rotations.double().cpu())
        turned = roma.quat_product(joints, axes.expand_as(joints))
        return normalize(roma.quat_product(roma.quat_conjugation(self._above()).expand_as(turned), turned), dim=-1)

    def offsets(self) -> Float[Tensor, "bone 3"]:
        """Where each bone is in its parent's axes, the first one in the world (metres)."""
        joints, parents = self.rig.joints.double().cpu(), self.rig.skeleton.parents
        steps = torch.stack([joints[b] if p < 0 else joints[b] - joints[p] for b, p in enumerate(parents)])
        return roma.quat_action(roma.quat_conjugation(self._above()), steps)

    def world_from_bone(self) -> Float[Tensor, "bone 4 4"]:
        """Where the bones are in the bind pose."""
        rig = in_double(self.rig.to("cpu"))
        posed = rig.bind_from_rest()
        turns = matmul(posed[:, :3, :3], roma.unitquat_to_rotmat(self.axes.double().cpu()))
        return rigid(turns, transform_points(posed, rig.joints))

    def _above(self) -> Float[Tensor, "bone 4"]:
        """The axes of each bone's parent, the world's for the first."""
        axes = torch.cat([self.axes.double().cpu(), torch.tensor([_UNTURNED], dtype=torch.float64)])
        return axes[list(self.rig.skeleton.parents)]  # -1 is the last row


def bound_for(rig: Rig, motions: Sequence[RigMotion], standard: str) -> tuple[Binding, list[RigMotion]]:
    """A rig bound as `model`, `mixamo` or `vrm` has it, and its motions, which go where they went.

    The latter two bind a body in a T, with its soles at height 0; a head stays as it is. Mixamo's bones have axes of
    their own there, see `mixamo_axes`; all others have the world's where no joint is turned. Raises InputError for
    joints that are not known.
    """
    plain = rig.joints.new_tensor(_UNTURNED).repeat(len(rig.joints), 1)
    if standard == "model" or match_head_joints(rig.skeleton.joint_names):
        return Binding(rig, plain), list(motions)
    bound = standing_in_t(rig)
    lift = bound.joints[0] - rig.joints[0]
    moved = [replace(motion, translations=motion.translations - lift.to(motion.translations)) for motion in motions]
    return Binding(bound, _axes_at_rest(bound) if standard == "mixamo" else plain), moved


def _axes_at_rest(bound: Rig) -> Float[Tensor, "bone 4"]:
    """Mixamo's axes of a rig that is bound in a T, where no joint is turned."""
    in_t = in_double(bound).bind_from_rest()
    axes = mixamo_axes(bound.skeleton, transform_points(in_t, bound.joints.double()))
    turns = roma.quat_product(roma.quat_conjugation(roma.rotmat_to_unitquat(in_t[:, :3, :3])), axes)
    return normalize(turns, dim=-1)


def in_double(rig: Rig) -> Rig:
    """The rig with joints and bind pose in double precision."""
    return replace(rig, joints=rig.joints.double(), bind_pose=rig.bind_pose.double())
