"""People held out and people drawn, by a prior that is the naked body itself, on a dataset of naked bodies."""

import json
from dataclasses import replace

import pytest
import torch

from avatars.assess.people_evaluation import (
    drawn_people,
    is_synthetic,
    naked_cloud,
    normal_pictures,
    prior_cloud,
    reconstruct_people,
    remade_person,
    true_cloud,
)
from avatars.assess.people_features import BACKGROUND
from avatars.assess.people_scores import chamfer_matrix
from avatars.fit.held_out import HeldOutOptions
from avatars.models.code_statistics import CodeStatistics
from avatars.models.prior import Prior
from body_models import InputError, load_anny
from data_prep.people import MemberOptions, read_people
from data_prep.people.synthetic import PeopleOptions, make_people
from data_prep.surface import Surface
from tests.avatars.fit.tiny_people import BETAS, MEMBER, STAGE, write_bodies
from tests.avatars.small_prior import small_prior

OPTIONS = HeldOutOptions(steps=2, people=2, points=32, detail=STAGE)
TINY = MemberOptions(near=200, uniform=100, samples=300, yaws=(0.0,), size=16)


@pytest.fixture(scope="module")
def bodies(tmp_path_factory):
    return write_bodies(tmp_path_factory.mktemp("bodies"))


@pytest.fixture(scope="module")
def clothed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clothed")
    make_people(folder, 2, PeopleOptions(seed=3, poses=1, betas=5, member=TINY))
    return read_people(folder)


def test_naked_people_are_reproduced_by_the_naked_body(bodies):
    found = reconstruct_people(small_prior(), bodies, [1, 0], OPTIONS)
    assert found.shape.shape == found.detail.shape == (2, 4)
    assert float(found.iou.min()) > 0.7
    assert float(found.found.min()) > 0.9
    assert float(found.found.max()) <= 1
    assert float(found.coarse.max()) < 25
    assert torch.allclose(found.coarse, found.detailed, atol=1e-3), "untrained normals are the coarse surface's"
    alone = reconstruct_people(small_prior(), bodies, [0], replace(OPTIONS, people=1))
    assert torch.allclose(alone.iou, found.iou[1:], atol=0.02)


def test_pictures_are_drawn_as_the_dataset_draws_them(bodies):
    member = bodies.member(1)
    shown = normal_pictures(small_prior().person(betas=BETAS[1]), member, MEMBER.yaws, cells=64)
    real = member.maps.flatten(0, 1)
    assert shown.coarse.shape == shown.detailed.shape == real.shape
    figure, wanted = ((maps != BACKGROUND).any(-1) for maps in (shown.coarse, real))
    assert float((figure & wanted).sum() / (figure | wanted).sum()) > 0.8
    both = figure & wanted
    assert float((shown.coarse[both].float() - real[both].float()).abs().median()) < 25
    off = shown.detailed.float() - shown.coarse.float()
    assert float(off.abs().max()) <= 1, "untrained normals are the coarse surface's"


def test_drawn_people_share_builds_but_not_codes():
    prior = small_prior()
    sets = {kind: drawn_people(prior, 3, 1, kind) for kind in ("mixture", "diagonal", "noise")}
    for people in sets.values():
        assert all(torch.equal(a.betas, b.betas) for a, b in zip(people, sets["mixture"], strict=True))
    assert torch.equal(sets["mixture"][2].shape, prior.sample(3, 1)[2].shape)
    assert not torch.equal(sets["noise"][0].shape, sets["diagonal"][0].shape)
    with pytest.raises(InputError, match="Unknown kind"):
        drawn_people(prior, 3, 1, "noises")


def test_noise_is_the_same_for_all_numbers_of_a_code():
    prior = small_prior()
    spread = torch.tensor([0.1, 1.0, 3.0, 10.0])
    statistics = CodeStatistics.of(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * spread)
    prior = Prior(prior.model, statistics, prior.detail, prior.betas, prior.card)
    codes = torch.stack([person.shape for person in drawn_people(prior, 400, 0, "noise")])
    assert torch.allclose(codes.std(0), statistics.deviation.square().mean().sqrt(), rtol=0.15)
    assert torch.allclose(codes.mean(0), statistics.mean, atol=1.5)


def test_clouds_of_a_naked_prior_are_those_of_the_body():
    builds = torch.tensor([[0.0, 0.0, 0.0], [-1.5, 0.5, 0.0]])
    clouds = [prior_cloud(small_prior().person(betas=betas), resolution=64) for betas in builds]
    naked = [naked_cloud(load_anny(), betas) for betas in builds]
    matrix = chamfer_matrix(clouds, naked)
    assert matrix.diagonal().max() < 15
    assert matrix[0, 1] > 30


def test_synthetic_people_are_made_again(clothed):
    assert is_synthetic(clothed)
    cloud = true_cloud(load_anny(), clothed, 1)
    assert cloud.isfinite().all()
    body = load_anny().body(clothed.member(1).betas)
    distance = Surface(body.canonical(), body.faces).closest(cloud).distance
    assert float(distance.median()) < 0.06, "clothes lie about the body"


def test_people_who_come_out_otherwise_are_refused(clothed, bodies, tmp_path):
    member = clothed.member(0)
    moved = replace(clothed, _kept={member.name: replace(member, surface=member.surface + 0.02)})
    with pytest.raises(InputError, match="somebody else"):
        remade_person(load_anny(), moved, 0)
    recipe = tmp_path / "synthetic_people.json"
    elsewhere = replace(clothed, folder=tmp_path, _kept={member.name: member})
    recipe.write_text(json.dumps({"seed": 3, "betas": 5, "assets": "clothes"}))
    with pytest.raises(InputError, match="wear clothes from 'clothes'"):
        remade_person(load_anny(), elsewhere, 0)
    recipe.write_text("{")
    with pytest.raises(InputError, match="missing or damaged"):
        remade_person(load_anny(), elsewhere, 0)
    assert not is_synthetic(bodies)
    with pytest.raises(InputError, match="missing or damaged"):
        remade_person(load_anny(), bodies, 0)


def test_names_that_no_synthetic_person_has(bodies, tmp_path):
    (tmp_path / "synthetic_people.json").write_text(json.dumps({"seed": 3, "betas": 3, "assets": None}))
    with pytest.raises(InputError, match="'anna' is no name"):
        remade_person(load_anny(), replace(bodies, folder=tmp_path, _kept={"anna": bodies.member(0)}), 0)
