"""Verbs about datasets of videos and of many people. Imports wait until a verb runs, so that help is quick."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from data_prep.people import PeopleDataset
    from data_prep.video_dataset import VideoDataset

LAYOUTS = ("avatars", "imavatar", "vhap")


@dataclass(frozen=True)
class DatasetInfo:
    """Tell what is inside a dataset of many people, or one made from video: ours, IMavatar's or VHAP's."""

    folder: tyro.conf.Positional[Path]
    """The dataset's folder."""

    def run(self) -> str:
        """Describe the dataset, a line a property."""
        from data_prep.other_datasets import read_any_dataset
        from data_prep.people import read_people

        if any((self.folder / name).exists() for name in ("people.json", "members")):
            lines = _description_of_people(read_people(self.folder))
        else:
            lines = _description(read_any_dataset(self.folder))
        width = max(map(len, lines))
        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines.items())


@dataclass(frozen=True)
class DatasetConvert:
    """Bring a dataset made from video into another layout, or its motion alone into an .npz."""

    source: tyro.conf.Positional[Path]
    """The folder of a dataset of ours, of IMavatar's (flame_params.json) or of VHAP's (transforms.json)."""
    out: tyro.conf.Positional[Path]
    """The folder to write; or a file .npz for the motion alone, which drives other avatars."""
    to: str = "avatars"
    """avatars, imavatar or vhap; the last two are layouts for FLAME."""
    subject: str = "subject"
    """Name of the person in IMavatar's folders."""
    clip: str = "clip"
    """Name of the video in IMavatar's folders."""

    def run(self) -> str:
        """Convert the dataset."""
        from body_models import InputError
        from data_prep.other_datasets import read_any_dataset

        if self.to not in LAYOUTS:
            raise InputError(f"Unknown layout '{self.to}'; use --to {', '.join(LAYOUTS)}.")
        dataset = read_any_dataset(self.source)
        if self.out.suffix.lower() == ".npz":
            _write_motion(dataset, self.out)
            return f"Motion of {len(dataset)} frames: {self.out}"
        notes = self._write(dataset)
        return "\n".join([f"Dataset: {self.out} ({self.to})", *(f"Note: {note}" for note in notes)])

    def _write(self, dataset: "VideoDataset") -> tuple[str, ...]:
        from body_models import InputError
        from data_prep.other_datasets import write_imavatar, write_vhap
        from data_prep.video_dataset import write_video_dataset

        if self.to == "imavatar":
            return write_imavatar(dataset, self.out, self.subject, self.clip)
        if self.to == "vhap":
            return write_vhap(dataset, self.out)
        if self.out.exists() and any(self.out.iterdir()):
            raise InputError(f"'{self.out}' is not empty; name a new folder.")
        write_video_dataset(dataset, self.out)
        return dataset.notes


@dataclass(frozen=True)
class DatasetAddMaps:
    """Hand a dataset your own maps of what its pictures show: a face parser's classes, a normal estimator's normals."""

    dataset: tyro.conf.Positional[Path]
    """The dataset's folder; the maps are of the pictures in its `frames`."""
    semantics: Path | None = None
    """Folder of PNG, one a frame: the 19 numbers of face parsing (CelebAMask-HQ, BiSeNet)."""
    normals: Path | None = None
    """Folder of PNG, one a frame: normals as RGB, (n + 1) / 2; x right, y up, z towards the camera."""

    def run(self) -> str:
        """Check all maps, then add them."""
        from avatars.fit.progress import Progress
        from data_prep.add_maps import add_maps

        with Progress() as progress:
            title = "adding maps"
            dataset = add_maps(
                self.dataset, self.semantics, self.normals, lambda done, total: progress.stage(title, done, total)
            )
        kinds = {"classes": self.semantics, "normals": self.normals}
        added = " and ".join(name for name, place in kinds.items() if place is not None)
        return f"Maps of {added} added to {len(dataset)} frames: {self.dataset}. `avatars fit-video` uses them."


@dataclass(frozen=True)
class DatasetPeople:
    """Bring scans of many people into one dataset, for a prior: THuman2.0-style folders, or any scans."""

    source: tyro.conf.Positional[Path]
    """A folder of scans beside SMPL parameters, or of one folder of scans, or one scan, for each person."""
    out: Path
    """The folder to write. Interrupted work is gone on with when the same is typed again."""
    kind: str = "auto"
    """thuman: scans beside SMPL parameters; scans: scans alone, registered to Anny; auto: as it looks."""
    unit: str = "auto"
    """The scans' unit of length: auto, m, dm, cm, mm or in."""
    up: str = "auto"
    """The up axis of scans alone: auto, y, z, -y or -z (the last two as --up=-z)."""
    betas: int | None = None
    """How many shape parameters are kept: 24 of Anny, 10 of SMPL's family if not given."""
    overwrite: bool = False
    """Replace a finished dataset at --out."""

    def run(self) -> str:
        """Convert the people and say how many came through."""
        from avatars.fit.progress import Progress
        from data_prep.people.folders import ConvertOptions, convert_people

        options = ConvertOptions(self.kind, self.unit, self.up, self.betas)
        with Progress() as progress:
            people = convert_people(self.source, self.out, options, overwrite=self.overwrite, progress=progress.stage)
        left_out = [f"Left out: {name}: {reason}" for name, reason in people.skipped]
        return "\n".join([f"Dataset of {len(people)} people ({people.body_model}): {self.out}", *left_out])


