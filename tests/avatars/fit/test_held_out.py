"""Codes of people whom a prior has not seen: found in known poses, by networks that stay as they are."""

import copy
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from avatars.fit.held_out import HeldOutOptions, Surfaces, fit_codes, posed_details
from avatars.fit.prior_hits import SeenPoints
from avatars.fit.prior_seen import joined
from avatars.models.coarse_person import CoarsePerson
from avatars.models.code_statistics import CodeStatistics
from avatars.models.prior import Prior, PriorCard
from data_prep.people.dataset import PeopleDataset
from tests.avatars.fit.tiny_people import BETAS, STAGE, coarse_people, write_bodies

QUICK = HeldOutOptions(steps=30, people=2, points=150, rate=0.1, detail=STAGE)
CODES = torch.tensor([[1.5, 0.0, -1.0, 0.5], [-1.0, 1.0, 0.5, -1.5]])


@pytest.fixture(scope="module")
def prior():
    """Networks in which codes make a difference, though nobody trained them."""
    gdna = coarse_people().gdna
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for basis in (gdna.occupancy.volumes.basis, gdna.normals.volume.basis):
            basis.copy_(torch.randn(basis.shape, generator=generator))
        for layer, size in ((gdna.occupancy.last, 0.5), (gdna.normals.decoder[-1], 2.0)):
            layer.weight.copy_(size * torch.randn(layer.weight.shape, generator=generator))
    spread = [CodeStatistics.of(torch.randn(30, size, generator=generator)) for size in (4, 4, 3)]
    return Prior(gdna, spread[0], spread[1], spread[2], PriorCard())


@pytest.fixture(scope="module")
def dataset(prior, tmp_path_factory):
    """People that the prior itself makes of known shape codes; their normals are still the naked bodies'."""
    dataset = write_bodies(tmp_path_factory.mktemp("people"))
    own = {name: labelled(prior, dataset, number) for number, name in enumerate(dataset.names)}
    return replace(dataset, _kept=own)


@pytest.fixture(scope="module")
def found(prior, dataset):
    return fit_codes(prior, dataset, [0, 1], QUICK)


@torch.no_grad()
def logits(prior: Prior, dataset: PeopleDataset, number: int, code: torch.Tensor) -> torch.Tensor:
    member = dataset.member(number)
    person = CoarsePerson(prior.model, code, BETAS[number])
    field = person.skinning(member.poses, member.translations)
    frame = torch.arange(len(member)).repeat_interleave(member.points.shape[1])
    shape = prior.model.shape(code.expand(len(member), -1))
    return prior.model(member.points.flatten(0, 1), frame, shape, field)


def labelled(prior, dataset, number):
    distances = (-prior.model.options.edge * logits(prior, dataset, number, CODES[number])).clamp(-0.3, 0.3)
    member = dataset.member(number)
    return replace(member, distances=distances.reshape(member.distances.shape))


def shape_error(prior, dataset, number, code):
    labels = torch.sigmoid(-dataset.member(number).distances.flatten() / prior.model.options.edge)
    return float(binary_cross_entropy_with_logits(logits(prior, dataset, number, code), labels))


@pytest.mark.parametrize("number", [0, 1])
def test_shape_codes_come_nearer_to_the_people(prior, dataset, found, number):
    before = shape_error(prior, dataset, number, prior.shape.mean)
    least = shape_error(prior, dataset, number, CODES[number])
    after = shape_error(prior, dataset, number, found[0][number])
    assert after - least < 0.5 * (before - least)


@pytest.mark.parametrize("number", [0, 1])
def test_detail_codes_turn_normals_to_the_scans(prior, found, number):
    points, truth = found[2].points[number], found[2].normals[number]
    subject = torch.zeros(len(points), dtype=torch.long)
    before, after = (
        float((posed_details(prior, points, subject, code[None]) * truth).sum(1).mean())
        for code in (prior.detail.mean, found[1][number])
    )
    assert after > before


def test_the_same_seed_finds_the_same_codes_and_networks_stay(prior, dataset):
    before = copy.deepcopy(prior.model.state_dict())
    short = replace(QUICK, steps=3)
    first, again, other = (fit_codes(prior, dataset, [1], short, seed) for seed in (4, 4, 5))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == (1, 4)
    assert not first[0].requires_grad
    after = prior.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_surfaces_are_those_of_all_scans(dataset, found):
    surfaces = found[2]
    assert [len(points) for points in surfaces.points] == [len(normals) for normals in surfaces.normals]
    for number, points in enumerate(surfaces.points):
        assert len(points) <= len(dataset.member(number)) * STAGE.cached_points
    assert len(surfaces.points[1]) > len(surfaces.points[0]) > 0


def test_points_are_drawn_with_their_own_normals():
    own = [torch.arange(20.0)[:, None].expand(-1, 3) + start for start in (0.0, 100.0)]
    points = [SeenPoints(at, at[:, :, None].expand(-1, 3, 3), at, at[:, :2]) for at in own]
    drawn, subject, normals = Surfaces(points, own).draw([1, 0], 7, torch.Generator().manual_seed(0))
    assert subject.tolist() == 7 * [0] + 7 * [1]
    assert torch.equal(drawn.canonical, normals)
    assert bool((normals[subject == 0] >= 100).all())
    assert bool((normals[subject == 1] < 100).all())


def test_details_in_the_pose_are_unit_normals(prior, found):
    seen = joined(found[2].points, torch.device("cpu"))
    subject = torch.arange(2).repeat_interleave(torch.tensor([len(points) for points in found[2].points]))
    posed = posed_details(prior, seen, subject, found[1])
    assert torch.allclose(posed.norm(dim=1), torch.ones(len(posed)), atol=1e-5)
    own = posed_details(prior, found[2].points[1], subject[subject == 1] - 1, found[1][1:])
    assert torch.allclose(posed[subject == 1], own, atol=1e-5)
    canonical = prior.model.normals(seen.canonical, subject, found[1], seen.coarse, seen.feature)
    assert torch.allclose(posed, normalize((seen.turn @ canonical[..., None])[..., 0], dim=1), atol=1e-5)
