"""The whole path on an input that needs no download: scans of a clothed person, an avatar, a film, a rigged file.

Run by `make demo`. The scans are synthetic: the free body, dressed and posed by `data_prep.synthetic`. Their exact
poses are given to the fit (`--poses`); raw scans without poses go through registration and need only the folder.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from demo_clock import Clock
from demo_pictures import fitted_sheet, held_out_sheet
from demo_report import Report, write_report
from demo_rig import write_rigged
from demo_walk import make_walk
from rich.console import Console

import avatars
from body_models import InputError, load_anny, load_poses, write_amass
from data_prep.scans import load_scans
from data_prep.synthetic import SyntheticOptions, write_sequence

STEPS = (
    "Scans of a clothed, moving person",
    "Fit the avatar",
    "Measure it on unseen poses",
    "Film it in a motion it never saw",
    "Export it: rigged for other programs, and as meshes",
    "Pictures and report",
)


@dataclass(frozen=True)
class Demo:
    """Make scans, fit an avatar to them, measure, animate and export it, and write a report."""

    out: Path = Path("demo")
    """Folder for all results."""
    seed: int = 0
    """Person, clothes, poses and fit follow from it."""
    quick: bool = False
    """Few scans, steps and frames: checks that everything runs, the avatar is poor."""


def run(demo: Demo) -> Path:
    """All steps in order; returns the report's path."""
    clock = Clock(Console(), STEPS)
    size = SyntheticOptions(demo.seed, train_frames=4, test_frames=2) if demo.quick else SyntheticOptions(demo.seed)
    scans, walk = demo.out / "scans", demo.out / "walk.npz"
    demo.out.mkdir(parents=True, exist_ok=True)
    with clock.step(STEPS[0]):
        with clock.console.status("Dressing and posing the free body (the first time it is also built, half a minute)"):
            model = load_anny()
            write_sequence(scans, model, size)
        clock.console.print(
            f"{size.train_frames} scans to fit and {size.test_frames} to test: {scans}", highlight=False
        )
    with clock.step(STEPS[1]):
        avatar = avatars.fit_scans(
            scans / "train",
            demo.out / "person.avatar",
            poses=scans / "train" / "poses.npz",
            seed=demo.seed,
            steps=20 if demo.quick else None,
        )
    with clock.step(STEPS[2]):
        found = avatars.evaluate(avatar, scans / "test", poses=scans / "test" / "poses.npz", seed=demo.seed)
        clock.console.print(found.table(), highlight=False)
    with clock.step(STEPS[3]):
        write_amass(walk, make_walk(model.body(), seconds=0.5 if demo.quick else 4.0))
        video = avatars.VideoOptions(fps=10, size=128) if demo.quick else avatars.VideoOptions(size=448)
        avatars.animate(avatar, walk, demo.out / "walk.mp4", video)
    with clock.step(STEPS[4]):
        resolution = 96 if demo.quick else 256
        avatars.export(avatar, demo.out / "pose.ply", pose=1, resolution=resolution)
        avatars.export(avatar, demo.out / "walking.glb", motion=walk, frame=4, resolution=resolution)
        rigged = write_rigged(avatar, demo.out / "avatar.glb", walk, demo.quick)
        clock.console.print(f"{rigged.path}: {rigged.told}", highlight=False, soft_wrap=True)
        clock.console.print(f"{demo.out / 'pose.ply'}, {demo.out / 'walking.glb'}", highlight=False)
    with clock.step(STEPS[5]), clock.console.status("Rendering"):
        truth = load_poses(scans / "train" / "poses.npz").motion
        train, test = load_scans(scans / "train").scans, load_scans(scans / "test").scans
        shown = [index for index in (1, 7, 10) if index < len(train)]
        sheets = {
            "fitted": fitted_sheet(avatar, [(train[i], truth.rotations[i], truth.translations[i]) for i in shown]),
            "held_out": held_out_sheet(avatar, test, found),
        }
    report = Report(demo.out, demo.seed, clock.seconds, found, sheets, size.train_frames, size.noise_mm, rigged)
    return write_report(report)


if __name__ == "__main__":
    try:
        page = run(tyro.cli(Demo))
        place = page.parent
        print(f"Report: {page}\nVideo:  {place / 'walk.mp4'}\nAvatar: {place / 'person.avatar'}")
        print(f"Rigged: {place / 'avatar.glb'} (textured, with the walk; for Blender, three.js, game engines)")
    except InputError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nStopped; `make demo` starts again.")
