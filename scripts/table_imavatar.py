"""The IMavatar paper's table on a real video and on synthetic heads whose unseen, stronger faces are known exactly.

`python scripts/table_imavatar.py --out FOLDER [--real DATASET] [--subjects 3] [--rows fast,c_net] [--steps 600]`

Seven methods on the same networks and frames: C-Net, D-Net, B-Morph, Fwd-Skin, NerFACE, and ours without and with
supervision by the tracked model. The real video's last fifth is held out; synthetic people talk in training and make
strong faces in the test. Fits are kept in FOLDER and gone on with when the same command is given again; several
processes may share FOLDER with other `--rows` or `--subjects` ("0,1" names subjects, "3" is how many). Writes
`table.json` and `table.md` from all results that are in FOLDER.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import time
import uuid
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import torch
import yaml
from imavatar_tables import ROWS, collect, tables

from avatars.assess.head_evaluation import MOST, finite, held_out_frames, means
from avatars.assess.head_scores import SIZE, HeadScores, score_head
from avatars.assess.head_truth import field_errors, true_normals
from avatars.fit.loop import make_fabric
from avatars.fit.video import fit_video
from avatars.fit.video_frames import thinned
from avatars.fit.video_report import view_of
from avatars.models.file import load_avatar
from body_models import InputError
from data_prep.atomic import replacing
from data_prep.other_datasets import read_any_dataset
from data_prep.synthetic_heads import TalkingHead, make_talking_head
from data_prep.synthetic_heads.truth import write_truth
from data_prep.video_dataset import VideoDataset, write_video_dataset
from data_prep.video_dataset_files import INDEX

TRAIN_SPAN, TEST_SPAN = 600, 400
"""Frames of synthetic videos, of which some are evenly chosen; a strong face lasts 25 of them."""
SETTINGS = ("steps", "size", "eval_size", "frames", "tests", "identity_error", "seed")
LEAST_PICTURE = 192
"""Synthetic pictures are this large at least; fits make them smaller (pixels)."""


@dataclass(frozen=True)
class Scene:
    """A person to fit to, and frames to test on."""

    name: str
    train: Path
    hold_out: bool
    """The test frames are the end of what is fitted to."""
    test: VideoDataset
    frames: list[int]
    truth: TalkingHead | None


def main() -> None:
    """Fit, test and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of fits, results and tables")
    parser.add_argument("--real", type=Path, help="a tracked video, the folder that `avatars prepare` wrote")
    parser.add_argument("--subjects", default="0", help="synthetic people: how many, or which as in 0,1 or 2,")
    parser.add_argument("--rows", default=",".join(ROWS), help=f"some of {', '.join(ROWS)}")
    parser.add_argument("--steps", type=int, help="optimiser steps, instead of the presets'")
    parser.add_argument("--size", type=int, default=128, help="longer side of the pictures fitted to (pixels)")
    parser.add_argument("--eval-size", type=int, default=SIZE, help="longer side of the compared pictures (pixels)")
    parser.add_argument("--frames", type=int, default=200, help="frames of a synthetic person that are fitted to")
    parser.add_argument("--tests", type=int, default=MOST, help="frames that are compared, evenly chosen")
    parser.add_argument(
        "--identity-error",
        type=float,
        default=0.15,
        help="of synthetic people's shape parameters, as a tracker would make; 0.15 moves the surface by 2.2 mm",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    try:
        run(parser.parse_args())
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nStopped; the same command goes on from here.")


def run(arguments: argparse.Namespace) -> None:
    """All wanted rows on all wanted scenes, then the table of all that is there."""
    rows = [name for name in arguments.rows.split(",") if name]
    unknown = [name for name in rows if name not in ROWS]
    if unknown:
        raise InputError(f"Unknown rows {', '.join(unknown)}; choose from {', '.join(ROWS)}.")
    if min(arguments.frames, arguments.tests) < 2:
        raise InputError("--frames and --tests must be 2 or more: nothing can be fitted to less, or said of it.")
    settings = {name: getattr(arguments, name) for name in SETTINGS}
    check_settings(arguments.out, settings)
    failed = []
    for scene in scenes(arguments):
        for name in rows:
            try:
                result(scene, name, arguments)
            except InputError as error:  # one method's trouble is not the others'
                failed.append(f"{ROWS[name].title} on {scene.name}: {error}")
                print(f"failed: {failed[-1]}", file=sys.stderr)
    found = collect(arguments.out)
    command = f"Command: `python {' '.join(sys.argv)}`"
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    told = ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
    text = "\n".join([tables(found), f"Settings: {told}. {machine}. {command}.", *(f"Failed: {f}" for f in failed)])
    write(arguments.out / "table.json", json.dumps({"settings": settings, "results": found}, indent=2))
    write(arguments.out / "table.md", text + "\n")
    print(text)


def check_settings(out: Path, settings: dict[str, Any]) -> None:
    """Raise InputError when the folder's fits were made with other settings."""
    record = out / "settings.json"
    if record.is_file() and (before := json.loads(record.read_text(encoding="utf-8"))) != settings:
        changed = ", ".join(name for name, value in settings.items() if before.get(name) != value)
        raise InputError(f"The fits in {out} were made with other settings ({changed} differ); give another --out.")
    write(record, json.dumps(settings))


def scenes(arguments: argparse.Namespace) -> list[Scene]:
    """The real video, then the synthetic people."""
    found = []
    if arguments.real is not None:
        dataset = read_any_dataset(arguments.real)
        frames = thinned(held_out_frames(dataset), arguments.tests)
        found.append(Scene("real", arguments.real, True, dataset, frames, None))
    which, count = [part for part in arguments.subjects.split(",") if part], "," not in arguments.subjects
    if not all(part.isdecimal() for part in which):
        raise InputError(f"--subjects takes a number, or numbers as in 0,1; not {arguments.subjects!r}.")
    for seed in range(int(which[0])) if count and which else map(int, which):
        found.append(synthetic(seed, arguments))
    return found


def synthetic(seed: int, arguments: argparse.Namespace) -> Scene:
    """A person who talks in training and makes strong faces in the test; rendered once and kept."""
    name, (size, side) = f"subject_{seed}", (max(arguments.size, LEAST_PICTURE), arguments.eval_size)
    folder = arguments.out / name
    train = some_frames(make_talking_head(seed, TRAIN_SPAN, size, size), arguments.frames)
    strong = some_frames(make_talking_head(seed, TEST_SPAN, side, side, "strong"), arguments.tests)
    for head, place, error in ((train, folder / "train", arguments.identity_error), (strong, folder / "test", 0.0)):
        if not (place / INDEX).is_file():
            render(head, place, error)
    test = read_any_dataset(folder / "test")
    return Scene(name, folder / "train", False, test, list(range(len(test))), strong)


def some_frames(head: TalkingHead, count: int) -> TalkingHead:
    """So many frames of a video, evenly chosen."""
    rows = thinned(range(len(head)), count)
    return replace(
        head, poses=head.poses[rows], translations=head.translations[rows], expressions=head.expressions[rows]
    )


def render(head: TalkingHead, place: Path, error: float) -> None:
    """Write a dataset that another process may be writing too: the first that is ready stays."""
    temporary = place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}")
    print(f"rendering {len(head)} frames of subject {head.seed}, {head.strength}", file=sys.stderr)
    try:
        dataset = write_truth(head, temporary)
        noise = torch.randn(dataset.betas.shape, generator=torch.Generator().manual_seed(head.seed))
        write_video_dataset(replace(dataset, betas=dataset.betas + error * noise), temporary)
        if not (place / INDEX).is_file():
            temporary.rename(place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def result(scene: Scene, name: str, arguments: argparse.Namespace) -> None:
    """Fit a row to a scene and score it, unless that is done."""
    folder, row = arguments.out / scene.name, ROWS[name]
    file, record = folder / f"{name}.avatar", folder / f"{name}.json"
    if file.is_file() and record.is_file():
        return
    print(f"{row.title} on {scene.name}", file=sys.stderr)
    started, resumed = time.perf_counter(), file.with_name(file.name + ".work").exists()
    if not file.is_file():
        fit_video(
            scene.train,
            file,
            preset=row.preset if row.supervised else unsupervised(row.preset, arguments.out),
            seed=arguments.seed,
            device=arguments.device,
            resume=resumed,
            steps=arguments.steps,
            size=arguments.size,
            evaluate=scene.hold_out,
            quiet=not sys.stderr.isatty(),
        )
        shutil.rmtree(file.with_name(file.name + ".work"), ignore_errors=True)
    seconds = time.perf_counter() - started
    avatar: Any = load_avatar(file, make_fabric(arguments.device).device)
    normals = None if scene.truth is None else true_normals(scene.truth)
    scores = score_head(view_of(avatar), scene.test, scene.frames, arguments.eval_size, truth=normals)
    figures = means(scores)
    if scene.truth is not None and row.learns:
        errors = field_errors(avatar.model, scene.truth.person.head, arguments.seed)
        figures |= {f"fields.{name}": value for name, value in asdict(errors).items()}
    figures |= {"fit_seconds": None if resumed else seconds, "frame_seconds": scores.seconds}
    write(
        record, json.dumps(finite({"figures": figures, "frames": len(scores.frames), **undetected(scores)}), indent=2)
    )


def unsupervised(preset: str, out: Path) -> str:
    """The path of a preset like a named one, without supervision by the tracked model."""
    text = (resources.files("configs") / f"imavatar_{preset}.yaml").read_text(encoding="utf-8")
    path = out / f"{preset}-unsupervised.yaml"
    write(path, yaml.safe_dump({**(yaml.safe_load(text) or {}), "supervised": False}))
    return str(path)


def undetected(scores: HeadScores) -> dict[str, int]:
    """In how many frames the face was found both times, and not."""
    found = scores.count("expression")
    return {"detected": found, "undetected": len(scores.frames) - found}


def write(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
