"""Joint names and kinematic trees that the field shares: SMPL, SMPL-H, SMPL-X bodies and FLAME heads."""

from body_models.skeleton import Skeleton

_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
_BODY_PARENTS: dict[str, str | None] = {
    "pelvis": None,
    "left_hip": "pelvis",
    "right_hip": "pelvis",
    "spine1": "pelvis",
    "left_knee": "left_hip",
    "right_knee": "right_hip",
    "spine2": "spine1",
    "left_ankle": "left_knee",
    "right_ankle": "right_knee",
    "spine3": "spine2",
    "left_foot": "left_ankle",
    "right_foot": "right_ankle",
    "neck": "spine3",
    "left_collar": "spine3",
    "right_collar": "spine3",
    "head": "neck",
    "left_shoulder": "left_collar",
    "right_shoulder": "right_collar",
    "left_elbow": "left_shoulder",
    "right_elbow": "right_shoulder",
    "left_wrist": "left_elbow",
    "right_wrist": "right_elbow",
}
_MITTENS: dict[str, str | None] = {"left_hand": "left_wrist", "right_hand": "right_wrist"}
_FACE: dict[str, str | None] = {"jaw": "head", "left_eye": "head", "right_eye": "head"}
_HANDS: dict[str, str | None] = {
    f"{side}_{finger}{part}": f"{side}_wrist" if part == 1 else f"{side}_{finger}{part - 1}"
    for side in ("left", "right")
    for finger in _FINGERS
    for part in (1, 2, 3)
}


def _skeleton(parent_of: dict[str, str | None]) -> Skeleton:
    names = list(parent_of)
    return Skeleton(tuple(names), tuple(-1 if parent is None else names.index(parent) for parent in parent_of.values()))


SMPL_SKELETON = _skeleton(_BODY_PARENTS | _MITTENS)
"""24 joints; the whole hand turns at one joint."""
SMPLH_SKELETON = _skeleton(_BODY_PARENTS | _HANDS)
"""52 joints: 22 of the body, 15 of the fingers of each hand."""
SMPLX_SKELETON = _skeleton(_BODY_PARENTS | _FACE | _HANDS)
"""55 joints: as SMPL-H with jaw and eyes between body and hands."""
HEAD_SKELETON = _skeleton({"root": None, "neck": "root", "jaw": "neck", "left_eye": "neck", "right_eye": "neck"})
"""FLAME's 5 joints: `root` turns the whole head with its neck (global_orient), `neck` the head on it."""

_ACTIONS = """
    browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff cheekSquintLeft cheekSquintRight
    eyeBlinkLeft eyeBlinkRight eyeLookDownLeft eyeLookDownRight eyeLookInLeft eyeLookInRight eyeLookOutLeft
    eyeLookOutRight eyeLookUpLeft eyeLookUpRight eyeSquintLeft eyeSquintRight eyeWideLeft eyeWideRight jawForward
    jawLeft jawOpen jawRight mouthClose mouthDimpleLeft mouthDimpleRight mouthFrownLeft mouthFrownRight mouthFunnel
    mouthLeft mouthLowerDownLeft mouthLowerDownRight mouthPressLeft mouthPressRight mouthPucker mouthRight
    mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthSmileLeft mouthSmileRight mouthStretchLeft
    mouthStretchRight mouthUpperUpLeft mouthUpperUpRight noseSneerLeft noseSneerRight tongueOut
"""
ARKIT_EXPRESSIONS = tuple(_ACTIONS.split())
"""The 52 facial actions that phones' face capture reports, in alphabetical order; each runs from 0 to 1."""
