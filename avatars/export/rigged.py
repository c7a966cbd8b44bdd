"""Avatars to rigged, animated files: GLB, USD, and FBX through Blender."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from avatars.export.driving.motions import motion_on
from avatars.export.formats.blender import blender_program
from avatars.export.formats.fbx import write_fbx
from avatars.export.formats.usd import USD_SUFFIXES, check_usd, write_usd
from avatars.export.gltf import bone_names, write_glb
from avatars.export.rig import RigMotion, rig_motion, rig_skeleton
from avatars.export.rig.bake import Baked, bake
from avatars.export.rig.fidelity import measure_fidelity
from avatars.export.rig.grounded import on_the_ground
from avatars.export.rig.options import RigOptions
from avatars.export.rig.unit_range import in_unit_range
from avatars.models.avatar import Avatar
from avatars.models.head_avatar import HeadAvatar
from body_models import InputError, Motion
from data_prep.atomic import check_place, replacing

RIGGED_SUFFIXES = (".glb", ".vrm", ".fbx", *USD_SUFFIXES)

_log = logging.getLogger(__name__)


def export_rig(
    avatar: Avatar | HeadAvatar,
    path: Path | str,
    motions: Sequence[Motion | Path | str] = (),
    options: RigOptions | None = None,
    rig: str = "model",
    baked: Baked | None = None,
) -> Path:
    """Write the avatar with bones, morph targets, textures and a clip for each motion (metres, Y up).

    GLB, VRM, USD (.usda, .usdc, .usdz; needs the extra `[usd]`) or FBX (needs Blender) by the name's ending; `rig` is
    the standard by which bones are called and bound: model, mixamo or vrm, as in every .vrm. What `bake` made already
    can be given. Raises InputError for another ending, an unknown standard, motions that do not fit, or a place that
    cannot be written.
    """
    path, options = check_rig_path(path), options or RigOptions()
    names = bone_standard(avatar, path, rig)
    clips = [motion_on(avatar, motion) for motion in motions]
    baked = bake_for(avatar, clips, options) if baked is None else baked
    if baked.look is not None and baked.look.colour is None:
        _log.info("The avatar has no colours, so the file has a normal map only; fit it to scans with colours for one.")
    played = [rig_motion(avatar, baked.rig, clip) for clip in clips]
    ready, played = on_the_ground(*in_unit_range(baked.rig, played))
    return _write(path, replace(baked, rig=ready), played, names, avatar.info.notes)


def bake_for(avatar: Avatar | HeadAvatar, clips: Sequence[Motion], options: RigOptions) -> Baked:
    """What `bake` makes, with correctives that know the poses of some clips on the avatar."""
    return bake(avatar, options, torch.cat([clip.rotations for clip in clips]) if clips else None)


def write_report(avatar: Avatar | HeadAvatar, baked: Baked, clip: Motion, path: Path) -> str:
    """Measure a rig in a clip against its implicit avatar, write that beside the rigged file, and tell it."""
    found = measure_fidelity(avatar, baked.rig, clip)
    report = path.with_suffix(".report.json")
    with replacing(report) as temporary:
        temporary.write_text(json.dumps(found.to_dict(), indent=1), "utf-8")
    return f"{found.table()}\nReport: {report}"


def check_rig_path(path: Path | str) -> Path:
    """The path of a rigged file; raises InputError for another ending, or where what writes such files is missing."""
    path = Path(path)
    if path.suffix.lower() not in RIGGED_SUFFIXES:
        known = ", ".join(RIGGED_SUFFIXES)
        raise InputError(f"Cannot write a rigged avatar as '{path.name}'; end the name in {known}.")
    check_place(path)
    if path.suffix.lower() == ".fbx":
        blender_program()
    if path.suffix.lower() in USD_SUFFIXES:
        check_usd()
    return path


def bone_standard(avatar: Avatar | HeadAvatar, path: Path, wished: str) -> str:
    """The standard that the bones of a rigged file follow: `wished`, but VRM's in every .vrm.

    Raises InputError for a standard that is unknown, without words for the avatar's bones, or not the file's.
    """
    bone_names(rig_skeleton(avatar), wished)
    if path.suffix.lower() != ".vrm":
        return wished
    if wished == "mixamo":
        raise InputError(f"'{path.name}' has VRM's bones, not Mixamo's: leave --rig away, or end the name in .glb.")
    bone_names(rig_skeleton(avatar), "vrm")
    return "vrm"


def _write(path: Path, baked: Baked, motions: list[RigMotion], names: str, notes: Sequence[str]) -> Path:
    suffix = path.suffix.lower()
    if suffix in (".glb", ".vrm"):
        return write_glb(path, baked.rig, motions, baked.look, names, notes)
    if suffix == ".fbx":
        return write_fbx(path, baked.rig, motions, baked.look, names, notes)
    if len(motions) > 1:
        raise InputError(f"A USD file holds one motion, not {len(motions)}; write one file for each, or a .glb.")
    return write_usd(path, baked.rig, motions[0] if motions else None, baked.look, names, notes)
