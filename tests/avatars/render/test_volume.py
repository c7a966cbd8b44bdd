import math

import pytest
import torch

from avatars.render.volume import composite, even_edges, opacity_loss, resampled_edges


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def random_edges(rays, samples, seed=0):
    generator = torch.Generator().manual_seed(seed)
    steps = torch.rand(rays, samples, generator=generator, dtype=torch.float64) + 0.05
    return torch.nn.functional.pad(steps.cumsum(1), (1, 0)) + 0.5


def random_volume(rays, samples, seed=1):
    generator = torch.Generator().manual_seed(seed)
    density = 3 * torch.rand(rays, samples, generator=generator, dtype=torch.float64)
    return density, torch.rand(rays, samples, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("samples", [1, 2, 17])
def test_an_even_slab_lets_through_what_the_exponential_says(samples):
    near, far, density = double(0.4), double(0.9), 3.0
    edges = even_edges(near, far, samples)
    colour = double(0.2, 0.5, 0.7).expand(1, samples, 3)
    seen = composite(torch.full((1, samples), density, dtype=torch.float64), colour, edges)
    through = math.exp(-density * 0.5)
    assert torch.allclose(seen.opacity, double(1 - through))
    assert torch.allclose(seen.weights.sum(1), seen.opacity)
    assert torch.allclose(seen.colour[0], (1 - through) * colour[0, 0])
    assert torch.allclose(seen.before(1.0)[0], (1 - through) * colour[0, 0] + through)


def test_the_mean_distance_in_a_slab_is_the_analytic_one():
    density, length = 8.0, 0.5
    edges = even_edges(double(1.0), double(1.0 + length), 4000)
    volume = torch.full((1, 4000), density, dtype=torch.float64)
    seen = composite(volume, torch.zeros(1, 4000, 3).double(), edges)
    through = math.exp(-density * length)
    mean = 1.0 + 1 / density - length * through / (1 - through)
    assert seen.distance.item() == pytest.approx(mean, abs=1e-6)


def test_what_is_behind_something_opaque_is_not_seen():
    density, colour = double([0.0, 1e6, 1e6]), torch.eye(3, dtype=torch.float64)[None]
    seen = composite(density, colour, even_edges(double(0.0), double(3.0), 3))
    assert torch.allclose(seen.colour, double([0.0, 1.0, 0.0]))
    assert seen.distance.item() == pytest.approx(1.5)


def test_weights_are_shares():
    density, colour = random_volume(50, 20)
    seen = composite(100 * density, colour, random_edges(50, 20))
    assert (seen.weights >= 0).all()
    assert (seen.weights.sum(1) <= 1 + 1e-12).all()
    assert (seen.before(1.0) <= 1 + 1e-12).all()


def test_cutting_intervals_in_two_changes_nothing():
    density, colour = random_volume(5, 6)
    edges = random_edges(5, 6)
    middles = 0.5 * (edges[:, 1:] + edges[:, :-1])
    fine = torch.cat([edges, middles], 1).sort(1).values
    one = composite(density, colour, edges)
    other = composite(density.repeat_interleave(2, 1), colour.repeat_interleave(2, 1), fine)
    assert torch.allclose(one.colour, other.colour)
    assert torch.allclose(one.depth, other.depth)


def test_empty_space_and_rays_beside_the_box_show_the_background():
    edges = even_edges(double(0.5, 0.5), double(0.5, 1.0), 4)
    density = double([5.0] * 4, [0.0] * 4)
    seen = composite(density, torch.zeros(2, 4, 3).double(), edges)
    assert torch.allclose(seen.before(0.7), torch.full((2, 3), 0.7).double())
    assert torch.allclose(seen.distance, double(0.5, 0.75))


def test_gradients_are_those_of_finite_differences():
    density, colour = random_volume(2, 3)
    edges = random_edges(2, 3)
    inputs = [value.requires_grad_() for value in (density, colour, edges)]

    def outputs(*given):
        seen = composite(*given)
        return seen.weights, seen.before(1.0), seen.depth, seen.distance

    assert torch.autograd.gradcheck(outputs, inputs)


def test_the_loss_of_opacity_is_a_cross_entropy():
    depth, alpha = double(0.3, 2.0, 0.01), double(0.0, 1.0, 0.5)
    wanted = torch.nn.functional.binary_cross_entropy(-torch.expm1(-depth), alpha)
    assert torch.allclose(opacity_loss(depth, alpha), wanted)
    assert torch.autograd.gradcheck(opacity_loss, (depth.requires_grad_(), alpha))


@pytest.mark.parametrize("depth", [0.0, 1e-30, 1e4])
def test_the_loss_of_opacity_is_finite_at_the_extremes(depth):
    value = torch.tensor([depth, depth]).requires_grad_()
    loss = opacity_loss(value, torch.tensor([0.0, 1.0]))
    loss.backward()
    assert loss.isfinite()
    assert value.grad.isfinite().all()


def test_random_edges_rise_between_the_same_ends():
    near, far = torch.rand(40), 1 + torch.rand(40)
    edges = even_edges(near, far, 10, torch.Generator().manual_seed(0))
    assert torch.equal(edges[:, 0], near)
    assert torch.allclose(edges[:, -1], far)
    assert (edges.diff(dim=1) > 0).all()


def test_new_intervals_are_short_where_weight_is_and_end_where_the_ray_does():
    edges = even_edges(torch.tensor([0.0]), torch.tensor([1.0]), 50)
    weights = torch.zeros(1, 50)
    weights[0, 30] = 0.8  # 0.60 to 0.62, and the neighbours
    new = resampled_edges(edges, weights, 20, 0.1)
    assert new[0, 0] == 0
    assert new[0, -1].item() == pytest.approx(1.0)
    assert (new.diff(dim=1) >= 0).all()
    within = ((new > 0.579) & (new < 0.641)).sum()
    assert within >= 17


def test_without_weights_new_intervals_are_even():
    edges = even_edges(torch.tensor([0.2]), torch.tensor([0.8]), 12)
    assert torch.allclose(resampled_edges(edges, torch.zeros(1, 12), 6, 0.1), torch.linspace(0.2, 0.8, 7)[None])


def test_an_interval_without_length_stays_where_it_is():
    edges = torch.full((1, 9), 0.6)
    assert torch.allclose(resampled_edges(edges, torch.zeros(1, 8), 4, 0.1), torch.full((1, 5), 0.6))


def test_resampling_does_not_change_what_a_smooth_volume_looks_like():
    generator = torch.Generator().manual_seed(3)
    edges = even_edges(torch.zeros(200).double(), torch.ones(200).double(), 400)

    def seen(edges):
        middles = 0.5 * (edges[:, 1:] + edges[:, :-1])
        density = 20 * torch.exp(-((middles - 0.6) / 0.1).square())
        return composite(density, middles[..., None].expand(-1, -1, 3), edges)

    truth = seen(edges)
    other = seen(resampled_edges(edges, truth.weights, 24, 0.1, generator))
    assert torch.allclose(other.opacity, truth.opacity, atol=0.05)
    assert torch.allclose(other.colour.mean(0), truth.colour.mean(0), atol=0.01)
