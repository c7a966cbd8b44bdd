"""Small people made of balls and boxes, and a small dataset of them on disk."""

from pathlib import Path

import torch
import trimesh

from data_prep.people import Member, MemberOptions, make_member, write_member, write_people

SMALL = MemberOptions(near=200, uniform=100, samples=150, yaws=(0.0, 1.0, 3.0), size=16)
BONES = ("pelvis", "spine", "head")


def ball_mesh(radius: float = 0.5, centre: tuple[float, float, float] = (0.0, 1.0, 0.0)):
    ball = trimesh.creation.icosphere(3, radius)
    vertices = torch.tensor(ball.vertices, dtype=torch.float32) + torch.tensor(centre)
    return vertices, torch.tensor(ball.faces)


def ball_member(
    name: str = "anna", scans: int = 1, radius: float = 0.5, seed: int = 0, options: MemberOptions = SMALL
) -> Member:
    random = torch.Generator().manual_seed(seed)
    return make_member(
        name,
        [ball_mesh(radius)] * scans,
        torch.full((4,), float(seed)),
        torch.zeros(scans, len(BONES), 3),
        torch.zeros(scans, 3),
        torch.tensor([[0.0, 1.0, 0.0]]).expand(scans, 3),
        options,
        random,
    )


def write_balls(folder: Path, names: tuple[str, ...] = ("anna", "bert", "carl")) -> list[Member]:
    members = [ball_member(name, seed=seed, scans=1 + seed % 2) for seed, name in enumerate(names)]
    for member in members:
        write_member(folder, member)
    write_index(folder, names)
    return members


def write_index(folder: Path, names: tuple[str, ...]) -> None:
    write_people(
        folder,
        names,
        body_model="anny",
        betas_count=4,
        joint_names=BONES,
        yaws=SMALL.yaws,
        view_size=SMALL.size,
        skipped=[("dora", "no person")],
        notes=["made of balls"],
    )
