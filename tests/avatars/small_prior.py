"""A coarse, untrained prior: everybody is the free body, of different builds; codes make no difference yet."""

from functools import cache
from pathlib import Path

import torch

from avatars.models.code_statistics import CodeStatistics
from avatars.models.gdna_options import GdnaOptions
from avatars.models.gdna_start import start_prior
from avatars.models.prior import Prior, PriorCard
from avatars.models.prior_file import save_prior
from body_models import load_anny

SIZES = GdnaOptions(
    shape_code=4,
    detail_code=4,
    betas=3,
    volume_spacing=0.12,
    volume_channels=2,
    detail_spacing=0.1,
    detail_channels=2,
    feature_spacings=(0.15,),
    feature_channels=2,
    width=8,
    feature_size=5,
    base_spacing=0.025,
    part_base_spacing=0.025,
    weight_spacing=0.07,
    weight_rank=2,
    pattern_spacing=0.2,
)


@cache
def small_prior() -> Prior:
    """With normal codes of 4 numbers and builds of 3."""
    torch.manual_seed(0)
    model = start_prior(load_anny(), SIZES)
    generator = torch.Generator().manual_seed(0)
    spread = [CodeStatistics.of(torch.randn(30, size, generator=generator)) for size in (4, 4, 3)]
    return Prior(model, spread[0], spread[1], spread[2], PriorCard(notes=("made for tests",)))


def small_prior_file(folder: Path) -> Path:
    """The small prior as a file in a folder."""
    path = folder / "small.prior"
    save_prior(small_prior(), path)
    return path
