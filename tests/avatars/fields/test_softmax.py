"""Weights handed down the kinematic tree."""

import pytest
import torch

from avatars.fields.softmax import hierarchical_log_weights, hierarchical_logits, logit_count
from body_models.names import SMPL_SKELETON

TREES = {"smpl": SMPL_SKELETON.parents, "chain": (-1, 0, 1, 2), "star": (-1, 0, 0, 0), "alone": (-1,)}
trees = pytest.mark.parametrize("parents", TREES.values(), ids=TREES.keys())
forks = pytest.mark.parametrize("parents", [TREES[name] for name in ("smpl", "chain", "star")])


def random_logits(parents, count=50, scale=3.0):
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(count, logit_count(parents), generator=generator, dtype=torch.float64)


@trees
@pytest.mark.parametrize("scale", [0.1, 3.0, 300.0])
def test_rows_sum_to_one(parents, scale):
    weights = hierarchical_log_weights(random_logits(parents, scale=scale), parents).exp()
    assert weights.shape == (50, len(parents))
    assert weights.min() >= 0
    assert torch.allclose(weights.sum(1), torch.ones(50, dtype=torch.float64))


@trees
def test_any_weights_of_the_plain_softmax_are_reached_and_come_back(parents):
    generator = torch.Generator().manual_seed(1)
    weights = torch.softmax(torch.randn(50, len(parents), generator=generator, dtype=torch.float64), 1)
    logits = hierarchical_logits(weights, parents)
    assert logits.shape == (50, logit_count(parents))
    assert torch.allclose(hierarchical_log_weights(logits, parents).exp(), weights, atol=1e-8)


@forks
def test_one_hot_weights_keep_finite_logits_and_gradients(parents):
    weights = torch.eye(len(parents)).clamp_min(1e-7)
    logits = hierarchical_logits(weights, parents).requires_grad_()
    logs = hierarchical_log_weights(logits, parents)
    assert (logs.exp() - torch.eye(len(parents))).abs().max() < 1e-4
    logs.sum().backward()
    assert logits.grad.isfinite().all()


@forks
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_gradients_are_finite_and_right(parents, scale):
    logits = random_logits(parents, 4, scale).requires_grad_()
    hierarchical_log_weights(logits, parents).exp().square().sum().backward()
    assert logits.grad.isfinite().all()
    if scale == 1.0:
        assert torch.autograd.gradcheck(lambda z: hierarchical_log_weights(z, parents), logits)


def test_smpl_s_tree_is_that_of_the_publication():
    parents = SMPL_SKELETON.parents
    assert logit_count(parents) == 25
    z = random_logits(parents, 20)
    gate = torch.sigmoid(z)
    wanted = torch.ones(20, 24, dtype=torch.float64)
    wanted[:, 1:4] = gate[:, :1] * torch.softmax(z[:, 1:4], 1)
    wanted[:, 0] = 1 - gate[:, 0]
    chains = [(1, 4), (2, 5), (3, 6), (4, 7), (5, 8), (6, 9), (7, 10), (8, 11)]
    after_the_fork = [(12, 15), (13, 16), (14, 17), (16, 18), (17, 19), (18, 20), (19, 21), (20, 22), (21, 23)]

    def hand_down(pairs):
        for parent, child in pairs:
            wanted[:, child] = wanted[:, parent] * gate[:, child]
            wanted[:, parent] = wanted[:, parent] * (1 - gate[:, child])

    hand_down(chains)
    wanted[:, 12:15] = (wanted[:, 9] * gate[:, 24])[:, None] * torch.softmax(z[:, 12:15], 1)
    wanted[:, 9] = wanted[:, 9] * (1 - gate[:, 24])
    hand_down(after_the_fork)
    assert torch.allclose(hierarchical_log_weights(z, parents).exp(), wanted)


def test_no_rows():
    assert hierarchical_log_weights(torch.zeros(0, 25), SMPL_SKELETON.parents).shape == (0, 24)
    assert hierarchical_logits(torch.zeros(0, 24), SMPL_SKELETON.parents).shape == (0, 25)
