"""Write a rig as a GLB file that engines and modelling programs open: skin, morph targets, material and clips."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pygltflib
import torch
from jaxtyping import Float
from torch import Tensor

from avatars.export.gltf.binding import bound_for
from avatars.export.gltf.clips import add_clips
from avatars.export.gltf.glb import Glb
from avatars.export.gltf.material import add_material
from avatars.export.gltf.names import bone_names
from avatars.export.gltf.skin import INFLUENCES, add_bones, add_skin
from avatars.export.gltf.surface import add_rigged_mesh
from avatars.export.gltf.vrm import add_vrm
from avatars.export.look import Look
from avatars.export.rig import Rig, RigMotion
from body_models import InputError
from body_models.motion.rigs import match_head_joints
from data_prep.atomic import replacing

_SUFFIXES = (".glb", ".vrm")


def write_glb(
    path: Path | str,
    rig: Rig,
    motions: Sequence[RigMotion] = (),
    look: Look | None = None,
    names: str = "model",
    notes: Sequence[str] = (),
) -> Path:
    """Write a rig with its motions as animation clips, whole or not at all (metres, Y up, facing +Z).

    `names` is the standard of its bones: `model` (their own names), `mixamo` or `vrm`; see `bound_for`. The last also
    makes it a VRM 1.0 avatar. `notes` go into the file's metadata beside a note that it is synthetic media.
    Without a look it is of plain clay. Raises InputError for an unknown standard, a rig that is empty or that the
    standard has no words for, a motion of another rig, and a place that cannot be written.
    """
    path = _checked_path(Path(path), names)
    called = bone_names(rig.skeleton, names)
    check_rig(rig, look)
    for motion in motions:
        check_motion(rig, motion)
    document = _document(rig.to("cpu"), motions, look, names, called, notes)
    with replacing(path) as temporary:
        document.write(temporary)
    return path


def _document(
    rig: Rig,
    motions: Sequence[RigMotion],
    look: Look | None,
    standard: str,
    names: Sequence[str],
    notes: Sequence[str],
) -> Glb:
    if look is None or look.normal is None:
        rig = replace(rig, tangents=None)
    glb, (binding, played) = Glb(tuple(notes)), bound_for(rig, motions, standard)
    pose = shown_pose(binding.rig)
    bones = add_bones(glb, binding, names, pose)
    skin = add_skin(glb, binding, bones)
    mesh = add_rigged_mesh(glb, binding.rig, add_material(glb, look), pose)
    called = rig.name if rig.name not in names else f"{rig.name}_surface"
    surface = glb.node(pygltflib.Node(name=called, mesh=mesh, skin=skin))
    add_clips(glb, binding, played, bones, surface)
    if standard == "vrm":
        add_vrm(glb, binding.rig, bones, surface, notes)
    return glb


def shown_pose(rig: Rig) -> Float[Tensor, "bone 3"]:
    """How a rig stands when no clip plays: as bound, but a head, which is bound with its mouth open, at rest."""
    is_head = bool(match_head_joints(rig.skeleton.joint_names))
    return torch.zeros_like(rig.bind_pose) if is_head else rig.bind_pose


def _checked_path(path: Path, names: str) -> Path:
    if path.suffix.lower() not in _SUFFIXES[: 2 if names == "vrm" else 1]:
        other = " (or .vrm)" if names == "vrm" else ""
        raise InputError(f"Cannot write a rigged avatar as '{path.name}'; end the name in .glb{other}.")
    return path


def check_rig(rig: Rig, look: Look | None) -> None:
    """Whether a rig with a look can be written for engines; raises InputError if not."""
    if len(rig.faces) == 0 or len(rig.vertices) == 0:
        raise InputError(f"Rig '{rig.name}' has no surface to write; export with a higher resolution or more faces.")
    if rig.bones.shape[1] > INFLUENCES:
        raise InputError(
            f"Rig '{rig.name}' has {rig.bones.shape[1]} influences a vertex, but engines take {INFLUENCES}; keep the "
            f"{INFLUENCES} strongest."
        )
    for part in ("vertices", "normals", "joints", "bind_pose", "weights", "morphs"):
        if not torch.isfinite(getattr(rig, part)).all():
            raise InputError(f"Rig '{rig.name}': its {part} hold values that are not finite; bake it again.")
    if not (rig.weights.sum(1) > 0).all():
        raise InputError(f"Rig '{rig.name}' has vertices that no bone moves; bake it again.")
    if look is not None and (look.colour is not None or look.normal is not None) and rig.uv is None:
        raise InputError(
            f"Rig '{rig.name}' has no texture coordinates for its pictures; take the rig that "
            "avatars.export.look.textured returns with them."
        )


def check_motion(rig: Rig, motion: RigMotion) -> None:
    """Whether a motion is of this rig and can be played; raises InputError if not."""
    bones, morphs = motion.rotations.shape[1], motion.morph_weights.shape[1]
    if (bones, morphs) != (len(rig.skeleton), len(rig.morphs)):
        raise InputError(
            f"Motion '{motion.name}' is of another rig: it moves {bones} bones and {morphs} morph targets, but "
            f"'{rig.name}' has {len(rig.skeleton)} and {len(rig.morphs)}. Bring the clip over with "
            "avatars.export.motion_on and avatars.export.rig.rig_motion."
        )
    lengths = {len(motion.rotations), len(motion.translations), len(motion.morph_weights)}
    if lengths == {0} or len(lengths) > 1 or not 0 < motion.frame_rate < float("inf"):
        raise InputError(
            f"Motion '{motion.name}' cannot be played: {sorted(lengths)} frames at {motion.frame_rate:g} a second."
        )
    for part in ("rotations", "translations", "morph_weights"):
        if not torch.isfinite(getattr(motion, part)).all():
            raise InputError(f"Motion '{motion.name}': its {part} hold values that are not finite.")
