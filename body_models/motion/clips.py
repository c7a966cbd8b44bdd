"""Read a motion clip from any file format that we know."""

from pathlib import Path

from body_models.errors import InputError
from body_models.motion.amass import load_poses
from body_models.motion.bvh import load_bvh
from body_models.motion.motion import Motion


def load_motion(path: str | Path) -> Motion:
    """Read a clip from a BVH file or an AMASS-type `.npz`; raises InputError for anything else."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".bvh":
        return load_bvh(path)
    if suffix == ".npz":
        return load_poses(path).motion
    raise InputError(
        f"{path}: motion clips are read from .bvh and .npz (AMASS) files, not from '{suffix or 'no suffix'}'."
    )
