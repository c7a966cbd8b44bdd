"""Measure the rig of an avatar: `python scripts/bench_rig.py AVATAR [MOTION] [--faces 30000] [--sweep]`.

AVATAR is a file of a body or a head, MOTION any motion file; without one the avatar's own poses or video are played.
Prints Markdown: distances between rig and implicit avatar, poses a second, time and size of a rigged export, and, with
--sweep, what faces, influences and correctives buy.
"""

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from measuring import median_seconds, prepare, table, verdict

from avatars.export import export, motion_on, training_motion
from avatars.export.rig import Rig, RigMotion, Source, rig_motion, source_of
from avatars.export.rig.bake import plain_rig
from avatars.export.rig.correctives import with_correctives
from avatars.export.rig.fidelity import ImplicitMotion, compared, implicit_motion, sweep, sweep_table
from avatars.export.rig.options import RigOptions
from avatars.export.rig.poser import RigPoser
from avatars.models import Avatar
from avatars.models.file import load_avatar
from avatars.models.head_avatar import HeadAvatar
from body_models import Motion

MEAN_BAR, HIGH_BAR = 4.0, 15.0
"""Millimetres between rig and avatar, mean and 95th percentile."""
SPEED_BAR, CUDA_SPEED_BAR = 200, 10_000
"""Poses a second, on 2 cores and on a graphics card."""
TIME_BAR, SIZE_BAR = 30.0, 15.0
"""Seconds and megabytes of an export."""
FACES, INFLUENCES, CORRECTIVES = (5_000, 15_000, 30_000, 60_000), (1, 2, 4), (4, 8, 16)
LEARNED_FROM = 48
"""Frames of the motion, evenly spread, that correctives are learned from beside the avatar's own poses."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("avatar", type=Path)
    parser.add_argument("motion", type=Path, nargs="?", help="the avatar's own poses without it")
    parser.add_argument("--faces", type=int, default=30_000)
    parser.add_argument("--correctives", type=int, default=0)
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--frames", type=int, default=8, help="frames of the motion that are compared")
    parser.add_argument("--batch", type=int, default=256, help="poses that are asked for at once")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sweep", action="store_true", help="say what faces, influences and correctives buy")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(prepare(arguments.threads, arguments.seed, arguments.device) + "\n")
    avatar = load_avatar(arguments.avatar, arguments.device)
    clip = training_motion(avatar) if arguments.motion is None else motion_on(avatar, arguments.motion)
    source = source_of(avatar, arguments.resolution)
    rig = made(avatar, source, clip, arguments.faces, 4, arguments.correctives)
    known = implicit_motion(avatar, clip, arguments.frames, arguments.resolution)
    told = compared(rig, avatar, known)
    print(f"{len(source.faces)} faces before simplification.\n\n{told.table()}")
    bars = [
        ["mean distance", f"<= {MEAN_BAR:g} mm", f"{told.mean:.2f} mm", verdict(told.mean <= MEAN_BAR)],
        ["95 % below", f"<= {HIGH_BAR:g} mm", f"{told.percentile_95:.2f} mm", verdict(told.percentile_95 <= HIGH_BAR)],
        *speeds(rig, rig_motion(avatar, rig, clip), arguments.batch, arguments.repeats),
        *exported(avatar, clip, arguments.faces, arguments.correctives, arguments.resolution),
    ]
    print(table(["what", "bar", "measured", "met"], bars))
    if arguments.sweep:
        swept(avatar, source, known)


def made(
    avatar: Avatar | HeadAvatar, source: Source, clip: Motion, faces: int, influences: int, correctives: int
) -> Rig:
    """A rig of some make; correctives learn from the avatar's own poses and some of the clip's."""
    rig = plain_rig(source, faces, influences)
    if correctives == 0 or isinstance(avatar, HeadAvatar):
        return rig
    some = torch.linspace(0, len(clip) - 1, min(LEARNED_FROM, len(clip))).round().long()
    return with_correctives(avatar, rig, torch.cat([avatar.poses, clip.rotations[some]]), correctives)


def speeds(rig: Rig, motion: RigMotion, batch: int, repeats: int) -> list[list[str]]:
    """Poses a second with forward kinematics and morphs, many at once and one by one."""
    poser, frames = RigPoser(rig), torch.arange(batch) % len(motion)
    bar = CUDA_SPEED_BAR if rig.vertices.is_cuda else SPEED_BAR
    parts = (motion.rotations[frames], motion.translations[frames], motion.morph_weights[frames])
    many = batch / median_seconds(lambda: poser.pose(*parts), repeats)
    single = 1 / median_seconds(lambda: poser.pose(*(part[:1] for part in parts)), 10 * repeats)
    plain = 8 / median_seconds(lambda: [rig.pose(motion.frame(number)) for number in range(8)], repeats)
    return [
        [f"poses, {batch} at once", f">= {bar} a second", f"{many:.0f} a second", verdict(many >= bar)],
        ["poses, one by one", "", f"{single:.0f} a second", ""],
        ["the same in plain torch", "", f"{plain:.0f} a second", ""],
    ]


def exported(
    avatar: Avatar | HeadAvatar, clip: Motion, faces: int, correctives: int, resolution: int
) -> list[list[str]]:
    """Time and size of a rigged file with the clip and textures."""
    options = RigOptions(faces=faces, correctives=correctives, resolution=resolution)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        path = export(load_fresh(avatar), Path(folder) / "rig.glb", motion=clip, options=options)
        seconds, size = time.perf_counter() - started, path.stat().st_size / 1e6
    return [
        ["export, rigged GLB", f"<= {TIME_BAR:g} s", f"{seconds:.1f} s", verdict(seconds <= TIME_BAR)],
        ["its size", f"<= {SIZE_BAR:g} MB", f"{size:.1f} MB", verdict(size <= SIZE_BAR)],
    ]


def load_fresh(avatar: Avatar | HeadAvatar) -> Avatar | HeadAvatar:
    """The avatar without the meshes that were made of it already."""
    return avatar.to_device(avatar.device)


def swept(avatar: Avatar | HeadAvatar, source: Source, known: ImplicitMotion) -> None:
    """Print what faces, influences (all of them last) and correctives buy."""
    usual, bones = 30_000, source.weights.shape[1]
    makes = [(faces, 4, 0) for faces in FACES] + [(usual, count, 0) for count in (*INFLUENCES, bones)]
    if isinstance(avatar, Avatar):
        makes += [(usual, 4, count) for count in CORRECTIVES]
    print(sweep_table(sweep(avatar, partial(made, avatar, source, known.clip), known, list(dict.fromkeys(makes)))))


if __name__ == "__main__":
    main()
