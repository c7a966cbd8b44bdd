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
    clay: bool = False
    """Bodies: show plain clay where the avatar has colours."""

    def run(self) -> str:
        """Write the video."""
        from avatars.export import animate
        from avatars.export.films.animation import check_video_path
        from avatars.models.file import load_avatar

        options = self._options()
        check_video_path(self.out)
        avatar = load_avatar(self.avatar)
        with collected_notes() as notes:
            motion = motion_asked(avatar, self.motion, self.training_poses, self.absolute, self.frame_rate)
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
            colours=not self.clay,
        )


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


def motion_asked(
    avatar: "Avatar | HeadAvatar", source: Path | None, training_poses: bool, absolute: bool, frame_rate: float | None
) -> "Motion | None":
    """What the user asked for, brought onto the avatar."""
    from avatars.export import motion_on, training_motion

    if training_poses:
        return training_motion(avatar)
    return None if source is None else motion_on(avatar, source, absolute, frame_rate)
