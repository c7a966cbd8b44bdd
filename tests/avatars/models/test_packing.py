"""Packed tensors come back to half a step."""

import pytest
import torch

from avatars.models.packing import BLOCK, PACKED_ABOVE, pack, unpack


def smooth(rows, channels):
    return torch.linspace(-3, 5, rows)[:, None] * torch.linspace(0.1, 1, channels)


@pytest.mark.parametrize("shape", [(300, 100), (PACKED_ABOVE + 1,), (7, 60, 61)])
def test_large_tensors_come_back_to_half_a_step(shape):
    value = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    packed = pack({"a": value})
    restored = unpack(packed)["a"]
    assert restored.shape == value.shape
    assert (restored - value).abs().max() < 0.6 * (value.max() - value.min()) / 255
    assert sum(part.numel() * part.element_size() for part in packed.values()) < 1.2 * value.numel() + 64


def test_neighbours_share_a_range():
    value = smooth(30_720, 2)
    error = (unpack(pack({"a": value}))["a"] - value).abs()
    step = 8 * BLOCK / 30_720 / 255
    assert error.max() < step


def test_small_and_whole_numbers_stay_as_they_are():
    tensors = {"small": torch.randn(5), "numbers": torch.arange(PACKED_ABOVE + 5)}
    restored = unpack(pack(tensors))
    assert restored.keys() == tensors.keys()
    assert all(torch.equal(restored[name], value) for name, value in tensors.items())


def test_a_constant_comes_back():
    assert torch.allclose(unpack(pack({"a": torch.full((200, 200), 0.25)}))["a"], torch.tensor(0.25))


def test_parts_that_are_missing_or_too_short():
    packed = pack({"a": torch.randn(200, 200)})
    with pytest.raises(KeyError):
        unpack({name: value for name, value in packed.items() if name != "a.low"})
    with pytest.raises(ValueError, match="do not fill"):
        unpack(packed | {"a.shape": torch.tensor([400, 200])})
