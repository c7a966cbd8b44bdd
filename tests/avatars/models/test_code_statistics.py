import pytest
import torch

from avatars.models.code_statistics import CodeStatistics
from body_models.errors import InputError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def two_kinds(count: int = 300, length: int = 16) -> torch.Tensor:
    """Half the subjects about +3 in the first number, half about -3, all correlated a little."""
    codes = torch.randn(count, length, generator=generator()) @ (
        torch.eye(length) + 0.2 * torch.randn(length, length, generator=generator(1))
    )
    codes[:, 0] += 4 * (torch.arange(count) % 2 * 2 - 1)
    return codes


def one_kind(count: int = 2000) -> torch.Tensor:
    mixing = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.4, 0.0], [0.0, 0.3, 2.0]])
    return torch.randn(count, 3, generator=generator()) @ mixing + torch.tensor([1.0, -2.0, 5.0])


@pytest.mark.parametrize("kind", ["mixture", "gaussian", "diagonal"])
def test_samples_have_the_mean_and_deviation_of_the_codes(kind):
    codes = one_kind()
    drawn = CodeStatistics.of(codes).sample(20_000, generator(1), kind=kind)
    assert torch.allclose(drawn.mean(0), codes.mean(0), atol=0.06)
    assert torch.allclose(drawn.std(0), codes.std(0), rtol=0.05)


def test_only_the_diagonal_kind_loses_correlations():
    codes = one_kind()
    statistics = CodeStatistics.of(codes)
    truth = torch.corrcoef(codes.T)
    for kind, error in (("mixture", 0.05), ("gaussian", 0.05)):
        found = torch.corrcoef(statistics.sample(20_000, generator(1), kind=kind).T)
        assert (found - truth).abs().max() < error
    diagonal = torch.corrcoef(statistics.sample(20_000, generator(1), kind="diagonal").T)
    assert (diagonal - torch.eye(3)).abs().max() < 0.05


def test_kinds_are_told_apart_and_nothing_is_drawn_between_them():
    codes = two_kinds()
    statistics = CodeStatistics.of(codes)
    assert len(statistics.weights) == 2
    mixed, gaussian = (statistics.sample(4000, generator(2), kind=kind)[:, 0] for kind in ("mixture", "gaussian"))
    between = (codes[:, 0].abs() < 1.5).float().mean()
    assert (mixed.abs() < 1.5).float().mean() < between + 0.03
    assert (gaussian.abs() < 1.5).float().mean() > between + 0.1


def test_one_cloud_is_one_kind_also_with_more_numbers_than_subjects():
    assert len(CodeStatistics.of(one_kind(400)).weights) == 1
    few = CodeStatistics.of(torch.randn(40, 64, generator=generator()))
    assert len(few.weights) == 1
    assert torch.linalg.eigvalsh(few.covariance.double()).min() > 0
    assert few.sample(8, generator()).isfinite().all()


def test_truncation_scales_the_spread_and_zero_gives_centres():
    statistics = CodeStatistics.of(two_kinds())
    full = statistics.sample(50, generator(3))
    half = statistics.sample(50, generator(3), truncation=0.5)
    none = statistics.sample(50, generator(3), truncation=0.0)
    assert torch.allclose(half, (full + none) / 2, atol=1e-5)
    assert torch.cdist(none, statistics.centres).amin(1).max() < 1e-5
    means = statistics.sample(3, truncation=0.0, kind="gaussian")
    assert torch.allclose(means, statistics.mean.expand(3, -1))


def test_codes_without_any_variation_are_drawn_again():
    drawn = CodeStatistics.of(torch.ones(30, 4)).sample(5, generator())
    assert torch.allclose(drawn, torch.ones(5, 4), atol=1e-4)


def test_the_same_seed_gives_the_same_codes():
    codes = two_kinds()
    first, second = CodeStatistics.of(codes), CodeStatistics.of(codes)
    assert torch.equal(first.sample(5, generator(7)), second.sample(5, generator(7)))
    assert not torch.equal(first.sample(5, generator(7)), first.sample(5, generator(8)))
    assert torch.equal(first.sample(5, generator(7)), first.sample(9, generator(7))[:5])


def test_saved_statistics_are_the_same():
    statistics = CodeStatistics.of(two_kinds())
    stored = {**statistics.tensors("shape."), "other": torch.zeros(1)}
    back = CodeStatistics.from_tensors(stored, "shape.")
    assert torch.equal(back.sample(4, generator()), statistics.sample(4, generator()))
    with pytest.raises(InputError, match=r"lack detail\.mean"):
        CodeStatistics.from_tensors(stored, "detail.")
    with pytest.raises(InputError, match=r"shape\.centres.*damaged"):
        CodeStatistics.from_tensors({**stored, "shape.centres": torch.zeros(2, 3)}, "shape.")


def test_interpolation_is_straight_and_keeps_its_ends():
    statistics = CodeStatistics.of(one_kind())
    start, end = torch.zeros(3), torch.tensor([1.0, 2.0, 4.0])
    line = statistics.interpolate(start, end, 5)
    assert torch.equal(line[0], start)
    assert torch.equal(line[-1], end)
    assert torch.allclose(line[2], end / 2)


def test_a_code_of_another_length_names_both():
    statistics = CodeStatistics.of(one_kind())
    with pytest.raises(InputError, match=r"shape code has 5 numbers.*have 3"):
        statistics.checked(torch.zeros(5), "shape code")
    with pytest.raises(InputError, match=r"has 4 numbers.*have 3"):
        statistics.interpolate(torch.zeros(3), torch.zeros(4), 3)


def test_what_cannot_be_used_is_refused():
    statistics = CodeStatistics.of(one_kind())
    with pytest.raises(InputError, match="two or more"):
        CodeStatistics.of(torch.zeros(1, 3))
    with pytest.raises(InputError, match="not finite"):
        CodeStatistics.of(torch.full((4, 3), torch.nan))
    with pytest.raises(InputError, match="Unknown kind"):
        statistics.sample(1, kind="uniform")
    for refused in ({"count": 0}, {"count": 1, "truncation": -1.0}, {"count": 1, "truncation": float("nan")}):
        with pytest.raises(InputError):
            statistics.sample(**refused)
    with pytest.raises(InputError, match="not finite"):
        statistics.checked(torch.tensor([0.0, torch.nan, 0.0]))
    with pytest.raises(InputError, match="steps"):
        statistics.interpolate(torch.zeros(3), torch.zeros(3), 1)
