"""Verbs that make and measure avatars. Imports wait until a verb runs, so that help is quick."""

import json
import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from avatars.fit import Evaluation
    from avatars.models import Avatar
    from avatars.models.head_avatar import HeadAvatar


@dataclass(frozen=True)
class FitScans:
    """Fit an avatar to a folder of scans of one person, one pose each; with --prior one to three of them suffice."""

    source: tyro.conf.Positional[Path]
    """Folder of OBJ, PLY, STL, OFF or GLB files, one file, or a quoted pattern such as 'scans/*.ply'; with --camera a
    depth picture."""
    out: Path
    """The avatar file to write; work in progress is kept beside it in OUT.work."""
    poses: Path | None = None
    """Known poses of the scans (AMASS-style npz, in the order of the files' names); found by registration if absent."""
    preset: str = "fast"
    """"fast", "paper", or the path of a YAML file with the same keys."""
    seed: int = 0
    """The same seed on the same machine gives the same avatar."""
    device: str = "auto"
    """auto, cpu or cuda."""
    resume: bool = False
    """Go on from the last checkpoint of an interrupted run."""
    unit: str = "auto"
    """The scans' unit of length: auto, m, dm, cm, mm or in."""
    up: str = "auto"
    """The scans' up axis: auto, y, z, -y or -z (the last two as --up=-z)."""
    steps: int | None = None
    """Optimiser steps, instead of the preset's."""
    prior: Annotated[tuple[Path, ...] | None, tyro.conf.arg(metavar="[FILE]")] = None
    """Begin at a prior of people: the one that comes along, or that of FILE. For one to three scans, and parts."""
    finetune: bool = True
    """With --prior: whether to fit the avatar itself to the scans, once the likeliest person is found."""
    partial: bool = False
    """With --prior: the scans show a part of the person; noticed by itself where they are wide open."""
    camera: Annotated[Path | None, tyro.conf.arg(metavar="JSON")] = None
    """With --prior: SCANS is a depth picture (.npy in metres, .png in millimetres) of this camera (fx, fy, cx, cy)."""
    normals: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """With --camera: the depth picture's normal map (.npy or .png)."""

    def run(self) -> str:
        """Fit and write the avatar."""
        if self.prior is not None:
            return self._run_prior(self.prior)
        from avatars.fit import fit_scans
        from body_models.errors import InputError

        if self.partial or self.camera is not None or self.normals is not None or not self.finetune:
            raise InputError("--partial, --camera, --normals and --no-finetune go with --prior; add it.")
        avatar = fit_scans(
            self.source,
            self.out,
            poses=self.poses,
            preset=self.preset,
            seed=self.seed,
            device=self.device,
            resume=self.resume,
            unit=self.unit,
            up=self.up,
            steps=self.steps,
        )
        size = self.out.stat().st_size / 1e6
        film = shlex.join(["avatars", "animate", str(self.out), "--turntable", "--out", "turn.mp4"])
        return f"Avatar of {len(avatar.poses)} scans: {self.out} ({size:.1f} MB). Look at it with: {film}"

    def _run_prior(self, files: tuple[Path, ...]) -> str:
        from avatars.fit.prior_fit_options import PriorFitOptions
        from avatars.fit.prior_fit_scans import PriorSource, codes_file, fit_scans_to_prior
        from body_models.errors import InputError

        if len(files) > 1 or self.preset != "fast":
            raise InputError("--prior takes one file or none, and no --preset: put SCANS before it.")
        options = PriorFitOptions() if self.steps is None else PriorFitOptions(steps=self.steps)
        avatar = fit_scans_to_prior(
            PriorSource(self.source, self.poses, self.partial, self.camera, self.normals, self.unit, self.up),
            self.out,
            prior=files[0] if files else None,
            finetune=self.finetune,
            options=options,
            seed=self.seed,
            device=self.device,
            resume=self.resume,
        )
        size = self.out.stat().st_size / 1e6
        film = shlex.join(["avatars", "animate", str(self.out), "--turntable", "--out", "turn.mp4"])
        codes = codes_file(self.out)
        return (
            f"Avatar of {len(avatar.poses)} scans, begun at a prior: {self.out} ({size:.1f} MB); its codes: {codes}. "
            f"Look at it with: {film}"
        )


