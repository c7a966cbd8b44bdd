"""Synthetic people: reproducible, clothed, closed to the winding number, and datasets of them."""

import numpy as np
import pytest
import torch

from body_models import InputError, load_anny
from data_prep.people import MemberOptions, read_people
from data_prep.people.synthetic import Outfit, PeopleOptions, make_clothed_person, make_people
from data_prep.people.synthetic.person import dress_person
from data_prep.people.synthetic.poses import PosePool, read_pose_pool
from data_prep.surface import Surface

SMALL = PeopleOptions(seed=3, poses=1, member=MemberOptions(near=64, uniform=64, samples=64, yaws=(0.0, 1.5), size=16))
OUTFITS = {
    "trousers": Outfit(),
    "dress": Outfit(trousers=False, skirt_length=0.7, skirt_flare=0.3, hair_length=0.5),
    "tank and shorts": Outfit(sleeve=0.0, trouser_length=0.4, bun=0.04, shoes=False),
    "nothing": Outfit(top=False, trousers=False, shoes=False, hair=False),
}


@pytest.fixture(scope="module")
def model():
    return load_anny()


@pytest.mark.parametrize("name", OUTFITS)
def test_outfits_enclose_the_posed_body(model, name):
    body, outfit = model.body(), OUTFITS[name]
    clothed = dress_person(model, np.zeros(3), body, outfit)
    weights = clothed.skinning_weights.sum(1)
    torch.testing.assert_close(weights, torch.ones_like(weights))
    pose = PosePool().draw(body, 1, np.random.default_rng(0), outfit.skirt_length > 0)[0]
    surface = Surface(clothed.pose_vertices(pose, torch.zeros(3)), clothed.faces)
    assert bool((surface.signed_distance(body.pose_joints(pose, torch.zeros(3))[:20]) < 0).all())
    assert bool((surface.signed_distance(torch.tensor([[0.0, 3.0, 0.0], [2.0, 0.0, 0.0]])) > 0).all())


def test_the_seed_decides_and_only_so_many_betas_vary(model):
    first, again = make_clothed_person(model, 5, 8), make_clothed_person(model, 5, 8)
    assert len(first.betas) == 8
    assert torch.equal(first.clothed.vertices, again.clothed.vertices)
    assert not torch.equal(make_clothed_person(model, 6, 8).betas, first.betas)
    with pytest.raises(InputError, match="999"):
        make_clothed_person(model, 0, 999)


def test_shards_and_a_second_start_make_the_same_dataset(tmp_path):
    heard = []
    half = make_people(tmp_path / "a", 3, SMALL, shard=1, shards=2)
    assert (half.written, half.missing) == (1, 2)
    rest = make_people(tmp_path / "a", 3, SMALL, progress=lambda done, total: heard.append((done, total)))
    assert (rest.written, rest.missing, heard) == (2, 0, [(2, 3), (3, 3)])
    make_people(tmp_path / "b", 3, SMALL)
    ours, theirs = read_people(tmp_path / "a"), read_people(tmp_path / "b")
    assert ours.names == ("person_00000", "person_00001", "person_00002")
    for number in range(3):
        assert torch.equal(ours.member(number).points, theirs.member(number).points)
        assert torch.equal(ours.member(number).maps, theirs.member(number).maps)
    with pytest.raises(InputError, match="seed"):
        make_people(tmp_path / "a", 3, PeopleOptions(seed=4, poses=1, member=SMALL.member))


@pytest.mark.parametrize(
    ("count", "options", "shards", "message"),
    [
        (1, {}, {}, "two or more"),
        (4, {}, {"shard": 2, "shards": 2}, "no shard 2"),
        (4, {"seed": -1}, {}, "seed"),
        (4, {"assets": "nowhere"}, {}, "nowhere"),
        (4, {"motions": "nowhere"}, {}, "nowhere"),
    ],
)
def test_bad_input_is_explained(tmp_path, count, options, shards, message):
    paths = {key: tmp_path / value if isinstance(value, str) else value for key, value in options.items()}
    with pytest.raises(InputError, match=message):
        make_people(tmp_path / "x", count, PeopleOptions(**paths), **shards)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        make_people(tmp_path / "file" / "x", 4, SMALL)


def test_a_folder_without_motion_is_refused(tmp_path, model):
    with pytest.raises(InputError, match="No upright pose"):
        read_pose_pool(tmp_path, model.body())
