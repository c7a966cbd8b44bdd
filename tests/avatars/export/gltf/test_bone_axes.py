import math

import pytest
import roma
import torch

from avatars.export.gltf import bone_names
from avatars.export.gltf.bone_axes import mixamo_axes
from avatars.export.gltf.names import known_joints
from avatars.export.gltf.t_pose import standing_in_t
from avatars.export.rig import Rig
from body_models import InputError, Skeleton
from body_models.skeleton import transform_points
from tests.avatars.export.gltf.small_rigs import body_rig

RIGS = ["compact", "hands", "full"]
X_BOT = {
    "Hips": ((1, 0, 0), (0, 1, 0.0129)),
    "Spine": ((1, 0, 0), (0, 0.9891, -0.147)),
    "Spine1": ((1, 0, 0), (0, 0.9891, -0.147)),
    "Spine2": ((1, 0, 0), (0, 0.9926, -0.1215)),
    "Neck": ((1, 0, 0), (0, 0.9926, -0.1215)),
    "Head": ((1, 0, 0), (0, 0.9926, -0.1215)),
    "LeftShoulder": ((-0.2057, 0.0102, -0.9786), (0.9774, -0.0484, -0.206)),
    "LeftArm": ((0, 0, -1), (1, 0, 0)),
    "LeftForeArm": ((0, 0, -1), (1, 0, 0)),
    "LeftHand": ((0, 0, -1), (1, 0, 0)),
    "LeftHandIndex1": ((0, 0, -1), (1, 0, 0)),
    "LeftHandPinky3": ((0, 0, -1), (1, 0, 0)),
    "RightShoulder": ((-0.2057, -0.0102, 0.9786), (-0.9774, -0.0484, -0.2059)),
    "RightArm": ((0, 0, 1), (-1, 0, 0)),
    "RightForeArm": ((0, 0, 1), (-1, 0, 0)),
    "RightHand": ((0, 0, 1), (-1, 0, 0)),
    "RightHandMiddle2": ((0, 0, 1), (-1, 0, 0)),
    "LeftUpLeg": ((-1, 0, 0), (0, -1, 0.0078)),
    "LeftLeg": ((-1, 0, 0), (0, -0.9977, -0.0684)),
    "LeftFoot": ((-1, 0, 0), (0, -0.6317, 0.7752)),
    "LeftToeBase": ((-1, 0, 0), (0, 0, 1)),
    "RightUpLeg": ((-1, 0, 0), (0, -1, 0.0078)),
    "RightFoot": ((-1, 0, 0), (0, -0.6317, 0.7752)),
}
"""World directions of the X and Y axes of bones of Mixamo's X Bot in its T-pose."""
LIMBS = [("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")]
FINGERS = [(f"{finger}{k}", f"{finger}{k + 1}") for finger in ("index", "ring", "pinky", "thumb") for k in (1, 2)]


def in_t(rig: Rig) -> tuple[torch.Tensor, torch.Tensor]:
    """Joints of a rig in its T-pose, and the axes of its bones as matrices."""
    bound = standing_in_t(rig)
    joints = transform_points(bound.bind_from_rest(), bound.joints)
    return joints, roma.unitquat_to_rotmat(mixamo_axes(rig.skeleton, joints).double()).float()


def degrees_between(one: torch.Tensor, other: torch.Tensor) -> float:
    return math.degrees(float(torch.atan2(torch.linalg.cross(one, other).norm(), one @ other)))


@pytest.mark.parametrize("bones", RIGS)
def test_axes_are_those_of_mixamos_own_character(bones):
    rig = body_rig(bones)
    _, axes = in_t(rig)
    names = bone_names(rig.skeleton, "mixamo")
    seen = 0
    for name, wanted in X_BOT.items():
        if f"mixamorig:{name}" not in names:
            continue
        own, seen = axes[names.index(f"mixamorig:{name}")], seen + 1
        for column, direction in enumerate(wanted):
            assert degrees_between(own[:, column], torch.tensor(direction, dtype=torch.float32)) < 4.0, name
    assert seen >= 20


@pytest.mark.parametrize("bones", RIGS)
def test_limbs_and_fingers_point_along_y(bones):
    rig = body_rig(bones)
    (joints, axes), known = in_t(rig), known_joints(rig.skeleton, "mixamo")
    pairs = [(f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in (*LIMBS, *FINGERS)]
    there = [(known[a], known[b]) for a, b in pairs if {a, b} <= set(known)]
    assert len(there) >= 8
    for bone, end in there:
        assert degrees_between(axes[bone][:, 1], joints[end] - joints[bone]) < 1.0


@pytest.mark.parametrize("bones", RIGS)
def test_axes_are_right_handed_and_mirrored(bones):
    rig = body_rig(bones)
    (_, axes), known = in_t(rig), known_joints(rig.skeleton, "mixamo")
    torch.testing.assert_close(axes @ axes.mT, torch.eye(3).expand_as(axes), atol=1e-6, rtol=0)
    assert (torch.linalg.det(axes) > 0).all()
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    for name, bone in known.items():
        if name.startswith("left_") and "thumb" not in name:
            other = axes[known[name.replace("left_", "right_")]]
            torch.testing.assert_close(mirror @ axes[bone] @ mirror, other, atol=1e-5, rtol=0)


def test_bones_that_mixamo_has_not_go_with_their_parents():
    rig = body_rig("full")
    _, axes = in_t(rig)
    for name in ("upperarm02.L", "lowerleg02.R", "metacarpal2.L", "toe1-1.R"):
        bone = rig.skeleton.index(name)
        assert torch.equal(axes[bone], axes[rig.skeleton.parents[bone]])


def test_unknown_joints_are_told():
    with pytest.raises(InputError, match="not known: a, b"):
        mixamo_axes(Skeleton(("a", "b"), (-1, 0)), torch.zeros(2, 3))
