"""A coarse, untrained NerFACE of the free head with two frames, for tests that need some."""

from copy import deepcopy
from functools import cache

import torch

from avatars.fit.nerface_method import nerface_from_head
from avatars.models.avatar import AvatarInfo
from avatars.models.imavatar_options import ImavatarOptions
from avatars.models.nerface import Nerface, NerfaceOptions
from avatars.models.nerface_avatar import NerfaceAvatar
from tests.avatars.small_head import front_camera, head_body, small_head

__all__ = ["COARSE", "front_camera", "small_model", "small_nerface"]

COARSE = NerfaceOptions(
    feature_spacings=(0.06, 0.03),
    feature_channels=2,
    width=12,
    feature_size=5,
    expected_spacing=0.02,
    looks=24,
    samples=16,
)


@cache
def _made() -> Nerface:
    torch.manual_seed(0)
    return nerface_from_head(head_body(), COARSE, ImavatarOptions())


def small_model() -> Nerface:
    """A model of one's own, which tests may change."""
    return deepcopy(_made())


@cache
def small_nerface() -> NerfaceAvatar:
    """Frames as in `small_head`."""
    return NerfaceAvatar(small_model(), small_head().tracks, AvatarInfo(("a.mp4",), "anny-head", ("made for tests",)))
