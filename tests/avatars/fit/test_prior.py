"""Training a prior: both stages, resumed, held out, shared between processes."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from avatars.cli import main
from avatars.fit.loop import share_gradients
from avatars.fit.people_pools import PeoplePools
from avatars.fit.prior import train_prior
from avatars.fit.prior_shape import Share
from avatars.models.prior_file import load_prior
from body_models import InputError
from data_prep.people import member_file, read_people
from tests.avatars.fit.tiny_people import write_bodies
from tests.avatars.small_prior import SIZES

SHAPE = {"steps": 4, "people": 8, "points": 64}
DETAIL = {"steps": 3, "people": 8, "points": 32, "cached_points": 64, "mesh_cells": 48, "widths": [4, 6, 8]}


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Two people, each four times: two processes then judge pictures in the same groups of four as one."""
    folder = tmp_path_factory.mktemp("people")
    write_bodies(folder)
    index = json.loads((folder / "people.json").read_text())
    for number in range(3):
        for name in ("anna", "bert"):
            copy = f"{name}{number}"
            (folder / member_file(copy)).write_bytes((folder / member_file(name)).read_bytes())
            index["members"].append({"name": copy, "file": member_file(copy)})
    (folder / "people.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    path = tmp_path_factory.mktemp("preset") / "tiny.yaml"
    path.write_text(yaml.safe_dump({"model": dataclasses.asdict(SIZES), "shape": SHAPE, "detail": DETAIL}))
    return str(path)


@pytest.fixture(scope="module")
def trained(people, preset, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "people.prior"
    train_prior(people, out, preset=preset, seed=1, quiet=True)
    return out


def stages(out):
    work = out.with_name(out.name + ".work")
    return {stage: load_file(work / stage / "checkpoint.safetensors") for stage in ("shape", "detail")}


def curve(out, stage):
    events = EventAccumulator(str(out.with_name(out.name + ".work") / stage / "curves"))
    events.Reload()
    return {event.step: event.value for event in events.Scalars("loss/total")}


def assert_alike(first, second, tolerance=0.0):
    for stage, tensors in stages(first).items():
        for name, value in stages(second)[stage].items():
            assert torch.allclose(value.float(), tensors[name].float(), atol=tolerance, rtol=tolerance), name


def test_a_prior_is_written_and_draws_people(trained):
    prior = load_prior(trained)
    assert prior.card.people == 8
    assert prior.model.options.shape_code == 4
    assert len(prior.sample(2)) == 2
    assert set(curve(trained, "detail")) == {0}


def test_the_same_seed_trains_the_same_prior(trained, people, preset, tmp_path):
    again = tmp_path / "again.prior"
    train_prior(people, again, preset=preset, seed=1, quiet=True)
    assert_alike(trained, again)
    other = tmp_path / "other.prior"
    train_prior(people, other, preset=preset, seed=2, detail_steps=0, quiet=True)
    assert not torch.equal(load_prior(other).shape.mean, load_prior(again).shape.mean)


def test_what_was_trained_has_moved(trained, people, preset, tmp_path):
    still = tmp_path / "still.prior"
    train_prior(people, still, preset=preset, seed=1, steps=0, detail_steps=0, quiet=True)
    before, after = load_prior(still), load_prior(trained)
    assert not torch.equal(before.shape.covariance, after.shape.covariance)
    assert not torch.equal(before.model.occupancy.last.weight, after.model.occupancy.last.weight)
    assert not torch.equal(before.model.normals.decoder[-1].weight, after.model.normals.decoder[-1].weight)
    assert torch.equal(before.model.space.basis, after.model.space.basis), "builds stay the body model's own"


def test_a_run_that_was_stopped_between_the_stages_is_gone_on_with(trained, people, preset, tmp_path):
    out = tmp_path / "stopped.prior"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("avatars.fit.prior.prepare_seen", _stop)
        with pytest.raises(KeyboardInterrupt):
            train_prior(people, out, preset=preset, seed=1, quiet=True)
    assert not out.exists()
    train_prior(people, out, preset=preset, seed=1, resume=True, quiet=True)
    assert_alike(trained, out)


def _stop(*_):
    raise KeyboardInterrupt


def test_other_settings_cannot_be_resumed(trained, people, preset):
    with pytest.raises(InputError, match="seed differ"):
        train_prior(people, trained, preset=preset, seed=5, resume=True, quiet=True)


def torchrun(people, out, preset, *more):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "avatars"]
    command += ["train-prior", str(people), "--out", str(out), "--preset", preset, "--seed", "1", *more]
    quiet = dict(os.environ, OMP_NUM_THREADS="1", PYTHONPATH=os.pathsep.join(sys.path))
    return subprocess.Popen(command, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_killed_and_resumed_take_the_same_steps_as_one(trained, people, preset, tmp_path):
    out = tmp_path / "two.prior"
    checkpoint = tmp_path / "two.prior.work" / "shape" / "checkpoint.safetensors"
    process = torchrun(people, out, preset)
    end = time.monotonic() + 200
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert checkpoint.exists()
    process = torchrun(people, out, preset, "--resume")
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0, said[-2000:]
    for stage in ("shape", "detail"):
        assert curve(out, stage) == pytest.approx(curve(trained, stage), rel=1e-4)
    assert_alike(trained, out, 2e-3)
    assert load_prior(out).card == load_prior(trained).card


def test_shares_of_a_step_are_all_of_it():
    rows = torch.arange(6)
    assert torch.equal(torch.cat([Share(rank, 3).of(rows) for rank in range(3)]), rows)
    assert torch.equal(Share().of(rows), rows)


def test_one_process_keeps_its_gradients():
    from avatars.fit.loop import make_fabric

    module = torch.nn.Linear(2, 1)
    module(torch.ones(1, 2)).sum().backward()
    before = module.weight.grad.clone()
    share_gradients(make_fabric("cpu"), module)
    assert torch.equal(module.weight.grad, before)


def test_builds_are_cut_or_filled_to_what_the_prior_takes(people):
    dataset = read_people(people)
    assert PeoplePools.of(dataset, [0, 1], 2).betas.shape == (2, 2)
    longer = PeoplePools.of(dataset, [1, 0], 5)
    assert torch.equal(longer.betas[:, 3:], torch.zeros(2, 2))
    assert longer.person.tolist() == [0, 0, 1]
    assert longer.first.tolist() == [0, 2]


def test_points_are_drawn_from_the_chosen_scans(people):
    pools = PeoplePools.of(read_people(people), [0, 1], 3)
    points, distances = pools.draw(torch.tensor([1, 2]), 20, 0.5, torch.Generator().manual_seed(0))
    assert points.shape == (40, 3)
    near = round(2 / 3 * pools.points.shape[1])
    kept = pools.points[1, :near]
    assert all((kept == point).all(1).any() for point in points[:10]), "the first half lies near the surface"
    assert distances[:10].abs().mean() < distances[10:20].abs().mean()


def test_one_person_is_no_dataset(people, preset, tmp_path, capsys):
    lonely = tmp_path / "lonely"
    (lonely / "members").mkdir(parents=True)
    (lonely / "people.json").write_text((people / "people.json").read_text())
    (lonely / "members" / "anna.safetensors").write_bytes((people / "members" / "anna.safetensors").read_bytes())
    assert main(["train-prior", str(lonely), "--out", str(tmp_path / "x.prior"), "--preset", preset]) == 2
    said = capsys.readouterr().err
    assert "1 usable person" in said
    assert "bert" in said
    assert not (tmp_path / "x.prior.work").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--held-out", "7"), "held out of 8 leave too few"),
        (("--held-out", "-1"), "held out of 8"),
        (("--steps", "-3"), "--steps"),
        (("--preset", "huge"), "No preset 'huge'"),
        (("--device", "tpu"), "Unknown device 'tpu'"),
        (("--seed", "-1"), "seed"),
    ],
)
def test_options_that_make_no_sense(more, said, people, preset, tmp_path, capsys):
    out = tmp_path / "x.prior"
    assert main(["train-prior", str(people), "--out", str(out), "--preset", preset, *more]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_places_that_cannot_be_used(people, tmp_path, capsys):
    assert main(["train-prior", str(tmp_path / "nobody"), "--out", str(tmp_path / "x.prior")]) == 2
    assert "nobody" in capsys.readouterr().err
    assert main(["train-prior", str(people), "--out", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
