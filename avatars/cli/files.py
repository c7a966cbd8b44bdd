"""Verbs that turn an avatar into other files. Imports wait until a verb runs, so that help is quick."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from avatars.cli.notes import collected_notes, with_notes

if TYPE_CHECKING:
    from avatars.export import VideoOptions
    from avatars.models import Avatar
    from body_models import Motion


@dataclass(frozen=True)
class Animate:
    """Film an avatar in a motion, or standing on a turntable."""

    avatar: tyro.conf.Positional[Path]
    """An avatar file."""
    out: Path
    """What to write: .mp4, .gif, or a folder for PNG frames (a name without ending)."""
    motion: Path | None = None
    """A motion file of any person, of any kind that `avatars motion info` reads."""
    frame_rate: float | None = None
    """Frames a second of a motion file that does not say it; others are resampled."""
    training_poses: bool = False
    """Go through the poses that the avatar was fitted to."""
    turntable: bool = False
    """Let the camera circle once; without a motion the avatar stands."""
    fps: float = 30.0
    """Frames a second."""
    size: int = 512
    """Height and width (pixels)."""
    start: float = 0.0
    """Second of the motion to start at."""
    end: float | None = None
    """Second of the motion to end at."""
    exact: bool = False
    """Every frame by root finding instead of skinning: seconds a frame, cleaner at strong bends."""

    def run(self) -> str:
        """Write the video."""
        from avatars.export import animate

        options = self._options()
        avatar = load_avatar(self.avatar)
        with collected_notes() as notes:
            animate(avatar, self._motion(avatar), self.out, options)
        return with_notes(f"Video: {self.out}", notes)

    def _options(self) -> "VideoOptions":
        from avatars.export import VideoOptions
        from body_models import InputError

        if self.motion is not None and self.training_poses:
            raise InputError("Give either --motion or --training-poses, not both.")
        if self.motion is None and not (self.training_poses or self.turntable):
            raise InputError("Nothing to film: give --motion FILE, --training-poses or --turntable.")
        return VideoOptions(
            fps=self.fps,
            size=self.size,
            turntable=self.turntable,
            exact=self.exact,
            start=self.start,
            end=self.end,
        )

    def _motion(self, avatar: "Avatar") -> "Motion | Path | None":
        from avatars.export import training_motion

        return training_motion(avatar) if self.training_poses else _at_rate(self.motion, self.frame_rate)


@dataclass(frozen=True)
class Export:
    """Write an avatar in one pose as a mesh (metres, Y up)."""

    avatar: tyro.conf.Positional[Path]
    """An avatar file."""
    out: Path
    """What to write: .ply, .obj, .glb or .stl."""
    pose: int | None = None
    """Number of a training pose, counted from 0."""
    motion: Path | None = None
    """A motion file of any kind that `avatars motion info` reads, of which one frame is taken."""
    frame: int = 0
    """Frame of the motion, counted from 0."""
    frame_rate: float | None = None
    """Frames a second of a motion file that does not say it; others are resampled."""
    canonical: bool = False
    """The pose in which the avatar is stored, legs apart."""
    resolution: int = 256
    """Cells along the longest side."""
    fast: bool = False
    """Skin the canonical mesh instead of finding the posed surface: faster, less clean at strong bends."""

    def run(self) -> str:
        """Write the mesh."""
        from avatars.export import export
        from body_models import InputError

        if sum((self.pose is not None, self.motion is not None, self.canonical)) != 1:
            raise InputError("Say which pose: one of --pose NUMBER, --motion FILE [--frame N], or --canonical.")
        avatar = load_avatar(self.avatar)
        with collected_notes() as notes:
            motion = _at_rate(self.motion, self.frame_rate)
            export(avatar, self.out, self.pose, motion, self.frame, self.resolution, exact=not self.fast)
        return with_notes(f"Mesh: {self.out} ({self.out.stat().st_size / 1e6:.1f} MB)", notes)


@dataclass(frozen=True)
class Info:
    """Tell what is inside an avatar file."""

    avatar: tyro.conf.Positional[Path]
    """An avatar file."""

    def run(self) -> str:
        """Describe the avatar in a few lines."""
        avatar = load_avatar(self.avatar)
        model, info = avatar.model, avatar.info
        body = avatar.body(128)
        tall = float(body.vertices[:, 1].max() - body.vertices[:, 1].min())
        numbers = sum(value.numel() for value in model.state_dict().values())
        lines = {
            "file": f"{self.avatar} ({self.avatar.stat().st_size / 1e6:.1f} MB)",
            "method": f"snarf, {model.options.network} fields, {numbers / 1e6:.2f} million numbers",
            "body": f"{info.body_model}, {len(avatar.skeleton)} joints, {tall:.2f} m tall",
            "fitted to": f"{len(info.names)} scans: {', '.join(info.names)}",
        }
        lines |= {f"note {number}": note for number, note in enumerate(info.notes, 1)}
        width = max(map(len, lines))
        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines.items())


def _at_rate(motion: Path | None, frame_rate: float | None) -> "Motion | Path | None":
    """The clip of a file at a rate that the user gave; without one the file itself, whose own rate counts."""
    from body_models import load_motion

    return motion if motion is None or frame_rate is None else load_motion(motion, frame_rate)


def load_avatar(path: Path) -> "Avatar":
    """Read an avatar file."""
    from avatars.models import load

    return load(path)
