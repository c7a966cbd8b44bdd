"""What an avatar file holds, a line a property."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avatars.models import Avatar
    from avatars.models.head_avatar import HeadAvatar

FINE_ENOUGH = 128
"""Cells along the longest side of the surface that is measured."""


def description(avatar: "Avatar | HeadAvatar", path: Path) -> dict[str, str]:
    """Name and value of each property of an avatar of any kind."""
    from avatars.models.head_avatar import HeadAvatar

    own = _head(avatar) if isinstance(avatar, HeadAvatar) else _body(avatar)
    lines = {"file": f"{path} ({path.stat().st_size / 1e6:.1f} MB)", **own}
    return lines | {f"note {number}": note for number, note in enumerate(avatar.info.notes, 1)}


def _body(avatar: "Avatar") -> dict[str, str]:
    model, info = avatar.model, avatar.info
    vertices = avatar.body(FINE_ENOUGH).vertices
    tall = float(vertices[:, 1].max() - vertices[:, 1].min())
    numbers = sum(value.numel() for value in model.state_dict().values())
    return {
        "method": f"snarf, {model.options.network} fields, {numbers / 1e6:.2f} million numbers",
        "body": f"{info.body_model}, {len(avatar.skeleton)} joints, {tall:.2f} m tall",
        "colours": _colours(avatar),
        "fitted to": f"{len(info.names)} scans: {', '.join(info.names)}",
    }


def _colours(avatar: "Avatar") -> str:
    if avatar.colour is None:
        return "none"
    spacings = sorted({1000 * grid.spec.spacing for grid in avatar.colour.block_grids})
    return f"on grids of {' and '.join(f'{spacing:.1f}' for spacing in spacings)} mm about the surface"


def _head(avatar: "HeadAvatar") -> dict[str, str]:
    tracks, joints = avatar.tracks, avatar.skeleton.joint_names
    numbers = sum(value.numel() for value in avatar.model.state_dict().values())
    return {
        "method": f"{_method(avatar)}, {numbers / 1e6:.2f} million numbers",
        "head": f"{avatar.info.body_model}, {len(joints)} joints: {', '.join(joints)}",
        "expression": _expression(avatar),
        "fitted to": f"{len(tracks)} frames of a video of {tracks.frame_rate:g} a second",
        "camera": _camera(avatar),
    }


def _method(avatar: "HeadAvatar") -> str:
    from avatars.models.nerface_avatar import NerfaceAvatar

    if isinstance(avatar, NerfaceAvatar):
        return "nerface, a volume without a surface"
    options = avatar.model.options
    shoulders = ", a bone for the shoulders" if options.ghost else ""
    return f"imavatar, {options.network} fields, deformation {options.deformation}{shoulders}"


def _expression(avatar: "HeadAvatar") -> str:
    from body_models.names import ARKIT_EXPRESSIONS

    count, names = avatar.model.sizes.expressions, avatar.expression_names
    if names == ARKIT_EXPRESSIONS:
        return f"{count} actions of ARKit: {', '.join(names[:4])} ..."
    return f"{count} named: {', '.join(names)}" if names else f"{count} components without names"


def _camera(avatar: "HeadAvatar") -> str:
    camera, distance = avatar.tracks.camera, -float(avatar.tracks.translations[:, 2].median())
    if camera is None:
        return "not known"
    focal = float(camera.intrinsics[1, 1])
    return f"{camera.width} x {camera.height} pixels, focal length {focal:.0f}, head {distance:.2f} m away"
