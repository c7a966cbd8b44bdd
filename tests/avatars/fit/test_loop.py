import errno
import math
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from avatars.fit import loop
from avatars.fit.loop import LoopOptions, Method, cosine, make_fabric, optimise, step_generator
from avatars.fit.progress import Progress
from body_models import InputError
from tests.avatars.fit.tiny import run_python

OPTIONS = LoopOptions(steps=30, device="cpu", checkpoint_every=5, log_every=4)


class Stopped(Exception):
    """As if the machine had gone."""


class Quadratic:
    """Two parameters that are pulled to noisy targets, the second with one step size for all its entries."""

    def __init__(self, stop=None, poison=None, width=3):
        self.module = nn.ParameterDict({"a": torch.zeros(width), "b": torch.ones(2, width)})
        self.stop, self.poison = stop, poison

    def parameter_groups(self):
        return [{"params": [self.module["a"]], "lr": 0.1}, {"params": [self.module["b"]], "lr": 0.3, "uniform": True}]

    def losses(self, step, generator):
        if step == self.stop:
            raise Stopped
        noise = 0.01 * torch.randn(self.module["a"].shape, generator=generator)
        terms = {"a": (self.module["a"] - 1 + noise).square().sum(), "b": (self.module["b"] + 2).square().sum()}
        if step == self.poison:
            terms["b"] = terms["b"] * math.nan
        return terms


