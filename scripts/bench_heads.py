"""Time a head avatar: `python scripts/bench_heads.py HEAD DATASET [--size 256] [--device cuda]`.

HEAD is a file that `avatars fit-video` wrote, DATASET a tracked video. Prints a Markdown table: pictures through the
posed mesh and of the surface itself, meshes, and a step of the fit with each preset.
"""

import argparse
from pathlib import Path

import torch
from measuring import median_seconds, prepare, table

from avatars.fit.adam import FieldAdam
from avatars.fit.loop import make_fabric, step_generator
from avatars.fit.progress import Progress
from avatars.fit.video import fit_method
from avatars.fit.video_frames import split_frames
from avatars.fit.video_options import load_video_preset
from avatars.models.file import load_head
from avatars.models.head_avatar import HeadAvatar
from data_prep.other_datasets import read_any_dataset
from data_prep.video_dataset import VideoDataset


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("head", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--size", type=int, default=256, help="longer side of the pictures (pixels)")
    parser.add_argument("--presets", nargs="*", default=["fast"], help="whose steps are timed")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    device = make_fabric(arguments.device).device
    print(prepare(arguments.threads, arguments.seed, str(device)) + "\n")
    rows = pictures(load_head(arguments.head, device), arguments.size, arguments.repeats)
    dataset = read_any_dataset(arguments.dataset)
    rows += [step(dataset, preset, arguments.repeats, device) for preset in arguments.presets]
    print(table(("what", "median"), rows))


def pictures(head: HeadAvatar, size: int, repeats: int) -> list[tuple[str, str]]:
    """Times of meshes and pictures, in a frame of the head's own video."""
    camera = head.tracks.camera
    assert camera is not None
    camera, posed = camera.resized(size, round(size * camera.height / camera.width)), head.frame(len(head.tracks) // 2)
    calls = {
        "mesh of a pose, once the head is meshed": lambda: posed.mesh(),
        f"picture of {size} pixels through the mesh": lambda: posed.render(camera),
        f"picture of {size} pixels of the surface itself": lambda: posed.render(camera, exact=True),
    }
    return [(name, told(median_seconds(call, repeats))) for name, call in calls.items()]


def step(dataset: VideoDataset, preset: str, repeats: int, device: torch.device) -> tuple[str, str]:
    """Time of a step of the fit."""
    options = load_video_preset(preset)
    with Progress(quiet=True) as progress:
        method = fit_method(dataset, split_frames(dataset, options), options, device, 0, progress)
    optimiser, number = FieldAdam(method.parameter_groups()), iter(range(1000))

    def once() -> None:
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(method.losses(next(number), step_generator(0, 0)).values())).sum().backward()
        optimiser.step()

    seconds = median_seconds(once, 4 * repeats)
    return f"step of the preset {preset}: {options.rays} rays, {options.size} pixels", told(seconds)


def told(seconds: float) -> str:
    """A time, readable."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


if __name__ == "__main__":
    main()
