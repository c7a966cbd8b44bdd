"""Read a motion clip from any file format that we know."""

from pathlib import Path

from body_models.errors import InputError
from body_models.motion.amass import load_poses
from body_models.motion.arkit import load_arkit
from body_models.motion.bvh import load_bvh
from body_models.motion.gltf_clips import load_gltf_clip
from body_models.motion.head_tracks import load_head_motion
from body_models.motion.motion import Motion
from body_models.motion.npz_files import holds_body_poses

MOTION_FORMATS = {
    ".bvh": "BVH",
    ".npz": "AMASS, SMPL-X or head tracks",
    ".glb": "glTF clips",
    ".gltf": "glTF clips",
    ".vrm": "VRM clips",
    ".csv": "ARKit face capture",
    ".txt": "ARKit face capture",
}
"""Suffixes of the files that `load_motion` reads, and what they hold."""
GLTF = (".glb", ".gltf", ".vrm")


def load_motion(path: str | Path, frame_rate: float | None = None, clip: str | int | None = None) -> Motion:
    """Read a clip from any of `MOTION_FORMATS` (metres, Y up, facing +Z at rest).

    `frame_rate` is that of the result: a file that does not say its own is taken to have it, others are resampled.
    `clip` chooses among those of a glTF file, by default the first. Raises InputError that names the file.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if path.is_dir():
        inside = sorted(one.name for one in path.iterdir() if one.suffix.lower() in MOTION_FORMATS)
        raise InputError(f"{path}: a folder; give one motion file. {_listed(inside)}")
    if suffix not in MOTION_FORMATS:
        known = ", ".join(f"{ending} ({what})" for ending, what in MOTION_FORMATS.items())
        raise InputError(f"{path}: motion clips are read from {known}, not from '{suffix or 'no suffix'}'.")
    if clip is not None and suffix not in GLTF:
        raise InputError(f"{path}: only .glb, .gltf and .vrm files hold several clips; leave the clip's name away.")
    motion = _load(path, suffix, frame_rate, clip)
    return motion if frame_rate is None or motion.frame_rate == frame_rate else motion.resample(frame_rate)


def _listed(files: list[str]) -> str:
    more = f" and {len(files) - 5} more" if len(files) > 5 else ""
    return f"In it: {', '.join(files[:5])}{more}." if files else "There is none in it."


def _load(path: Path, suffix: str, frame_rate: float | None, clip: str | int | None) -> Motion:
    if suffix == ".bvh":
        return load_bvh(path)
    if suffix == ".npz":
        return load_poses(path, frame_rate).motion if holds_body_poses(path) else load_head_motion(path, frame_rate)
    if suffix in GLTF:
        return load_gltf_clip(path, clip, frame_rate)
    return load_arkit(path, frame_rate)
