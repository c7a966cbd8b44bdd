"""A coarse, untrained head avatar of the free head with two frames, made in a second, for tests that need some head."""

from copy import deepcopy
from functools import cache

import torch

from avatars.models.avatar import AvatarInfo
from avatars.models.head_avatar import HeadAvatar, HeadTracks
from avatars.models.head_start import imavatar_from_head
from avatars.models.imavatar import Imavatar, ImavatarOptions
from body_models import Body, load_body_model
from data_prep.camera import Camera, look_at

COARSE = ImavatarOptions(
    weight_spacing=0.024,
    part_weight_spacing=0.006,
    base_spacing=0.012,
    part_base_spacing=0.006,
    feature_spacings=(0.05, 0.03),
    colour_spacings=(0.04,),
    geometry_width=8,
    feature_size=5,
    colour_width=8,
)
SMALL_MLP = ImavatarOptions(
    network="mlp",
    geometry_width=16,
    geometry_depth=4,
    geometry_octaves=2,
    feature_size=5,
    colour_width=8,
    weight_width=16,
    weight_spacing=0.05,
    part_weight_spacing=0.025,
)


@cache
def head_body() -> Body:
    return load_body_model("anny-head").body()


@cache
def _made(options: ImavatarOptions) -> Imavatar:
    torch.manual_seed(0)
    return imavatar_from_head(head_body(), options)


def small_model(options: ImavatarOptions = COARSE) -> Imavatar:
    """A model of one's own, which tests may change."""
    return deepcopy(_made(options))


@cache
def small_head() -> HeadAvatar:
    """Frame 0 is neutral and half a metre before the camera, frame 1 turned aside with an open mouth."""
    body = head_body()
    poses, places = torch.zeros(2, 5, 3), torch.tensor([[0.0, 0.0, -0.5], [0.02, 0.01, -0.55]])
    poses[1, 0] = torch.tensor([0.0, 0.5, 0.0])
    expressions = torch.zeros(2, 52)
    expressions[1, body.expression_names.index("jawOpen")] = 0.8
    tracks = HeadTracks(poses, places, expressions, body.expression_names, 30.0, front_camera())
    return HeadAvatar(small_model(), tracks, AvatarInfo(("a.mp4",), "anny-head", ("made for tests",)))


def expression(**values: float) -> torch.Tensor:
    """One row of expression parameters from names."""
    row = torch.zeros(1, 52)
    for name, value in values.items():
        row[0, head_body().expression_names.index(name)] = value
    return row


def front_camera(size: int = 48, distance: float = 0.8) -> Camera:
    """At the origin, looking along -Z, as tracks have it; `distance` from a head at rest when that is moved there."""
    return look_at(torch.zeros(3), torch.tensor([0.0, 0.0, -distance]), torch.tensor([0.0, 1.0, 0.0]), 40.0, size, size)
