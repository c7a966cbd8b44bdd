"""Rigged avatars as FBX, through Blender: the format is closed, and Blender's is the free writer of it."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from avatars.export.formats.blender import blender_program, run_in_blender
from avatars.export.gltf import write_glb
from avatars.export.look import Look
from avatars.export.rig import Rig, RigMotion
from body_models import InputError
from data_prep.atomic import replacing

SCRIPT = Path(__file__).with_name("blender_fbx.py")


def write_fbx(
    path: Path | str,
    rig: Rig,
    motions: Sequence[RigMotion] = (),
    look: Look | None = None,
    names: str = "model",
    notes: Sequence[str] = (),
) -> Path:
    """Write what `write_glb` writes as .fbx: bones, weights, morph targets, clips and textures inside the file.

    In centimetres, FBX's own unit, so that no program has to scale anything. All clips are sampled at the highest of
    their frame rates. Colours that hold the light of their video are given off by a surface that reflects nothing.
    Raises InputError for another ending, where Blender is missing or fails, and as `write_glb` does.
    """
    path = Path(path)
    if path.suffix.lower() != ".fbx":
        raise InputError(f"Cannot write FBX as '{path.name}'; end the name in .fbx.")
    blender_program()
    rate = max((motion.frame_rate for motion in motions), default=30.0)
    with tempfile.TemporaryDirectory() as folder, replacing(path) as temporary:
        glb = write_glb(Path(folder) / f"{path.stem}.glb", rig, motions, _lit(look), names, notes)
        written = Path(folder) / path.name  # its final name: pictures in the file are named after it
        shining = look is not None and look.unlit
        run_in_blender(SCRIPT, str(glb), str(written), repr(rate), "shining" if shining else "lit")
        if not written.is_file():
            raise InputError(f"Blender wrote no {path.name}; write a .glb instead, which most programs read as well.")
        shutil.move(written, temporary)
    return path


def _lit(look: Look | None) -> Look | None:
    """A look that Blender's exporter understands: it would lose the picture of an unlit material."""
    return Look(look.colour, None, unlit=False) if look is not None and look.unlit else look