def run(method, folder, options=OPTIONS, resume=False):
    with Progress(quiet=True) as progress:
        optimise(method, options, folder, resume, progress)
    return {name: value.detach().clone() for name, value in method.module.items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run: its folder and its result."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(Quadratic(), folder)


@pytest.fixture
def half(tmp_path):
    """A run that was stopped at step 17."""
    with pytest.raises(Stopped):
        run(Quadratic(stop=17), tmp_path)
    return tmp_path


def steps_done(folder):
    with safe_open(folder / "checkpoint.safetensors", framework="pt") as file:
        return int(file.metadata()["step"])


def test_it_converges_and_is_a_method(tmp_path):
    method = Quadratic()
    assert isinstance(method, Method)
    found = run(method, tmp_path, replace(OPTIONS, steps=150))
    assert torch.allclose(found["a"], torch.ones(3), atol=0.03)
    assert torch.allclose(found["b"], torch.full((2, 3), -2.0), atol=0.03)


def test_the_same_seed_gives_the_same_result(whole, tmp_path):
    assert same(run(Quadratic(), tmp_path / "again"), whole[1])
    assert not same(run(Quadratic(), tmp_path / "other", replace(OPTIONS, seed=1)), whole[1])


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(half, whole):
    assert steps_done(half) == 15
    assert same(run(Quadratic(), half, resume=True), whole[1])
    assert steps_done(half) == 30


def test_without_resume_it_starts_anew(half, whole):
    assert same(run(Quadratic(), half), whole[1])


def test_resume_without_a_checkpoint_starts(tmp_path, whole):
    assert same(run(Quadratic(), tmp_path, resume=True), whole[1])


def test_resume_of_a_finished_run_changes_nothing(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "copy")
    assert same(run(Quadratic(stop=0), tmp_path / "copy", resume=True), whole[1])


KILLED = """
import os
from pathlib import Path
from tests.avatars.fit.test_loop import Quadratic, run
class Killed(Quadratic):
    def losses(self, step, generator):
        if step == 17:
            os._exit(9)
        return super().losses(step, generator)
run(Killed(), Path(arguments[0]))
"""


def test_a_killed_process_leaves_a_checkpoint_that_loads(tmp_path, whole):
    assert run_python(KILLED, tmp_path).returncode == 9
    assert steps_done(tmp_path) == 15
    assert same(run(Quadratic(), tmp_path, resume=True), whole[1])


OTHER_STATES = {
    "other optimiser": {"optimiser.0.exp_avg": torch.zeros(7)},
    "more parameters": {"optimiser.7.exp_avg": torch.zeros(3)},
    "uniform became plain": {"optimiser.0.exp_avg_sq": torch.zeros(())},
    "plain became uniform": {"optimiser.1.exp_avg_sq": torch.zeros(2, 3)},
}


def damaged(path, kind):
    content = path.read_bytes()
    tensors = load_file(path)
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("no checkpoint")
    elif kind == "no step":
        save_file(tensors, path)
    elif kind == "strange step":
        save_file(tensors, path, metadata={"step": "null"})
    elif kind == "foreign":
        save_file({"weight": torch.zeros(3)}, path, metadata={"step": "3"})
    elif kind == "moments lost":
        save_file({n: v for n, v in tensors.items() if n != "optimiser.0.exp_avg"}, path, metadata={"step": "3"})
    else:
        save_file(tensors | OTHER_STATES[kind], path, metadata={"step": "3"})


@pytest.mark.parametrize(
    "kind",
    ["truncated", "empty", "text", "no step", "strange step", "foreign", "moments lost", *OTHER_STATES],
)
def test_a_checkpoint_that_does_not_fit_is_refused(half, kind):
    damaged(half / "checkpoint.safetensors", kind)
    with pytest.raises(InputError, match=r"checkpoint\.safetensors.*--resume"):
        run(Quadratic(), half, resume=True)


def test_a_checkpoint_of_another_size_is_refused(half):
    with pytest.raises(InputError, match="does not fit"):
        run(Quadratic(width=4), half, resume=True)


def test_a_full_disk_keeps_the_checkpoint_before(half, whole, monkeypatch):
    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_file", full)
        with pytest.raises(InputError, match="No space left"):
            run(Quadratic(), half, resume=True)
    assert steps_done(half) == 15
    assert {file.name for file in half.iterdir()} == {"checkpoint.safetensors", "curves"}
    assert same(run(Quadratic(), half, resume=True), whole[1])


def test_a_full_disk_under_the_curves(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter.add_scalar", full)
    with pytest.raises(InputError, match="No space left"):
        run(Quadratic(), tmp_path)


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(InputError, match="file"):
        run(Quadratic(), tmp_path / "file" / "work")


def test_a_loss_that_is_no_number_names_the_step(tmp_path):
    with pytest.raises(InputError, match=r"loss.*step 17.*checkpoint\.safetensors"):
        run(Quadratic(poison=17), tmp_path)
    assert all(value.isfinite().all() for value in load_file(tmp_path / "checkpoint.safetensors").values())
    with pytest.raises(InputError, match=r"step 2\. Start anew"):
        run(Quadratic(poison=2), tmp_path / "early")


def test_parameters_that_are_no_numbers_are_never_saved(half):
    class Steep(Quadratic):
        def losses(self, step, generator):
            terms = super().losses(step, generator)
            steep = (0 * self.module["a"][0]).sqrt()  # zero, with an infinite slope
            return terms | {"steep": steep} if step == 19 else terms

    with pytest.raises(InputError, match="parameters are no longer finite at step 19"):
        run(Steep(), half, replace(OPTIONS, steps=20), resume=True)
    assert steps_done(half) == 15


def test_curves_are_written_and_go_on(half):
    run(Quadratic(), half, resume=True)
    events = EventAccumulator(str(half / "curves")).Reload()
    assert events.Tags()["scalars"] == ["loss/a", "loss/b", "loss/total"]
    assert [event.step for event in events.Scalars("loss/b")] == list(range(0, 30, 4))
    assert events.Scalars("loss/b")[0].value > events.Scalars("loss/b")[-1].value


def test_no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no CUDA"):
        make_fabric("cuda")
    with pytest.raises(InputError, match="auto, cpu or cuda"):
        make_fabric("tpu")
    assert make_fabric("auto").device == torch.device("cpu")


def test_every_step_and_seed_draws_its_own_numbers():
    draws = {tuple(torch.rand(3, generator=step_generator(seed, step)).tolist()) for seed in (0, 1) for step in (0, 1)}
    assert len(draws) == 4
    assert torch.equal(torch.rand(3, generator=step_generator(4, 2)), torch.rand(3, generator=step_generator(4, 2)))


def test_the_cosine_falls_from_one_to_the_rest():
    values = [cosine(step / 10, 0.05) for step in range(11)]
    assert values[0] == 1
    assert values[-1] == pytest.approx(0.05)
    assert values == sorted(values, reverse=True)
    assert cosine(0.7, 1.0) == 1


@pytest.mark.parametrize("settings", [{"steps": -1}, {"checkpoint_every": 0}, {"log_every": 0}, {"seed": -1}])
def test_options_that_make_no_sense(settings):
    with pytest.raises(InputError, match="must be"):
        LoopOptions(**{"steps": 3, **settings})
