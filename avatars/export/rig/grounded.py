"""A body that stands on the ground when no clip plays, as programs expect of what they import."""

from collections.abc import Sequence
from dataclasses import replace

from avatars.export.rig.clip import RigMotion
from avatars.export.rig.rig import Rig
from avatars.export.rig.source import PLACE


def on_the_ground(rig: Rig, motions: Sequence[RigMotion] = ()) -> tuple[Rig, list[RigMotion]]:
    """The same rig with its lowest point at height 0 in the bind pose, and motions in which it goes where it went.

    Avatars have their origin at the pelvis. Heads stay where they are.
    """
    if rig.skeleton.joint_names[0] == PLACE:
        return rig, list(motions)
    lift = rig.vertices.new_tensor([0.0, 1.0, 0.0]) * -rig.vertices[:, 1].min()
    moved = [replace(motion, translations=motion.translations - lift) for motion in motions]
    return replace(rig, vertices=rig.vertices + lift, joints=rig.joints + lift), moved
