"""The free body, natural poses of it and a coarse model that starts from it, for tests of fields, search and models."""

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.models import Snarf, SnarfOptions, snarf_from_body
from body_models import Body, load_anny

OPTIONS = SnarfOptions(base_spacing=0.03, weight_spacing=0.06, feature_spacings=(0.12,))


@cache
def small_body() -> Body:
    """The free body of average shape."""
    return load_anny().body()


def small_snarf() -> Snarf:
    """A model of its own for each caller, fit to be trained."""
    torch.manual_seed(0)
    return snarf_from_body(small_body(), OPTIONS)


def small_poses(count: int, scale: float = 0.25, seed: int = 0) -> Float[Tensor, "pose bone 3"]:
    """Random natural poses: every joint turned a little, knees and elbows bent up to a radian more."""
    generator = torch.Generator().manual_seed(seed)
    skeleton = small_body().skeleton
    turns = scale * (2 * torch.rand(count, len(skeleton), 3, generator=generator) - 1)
    for name, axis, sign in (("left_knee", 0, 1), ("right_knee", 0, 1), ("left_elbow", 1, -1), ("right_elbow", 1, 1)):
        turns[:, skeleton.index(name), axis] += sign * torch.rand(count, generator=generator)
    return small_body().canonical_pose + turns
