"""What pictures of an avatar show, and how they are made."""

from dataclasses import dataclass, field
from pathlib import Path

from avatars.export.films.clips import check_size, check_span
from avatars.export.films.views import View
from body_models import InputError
from body_models.parameters import unknown_name
from data_prep.pictures.mesh import LIT

RGB, NORMAL, WORLD_NORMAL, DEPTH, MASK = MAPS = ("rgb", "normal", "world-normal", "depth", "mask")
TRANSPARENT = "transparent"
BACKGROUNDS: dict[str, float] = {"white": 1.0, "black": 0.0, "grey": 0.5}
"""sRGB-coded."""
STILL, VIDEOS, FOLDER = ".png", (".mp4", ".gif"), ""
"""Endings of what is written; a name without one is a folder's."""
SECONDS = 6.0
"""How long a turntable of one pose takes if nobody says."""


@dataclass(frozen=True)
class RenderOptions:
    """What pictures of an avatar show, and how they are made."""

    maps: tuple[str, ...] = (RGB,)
    """rgb; normal (camera's axes), world-normal, depth, mask. A video shows one of them, and no depth."""
    background: str | None = None
    """white, black, grey or transparent (not in a video); None is white in a video, else transparent."""
    light: str = "camera"
    """Bodies: lamps move with the camera, stand still in the "world", or "none" (plain colours). Heads have theirs."""
    size: int = 512
    """Height and width (pixels); of a head's picture the longer side. Cameras of a file have their own."""
    view: View = field(default_factory=View)
    """From where the camera looks; bodies are seen level from the front, heads as their video's camera saw them."""
    turntable: bool = False
    """The camera circles once; before a head it swings to both sides."""
    views: int | None = None
    """How many pictures a turntable of one pose has; None is six seconds of a video."""
    fps: float | int = 30.0
    """Frames a second of a video and of a motion."""
    start: float | int = 0.0
    """Second of the motion to start at."""
    end: float | int | None = None
    """Second of the motion to end at; None is its own end."""
    exact: bool = False
    """The implicit surface itself, by root finding, instead of the skinned mesh: seconds a picture."""
    resolution: int = 256
    """Cells along the longest side when the surface is extracted."""
    supersampling: int = 2
    """Rays along each side of a pixel; 1 is faster, 2 has smooth edges."""
    colours: bool = True
    """Show a body's colours where it has some; otherwise clay."""

    def __post_init__(self) -> None:
        for name in self.maps:
            if name not in MAPS:
                raise InputError(unknown_name("Unknown map", name, MAPS))
        if not self.maps or len(set(self.maps)) < len(self.maps):
            raise InputError(f"Name each map once, one or more of {', '.join(MAPS)}.")
        known = (*BACKGROUNDS, TRANSPARENT)
        if self.background is not None and self.background not in known:
            raise InputError(unknown_name("Unknown background", self.background, known))
        if self.light not in LIT:
            raise InputError(unknown_name("Unknown light", self.light, LIT))
        if not 1 <= self.fps <= 240:
            raise InputError(f"{self.fps} frames a second is not usable; use 1 to 240.")
        if not 16 <= self.resolution <= 1024:
            raise InputError(f"A resolution of {self.resolution} is not in 16 to 1024; 256 is usual.")
        if not 1 <= self.supersampling <= 8:
            raise InputError(f"{self.supersampling} rays along a pixel's side are not in 1 to 8; use 1 or 2.")
        if self.light == "none" and not self.colours:
            raise InputError("Clay without light shows nothing: leave --clay or --light none away.")
        check_size(self.size)
        check_span(self.start, self.end)
        self._check_turn()

    def _check_turn(self) -> None:
        if (self.views is not None or self.view.degrees is not None) and not self.turntable:
            raise InputError("How many views, and how many degrees around, is for a turntable: add --turntable.")
        if self.views is not None and not 1 <= self.views <= 10_000:
            raise InputError(f"{self.views} views are not in 1 to 10000.")


def check_render_path(path: Path | str, options: RenderOptions) -> Path:
    """The path of pictures to write; raises InputError for what cannot be written there.

    That is another ending than .png, .mp4, .gif or none (a folder), a video of several maps, of depth or of something
    transparent, and a folder that holds other things than pictures of ours.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (STILL, *VIDEOS, FOLDER):
        raise InputError(f"Cannot render to '{path.name}'; end the name in .png, .mp4 or .gif, or name a folder.")
    if suffix in VIDEOS:
        _check_video(path, options)
    if suffix == FOLDER and path.exists() and not _is_ours(path):
        raise InputError(f"{path} is a file or holds other files, which would be lost; name a new folder.")
    if suffix == STILL and options.turntable and options.views != 1:
        raise InputError(f"A turntable is many pictures and '{path.name}' is one; name a folder, or a video (.mp4).")
    return path


def _check_video(path: Path, options: RenderOptions) -> None:
    folder = path.with_suffix("")
    if DEPTH in options.maps:
        raise InputError(
            f"Depth in millimetres does not fit into the 8 bits of a video ('{path.name}'). Write 16-bit pictures with "
            f"--out {folder}/, or film --maps normal."
        )
    if len(options.maps) > 1:
        raise InputError(f"A video shows one map, not {', '.join(options.maps)}; write all with --out {folder}/.")
    if options.background == TRANSPARENT:
        raise InputError(f"'{path.name}' cannot be transparent; write pictures that are with --out {folder}/.")


def _is_ours(folder: Path) -> bool:
    """Whether a folder holds nothing but pictures and cameras as they are written here."""
    if not folder.is_dir():
        return False
    for entry in folder.iterdir():
        if entry.name == "transforms.json" and entry.is_file():
            continue
        if entry.name not in MAPS or not entry.is_dir():
            return False
        if not all(file.name.startswith("frame_") and file.suffix == STILL for file in entry.iterdir()):
            return False
    return True
