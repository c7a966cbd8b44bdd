"""The verb that makes pictures of an avatar. Imports wait until it runs, so that help is quick."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from avatars.cli.files import motion_asked
from avatars.cli.notes import collected_notes, with_notes

if TYPE_CHECKING:
    from avatars.export.pictures.render_options import RenderOptions
    from data_prep.camera import Camera


@dataclass(frozen=True)
class Render:
    """Make pictures of an avatar, a body or a head: colours, normals, depth and masks, with the cameras that see them.

    Without --pose, --motion or so a body stands as it is stored, and a head rests.
    """

    avatar: tyro.conf.Positional[Path]
    """An avatar file."""
    out: Path
    """What to write: .png, .mp4, .gif, or a folder (a name without ending) with a folder for each map and cameras."""
    maps: tuple[str, ...] = ("rgb",)
    """One or more of rgb, normal (camera's axes), world-normal, depth (16 bits, millimetres), mask."""
    background: str | None = None
    """white, black, grey or transparent; a video is white if not given, pictures are transparent."""
    light: str = "camera"
    """Bodies: lamps move with the camera, stand still in the world, or none (plain colours). Heads have their own."""
    pose: int | None = None
    """Number of a training pose, or of a frame of a head's video, counted from 0."""
    canonical: bool = False
    """The pose in which the avatar is stored: legs apart, or the mouth a little open."""
    motion: Path | None = None
    """A motion of any kind that `avatars animate` takes, all of it or one --frame."""
    training_poses: bool = False
    """All poses that the avatar was fitted to, or the video of a head, as a motion."""
    frame: int | None = None
    """One frame of the motion, counted from 0."""
    frame_rate: float | None = None
    """Frames a second of a motion file that does not say it; others are resampled."""
    absolute: bool = False
    """Heads: take expressions and turns as they are, not relative to how the driver is at rest."""
    turntable: bool = False
    """Let the camera circle once (heads: swing to both sides)."""
    views: int | None = None
    """How many pictures a turntable of one pose has; six seconds of a video if not given."""
    degrees: float | None = None
    """How far the camera of a turntable goes around; less than 360 is to both sides and back."""
    cameras: Path | None = None
    """A camera file (transforms.json of NeRF, instant-ngp, nerfstudio), its folder, or that of a tracked video."""
    up: str = "y"
    """Axis of the camera file's world that points upwards: y (as glTF and avatars) or z (as Blender)."""
    yaw: float = 0.0
    """Degrees by which the camera stands aside, towards the person's left; 0 is the front (heads: as in the video)."""
    pitch: float = 0.0
    """Degrees from which the camera looks down."""
    fov: float | None = None
    """Vertical field of view (degrees); 28 for bodies and the video's own for heads if not given."""
    size: int | None = None
    """Height and width (pixels; the longer side of a head's picture): 512, or as a camera file says."""
    fps: float = 30.0
    """Frames a second of a video and of a motion."""
    start: float = 0.0
    """Second of the motion to start at."""
    end: float | None = None
    """Second of the motion to end at."""
    exact: bool = False
    """The implicit surface itself, by root finding, instead of the skinned mesh: seconds a picture."""
    resolution: int = 256
    """Cells along the longest side when the surface is extracted."""
    clay: bool = False
    """Bodies: show plain clay where the avatar has colours."""

    def run(self) -> str:
        """Make the pictures, and say where they are."""
        from avatars.export.pictures.render_options import check_render_path
        from avatars.export.pictures.rendering import render
        from avatars.models.file import load_avatar

        options = self._options()
        self._check()
        check_render_path(self.out, options)
        with collected_notes() as notes:
            cameras = self._cameras()
            avatar = load_avatar(self.avatar)
            motion = motion_asked(avatar, self.motion, self.training_poses, self.absolute, self.frame_rate)
            pose = "canonical" if self.canonical else self.pose
            render(avatar, self.out, options, pose, motion, self.frame, cameras)
        return with_notes(self._said(), notes)

    def _options(self) -> "RenderOptions":
        from avatars.export.films.views import View
        from avatars.export.pictures.render_options import RenderOptions

        return RenderOptions(
            maps=tuple(name for given in self.maps for name in given.lower().split(",") if name),
            background=self.background,
            light=self.light,
            size=512 if self.size is None else self.size,
            view=View(self.yaw, self.pitch, self.degrees, self.fov),
            turntable=self.turntable,
            views=self.views,
            fps=self.fps,
            start=self.start,
            end=self.end,
            exact=self.exact,
            resolution=self.resolution,
            colours=not self.clay,
        )

    def _check(self) -> None:
        from body_models import InputError

        moves = {"--motion": self.motion is not None, "--training-poses": self.training_poses}
        asked = {"--pose": self.pose is not None, "--canonical": self.canonical, **moves}
        given = [name for name, is_given in asked.items() if is_given]
        if len(given) > 1:
            raise InputError(f"Give one of {' and '.join(given)}, not {'both' if len(given) == 2 else 'all'}.")
        if self.frame is not None and not any(moves.values()):
            raise InputError(
                f"--frame {self.frame} is one of a motion: add --motion FILE, or give --pose {self.frame}."
            )
        if self.cameras is None and self.up != "y":
            raise InputError("--up is the upward axis of a camera file: add --cameras FILE.")

    def _cameras(self) -> "list[Camera] | None":
        from avatars.export.pictures.camera_files import read_cameras

        return None if self.cameras is None else read_cameras(self.cameras, self.size, self.up)

    def _said(self) -> str:
        if self.out.suffix.lower() in (".mp4", ".gif"):
            return f"Video: {self.out}"
        if self.out.suffix:
            others = [f"{self.out.stem}_{name}{self.out.suffix}" for name in self._options().maps[1:]]
            return f"Picture: {self.out}" + (f", with {', '.join(others)} beside it" if others else "")
        count = sum(1 for _ in (self.out / self._options().maps[0]).iterdir())
        return f"Pictures: {self.out} ({count} of {', '.join(self._options().maps)}; cameras in transforms.json)"
