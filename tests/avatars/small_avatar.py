"""A coarse, untrained avatar of the free body with two poses, made in seconds, for tests that need some avatar."""

from functools import cache
from pathlib import Path

import torch

from avatars.models import Avatar, AvatarInfo, SnarfOptions, save, snarf_from_body
from body_models import load_anny


@cache
def small_avatar() -> Avatar:
    """Pose 0 is the canonical pose, pose 1 bends the left elbow and turns the person by a quarter."""
    options = SnarfOptions(base_spacing=0.03, weight_spacing=0.06, feature_spacings=(0.12,))
    torch.manual_seed(0)
    model = snarf_from_body(load_anny().body(), options)
    poses = torch.stack([model.canonical_pose, model.canonical_pose.clone()])
    poses[1, model.skeleton.index("left_elbow")] = torch.tensor([0.0, -1.2, 0.0])
    poses[1, 0] = torch.tensor([0.0, torch.pi / 2, 0.0])
    places = torch.tensor([[0.0, 0.0, 0.0], [0.3, 0.1, -0.2]])
    return Avatar(model, poses, places, AvatarInfo(("standing", "bent"), notes=("made for tests",)))


def small_avatar_file(folder: Path) -> Path:
    """The small avatar as a file in a folder."""
    path = folder / "small.avatar"
    save(small_avatar(), path)
    return path
