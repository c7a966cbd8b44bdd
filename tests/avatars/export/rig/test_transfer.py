"""Weights and blendshapes carried to other vertices."""

import torch

from avatars.export.rig.source import source_of
from avatars.export.rig.transfer import transferred
from data_prep.surface import Surface
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_head import small_head


def test_a_sources_own_vertices_get_their_own_values() -> None:
    for source in (source_of(small_avatar(), 48), source_of(small_head(), 40)):
        weights, basis = transferred(source, source.vertices)
        torch.testing.assert_close(weights, source.weights, atol=1e-4, rtol=0)
        torch.testing.assert_close(basis, source.basis, atol=1e-5, rtol=0)


def test_values_between_vertices_are_blended_and_weights_sum_to_one() -> None:
    source = source_of(small_head(), 40)
    samples = Surface(source.vertices, source.faces).sample(300, torch.Generator().manual_seed(0))
    weights, basis = transferred(source, samples.points)
    torch.testing.assert_close(weights.sum(1), torch.ones(300))
    corners = source.faces[samples.face]
    low, high = source.weights[corners].amin(1), source.weights[corners].amax(1)
    assert bool(((weights > low - 1e-4) & (weights < high + 1e-4)).all())
    expected = (source.basis[:, corners] * samples.barycentric[..., None]).sum(2)
    torch.testing.assert_close(basis, expected, atol=1e-4, rtol=0)


def test_a_body_without_blendshapes_gets_none() -> None:
    source = source_of(small_avatar(), 48)
    _, basis = transferred(source, source.vertices[:7] + 0.001)
    assert basis.shape == (0, 7, 3)