@dataclass(frozen=True)
class DatasetMakePeople:
    """Make a dataset of people who do not exist: Anny's bodies in clothes, shoes and hair, in many poses."""

    out: Path
    """The folder to write. Interrupted work is gone on with when the same is typed again."""
    count: int = 300
    """How many people."""
    seed: int = 0
    """The same seed gives the same people."""
    poses: int = 2
    """Scans of each person, each in another pose."""
    betas: int = 24
    """How many of Anny's shape parameters vary."""
    shard: int = 0
    """Which part of the work to do, of --shards; the parts may run at the same time, also on several machines."""
    shards: int = 1
    """In how many parts the work is split."""
    workers: int = 1
    """How many processes make people at the same time."""
    assets: Path | None = None
    """Folder of free clothes as MakeHuman's, used besides those that are grown from the body."""
    motions: Path | None = None
    """Folder of motion files (.bvh, .npz), whose poses are used besides the built-in ones."""

    def run(self) -> str:
        """Make the people."""
        from avatars.fit.progress import Progress
        from data_prep.people.synthetic.make import PeopleOptions, make_people

        options = PeopleOptions(
            seed=self.seed, poses=self.poses, betas=self.betas, assets=self.assets, motions=self.motions
        )
        with Progress() as progress:
            made = make_people(
                self.out,
                self.count,
                options,
                shard=self.shard,
                shards=self.shards,
                workers=self.workers,
                progress=lambda done, total: progress.stage("making people", done, total),
            )
        left_out = [f"Left out: {name}: {reason}" for name, reason in made.skipped]
        rest = f"; {made.missing} of {self.count} are not there yet: the other shards make them" if made.missing else ""
        return "\n".join([f"Made {made.written} people{rest}: {self.out}", *left_out])


@dataclass(frozen=True)
class Datasets:
    """Make datasets of many people; look into datasets, convert those made from video, and add maps to them."""

    verb: tyro.conf.OmitArgPrefixes[
        Annotated[DatasetInfo, tyro.conf.subcommand("info", prefix_name=False)]
        | Annotated[DatasetConvert, tyro.conf.subcommand("convert", prefix_name=False)]
        | Annotated[DatasetAddMaps, tyro.conf.subcommand("add-maps", prefix_name=False)]
        | Annotated[DatasetPeople, tyro.conf.subcommand("people", prefix_name=False)]
        | Annotated[DatasetMakePeople, tyro.conf.subcommand("make-people", prefix_name=False)]
    ]

    def run(self) -> str:
        """Run the chosen verb."""
        return self.verb.run()


def _write_motion(dataset: "VideoDataset", out: Path) -> None:
    from body_models import write_amass, write_head_motion

    if dataset.kind == "head":
        write_head_motion(out, dataset.motion())
    else:
        write_amass(out, dataset.motion(), dataset.betas, dataset.model)


def _description(dataset: "VideoDataset") -> dict[str, str]:
    from collections import Counter

    used = sum(frame.use for frame in dataset.frames)
    flags = Counter(flag for frame in dataset.frames for flag in frame.flags)
    masks = sum(frame.mask is not None for frame in dataset.frames)
    focal = dataset.intrinsics[:, 0, 0]
    lines = {
        "dataset": f"{dataset.folder} ({dataset.kind}, model {dataset.model})",
        "frames": f"{len(dataset)} at {dataset.frame_rate:g} a second, {used} usable, {masks} with masks",
        "pictures": f"{dataset.width} x {dataset.height} pixels",
        "focal length": f"{float(focal.min()):.0f} to {float(focal.max()):.0f} pixels of the pictures",
        "distance": f"{float(-dataset.translations[:, 2].median()):.2f} m from the camera",
        "expression": f"{dataset.expressions.shape[1]} parameters",
        "flags": ", ".join(f"{name} {count}" for name, count in sorted(flags.items())) or "none",
    }
    maps = {name: sum(name in frame.files for frame in dataset.frames) for name in ("semantic", "normal")}
    if any(maps.values()):
        lines["maps"] = f"{maps['semantic']} of classes, {maps['normal']} of normals"
    lines |= {f"warning {number}": text for number, text in enumerate(dataset.warnings, 1)}
    return lines | {f"note {number}": text for number, text in enumerate(dataset.notes, 1)}


def _description_of_people(people: "PeopleDataset") -> dict[str, str]:
    first = people.member(0)
    lines = {
        "dataset": f"{people.folder} (many people, model {people.body_model})",
        "people": f"{len(people)}, {sum(people.scan_counts)} scans, {people.betas_count} shape parameters",
        "a scan": f"{first.points.shape[1]} points with distances, {first.surface.shape[1]} of the surface",
        "views": f"{len(people.yaws)} normal maps of {people.view_size} x {people.view_size} pixels",
    }
    lines |= {f"left out {number}": f"{name}: {reason}" for number, (name, reason) in enumerate(people.skipped, 1)}
    return lines | {f"note {number}": text for number, text in enumerate(people.notes, 1)}
