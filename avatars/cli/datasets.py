"""Verbs about datasets made from video. Imports wait until a verb runs, so that help is quick."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from data_prep.video_dataset import VideoDataset

LAYOUTS = ("avatars", "imavatar", "vhap")


@dataclass(frozen=True)
class DatasetInfo:
    """Tell what is inside a dataset made from video: ours, IMavatar's or VHAP's."""

    folder: tyro.conf.Positional[Path]
    """The dataset's folder."""

    def run(self) -> str:
        """Describe the dataset, a line a property."""
        from data_prep.other_datasets import read_any_dataset

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
class Datasets:
    """Look into datasets made from video, convert them, and add maps to them."""

    verb: tyro.conf.OmitArgPrefixes[
        Annotated[DatasetInfo, tyro.conf.subcommand("info", prefix_name=False)]
        | Annotated[DatasetConvert, tyro.conf.subcommand("convert", prefix_name=False)]
        | Annotated[DatasetAddMaps, tyro.conf.subcommand("add-maps", prefix_name=False)]
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
