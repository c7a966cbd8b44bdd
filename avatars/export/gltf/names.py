"""What the bones of a rig are called: as here, as in Mixamo, or as VRM's humanoid."""

from body_models import InputError, Skeleton
from body_models.motion.rig_names import RIGS
from body_models.motion.rigs import match_head_joints, match_joints, spellings
from body_models.parameters import unknown_name

STANDARDS = ("model", "mixamo", "vrm")
_PREFIX = "mixamorig:"
_MIXAMO = RIGS["Mixamo"] | {"spine3": "Spine2"}
_VRM = RIGS["Unity and VRM"] | {"thumb2": "{Side}ThumbProximal"}
_SIDES = ("left", "right")
REQUIRED = (
    *("hips", "spine", "head"),
    *(f"{side}{part}" for side in _SIDES for part in ("UpperLeg", "LowerLeg", "Foot", "UpperArm", "LowerArm", "Hand")),
)
"""Bones without which nothing is a humanoid of VRM."""


def bone_names(skeleton: Skeleton, standard: str) -> tuple[str, ...]:
    """Names of a skeleton's bones: its own (`model`), Mixamo's or those of VRM 1.0.

    Bones for which the standard has no word (twist bones, toes, `place`, `ghost`) keep their own name. Raises
    InputError for an unknown standard, joints that are not known, and a skeleton that is no humanoid of VRM.
    """
    if standard not in STANDARDS:
        raise InputError(unknown_name("Unknown standard of bone names", standard, STANDARDS))
    if standard == "model":
        return skeleton.joint_names
    spelled = humanoid_bones(skeleton) if standard == "vrm" else _spelled(skeleton, standard)
    names = {bone: name for name, bone in spelled.items()}
    return _distinct([names.get(bone, own) for bone, own in enumerate(skeleton.joint_names)])


def humanoid_bones(skeleton: Skeleton) -> dict[str, int]:
    """The bone of each of VRM's humanoid bones that a skeleton has.

    Raises InputError where one that VRM requires is missing, as in a head on its own.
    """
    spelled = _spelled(skeleton, "vrm")
    missing = [name for name in REQUIRED if name not in spelled]
    if missing:
        raise InputError(
            f"VRM is for whole bodies; this skeleton of {len(skeleton)} bones ({_listed(skeleton)}) has no "
            f"{', '.join(missing[:6])}{' ...' if len(missing) > 6 else ''}. Write a .glb instead, with the "
            "bone names 'model' or 'mixamo'."
        )
    return spelled


def known_joints(skeleton: Skeleton, standard: str) -> dict[str, int]:
    """The bone of each of our joints (SMPL's names) that a body or a head has; InputError for unknown skeletons."""
    names = skeleton.joint_names
    try:
        return match_head_joints(names) or match_joints(names)
    except InputError as error:
        raise InputError(
            f"The bones cannot be named as in {standard}, since they are not known: {_listed(skeleton)}. Export them "
            "under their own names, the standard 'model'."
        ) from error


def _spelled(skeleton: Skeleton, standard: str) -> dict[str, int]:
    table, joints = _VRM if standard == "vrm" else _MIXAMO, known_joints(skeleton, standard)
    if "pelvis" not in joints:  # a head: its lower joint, which counts as the top of the spine, is at the neck
        joints = {{"spine3": "neck"}.get(name, name): bone for name, bone in joints.items()}
    spelled = {}
    for joint, bone in joints.items():
        known = spellings(joint, table)
        if known:
            spelled[_in_standard(known[0], standard)] = bone
    return spelled


def _in_standard(name: str, standard: str) -> str:
    return name[:1].lower() + name[1:] if standard == "vrm" else _PREFIX + name


def _distinct(names: list[str]) -> tuple[str, ...]:
    """The names, a repeated one with a number."""
    distinct: list[str] = []
    for name in names:
        number, free = 2, name
        while free in distinct:
            number, free = number + 1, f"{name}_{number}"
        distinct.append(free)
    return tuple(distinct)


def _listed(skeleton: Skeleton) -> str:
    names = skeleton.joint_names
    return ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")
