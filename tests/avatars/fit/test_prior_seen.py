import pytest
import torch

from avatars.fit.prior_hits import see_member
from avatars.fit.prior_seen import SeenPeople, joined, prepare_seen
from avatars.fit.prior_shape import Share
from avatars.fit.progress import Progress
from avatars.models.coarse_person import CoarsePerson
from body_models import InputError
from tests.avatars.fit.tiny_people import BETAS, MEMBER, STAGE, coarse_people, pools_of, write_bodies


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_bodies(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
def people():
    return coarse_people()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hits")


@pytest.fixture(scope="module")
def seen(people, dataset, folder):
    return prepare(people, dataset, folder)


def prepare(people, dataset, folder, share=None) -> SeenPeople:
    with Progress(quiet=True) as progress:
        return prepare_seen(people, pools_of(dataset), dataset, [0, 1], folder, STAGE, progress, share)


def test_parts_of_files_are_what_was_found(seen, people, dataset):
    found = see_member(
        CoarsePerson(people.gdna.eval(), people.shape[1].detach(), BETAS[1]), dataset.member(1), MEMBER.yaws, STAGE
    )
    counts = found["hit_counts"]
    before = int(counts.flatten()[:4].sum())
    points, pixel = seen.hits(1, 1, 1)
    assert len(points) == int(counts[1, 1])
    assert torch.equal(points.canonical, found["hit_canonical"][before : before + len(points)])
    assert torch.equal(points.feature, found["hit_feature"][before : before + len(points)].float())
    assert torch.equal(pixel, found["hit_pixel"][before : before + len(points)].long())


def test_surface_points_are_drawn_from_their_scan(seen):
    every, normals = seen.surface(1, 1, 10_000, 0.3)
    assert len(every) == len(normals) > 100
    for share in (0.0, 0.5, 1.0):
        some, own = seen.surface(1, 1, 20, share)
        assert len(some) == len(own) == 20
        assert bool((some.canonical[:, None] == every.canonical).all(2).any(1).all())
    assert torch.equal(seen.surface(1, 1, 20, 1.0)[0].canonical, every.canonical[-20:])


def test_what_is_there_stays_and_what_is_out_of_date_is_made_again(seen, people, dataset, folder):
    times = [path.stat().st_mtime_ns for path in seen.paths]
    prepare(people, dataset, folder)
    assert [path.stat().st_mtime_ns for path in seen.paths] == times
    seen.paths[0].write_bytes(b"damaged")
    with torch.no_grad():
        people.shape[1] += 0.1
    again = prepare(people, dataset, folder)
    assert all(path.stat().st_mtime_ns != time for path, time in zip(again.paths, times, strict=True))
    assert len(again.hits(0, 0, 0)[0]) > 10


def test_processes_share_the_people(people, dataset, tmp_path):
    prepare(people, dataset, tmp_path, Share(0, 2))
    assert len(list(tmp_path.iterdir())) == 1
    both = prepare(people, dataset, tmp_path, Share(1, 2))
    assert all(path.is_file() for path in both.paths)


def test_the_mode_of_the_networks_is_kept_and_points_are_joined(people, dataset, folder):
    people.gdna.train()
    kept = prepare(people, dataset, folder)
    assert people.gdna.training
    first, second = kept.hits(0, 0, 0)[0], kept.hits(0, 0, 1)[0]
    assert len(joined([first, second], torch.device("cpu"))) == len(first) + len(second)


def test_a_person_without_a_surface_is_named(people, dataset, tmp_path):
    lost = coarse_people()
    with torch.no_grad():
        lost.gdna.occupancy.base.fill_(1.0)
    with pytest.raises(InputError, match="'anna' has no coarse surface"):
        prepare(lost, dataset, tmp_path)