@dataclass(frozen=True)
class FitVideo:
    """Fit a head that can be driven to a video of one person who turns and talks."""

    source: tyro.conf.Positional[Path]
    """A video file, a folder of pictures, or a dataset: ours (`avatars prepare`), IMavatar's or VHAP's."""
    out: Path
    """The avatar file to write; work in progress is kept beside it in OUT.work."""
    preset: str = "fast"
    """"fast", "paper", a baseline ("c_net", "d_net", "b_morph", "fwd_skin", "nerface"), or the path of a YAML file."""
    seed: int = 0
    """The same seed on the same machine gives the same avatar."""
    device: str = "auto"
    """auto, cpu or cuda."""
    resume: bool = False
    """Go on from the last checkpoint of an interrupted run."""
    steps: int | None = None
    """Optimiser steps, instead of the preset's."""
    size: int | None = None
    """Longer side of the pictures that are fitted to (pixels), instead of the preset's."""
    evaluate: bool = False
    """Hold the last fifth of the video out, and tell how like it the head is."""

    def run(self) -> str:
        """Fit and write the head."""
        from avatars.fit import fit_video

        avatar = fit_video(
            self.source,
            self.out,
            preset=self.preset,
            seed=self.seed,
            device=self.device,
            resume=self.resume,
            steps=self.steps,
            size=self.size,
            evaluate=self.evaluate,
        )
        size = self.out.stat().st_size / 1e6
        film = shlex.join(["avatars", "animate", str(self.out), "--turntable", "--out", "turn.mp4"])
        return f"Head of {len(avatar.tracks)} frames: {self.out} ({size:.1f} MB). Look at it with: {film}"


@dataclass(frozen=True)
class Evaluate:
    """Compare an avatar with scans, or a head with a video, of the same person that it has not seen."""

    avatar: tyro.conf.Positional[Path]
    """An avatar file."""
    dataset: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="DATASET")] = None
    """For a head: the tracked video, a folder that `avatars prepare` wrote."""
    scans: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """For a body: folder, file or quoted pattern of held-out scans."""
    poses: Path | None = None
    """Known poses of these scans (npz); found by registration if absent."""
    seed: int = 0
    """Decides on the points at which the two are compared."""
    unit: str = "auto"
    """The scans' unit of length: auto, m, dm, cm, mm or in."""
    up: str = "auto"
    """The scans' up axis: auto, y, z, -y or -z (the last two as --up=-z)."""
    frames: str = "last"
    """For a head: last (the last fifth, which `fit-video --evaluate` holds out) or all; at most 48 of them."""
    size: int = 256
    """For a head: longer side of the compared pictures (pixels)."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """For a head: also write a report, each frame beside render and normals."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Also write the figures and the poses found to this file."""

    def run(self) -> str:
        """Print a table of the metrics."""
        from avatars.models import Avatar
        from avatars.models.file import load_avatar

        avatar = load_avatar(self.avatar)
        return self._body(avatar) if isinstance(avatar, Avatar) else self._head(avatar)

    def _body(self, avatar: "Avatar") -> str:
        from avatars.fit import evaluate
        from body_models.errors import InputError

        if self.scans is None or self.dataset is not None or self.out is not None:
            raise InputError(
                f"'{self.avatar}' is the avatar of a body, which is compared with scans: "
                f"`avatars evaluate {self.avatar} --scans FOLDER`."
            )
        found = evaluate(avatar, self.scans, poses=self.poses, seed=self.seed, unit=self.unit, up=self.up)
        lines = [found.table(), *(f"Left out: {name}: {reason}" for name, reason in found.skipped)]
        if self.json is not None:
            write_json(found, self.json)
            lines.append(f"Figures and poses: {self.json}")
        return "\n".join(lines)

    def _head(self, avatar: "HeadAvatar") -> str:
        from avatars.assess.head_evaluation import evaluate_head
        from body_models.errors import InputError

        if self.dataset is None or self.scans is not None or self.poses is not None:
            raise InputError(
                f"'{self.avatar}' is the avatar of a head, which is compared with a tracked video: "
                f"`avatars evaluate {self.avatar} DATASET`."
            )
        found = evaluate_head(avatar, self.dataset, frames=self.frames, size=self.size, out=self.out)
        lines = [found.table()]
        if self.json is not None:
            found.write(self.json)
            lines.append(f"Figures: {self.json}")
        if self.out is not None:
            lines.append(f"Report: {self.out / 'sheet.png'}")
        return "\n".join(lines)


def write_json(found: "Evaluation", path: Path) -> None:
    """Write an evaluation as JSON; figures that do not apply are null."""
    from data_prep.atomic import replacing

    rows = [
        {
            "name": row.name,
            "iou_box": row.iou_box,
            "iou_surface": row.iou_surface,
            "chamfer_mm": row.chamfer_mm,
            "normal_consistency": row.normal_consistency,
            "residual_mm": None if math.isnan(row.residual_mm) else row.residual_mm,
            "pose": row.pose.tolist(),
            "translation": row.translation.tolist(),
        }
        for row in found.rows
    ]
    metrics = ("iou_box", "iou_surface", "chamfer_mm", "normal_consistency")
    stored: dict[str, Any] = {"mean": {name: getattr(found, name) for name in metrics}, "scans": rows}
    stored["skipped"] = [{"name": name, "reason": reason} for name, reason in found.skipped]
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(stored, indent=2), encoding="utf-8")
