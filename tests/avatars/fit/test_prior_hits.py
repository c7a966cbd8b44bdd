import pytest
import torch
from torch.nn.functional import normalize

from avatars.deform.roots import Roots
from avatars.fit.prior_hits import (
    carried,
    fingerprint,
    likeliest,
    networks_fingerprint,
    see_member,
)
from avatars.models.coarse_person import CoarsePerson
from avatars.models.gdna import normal_turns, posed_normals
from data_prep.people import HALF, to_view
from tests.avatars.fit.tiny_people import BETAS, MEMBER, STAGE, coarse_people, write_bodies


@pytest.fixture(scope="module")
def person():
    people = coarse_people().eval()
    return CoarsePerson(people.gdna, people.shape[1].detach(), BETAS[1])


@pytest.fixture(scope="module")
def member(tmp_path_factory):
    return write_bodies(tmp_path_factory.mktemp("people")).member(1)


@pytest.fixture(scope="module")
def seen(person, member):
    return see_member(person, member, MEMBER.yaws, STAGE)


def scan_of(counts: torch.Tensor) -> torch.Tensor:
    """The scan of each point, by the numbers of points of each scan."""
    return torch.arange(len(counts)).repeat_interleave(counts)


def test_hits_lie_on_the_coarse_surface(person, seen):
    canonical = seen["hit_canonical"]
    distance = person.gdna.occupancy(canonical, torch.zeros(len(canonical)).long(), person.shape()).sdf
    assert len(canonical) == int(seen["hit_counts"].sum()) > 100
    assert float(distance.detach().abs().median()) < 2e-3


def test_hits_in_the_pose_lie_behind_their_pixels(person, member, seen):
    counts = seen["hit_counts"]
    field = person.skinning(member.poses, member.translations)
    posed, _ = carried(field, seen["hit_canonical"], scan_of(counts.sum(1)))
    centres = person.gdna.space.joints_of(person.betas[None])[0, 0] + member.translations
    yaws = torch.tensor(MEMBER.yaws).repeat(2).repeat_interleave(counts.flatten())
    inside = posed - centres[scan_of(counts.sum(1))]
    places = torch.stack([to_view(point, float(yaw)) for point, yaw in zip(inside, yaws, strict=True)])
    pixel, size = seen["hit_pixel"].long(), MEMBER.size
    wanted = torch.stack([2 * (pixel % size) + 1 - size, size - 1 - 2 * (pixel // size)], 1) * HALF / size
    assert float((places[:, :2] - wanted).detach().abs().quantile(0.95)) < 5e-3


def test_the_bodys_own_surface_points_come_back(person, member, seen):
    field = person.skinning(member.poses, member.translations)
    scan = scan_of(seen["surface_counts"])
    posed, _ = carried(field, seen["surface_canonical"], scan)
    assert bool((seen["surface_counts"] > 0.9 * STAGE.cached_points).all())
    distance = torch.cdist(posed[None], member.surface[scan[:1].item()][None])[0].amin(1)[scan == 0]
    assert float(distance.max()) < 2e-3
    turned = normalize((seen["surface_turn"].float() * seen["surface_coarse"].float()[:, None]).sum(2), dim=1)
    assert float((turned * seen["surface_normal"].float()).sum(1).mean()) > 0.9


def test_turns_are_those_of_the_model(person, member):
    field = person.skinning(member.poses, member.translations)
    points = 0.3 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) + person.gdna.space.box.mean(0)
    frame = torch.arange(50) % 2
    normals = normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    turned = normalize((carried(field, points, frame)[1] * normals[:, None]).sum(2), dim=1)
    assert torch.allclose(turned, posed_normals(normals, points, frame, field), atol=1e-4)


def test_cofactors_are_inverse_transposes_but_for_a_positive_factor():
    linear = torch.randn(20, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    turns, exact = normal_turns(linear), torch.linalg.inv(linear).mT
    assert torch.allclose(turns, exact / exact.norm(dim=(1, 2), keepdim=True))
    assert bool(normal_turns(torch.zeros(2, 3, 3)).isfinite().all())


def test_likeliest_root_has_the_largest_logit():
    roots = Roots(torch.zeros(5, 3), torch.tensor([0, 0, 2, 2, 2]), 4)
    assert likeliest(roots, torch.tensor([-1.0, 3.0, 5.0, 7.0, 6.0])).tolist() == [1, 3]


def test_fingerprints_change_with_what_they_stand_for(person, member):
    mark = fingerprint(person, member, MEMBER.yaws, STAGE)
    assert fingerprint(person, member, MEMBER.yaws, STAGE) == mark
    assert fingerprint(CoarsePerson(person.gdna, person.code + 1e-3, person.betas), member, MEMBER.yaws, STAGE) != mark
    other = coarse_people().gdna
    assert networks_fingerprint(other) == networks_fingerprint(person.gdna)
    with torch.no_grad():
        next(other.weights.parameters()).add_(1e-3)
    assert networks_fingerprint(other) != networks_fingerprint(person.gdna)
    with torch.no_grad():
        next(other.normals.parameters()).add_(1.0)
