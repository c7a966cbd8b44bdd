import pytest
import torch
from torch import nn

from avatars.fit.adam import FieldAdam
from avatars.fit.loop import load_checkpoint, save_checkpoint

RATE = 0.1


def grid(nodes=40):
    return nn.Parameter(torch.zeros(nodes, 1))


def uniform(parameter, rate=RATE):
    return FieldAdam([{"params": [parameter], "lr": rate, "uniform": True}])


def noise(step, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(step))


def stepped(optimiser, gradients):
    """The parameter after a step for each gradient."""
    (parameter,) = optimiser.param_groups[0]["params"]
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimiser.step()
    return parameter.detach().clone()


def test_a_lone_large_entry_moves_by_the_rate_and_tiny_ones_hardly():
    gradient = torch.zeros(40, 1)
    gradient[7], gradient[8] = 3.0, -3e-4
    moved = stepped(uniform(grid()), [gradient])
    assert moved[7].item() == pytest.approx(-RATE)
    assert moved[8].item() == pytest.approx(1e-4 * RATE)
    assert not moved[[n for n in range(40) if n not in (7, 8)]].any()
    plain = stepped(FieldAdam([{"params": [grid()], "lr": RATE}]), [gradient])
    assert plain[8].item() == pytest.approx(RATE, rel=1e-3)


def test_the_first_step_of_a_uniform_group_goes_straight_down():
    gradient = noise(0, 40, 1)
    moved = stepped(uniform(grid()), [gradient])
    assert torch.allclose(moved, -RATE * gradient / gradient.abs().max(), atol=1e-6)


def test_the_size_of_gradients_does_not_matter():
    gradients = [noise(step, 40, 1) for step in range(6)]
    small = stepped(uniform(grid()), [1e-2 * gradient for gradient in gradients])
    assert torch.allclose(small, stepped(uniform(grid()), gradients), atol=1e-5)


def test_no_entry_moves_by_much_more_than_the_rate():
    optimiser = uniform(grid())
    for step in range(20):
        before = optimiser.param_groups[0]["params"][0].detach().clone()
        assert (stepped(optimiser, [noise(step, 40, 1)]) - before).abs().max() < 1.5 * RATE


def test_plain_groups_are_those_of_torch():
    gradients = [noise(step, 5, 3) for step in range(10)]
    own, torchs = nn.Parameter(torch.ones(5, 3)), nn.Parameter(torch.ones(5, 3))
    found = stepped(FieldAdam([{"params": [own], "lr": RATE}]), gradients)
    assert torch.allclose(found, stepped(torch.optim.Adam([torchs], lr=RATE, betas=(0.9, 0.99)), gradients), atol=1e-6)


def test_groups_beside_each_other_do_as_they_would_alone():
    both = [grid(), nn.Parameter(torch.ones(5, 3))]
    optimiser = FieldAdam(
        [{"params": [both[0]], "lr": RATE, "uniform": True}, {"params": [both[1]], "lr": 2 * RATE, "uniform": False}]
    )
    gradients = [(noise(step, 40, 1), noise(100 + step, 5, 3)) for step in range(5)]
    for pair in gradients:
        for parameter, gradient in zip(both, pair, strict=True):
            parameter.grad = gradient.clone()
        optimiser.step()
    alone = FieldAdam([{"params": [nn.Parameter(torch.ones(5, 3))], "lr": 2 * RATE}])
    assert torch.equal(both[0], stepped(uniform(grid()), [first for first, _ in gradients]))
    assert torch.equal(both[1], stepped(alone, [second for _, second in gradients]))


def test_it_finds_the_least_square():
    parameter = grid(6)
    goal, optimiser = noise(1, 6, 1), uniform(parameter, 0.05)
    for _ in range(300):
        (parameter - goal).square().sum().backward()
        optimiser.step()
    assert torch.allclose(parameter, goal, atol=0.02)


def test_parameters_without_a_gradient_stay():
    parameter = grid()
    optimiser = uniform(parameter)
    optimiser.step()
    stepped(optimiser, [torch.zeros(40, 1)])
    assert not parameter.any()


def test_a_closure_is_asked_before_the_step():
    parameter = grid()

    def loss():
        value = (parameter - 1).square().sum()
        value.backward()
        return value.item()

    assert uniform(parameter).step(loss) == 40
    assert torch.allclose(parameter, torch.full((40, 1), RATE))


def test_the_state_survives_a_checkpoint(tmp_path):
    def made():
        module = nn.ParameterDict({"grid": grid(), "net": torch.ones(5, 3)})
        groups = [{"params": [module["grid"]], "lr": RATE, "uniform": True}, {"params": [module["net"]], "lr": RATE}]
        return module, FieldAdam(groups)

    def go_on(module, optimiser, steps):
        for step in steps:
            for number, parameter in enumerate(module.values()):
                parameter.grad = noise(10 * step + number, *parameter.shape)
            optimiser.step()

    whole, halves, resumed = made(), made(), made()
    go_on(*whole, range(8))
    go_on(*halves, range(5))
    save_checkpoint(tmp_path / "checkpoint.safetensors", *halves, step=5)
    assert load_checkpoint(tmp_path / "checkpoint.safetensors", *resumed) == 5
    go_on(*resumed, range(5, 8))
    assert all(torch.equal(whole[0][name], resumed[0][name]) for name in ("grid", "net"))
    assert resumed[1].state[resumed[0]["grid"]]["exp_avg_sq"].shape == ()
