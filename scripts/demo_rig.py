"""The last export of a demo: the avatar as one rigged, animated file, and how near that is to the avatar itself."""

from dataclasses import dataclass
from pathlib import Path

from avatars import Avatar
from avatars.export import RigOptions, export_rig, motion_on
from avatars.export.rig.fidelity import Fidelity, measure_fidelity
from avatars.export.rigged import bake_for
from avatars.models.head_avatar import HeadAvatar
from body_models import Motion

QUICK = RigOptions(faces=4000, resolution=96, texture=256)
FRAMES, QUICK_FRAMES = 4, 1
"""Frames of the clip in which rig and avatar are compared."""
QUICK_CELLS, CELLS = 64, 256


@dataclass(frozen=True)
class RiggedFile:
    """A rigged file, and its distance to the avatar that it was made from."""

    path: Path
    clip: str
    bones: int
    expressions: int
    texture: int | None
    """Width and height of the colour texture (pixels); None without one."""
    fidelity: Fidelity

    @property
    def told(self) -> str:
        """All of it in one line."""
        look = "no texture" if self.texture is None else f"{self.texture} x {self.texture} texture"
        face = f", {self.expressions} expressions" if self.expressions else ""
        return (
            f"{self.path.stat().st_size / 1e6:.1f} MB, {self.fidelity.faces:,} triangles, {self.bones} bones{face}, "
            f"{look}, clip '{self.clip}'; {self.fidelity.mean:.1f} mm from the avatar on average, 95 % within "
            f"{self.fidelity.percentile_95:.1f} mm"
        )


def write_rigged(avatar: Avatar | HeadAvatar, path: Path, motion: Motion | Path, quick: bool = False) -> RiggedFile:
    """Write the avatar with bones, textures and a clip, and compare it with the avatar in some of the clip's frames."""
    clip = motion_on(avatar, motion)
    baked = bake_for(avatar, [clip], QUICK if quick else RigOptions())
    export_rig(avatar, path, [motion], baked=baked)
    cells = QUICK_CELLS if quick else CELLS
    found = measure_fidelity(avatar, baked.rig, clip, QUICK_FRAMES if quick else FRAMES, cells)
    colour = None if baked.look is None or baked.look.colour is None else len(baked.look.colour)
    expressions = len(baked.rig.morph_names) - (0 if baked.rig.correctives is None else len(baked.rig.correctives.bias))
    return RiggedFile(path, clip.name, len(baked.rig.skeleton), expressions, colour, found)
