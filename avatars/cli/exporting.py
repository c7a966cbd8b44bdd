"""The verb that turns an avatar into rigged files and meshes. Imports wait until it runs, so that help is quick."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from avatars.cli.files import motion_asked
from avatars.cli.notes import collected_notes, with_notes

if TYPE_CHECKING:
    from avatars.models import Avatar
    from avatars.models.head_avatar import HeadAvatar
    from body_models import Motion

MESHES = (".ply", ".obj", ".glb", ".stl")
RIGGED = (".glb", ".vrm", ".fbx", ".usda", ".usdc", ".usdz")


@dataclass(frozen=True)
class Export:
    """Write an avatar as a rigged, animated file, or as meshes in given poses (metres, Y up).

    A name that ends in .glb, .vrm, .usdz (.usda, .usdc) or .fbx, without --pose, --frame or --canonical, gives one file
    with bones, morph targets, textures, and a clip for each --motion. Else one mesh, or a folder of one for each frame.
    """

    avatar: tyro.conf.Positional[Path]
    """An avatar file."""
    out: Path
    """What to write: a rigged .glb, .vrm, .usdz or .fbx; a mesh .ply, .obj, .glb or .stl; or a folder (no ending)."""
    motion: tuple[Path, ...] = ()
    """Motions of any kind that `avatars animate` takes: clips of a rigged file; or one, of which frames are taken."""
    training_poses: bool = False
    """All poses that the avatar was fitted to, or the video of a head, as a motion."""
    rig: str = "model"
    """Whose standard the bones of a rigged file follow, in names, bind pose and axes: model (own), mixamo or vrm."""
    faces: int = 30_000
    """Triangles of a rigged file at most."""
    texture: int = 2048
    """Width and height of its textures (pixels); 0 leaves them out."""
    influences: int = 4
    """Bones that move a vertex of it, 1 to 4."""
    correctives: int = 0
    """Pose blendshapes of a body that bring it nearer to the implicit avatar; 8 are many."""
    report: bool = False
    """Measure how far the rigged file is from the implicit avatar in the first motion, and write NAME.report.json."""
    pose: int | None = None
    """A mesh: number of a training pose, or of a frame of a head's video, counted from 0."""
    frame: int | None = None
    """A mesh: frame of the motion, counted from 0; the first if not given."""
    canonical: bool = False
    """A mesh: the pose in which the avatar is stored, legs apart, or the mouth a little open."""
    frame_rate: float | None = None
    """Frames a second of a motion file that does not say it; others are resampled."""
    absolute: bool = False
    """Heads: take expressions and turns as they are, not relative to how the driver is at rest."""
    start: float = 0.0
    """Second of the motion at which clips and folders start."""
    end: float | None = None
    """Second at which they end."""
    format: str = "ply"
    """What kind of meshes a folder holds: ply, obj, glb or stl."""
    resolution: int | None = None
    """Cells along the longest side of the surface; 256 for meshes and heads, 512 for rigged bodies if not given."""
    fast: bool = False
    """Meshes: skin a body's canonical mesh instead of finding the posed surface: faster, less clean at strong bends."""

    def run(self) -> str:
        """Write the file, mesh or meshes."""
        from avatars.models.file import load_avatar

        rigged = self._is_rigged()
        self._check_rigged() if rigged else self._check_mesh()
        avatar = load_avatar(self.avatar)
        with collected_notes() as notes:
            motions = self._motions(avatar)
            said = self._write_rig(avatar, motions) if rigged else self._write_meshes(avatar, motions)
        return with_notes(said, notes)

    def _is_rigged(self) -> bool:
        one_pose = self.canonical or self.pose is not None or self.frame is not None
        return self.out.suffix.lower() in RIGGED and not (one_pose and self.out.suffix.lower() == ".glb")

    def _check_rigged(self) -> None:
        from avatars.export.rigged import check_rig_path
        from body_models import InputError

        check_rig_path(self.out)
        if self.canonical or self.pose is not None or self.frame is not None:
            raise InputError(
                f"--pose, --frame and --canonical are for meshes, and '{self.out.name}' is a rigged file: leave them "
                "away, or end the name in .ply, .obj, .glb or .stl."
            )
        if self.report and not self.motion and not self.training_poses:
            raise InputError("--report measures the rig in a motion: add --motion FILE or --training-poses.")

    def _check_mesh(self) -> None:
        from avatars.export.coloured_meshes import check_mesh_path
        from body_models import InputError

        many = self.out.suffix == ""
        if many and not self.motion and not self.training_poses:
            raise InputError(
                f"'{self.out}' has no ending; end the name in .glb for a rigged file, in .ply, .obj or .stl for a mesh."
            )
        if not many and self.out.suffix.lower() not in MESHES:
            raise InputError(
                f"Cannot write '{self.out.name}'; end the name in {', '.join(RIGGED)} for a rigged file, in "
                f"{', '.join(MESHES)} for a mesh, or name a folder."
            )
        check_mesh_path(self.out / f"frame.{self.format}" if many else self.out)
        if sum((self.pose is not None, bool(self.motion), self.canonical, self.training_poses)) != 1:
            raise InputError(
                "Say which pose: one of --pose NUMBER, --motion FILE [--frame N], --training-poses or --canonical."
            )
        if many and self.frame is not None:
            raise InputError(f"--frame takes one mesh, '{self.out}' is a folder for all; end the name in .ply, or so.")
        if not many and self.training_poses:
            raise InputError(f"--training-poses needs a folder (a name without ending), not '{self.out}'.")
        if len(self.motion) > 1:
            raise InputError("Several motions go into a rigged file (.glb, .usdz, .fbx); meshes are of one.")
        if self.report:
            raise InputError("--report compares a rigged file (.glb, .usdz, .fbx) with the avatar; a mesh needs none.")

    def _motions(self, avatar: "Avatar | HeadAvatar") -> "list[Motion]":
        """What the user asked for, brought onto the avatar and cut."""
        from avatars.export.films.clips import cut_clip

        asked: list[Path | None] = [*self.motion, *([None] if self.training_poses else [])]
        found = (motion_asked(avatar, file, file is None, self.absolute, self.frame_rate) for file in asked)
        clips = [clip for clip in found if clip is not None]
        return clips if self.frame is not None else [cut_clip(clip, self.start, self.end) for clip in clips]

    def _write_rig(self, avatar: "Avatar | HeadAvatar", clips: "list[Motion]") -> str:
        from avatars.export.rig.options import RigOptions
        from avatars.export.rigged import bake_for, bone_standard, export_rig, write_report

        options = RigOptions(self.faces, self.resolution, self.influences, self.correctives, self.texture)
        bone_standard(avatar, self.out, self.rig)
        baked = bake_for(avatar, clips, options)
        export_rig(avatar, self.out, clips, options, self.rig, baked)
        rig = baked.rig
        said = (
            f"Rigged avatar: {self.out} ({self.out.stat().st_size / 1e6:.1f} MB; {len(rig.faces):,} triangles, "
            f"{len(rig.skeleton)} bones, {len(rig.morphs)} morph targets, {len(clips)} clip{'s' * (len(clips) != 1)})"
        )
        return f"{said}\n{write_report(avatar, baked, clips[0], self.out)}" if self.report else said

    def _write_meshes(self, avatar: "Avatar | HeadAvatar", clips: "list[Motion]") -> str:
        from avatars.export import export, export_frames

        motion = clips[0] if clips else None
        if self.out.suffix == "":
            assert motion is not None
            export_frames(avatar, self.out, motion, f".{self.format}", self.resolution or 256, exact=not self.fast)
            return f"Meshes: {self.out} ({len(motion)} frames of {motion.frame_rate:g} a second)"
        pose = "canonical" if self.canonical else self.pose
        frame = None if motion is None else self.frame or 0
        export(avatar, self.out, pose, motion, frame, self.resolution, exact=not self.fast)
        return f"Mesh: {self.out} ({self.out.stat().st_size / 1e6:.1f} MB)"
