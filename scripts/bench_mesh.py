"""Time posed meshes: `python scripts/bench_mesh.py [--avatar FILE] [--profile]`.

Each pose is meshed by root finding at every grid point that matters, and by skinning the canonical mesh, which is
extracted once before. Without a file the avatar is the free body, as fitting starts from it. The published search is
timed on a sample of the very points that the mesh asks for, and its time for all of them told. Prints Markdown.
"""

import argparse
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from jaxtyping import Float
from measuring import median_seconds, prepare, table, verdict
from published_snarf import PublishedSkinning, fitted_weights, published_search, random_pose
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from avatars.models import Avatar, AvatarInfo, PosedAvatar, SnarfOptions, load, snarf_from_body
from body_models import load_anny

EXACT_BAR, SKINNED_BAR = 3.0, 0.2
"""Seconds allowed for a mesh of 256 cells along each edge, on 2 cores."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--avatar", type=Path, help="a fitted avatar; the free body without it")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--poses", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sample", type=int, default=5000, help="points for the published search; 0 leaves it out")
    parser.add_argument("--fit-steps", type=int, default=1200, help="steps that fit the published weights, cached")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", action="store_true", help="show where the time goes")
    arguments = parser.parse_args()
    print(prepare(arguments.threads, arguments.seed, arguments.device) + "\n")
    avatar = (load(arguments.avatar) if arguments.avatar else body_avatar()).to_device(arguments.device)
    first = median_seconds(lambda: avatar.to_device(arguments.device).body(arguments.resolution), 1)
    rows, exact, skinned = [], [], []
    for number, posed in enumerate(chosen_poses(avatar, arguments.poses, arguments.seed)):
        exact.append(median_seconds(partial(posed.mesh, arguments.resolution), arguments.repeats))
        skinned.append(median_seconds(partial(posed.mesh, arguments.resolution, exact=False), 5 * arguments.repeats))
        asked, mesh = asked_points(posed, arguments.resolution)
        rows.append([number, len(asked), len(mesh), f"{exact[-1]:.2f}", f"{1000 * skinned[-1]:.1f}"])
    size = f"{arguments.resolution}³"
    heads = ["pose", "points asked", "vertices", f"{size}, root finding (s)", f"{size}, skinned (ms)"]
    print(table(heads, rows))
    print(f"The canonical mesh, once an avatar: {first:.2f} s.\n")
    bars = [
        ["posed mesh by root finding", f"<= {EXACT_BAR} s", f"{max(exact):.2f} s", verdict(max(exact) <= EXACT_BAR)],
        [
            "canonical mesh + skinning",
            f"<= {SKINNED_BAR} s",
            f"{max(skinned):.3f} s",
            verdict(max(skinned) <= SKINNED_BAR),
        ],
    ]
    print(table(["slowest pose", "bar", "measured", "met"], bars))
    if arguments.sample:
        count = len(asked)
        seconds = published_seconds(avatar, posed, asked, arguments) * count / min(arguments.sample, count)
        print(f"Published search alone, at the {count} points of the last pose: {seconds:.0f} s ")
        print(f"(told from {min(arguments.sample, count)} of them), {seconds / exact[-1]:.0f} times our whole mesh.\n")
    if arguments.profile:
        with profile(activities=[ProfilerActivity.CPU]) as watched:
            posed.mesh(arguments.resolution)
        print(watched.key_averages().table(sort_by="self_cpu_time_total", row_limit=20, max_name_column_width=50))


def body_avatar() -> Avatar:
    """The free body as an avatar, as fitting starts from it."""
    model = snarf_from_body(load_anny().body(), SnarfOptions())
    joints = len(model.skeleton)
    return Avatar(model, torch.zeros(0, joints, 3), torch.zeros(0, 3), AvatarInfo(()))


def chosen_poses(avatar: Avatar, count: int, seed: int) -> list[PosedAvatar]:
    """The avatar's first training poses; random ones where it has none."""
    if len(avatar.poses):
        return [avatar.training_pose(index) for index in range(min(count, len(avatar.poses)))]
    body = load_anny().body()
    return [avatar.pose(random_pose(body, seed + index)) for index in range(count)]


def asked_points(posed: PosedAvatar, resolution: int) -> tuple[Float[Tensor, "point 3"], Float[Tensor, "vertex 3"]]:
    """Where meshing asks for the occupancy, and the mesh's vertices (metres)."""
    asked: list[Tensor] = []
    plain = PosedAvatar.occupancy

    def noted(self: PosedAvatar, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point"]:
        asked.append(points)
        return plain(self, points)

    with patch.object(PosedAvatar, "occupancy", noted):
        mesh = posed.mesh(resolution)
    return torch.cat(asked), mesh.vertices


def published_seconds(
    avatar: Avatar, posed: PosedAvatar, asked: Float[Tensor, "point 3"], arguments: argparse.Namespace
) -> float:
    """Seconds of the published search at a random sample of the points that a mesh asks for."""
    weights = fitted_weights(load_anny().body(), arguments.seed, arguments.fit_steps).to(avatar.device)
    bones = avatar.model.posed_from_canonical(posed.rotation[None], posed.translation[None])[0]
    sample = asked[torch.randperm(len(asked))[: arguments.sample]].to(bones)
    field = PublishedSkinning(weights, bones)
    return median_seconds(lambda: published_search(field, sample), 1)


if __name__ == "__main__":
    main()
