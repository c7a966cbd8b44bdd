"""Verbs about motion clips. Imports wait until a verb runs, so that help is quick."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from avatars.cli.notes import collected_notes, with_notes

if TYPE_CHECKING:
    from body_models import Motion, Poses

_MOVED = 0.01
"""Radians that a hand or the face must turn to count as moving."""


@dataclass(frozen=True)
class MotionInfo:
    """Tell what is inside a motion file: joints, rate, length, travel, hands and face."""

    file: tyro.conf.Positional[Path]
    """A BVH, AMASS or SMPL-X npz, glTF or GLB file, head tracks (npz) or an ARKit recording (csv)."""
    clip: str | None = None
    """Which clip of a glTF file; by default the first."""
    frame_rate: float | None = None
    """Frames a second of a file that does not say it; others are shown resampled."""

    def run(self) -> str:
        """Describe the motion, a line a property."""
        from body_models import load_motion
        from body_models.motion.clips import MOTION_FORMATS

        with collected_notes() as notes:
            motion = load_motion(self.file, self.frame_rate, self.clip)
        lines = {"file": f"{self.file} ({MOTION_FORMATS[self.file.suffix.lower()]})", "name": motion.name}
        lines |= _description(motion)
        lines |= {f"note {number}": note.removeprefix(f"{self.file}: ") for number, note in enumerate(notes, 1)}
        width = max(map(len, lines))
        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines.items())


@dataclass(frozen=True)
class MotionConvert:
    """Write a motion as AMASS npz or BVH, cut, resampled or looped on the way."""

    source: tyro.conf.Positional[Path]
    """A motion file of any kind that `avatars motion info` reads."""
    out: tyro.conf.Positional[Path]
    """What to write: .npz or .bvh."""
    clip: str | None = None
    """Which clip of a glTF file; by default the first."""
    frame_rate: float | None = None
    """Frames a second of the result."""
    start: float = 0.0
    """Second to start at."""
    stop: float | None = None
    """Second to stop at."""
    loop: int = 0
    """Make a seamless cycle and repeat it this many times."""

    def run(self) -> str:
        """Convert the file; one of a foreign skeleton is brought over to the free body for .npz."""
        from body_models import InputError, write_bvh

        if self.out.suffix.lower() not in (".npz", ".bvh"):
            raise InputError(f"{self.out}: motions are written as .npz or .bvh; choose one of these suffixes.")
        with collected_notes() as notes:
            poses = self._load()
            motion = self._edited(poses.motion)
            how = ""
            if self.out.suffix.lower() == ".bvh":
                write_bvh(self.out, motion)
            else:
                how = _write_npz(self.out, motion, poses)
        return with_notes(f"Motion: {self.out} ({len(motion)} frames{how})", notes)

    def _load(self) -> "Poses":
        """The motion, with the person where the file tells who it is."""
        from body_models import Poses, load_motion, load_poses
        from body_models.motion.npz_files import holds_body_poses

        if self.source.suffix.lower() == ".npz" and self.clip is None and holds_body_poses(self.source):
            return load_poses(self.source, self.frame_rate)
        return Poses(load_motion(self.source, self.frame_rate, self.clip), None, "")

    def _edited(self, motion: "Motion") -> "Motion":
        from body_models import InputError

        if self.frame_rate is not None and motion.frame_rate != self.frame_rate:
            motion = motion.resample(self.frame_rate)
        stop = motion.duration if self.stop is None else self.stop
        if not 0 <= self.start <= stop <= motion.duration + 1 / motion.frame_rate:
            raise InputError(
                f"{self.source}: lasts {motion.duration:.2f} s; cannot take {self.start:g} to {stop:g} s of it. Give "
                "--start and --stop within that."
            )
        first, last = (round(second * motion.frame_rate) for second in (self.start, stop))
        motion = motion.cut(first, min(last + 1, len(motion)))
        return motion.loop(self.loop) if self.loop else motion


@dataclass(frozen=True)
class Motions:
    """Look into motion files and convert them."""

    verb: tyro.conf.OmitArgPrefixes[
        Annotated[MotionInfo, tyro.conf.subcommand("info", prefix_name=False)]
        | Annotated[MotionConvert, tyro.conf.subcommand("convert", prefix_name=False)]
    ]

    def run(self) -> str:
        """Run the chosen verb."""
        return self.verb.run()


def _write_npz(out: Path, motion: "Motion", poses: "Poses") -> str:
    """Write the motion as it is where npz has its joints, else on the free body; tells what was done."""
    from body_models import load_anny, retarget, write_amass, write_head_motion
    from body_models.motion.amass import SMPL_FAMILY
    from body_models.motion.rigs import match_head_joints

    if poses.body_model:
        write_amass(out, motion, poses.betas, poses.body_model, poses.gender or "neutral")
        return f", {poses.body_model}"
    if match_head_joints(motion.skeleton.joint_names):
        write_head_motion(out, motion)
        return ", head tracks"
    family = [name for name, skeleton in SMPL_FAMILY.items() if skeleton == motion.skeleton]
    if family:
        write_amass(out, motion, body_model=family[0])
        return f", {family[0]}"
    write_amass(out, retarget(motion, load_anny().body()))
    return ", brought over to the free body"


def _description(motion: "Motion") -> dict[str, str]:
    places, rest = motion.joint_positions()[:, 0, [0, 2]], motion.rest_joints
    away, walked = float((places[-1] - places[0]).norm()), float(places.diff(dim=0).norm(dim=-1).sum())
    tall = float(rest[:, 1].max() - rest[:, 1].min())
    lines = _joint_lines(motion)
    return {
        "joints": lines.pop("joints"),
        "frames": f"{len(motion)} at {motion.frame_rate:g} a second, {motion.duration:.2f} s",
        "height": f"{tall:.2f} m from the lowest to the highest joint at rest",
        "travel": f"{away:.2f} m from start to end, {walked:.2f} m of way along the ground",
        **lines,
        "expression": _expression(motion),
    }


def _joint_lines(motion: "Motion") -> dict[str, str]:
    from body_models import InputError
    from body_models.motion.rigs import match_head_joints, match_joints, rig_family

    names = motion.skeleton.joint_names
    matches = match_head_joints(names)
    kind = "a head"
    if not matches:
        try:
            matches = match_joints(names)
        except InputError as error:
            return {"joints": f"{len(names)}, unknown: retargeting will fail. {error}"}
        kind = f"names as in {rig_family(names)}"
    hands = sorted({i for name, i in matches.items() if name.startswith(("left_", "right_")) and _is_finger(name)})
    face = [i for name, i in matches.items() if name in ("jaw", "left_eye", "right_eye")]
    return {
        "joints": f"{len(names)}, {kind}; {len(set(matches.values()))} known to us",
        "hands": _moving(motion, hands),
        "face": _moving(motion, face),
    }


def _is_finger(joint: str) -> bool:
    return joint.endswith("_hand") or joint[-1].isdigit()


def _moving(motion: "Motion", joints: list[int]) -> str:
    if not joints:
        return "no joints"
    moves = bool((motion.rotations[:, joints] - motion.rotations[:1, joints]).norm(dim=-1).max() > _MOVED)
    turned = bool(motion.rotations[:, joints].norm(dim=-1).max() > _MOVED)
    count = f"{len(joints)} {'joint' if len(joints) == 1 else 'joints'}"
    return f"{count}, {'moving' if moves else 'held in one pose' if turned else 'at rest'}"


def _expression(motion: "Motion") -> str:
    if motion.expression is None:
        return "none"
    names, count = motion.expression_names, motion.expression.shape[1]
    if not names:
        return f"{count} parameters without names"
    return f"{count} named: {', '.join(names[:4])}{' ...' if count > 4 else ''}"
