"""Named parameters of a body model: which there are, what each is for, and checks of what a user gives."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.skeleton import Skeleton

_MOST_LISTED = 110
"""Names that an error text lists: all of any skeleton, but not the hundreds of Anny's local changes."""
Role = Literal["identity", "expression", "pose", "global"]
_FINGER = re.compile(r"^(left|right)_(index|middle|pinky|ring|thumb)\d$|^finger\d-\d\.([LR])$|^metacarpal\d\.([LR])$")
_FACE = {
    "neck": "neck_pose",
    "jaw": "jaw_pose",
    "left_eye": "leye_pose",
    "right_eye": "reye_pose",
    "eye.L": "leye_pose",
    "eye.R": "reye_pose",
}


@dataclass(frozen=True)
class Parameter:
    """One named parameter of a model."""

    size: int
    """How many numbers it has."""
    role: Role
    joints: tuple[int, ...] = ()
    """For rotations: the joints that it turns, three numbers each (axis-angle, radians)."""


def pose_parameters(skeleton: Skeleton) -> dict[str, Parameter]:
    """A skeleton's rotations under smplx's names: global_orient, body_pose, left_hand_pose, jaw_pose and so on."""
    groups: dict[str, list[int]] = {"global_orient": [0]}
    has_body = any(name in skeleton.joint_names for name in ("pelvis", "spine05", "spine01"))
    for joint, name in enumerate(skeleton.joint_names):
        if joint > 0:
            groups.setdefault(_group(name, has_body), []).append(joint)
    return {
        name: Parameter(3 * len(joints), "global" if name == "global_orient" else "pose", tuple(joints))
        for name, joints in groups.items()
    }


def _group(joint: str, has_body: bool) -> str:
    finger = _FINGER.match(joint)
    if finger:
        left = (finger[1] or finger[3] or finger[4]) in ("left", "L")
        return "left_hand_pose" if left else "right_hand_pose"
    if joint == "neck" and has_body:
        return "body_pose"
    return _FACE.get(joint, "body_pose")


def check_parameters(values: Mapping[str, Tensor], known: Mapping[str, Parameter], model: str) -> None:
    """Raise InputError for a name, size or number that a model cannot take.

    Identity and expression may be shorter than the model's; what is missing counts as zero.
    """
    for name, value in values.items():
        if name not in known:
            raise InputError(unknown_name(f"{model} has no parameter", name, known))
        if not isinstance(value, Tensor):
            raise InputError(f"'{name}' for {model} is a {type(value).__name__}; give a tensor: torch.as_tensor(...).")
        expected, actual = known[name], value.shape[-1] if value.ndim else 0
        shorter = expected.role in ("identity", "expression") or name.endswith("_pca")
        if actual != expected.size and not (shorter and 0 < actual < expected.size):
            at_most = "at most " if shorter else ""
            raise InputError(
                f"'{name}' for {model} has {actual} numbers (shape {tuple(value.shape)}); expected {at_most}"
                f"{expected.size}, last dimension, with any batch before it."
            )
        if not value.is_floating_point():
            raise InputError(f"'{name}' for {model} holds {value.dtype} numbers; give floating-point ones.")
    _check_batches(values, model)
    _check_finite(values, model)


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """An error text for a name that is not known: the nearest matches in any case of letters, then all, or most."""
    names = list(known)
    lower = {known_name.lower(): known_name for known_name in names}
    near = [lower[match] for match in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    guess = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return f"{what} '{name}'.{guess} Known: {', '.join(names[:_MOST_LISTED])}{more}."


def _check_batches(values: Mapping[str, Tensor], model: str) -> None:
    try:
        torch.broadcast_shapes(*(value.shape[:-1] for value in values.values()))
    except RuntimeError:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in values.items())
        raise InputError(
            f"The batches for {model} do not fit together: {shapes}. All dimensions but the last must be equal or 1."
        ) from None


def _check_finite(values: Mapping[str, Tensor], model: str) -> None:
    for name, value in values.items():
        finite = torch.isfinite(value)
        if not bool(finite.all()):
            first = torch.nonzero(~finite)[0].tolist()
            raise InputError(f"'{name}' for {model} is not finite (NaN or infinite), the first at index {first}.")


def assemble_pose(
    values: Mapping[str, Tensor], known: Mapping[str, Parameter], like: Float[Tensor, "bone 3"]
) -> Float[Tensor, "*batch bone 3"]:
    """Axis-angle of every joint from the named rotations; a joint that is not named stays at rest."""
    given = {name: value for name, value in values.items() if name in known and known[name].joints}
    batch = torch.broadcast_shapes(*(value.shape[:-1] for value in given.values()))
    owner = {joint: (name, slot) for name in given for slot, joint in enumerate(known[name].joints)}
    rest = like.new_zeros((*batch, 3))
    split = {name: value.to(like).unflatten(-1, (-1, 3)).expand(*batch, -1, 3) for name, value in given.items()}
    columns = [split[owner[j][0]][..., owner[j][1], :] if j in owner else rest for j in range(len(like))]
    return torch.stack(columns, dim=-2)
