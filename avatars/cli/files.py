"""Verbs that turn an avatar into other files. Imports wait until a verb runs, so that help is quick."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from avatars.cli.notes import collected_notes, with_notes

if TYPE_CHECKING:
    from avatars.export import VideoOptions
    from avatars.models import Avatar
    from avatars.models.head_avatar import HeadAvatar
    from body_models import Motion


@dataclass(frozen=True)
class Animate:
    """Film an avatar, a body or a head, in a motion or on a turntable."""

    avatar: tyro.conf.Positional[Path]
    """An avatar file."""
    out: Path
    """What to write: .mp4, .gif, or a folder for PNG frames (a name without ending)."""
    motion: Path | None = None
    """A motion file of any person, of any kind that `avatars motion info` reads, or the folder of a tracked video."""
    frame_rate: float | None = None
    """Frames a second of a motion file that does not say it; others are resampled."""
    training_poses: bool = False
    """Go through the poses that the avatar was fitted to; of a head: its own video."""
    absolute: bool = False
    """Heads: take expressions and turns as they are, not relative to how the driver is at rest."""
    turntable: bool = False
    """Let the camera circle once (heads: swing to both sides); without a motion the avatar stands."""
    degrees: float | None = None
    """How far the camera of a turntable goes around; less than 360 is to both sides and back."""
    yaw: float = 0.0
    """Degrees by which the camera stands aside, towards the person's left."""
    pitch: float = 0.0
    """Degrees from which the camera looks down."""
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
        from avatars.export.animation import check_video_path
        from avatars.models.file import load_avatar

        options = self._options()
        check_video_path(self.out)
        avatar = load_avatar(self.avatar)
        with collected_notes() as notes:
            motion = _motion(avatar, self.motion, self.training_poses, self.absolute, self.frame_rate)
            animate(avatar, motion, self.out, options)
        return with_notes(f"Video: {self.out}", notes)

    def _options(self) -> "VideoOptions":
        from avatars.export import VideoOptions, View
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
            view=View(self.yaw, self.pitch, self.degrees),
        )


@dataclass(frozen=True)
class Export:
    """Write an avatar in one pose as a mesh, or a mesh for every frame of a motion (metres, Y up); heads in colour."""

    avatar: tyro.conf.Positional[Path]
    """An avatar file."""
    out: Path
    """What to write: .ply, .obj, .glb or .stl; or, with --motion or --training-poses, a folder (no ending)."""
    pose: int | None = None
    """Number of a training pose, or of a frame of a head's video, counted from 0."""
    motion: Path | None = None
    """A motion of any kind that `avatars animate` takes, of which one frame is taken, or all into a folder."""
    training_poses: bool = False
    """All poses that the avatar was fitted to, into a folder."""
    frame: int | None = None
    """Frame of the motion, counted from 0; the first if not given."""
    frame_rate: float | None = None
    """Frames a second of a motion file that does not say it; others are resampled."""
    absolute: bool = False
    """Heads: take expressions and turns as they are, not relative to how the driver is at rest."""
    canonical: bool = False
    """The pose in which the avatar is stored: legs apart, or the mouth a little open."""
    start: float = 0.0
    """Second of the motion at which a folder's frames start."""
    end: float | None = None
    """Second at which they end."""
    format: str = "ply"
    """What kind of meshes a folder holds: ply, obj, glb or stl."""
    resolution: int = 256
    """Cells along the longest side."""
    fast: bool = False
    """Skin a body's canonical mesh instead of finding the posed surface: faster, less clean at strong bends."""

    def run(self) -> str:
        """Write the mesh or meshes."""
        from avatars.models.file import load_avatar
        from body_models import InputError

        asked = (self.pose is not None, self.motion is not None, self.canonical, self.training_poses)
        if sum(asked) != 1:
            raise InputError(
                "Say which pose: one of --pose NUMBER, --motion FILE [--frame N], --training-poses or --canonical."
            )
        many = self.out.suffix == ""
        self._check_out(many)
        avatar = load_avatar(self.avatar)
        with collected_notes() as notes:
            motion = _motion(avatar, self.motion, self.training_poses, self.absolute, self.frame_rate)
            said = self._write_frames(avatar, motion) if many else self._write_one(avatar, motion)
        return with_notes(said, notes)

    def _check_out(self, many: bool) -> None:
        from avatars.export.coloured_meshes import check_mesh_path
        from body_models import InputError

        if many and self.motion is None and not self.training_poses:
            raise InputError(f"'{self.out}' has no ending; end the name of one mesh in .ply, .obj, .glb or .stl.")
        if many and self.frame is not None:
            raise InputError(f"--frame takes one mesh, '{self.out}' is a folder for all; end the name in .ply, or so.")
        if not many and self.training_poses:
            raise InputError(f"--training-poses needs a folder (a name without ending), not '{self.out}'.")
        check_mesh_path(self.out if not many else self.out / f"frame.{self.format}")

    def _write_one(self, avatar: "Avatar | HeadAvatar", motion: "Motion | None") -> str:
        from avatars.export import export

        export(avatar, self.out, self.pose, motion, self.frame or 0, self.resolution, exact=not self.fast)
        return f"Mesh: {self.out} ({self.out.stat().st_size / 1e6:.1f} MB)"

    def _write_frames(self, avatar: "Avatar | HeadAvatar", motion: "Motion | None") -> str:
        from avatars.export import export_frames
        from avatars.export.clips import cut_clip

        assert motion is not None
        clip = cut_clip(motion, self.start, self.end)
        export_frames(avatar, self.out, clip, f".{self.format}", self.resolution, exact=not self.fast)
        return f"Meshes: {self.out} ({len(clip)} frames of {clip.frame_rate:g} a second)"


@dataclass(frozen=True)
class Info:
    """Tell what is inside an avatar file."""

    avatar: tyro.conf.Positional[Path]
    """An avatar file."""

    def run(self) -> str:
        """Describe the avatar in a few lines."""
        from avatars.cli.descriptions import description
        from avatars.models.file import load_avatar

        lines = description(load_avatar(self.avatar), self.avatar)
        width = max(map(len, lines))
        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines.items())


def _motion(
    avatar: "Avatar | HeadAvatar", source: Path | None, training_poses: bool, absolute: bool, frame_rate: float | None
) -> "Motion | None":
    """What the user asked for, brought onto the avatar."""
    from avatars.export import motion_on, training_motion

    if training_poses:
        return training_motion(avatar)
    return None if source is None else motion_on(avatar, source, absolute, frame_rate)
