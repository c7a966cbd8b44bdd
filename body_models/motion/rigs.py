"""Which joint of a foreign skeleton plays which of the 24 joints, by the names that common programs give."""

import re
from collections.abc import Sequence

from body_models.errors import InputError
from body_models.names import SMPL_SKELETON

_ARM_AND_LEG = {
    "hip": "{Side}UpLeg",
    "knee": "{Side}Leg",
    "ankle": "{Side}Foot",
    "foot": "{Side}ToeBase {Side}Toe",
    "collar": "{Side}Shoulder",
    "shoulder": "{Side}Arm",
    "elbow": "{Side}ForeArm",
    "wrist": "{Side}Hand",
    "hand": "{Side}HandMiddle1 {Side}HandIndex1 {S}Fingers",
}
RIGS: dict[str, dict[str, str]] = {
    "SMPL": {
        **{name: name for name in ("pelvis", "spine1", "spine2", "spine3", "neck", "head")},
        **{
            name: f"{{side}}_{name} {{s}}_{name}"
            for name in ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist", "hand")
        },
    },
    "Mixamo": {
        "pelvis": "Hips",
        "spine1": "Spine",
        "spine2": "Spine1",
        "spine3": "Spine3 Spine2",
        "neck": "Neck",
        "head": "Head",
        **_ARM_AND_LEG,
    },
    "CMU": {
        "pelvis": "Hips",
        "spine1": "LowerBack",
        "spine2": "Spine",
        "spine3": "Spine1",
        "neck": "Neck",
        "head": "Head",
        **_ARM_AND_LEG,
    },
    "MakeHuman": {
        "pelvis": "root",
        "spine1": "spine03",
        "spine2": "spine02",
        "spine3": "spine01",
        "neck": "neck01",
        "head": "head",
        "hip": "upperleg01.{s}",
        "knee": "lowerleg01.{s}",
        "ankle": "foot.{s}",
        "foot": "toe2-1.{s}",
        "collar": "clavicle.{s}",
        "shoulder": "upperarm01.{s}",
        "elbow": "lowerarm01.{s}",
        "wrist": "wrist.{s}",
        "hand": "finger3-1.{s}",
    },
    "Poser": {
        "pelvis": "hip",
        "spine1": "abdomen",
        "spine3": "chest",
        "neck": "neck",
        "head": "head",
        "hip": "{s}Thigh {s}ButtockThigh",
        "knee": "{s}Shin",
        "ankle": "{s}Foot",
        "foot": "{s}Toe {s}Toes",
        "collar": "{s}Collar",
        "shoulder": "{s}Shldr",
        "elbow": "{s}ForeArm",
        "wrist": "{s}Hand",
        "hand": "{s}Mid1",
    },
    "Biovision": {
        "pelvis": "Hips",
        "spine1": "Chest",
        "spine2": "Chest2",
        "spine3": "Chest3",
        "neck": "Neck",
        "head": "Head",
        "hip": "{Side}Hip",
        "knee": "{Side}Knee",
        "ankle": "{Side}Ankle",
        "foot": "{Side}Toe",
        "collar": "{Side}Collar",
        "shoulder": "{Side}Shoulder",
        "elbow": "{Side}Elbow",
        "wrist": "{Side}Wrist",
    },
}
"""For each family of rigs the names of our joints; alternatives are parted by blanks, the best first."""

_REQUIRED_PARTS = ("pelvis", "hip", "knee", "ankle", "shoulder", "elbow", "wrist")
REQUIRED_JOINTS = tuple(name for name in SMPL_SKELETON.joint_names if name.split("_")[-1] in _REQUIRED_PARTS)


def match_joints(joint_names: Sequence[str]) -> dict[str, int]:
    """For each of the 24 joints that has a counterpart, its index among foreign joint names.

    Case and prefixes such as `mixamorig:` do not matter. Raises InputError when a limb's joint is missing.
    """
    index = {_plain(name): i for i, name in reversed(list(enumerate(joint_names)))}
    found = {rig: _match_rig(index, table) for rig, table in RIGS.items()}
    best = max(found, key=lambda rig: len(found[rig]))
    missing = [name for name in REQUIRED_JOINTS if name not in found[best]]
    if missing:
        raise InputError(
            f"The skeleton's joints are not known: nothing found for {', '.join(missing)} (nearest family: {best}). "
            f"Its joints are {_shorten(joint_names)}. Supported joint names: {', '.join(RIGS)}; rename the joints to "
            "one of these families, for example to Hips, LeftUpLeg, LeftLeg, LeftFoot, LeftArm, LeftForeArm, LeftHand."
        )
    return found[best]


def _match_rig(index: dict[str, int], table: dict[str, str]) -> dict[str, int]:
    matched = {}
    for joint in SMPL_SKELETON.joint_names:
        side, _, part = joint.rpartition("_")
        names = table.get(part, "").format(Side=side.capitalize(), side=side, s=side[:1], S=side[:1].upper()).split()
        known = [index[name.lower()] for name in names if name.lower() in index]
        if known:
            matched[joint] = known[0]
    return matched


def _plain(name: str) -> str:
    return re.sub(r"^(.*:|mixamorig\d*_?)", "", name).lower()


def _shorten(names: Sequence[str], limit: int = 40) -> str:
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
