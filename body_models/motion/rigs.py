"""Which joint of a foreign skeleton plays which of our joints, by the names that common programs give."""

import difflib
import re
from collections.abc import Mapping, Sequence

from body_models.errors import InputError
from body_models.motion.rig_names import RIGS
from body_models.names import SMPL_SKELETON, SMPLX_SKELETON

_HEAD_RIG = {"spine3": "root", "head": "neck", "jaw": "jaw", "eye": "{side}_eye eye.{s}"}
"""FLAME's joints: its root turns neck and head together, its neck the head."""
_NAMED_HEAD_RIG = {"spine3": "neck", "head": "head", "jaw": "jaw", "eye": "{side}eye"}
"""The same joints under the names that bodies' rigs such as Mixamo's have for them."""
_COMPANIONS = {"foot": tuple(f"toe{number}-1.{{s}}" for number in (1, 3, 4, 5))}
"""Joints of a rig with several bones where we know one joint; they turn alike."""
_KNOWN_JOINTS = tuple(dict.fromkeys(SMPL_SKELETON.joint_names + SMPLX_SKELETON.joint_names))
_REQUIRED_PARTS = ("pelvis", "hip", "knee", "ankle", "shoulder", "elbow", "wrist")
REQUIRED_JOINTS = tuple(name for name in SMPL_SKELETON.joint_names if name.split("_")[-1] in _REQUIRED_PARTS)


def match_joints(joint_names: Sequence[str]) -> dict[str, int]:
    """For each joint of body, fingers and face that has a counterpart, its index among foreign joint names.

    Names are those of SMPL and SMPL-X; `left_hand` is there for rigs with fingers too (the middle one). Case and
    prefixes such as `mixamorig:` do not matter. Raises InputError when a limb's joint is missing.
    """
    index = _indexed(joint_names)
    found = {rig: _match_rig(index, table) for rig, table in RIGS.items()}
    best = max(found, key=lambda rig: (sum(name in found[rig] for name in REQUIRED_JOINTS), len(found[rig])))
    missing = [name for name in REQUIRED_JOINTS if name not in found[best]]
    if missing:
        described = ", ".join(_describe(name, RIGS[best], joint_names) for name in missing)
        raise InputError(
            f"The skeleton's joints are not known: nothing found for {described} (nearest family: {best}). "
            f"Its joints are {_shorten(joint_names)}. Supported joint names: {', '.join(RIGS)}; rename the joints to "
            "one of these families, for example to Hips, LeftUpLeg, LeftLeg, LeftFoot, LeftArm, LeftForeArm, LeftHand."
        )
    return found[best]


def match_head_joints(joint_names: Sequence[str]) -> dict[str, int]:
    """The same for a head on its own (FLAME's joints): `spine3` for its root, `head`, `jaw` and eyes; else empty."""
    index = _indexed(joint_names)
    matched = _match_rig(index, _NAMED_HEAD_RIG if "head" in index else _HEAD_RIG)
    has_body = any("left_hip" in _match_rig(index, table) for table in RIGS.values())
    return matched if {"head", "jaw"} <= set(matched) and not has_body else {}


def rig_family(joint_names: Sequence[str]) -> str | None:
    """The family of rigs (a key of `RIGS`) that spells most of the known joints as here; None for unknown skeletons."""
    try:
        matches = match_joints(joint_names)
    except InputError:
        return None
    spelled = {plain_name(joint_names[bone]) for bone in matches.values()}
    shared = {
        rig: len(spelled & {name.lower() for joint in _KNOWN_JOINTS for name in spellings(joint, table)})
        for rig, table in RIGS.items()
    }
    return max(shared, key=lambda rig: shared[rig])


def joint_of_bone(joint_names: Sequence[str], matches: Mapping[str, int]) -> dict[int, str]:
    """Our joint for each foreign bone that has one; further toes turn as the one that counts as the foot's."""
    index, joints = _indexed(joint_names), {bone: name for name, bone in matches.items()}
    for name in matches:
        side, _, part = name.rpartition("_")
        for companion in _COMPANIONS.get(part, ()):
            bone = index.get(companion.format(s=side[:1]))
            if bone is not None:
                joints[bone] = name
    return joints


def plain_name(name: str) -> str:
    """A joint's name without the prefix that programs put before it, in lower case."""
    return re.sub(r"^(.*:|mixamorig\d*_?|DEF-|Bip\d*[ _])", "", name).replace(" ", "_").lower()


def _indexed(joint_names: Sequence[str]) -> dict[str, int]:
    return {plain_name(name): i for i, name in reversed(list(enumerate(joint_names)))}


def _match_rig(index: Mapping[str, int], table: Mapping[str, str]) -> dict[str, int]:
    matched = {}
    for joint in _KNOWN_JOINTS:
        known = [index[name.lower()] for name in spellings(joint, table) if name.lower() in index]
        if known:
            matched[joint] = known[0]
    return matched


def spellings(joint: str, table: Mapping[str, str]) -> list[str]:
    """What a family of rigs, a value of `RIGS`, calls one of our joints; the best name first, none if it has none."""
    side, _, part = joint.rpartition("_")
    names = table.get(joint) or table.get(part, "")
    return names.format(Side=side.capitalize(), side=side, s=side[:1], S=side[:1].upper()).split()


def _describe(joint: str, table: Mapping[str, str], joint_names: Sequence[str]) -> str:
    """A missing joint, what it is called in a family, and the name in the file that is nearest to that."""
    expected = spellings(joint, table)[0]
    plain = {plain_name(name): name for name in joint_names}
    near = difflib.get_close_matches(expected.lower(), list(plain), n=1, cutoff=0.75)
    return f"{joint} ('{expected}'; is '{plain[near[0]]}' meant?)" if near else joint


def _shorten(names: Sequence[str], limit: int = 40) -> str:
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
