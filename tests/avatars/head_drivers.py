"""Heads and drivers of them, made up by tests."""

from dataclasses import replace

import torch

from avatars.models.head_avatar import HeadAvatar, HeadTracks
from body_models import Motion
from body_models.motion.head_tracks import head_joints
from body_models.names import ARKIT_EXPRESSIONS, HEAD_SKELETON
from tests.avatars.small_head import front_camera, small_head

RATE = 30.0


def acting_head(frames: int = 60) -> HeadAvatar:
    """The small head after a video of two seconds, in which it turned and talked."""
    head, own = small_head(), talker(frames, seed=1)
    places = own.translations + torch.tensor([0.0, 0.0, -0.8])
    assert own.expression is not None
    tracks = HeadTracks(own.rotations, places, own.expression, head.expression_names, RATE, front_camera(96))
    return HeadAvatar(head.model, tracks, head.info)


def unnamed_head(expressions: int = 52) -> HeadAvatar:
    """A head that was fitted with FLAME's components, in name only."""
    head = acting_head()
    tracks = replace(head.tracks, expression_names=())
    return HeadAvatar(head.model, tracks, replace(head.info, body_model="flame_neutral"))


def talker(frames: int = 60, seed: int = 0) -> Motion:
    """Somebody who turns the head about and, after a quiet start, moves the mouth; eyes and jaw as actions."""
    random = torch.Generator().manual_seed(seed)
    time = torch.arange(frames) / RATE
    rotations = torch.zeros(frames, len(HEAD_SKELETON), 3)
    phases, amounts = 6 * torch.rand(3, generator=random), 0.1 + 0.2 * torch.rand(3, generator=random)
    rotations[:, 0] = amounts * torch.sin(3 * time[:, None] + phases)
    expression = 0.2 * torch.rand(52, generator=random) * torch.rand(frames, 52, generator=random)
    expression[: frames // 4] *= 0.01
    expression[frames // 2, ARKIT_EXPRESSIONS.index("jawOpen")] = 0.9
    return Motion(
        f"talker {seed}",
        HEAD_SKELETON,
        head_joints(),
        rotations,
        0.01 * torch.sin(2 * time[:, None] + phases),
        RATE,
        expression,
        ARKIT_EXPRESSIONS,
    )
