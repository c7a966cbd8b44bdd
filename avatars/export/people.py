"""Files of sampled people: an avatar, meshes with the wrinkles in them, and the codes that make them again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avatars.export.contact_sheet import MOST_SHOWN, SheetPerson, SheetPose, people_sheet, sheet_person, sheet_poses
from avatars.export.gltf import write_glb
from avatars.export.progress import counted
from avatars.export.rig.bake import bake_body
from avatars.export.rig.grounded import on_the_ground
from avatars.export.rig.options import RigOptions
from avatars.meshing import TriangleMesh, write_mesh
from avatars.meshing.files import SUFFIXES
from avatars.models import save
from avatars.models.person import Person
from avatars.models.person_file import write_codes
from body_models import Body, InputError, Motion, load_motion, retarget
from data_prep.pictures import write_image

AVATAR = "avatar"
FORMATS = (AVATAR, *(suffix[1:] for suffix in SUFFIXES))


@dataclass(frozen=True)
class PeopleOptions:
    """What is written of each person."""

    formats: tuple[str, ...] = (AVATAR, "ply")
    """avatar; glb, which is rigged; and mesh formats: ply, obj, stl."""
    resolution: int = 256
    """Cells along the longest side of the meshes."""
    poses: Path | None = None
    """A motion of which the sheet shows three frames, instead of its own poses."""
    quiet: bool = False

    def check(self) -> None:
        """Raise InputError for unknown formats and a resolution that makes no sense."""
        unknown = [name for name in self.formats if name not in FORMATS]
        if unknown or not self.formats:
            raise InputError(f"Unknown format '{', '.join(unknown)}'; use one or more of {', '.join(FORMATS)}.")
        if not 32 <= self.resolution <= 1024:
            raise InputError(f"A resolution of {self.resolution} is not in 32 to 1024; 256 is usual.")


def write_people(
    people: Sequence[Person], folder: Path | str, options: PeopleOptions | None = None, mark: str = ""
) -> Path:
    """Write people to a folder as person_000.avatar, .ply and so on, each with its codes in a .json, and sheet.png.

    Meshes stand in the canonical pose (metres, Y up), with the wrinkles in their geometry; a .glb has bones, and finer
    wrinkles in its normal map. `mark` tells of which prior
    the people are, as `prior_mark` gives it. Files of these names are replaced, each once it is whole. Raises
    InputError for options that make no sense, a place that is no folder, or one that cannot be written.
    """
    folder, options = Path(folder), options or PeopleOptions()
    options.check()
    check_folder(folder)
    if not people:
        raise InputError("There are no people to write; ask for one or more.")
    motion = None if options.poses is None else load_motion(options.poses)
    shown: list[SheetPerson] = []
    poses: tuple[SheetPose, ...] = ()
    for number, person in counted(enumerate(people), len(people), "Making people", options.quiet):
        body = person.body(options.resolution, details=True).to("cpu")
        poses = poses or _poses(body, motion)
        name = f"person_{number:03d}"
        write_person(person, body, folder / name, options, mark)
        if number < MOST_SHOWN:
            shown.append(sheet_person(body, poses, name))
    write_image(people_sheet(shown, poses, quiet=options.quiet), folder / "sheet.png")
    return folder / "sheet.png"


def write_person(person: Person, body: Body, stem: Path, options: PeopleOptions, mark: str = "") -> None:
    """Write one person's files, all of a name but for the ending; `body` is its rigged mesh with wrinkles."""
    for name in options.formats:
        path = stem.with_name(f"{stem.name}.{name}")
        if name == AVATAR:
            save(person.avatar(stem.name, options.resolution), path)
        elif name == "glb":
            baked = bake_body(body, RigOptions(resolution=options.resolution, texture=1024))
            write_glb(path, on_the_ground(baked.rig)[0], look=baked.look)
        else:
            write_mesh(TriangleMesh(body.canonical(), body.faces), path)
    write_codes(person, stem.with_name(f"{stem.name}.json"), mark)


def check_folder(folder: Path) -> None:
    """Raise InputError for the name of a file, or one that looks like it."""
    if folder.is_file() or folder.suffix.lower()[1:] in (*FORMATS, "png", "json"):
        raise InputError(f"'{folder}' is a file or named like one; people are written to a folder, such as people/.")


def _poses(body: Body, motion: Motion | None) -> tuple[SheetPose, ...]:
    if motion is None:
        return sheet_poses(body)
    try:
        return sheet_poses(body, retarget(motion, body))
    except InputError as error:
        raise InputError(f"Motion '{motion.name}': {error}") from error
