"""From a film of a talking head to a head that another person drives, on an input that needs no download.

Run by `make demo-head`. The film is synthetic (`data_prep.synthetic_heads`), seeded, and goes through the same doors as
anybody's own video: it is written as an MP4 file, prepared, and only then fitted to.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from demo_clock import Clock
from demo_rig import write_rigged
from rich.console import Console

import avatars
from avatars.assess.head_evaluation import evaluate_head
from avatars.fit import fit_video
from avatars.fit.progress import Progress
from body_models import InputError, Motion
from data_prep.prepare import PrepareOptions, prepare_video
from data_prep.synthetic_heads import TalkingHead, make_talking_head

STEPS = (
    "A film of a talking head",
    "Prepare it: faces, masks, a tracked head",
    "Fit the avatar",
    "Compare it with the end of the film, which it never saw",
    "Drive it with another person's faces",
    "Export it, rigged and driven, for other programs",
)
QUICK_PRESET = """
steps: 4
size: 64
rays: 128
frames_per_step: 2
refresh: 2
proxy_resolution: 32
imavatar:
  weight_spacing: 0.04
  part_weight_spacing: 0.02
  base_spacing: 0.02
  part_base_spacing: 0.01
"""


@dataclass(frozen=True)
class Demo:
    """Make a film, prepare it, fit a head to it, measure, animate and export the head, rigged."""

    out: Path = Path("demo_head")
    """Folder for all results; an earlier demo's are replaced."""
    seed: int = 0
    """Person, light, camera, talk and fit follow from it; the driver is the next seed's person."""
    steps: int = 300
    """Steps of the fit; the preset's 2000 take longer and give finer colours."""
    quick: bool = False
    """Few frames and steps: checks that everything runs, the head is poor."""


def run(demo: Demo) -> Path:
    """All steps in order; returns the contact sheet's path."""
    clock = Clock(Console(), STEPS)
    demo.out.mkdir(parents=True, exist_ok=True)
    film, tracked, file = demo.out / "talk.mp4", demo.out / "tracked", demo.out / "head.avatar"
    side = 256 if demo.quick else 320
    with clock.step(STEPS[0]), clock.console.status("Rendering"):
        make_talking_head(demo.seed, 16 if demo.quick else 150, side, side).write_video(film)
        clock.console.print(str(film), highlight=False)
    with clock.step(STEPS[1]), Progress() as progress:
        options = PrepareOptions(size=128 if demo.quick else 256, overlay=not demo.quick)
        prepare_video(film, tracked, options, overwrite=True, say=progress.say, progress=progress.stage)
    with clock.step(STEPS[2]):
        preset = _quick_preset(demo.out) if demo.quick else "fast"
        steps = None if demo.quick else demo.steps
        avatar = fit_video(tracked, file, preset=preset, seed=demo.seed, steps=steps, evaluate=True)
    with clock.step(STEPS[3]):
        size = 64 if demo.quick else 256
        found = evaluate_head(avatar, tracked, size=size, out=demo.out / "held_out", exact=False)
        clock.console.print(found.table(), highlight=False)
    with clock.step(STEPS[4]):
        view = avatars.VideoOptions(fps=8, size=96) if demo.quick else avatars.VideoOptions(fps=25, size=384)
        driver = make_talking_head(demo.seed + 1, 25 if demo.quick else 120, 32, 32, "strong")
        avatars.animate(avatar, acted(driver), demo.out / "driven.mp4", view)
    with clock.step(STEPS[5]):
        rigged = write_rigged(avatar, demo.out / "head.glb", acted(driver), demo.quick)
        clock.console.print(f"{rigged.path}: {rigged.told}", highlight=False, soft_wrap=True)
    return demo.out / "held_out" / "sheet.png"


def acted(head: TalkingHead) -> Motion:
    """What a synthetic person does, as a motion that can drive anybody's head."""
    return Motion(
        "another person",
        head.model.skeleton,
        head.person.head.joints,
        head.poses,
        head.translations,
        head.frame_rate,
        head.expressions,
        head.model.expression_names,
    )


def _quick_preset(folder: Path) -> str:
    path = folder / "quick.yaml"
    path.write_text(QUICK_PRESET, encoding="utf-8")
    return str(path)


if __name__ == "__main__":
    try:
        sheet = run(tyro.cli(Demo))
        place = sheet.parents[1]
        print(f"Pictures: {sheet} (film, avatar, normals; frames the fit never saw)")
        print(f"Tracking: {place / 'tracked' / 'summary.html'}\nDriven:   {place / 'driven.mp4'}")
        print(f"Rigged:   {place / 'head.glb'} (52 expressions, driven)\nAvatar:   {place / 'head.avatar'}")
    except InputError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nStopped; `make demo-head` starts again.")
