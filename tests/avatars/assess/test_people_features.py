import math

import pytest
import torch
from torch.nn.functional import avg_pool2d, normalize

from avatars.assess.people_features import frechet_distance, normal_map_features, normal_statistic
from body_models.errors import InputError


def maps(count: int = 24, fold: float = 0.5, size: int = 64, seed: int = 0, blur: int = 1) -> torch.Tensor:
    """Balls with folds of random directions, blurred by averaging over some pixels."""
    generator = torch.Generator().manual_seed(seed)
    row, column = torch.meshgrid(torch.linspace(1, -1, size), torch.linspace(-1, 1, size), indexing="ij")
    inside = row**2 + column**2 < 0.8
    smooth = torch.stack([column, row, (1 - row**2 - column**2).clamp_min(0.05).sqrt()], -1)
    made = []
    for turn in torch.rand(count, generator=generator) * math.pi:
        wave = torch.cos(25 * (turn.cos() * column + turn.sin() * row) + 5 * turn)
        tilt = torch.stack([turn.cos() * wave, turn.sin() * wave, torch.zeros_like(wave)], -1)
        normals = normalize(smooth + fold * tilt, dim=-1)
        soft = avg_pool2d(normals.permute(2, 0, 1)[None], blur, 1, blur // 2, count_include_pad=False)[0]
        shown = (normalize(soft.permute(1, 2, 0), dim=-1) * 0.5 + 0.5) * 254
        made.append(torch.where(inside[..., None], shown.round(), 255.0).to(torch.uint8))
    return torch.stack(made)


def test_equal_sets_have_no_distance():
    assert normal_statistic(maps(), maps()) == pytest.approx(0.0, abs=1e-6)


def test_the_distance_grows_with_blur():
    real = maps(40)
    again, *blurred = (normal_statistic(maps(40, seed=1, blur=blur), real) for blur in (1, 3, 5, 9))
    assert again < blurred[0] < blurred[1] < blurred[2]


def test_missing_and_exaggerated_details_are_both_far():
    real = maps(40)
    assert normal_statistic(maps(40, fold=0.5, seed=1), real) < normal_statistic(maps(40, fold=0.2, seed=1), real)
    assert normal_statistic(maps(40, fold=0.5, seed=1), real) < normal_statistic(maps(40, fold=1.0, seed=1), real)


def test_features_are_of_each_picture_alone_and_always_the_same():
    some = maps(5)
    assert torch.equal(normal_map_features(some), normal_map_features(some))
    assert torch.allclose(normal_map_features(some)[3:4], normal_map_features(some[3:4]), atol=1e-5)
    empty = torch.full((2, 32, 32, 3), 255, dtype=torch.uint8)
    assert normal_map_features(empty).isfinite().all()


def test_gaussians_have_the_distance_of_the_formula():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(5000, 3, generator=generator, dtype=torch.float64)
    noise = noise - noise.mean(0)
    noise = noise @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(noise.T))).T
    scale, shift = torch.tensor([1.0, 2.0, 3.0]).double(), torch.tensor([1.0, 0.0, -2.0]).double()
    expected = float(shift.square().sum() + (scale - 1).square().sum())
    assert frechet_distance(noise, noise * scale + shift) == pytest.approx(expected, rel=1e-6)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    assert frechet_distance(noise @ turn, (noise * scale + shift) @ turn) == pytest.approx(expected, rel=1e-6)


def test_fewer_pictures_than_features():
    first, second = (torch.randn(8, 50, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert frechet_distance(first, first) == pytest.approx(0.0, abs=1e-6)
    assert frechet_distance(first, second) == pytest.approx(frechet_distance(second, first), rel=1e-6)


def test_what_cannot_be_compared():
    with pytest.raises(InputError, match="too few or small"):
        normal_map_features(torch.zeros(1, 8, 8, 3, dtype=torch.uint8))
    with pytest.raises(InputError, match="too few or small"):
        normal_map_features(torch.zeros(0, 64, 64, 3, dtype=torch.uint8))
    with pytest.raises(InputError, match="two or more"):
        frechet_distance(torch.zeros(1, 4), torch.zeros(3, 4))
    with pytest.raises(InputError, match="not finite"):
        frechet_distance(torch.full((3, 4), torch.nan), torch.zeros(3, 4))
