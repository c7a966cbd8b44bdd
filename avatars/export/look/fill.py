"""Values for the texels that show nothing, so that filtering and mip maps do not mix the ground into the charts."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate


def filled(
    picture: Float[Tensor, "channel size size"], known: Bool[Tensor, "size size"]
) -> Float[Tensor, "channel size size"]:
    """The picture with each unknown texel from the means of known ones about it, in ever wider squares.

    This is push-pull (Gortler and others, The Lumigraph, 1996): coarser levels hold the mean of what is known below,
    and fill what is not known in finer ones. A picture of which nothing is known comes back as it is.
    """
    if bool(known.all()) or not bool(known.any()):
        return picture
    shares = known[None].to(picture)
    even = -(-picture.shape[-1] // 2) * 2 - picture.shape[-1]
    pad = (0, even, 0, even)
    weights = torch.nn.functional.pad(shares, pad)
    means = avg_pool2d(torch.nn.functional.pad(picture * shares, pad), 2)
    weight = avg_pool2d(weights, 2)
    coarse = filled(means / weight.clamp_min(1e-6), weight[0] > 0)
    fine = interpolate(coarse[None], scale_factor=2.0, mode="bilinear", align_corners=False)[0]
    return torch.where(known, picture, fine[:, : picture.shape[1], : picture.shape[2]])
