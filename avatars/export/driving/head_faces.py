"""What a driver's expression means to a head avatar: parameter by parameter, or refused."""

import logging

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.export.driving.drivers import Driver
from avatars.export.driving.head_neutral import Neutral, face_of
from avatars.models.head_avatar import HeadAvatar
from body_models import InputError, Motion
from body_models.motion.faces import match_expressions

_log = logging.getLogger(__name__)


def correspondence(driver: Driver, avatar: HeadAvatar) -> Float[Tensor, "source target"] | None:
    """What each expression parameter of the driver adds to each of the avatar's; None for a driver without a face.

    Raises InputError where nothing tells which parameter is which.
    """
    motion, own = driver.motion, avatar.expression_names
    if motion.expression is None:
        _log.info("Motion '%s' says nothing about the face, which stays at rest.", motion.name)
        return None
    if bool(motion.expression_names) != bool(own):
        raise InputError(_unlike(driver, avatar))
    return _by_name(motion, own) if own else _by_number(driver, avatar)


def _by_name(motion: Motion, own: tuple[str, ...]) -> Float[Tensor, "source target"]:
    assert motion.expression is not None
    matrix = match_expressions(motion.expression_names, own).to(motion.expression)
    if not matrix.any():
        raise InputError(
            f"Motion '{motion.name}': none of its {len(matrix)} expression parameters "
            f"({_few(motion.expression_names)}) is one of this head's ({_few(own)}). Rename them to the 52 of ARKit."
        )
    lost = (motion.expression.abs().amax(0) > 0) & ~matrix.any(1)
    names = [motion.expression_names[place] for place in torch.nonzero(lost)[:, 0].tolist()]
    if names:
        _log.info("Motion '%s': this head cannot show %s.", motion.name, _few(names))
    return matrix


def _by_number(driver: Driver, avatar: HeadAvatar) -> Float[Tensor, "source target"]:
    motion, model, count = driver.motion, avatar.info.body_model, avatar.model.sizes.expressions
    assert motion.expression is not None
    given = motion.expression.shape[1]
    other = bool(driver.model) and _family(driver.model) != _family(model)
    if other or (not driver.model and given > count):
        theirs = f"those of {driver.model}" if other else f"{given}"
        raise InputError(
            f"Motion '{motion.name}': its expression parameters are components without names, {theirs}, and this head "
            f"shows {count} of {model}: they mean other things. Give a motion that was tracked with {model}."
        )
    if given > count:
        _log.info("Motion '%s': the first %d of its %d components are used.", motion.name, count, given)
    return torch.eye(given, count).to(motion.expression)


def _unlike(driver: Driver, avatar: HeadAvatar) -> str:
    motion, model = driver.motion, avatar.info.body_model
    if motion.expression_names:
        return (
            f"Motion '{motion.name}' has named facial actions ({_few(motion.expression_names)}), but this head was "
            f"fitted with {model}, whose components have no names. Give a motion that was tracked with {model}, or fit "
            "the head again to a video that `avatars prepare` tracked with the free head."
        )
    tracked = f"of {driver.model} " if driver.model else ""
    assert motion.expression is not None
    return (
        f"Motion '{motion.name}' has {motion.expression.shape[1]} expression components {tracked}without names, but "
        f"this head shows named actions ({_few(avatar.expression_names)}): nothing tells which is which. Track the "
        "driver's video with the free head (`avatars prepare VIDEO --out other.tracked`) and give that folder."
    )


def _few(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _family(model: str) -> str:
    return model.split("_")[0]


def shown_face(
    motion: Motion, matrix: Float[Tensor, "source target"], start: Neutral, rest: Neutral, own: Motion
) -> Float[Tensor, "frame expression"]:
    """The avatar's expression; named actions stay within 0 to 1, or what its own video reached beyond that."""
    face = rest.expression + (face_of(motion) - start.expression) @ matrix
    if not own.expression_names:
        return face
    lowest, highest = face_of(own).amin(0).clamp(max=0.0), face_of(own).amax(0).clamp(min=1.0)
    return torch.minimum(torch.maximum(face, lowest), highest)
