"""A few influences a vertex."""

import pytest
import torch

from avatars.export.rig.influences import strongest
from body_models import InputError


def dense(vertices: int = 50, bones: int = 9) -> torch.Tensor:
    return torch.rand(vertices, bones, generator=torch.Generator().manual_seed(0)).pow(4).mul(4).softmax(1)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_the_strongest_are_kept_in_order_and_sum_to_one(count: int) -> None:
    weights = dense()
    bones, shares = strongest(weights, count)
    assert bones.shape == shares.shape == (50, count)
    torch.testing.assert_close(shares.sum(1), torch.ones(50))
    assert bool((shares[:, 1:] <= shares[:, :-1]).all())
    assert torch.equal(bones[:, 0], weights.argmax(1))
    kept = weights.gather(1, bones)
    torch.testing.assert_close(shares, kept / kept.sum(1, keepdim=True))


def test_all_bones_give_the_weights_back() -> None:
    weights = dense()
    bones, shares = strongest(weights, 20)
    assert bones.shape[1] == 9
    torch.testing.assert_close(torch.zeros_like(weights).scatter_add(1, bones, shares), weights)


def test_slots_without_weight_name_the_first_bone() -> None:
    bones, shares = strongest(torch.tensor([[0.0, 0.0, 1.0, 0.0], [0.0, 0.3, 0.0, 0.7]]), 3)
    assert bones.tolist() == [[2, 0, 0], [3, 1, 0]]
    torch.testing.assert_close(shares, torch.tensor([[1.0, 0.0, 0.0], [0.7, 0.3, 0.0]]))


def test_a_vertex_without_any_weight_follows_the_first_bone() -> None:
    bones, shares = strongest(torch.zeros(1, 5), 4)
    assert bones.tolist() == [[0, 0, 0, 0]]
    assert shares.tolist() == [[1.0, 0.0, 0.0, 0.0]]


def test_no_influence_is_refused() -> None:
    with pytest.raises(InputError, match="4"):
        strongest(dense(), 0)
