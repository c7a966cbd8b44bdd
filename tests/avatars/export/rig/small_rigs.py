"""Small rigs of the small avatars, and a body whose shape depends on its pose."""

from copy import deepcopy
from functools import cache

import torch
from torch import nn

from avatars.export.rig.bake import plain_rig
from avatars.export.rig.rig import Rig
from avatars.export.rig.source import source_of
from avatars.fields.occupancy import GridOccupancy
from avatars.models import Avatar
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_head import small_head


@cache
def body_rig(influences: int = 4) -> Rig:
    return plain_rig(source_of(small_avatar(), 64), 2000, influences)


@cache
def head_rig() -> Rig:
    return plain_rig(source_of(small_head(), 48), 2000, 4)


@cache
def breathing_avatar() -> Avatar:
    """The small avatar with a surface that swells by some millimetres as its joints turn."""
    known = small_avatar()
    model = deepcopy(known.model)
    assert isinstance(model.occupancy, GridOccupancy)
    assert model.occupancy.pose_code is not None
    last = model.occupancy.decoder[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        torch.manual_seed(1)
        last.weight.normal_(0.0, 4.0)
        model.occupancy.pose_code.linear.weight.normal_(0.0, 2.0)
        model.occupancy.pose_code.linear.bias.zero_()
    return Avatar(model, known.poses, known.translations, known.info)


def random_poses(rig: Rig, count: int, size: float = 0.25, seed: int = 0, bones: int | None = None) -> torch.Tensor:
    """Poses about the one the rig is bound in, in which all bones or the last few turn."""
    generator = torch.Generator().manual_seed(seed)
    turns = size * torch.randn(count, len(rig.skeleton), 3, generator=generator)
    if bones is not None:
        turns[:, :-bones] = 0.0
    return rig.bind_pose + turns
