import dataclasses

import pytest
import torch

from body_models import load_anny
from body_models.errors import InputError
from data_prep.registration import register, register_known_poses, register_to_body
from data_prep.registration.checks import odd_volume
from data_prep.registration.kinematics import PoseState
from tests.data_prep.registration.cases import POSES, above, boxes, capsule, chair, natural_poses, person, rough_scans


@pytest.fixture(scope="module")
def registered():
    heard = []
    found = register(load_anny(), [*rough_scans(), chair()], progress=lambda *args: heard.append(args))
    return found, heard


def test_finds_any_pose_and_heading_from_nothing(registered):
    found, _ = registered
    truth = person().pose_joints(*natural_poses(person()))
    error = (found.body.pose_joints(found.poses, found.translations) - truth).norm(dim=-1)
    outer = [j for j, name in enumerate(found.body.skeleton.joint_names) if not name.endswith(("hand", "foot"))]
    assert found.residuals_mm.max() < 6
    assert error[:, outer].mean() < 0.015


def test_a_bad_scan_is_named_and_left_out(registered):
    found, _ = registered
    assert found.names == tuple(POSES)
    assert [name for name, _ in found.failed] == ["chair"]


def test_progress_counts_up_to_the_total(registered):
    _, heard = registered
    for stage in {stage for stage, _, _ in heard}:
        done = [d for s, d, _ in heard if s == stage]
        assert done == sorted(done)
        assert done[-1] == next(total for s, _, total in heard if s == stage)


def test_the_same_seed_gives_the_same_result_and_threads_are_given_back(registered):
    found, _ = registered
    threads = torch.get_num_threads()
    first, second = (register_to_body(found.body, rough_scans()[:1], seed=4) for _ in range(2))
    assert torch.equal(first.poses, second.poses)
    assert torch.equal(first.residuals_mm, second.residuals_mm)
    assert torch.get_num_threads() == threads
    assert first.residuals_mm.max() < 6


def test_fitting_the_shape_is_deterministic():
    first, second = (register(load_anny(), rough_scans()[:1], seed=2) for _ in range(2))
    assert torch.equal(first.body.vertices, second.body.vertices)
    assert torch.equal(first.poses, second.poses)


def test_known_poses_are_kept():
    poses, places = natural_poses(person())
    found = register_known_poses(load_anny(), rough_scans(), poses, places, torch.tensor([0.4, -0.5, 0.3]))
    kept, given = PoseState.from_pose(found.poses, places), PoseState.from_pose(poses, places)
    torch.testing.assert_close(kept.rotations, given.rotations, atol=1e-5, rtol=0)
    assert torch.equal(found.translations, places)
    assert found.residuals_mm.max() < 3


def test_known_poses_must_be_as_many_as_the_scans():
    poses, places = natural_poses(person())
    with pytest.raises(InputError, match="1 scans but 3 poses"):
        register_known_poses(load_anny(), rough_scans()[:1], poses, places, torch.zeros(0))


def test_wrong_known_poses_are_refused():
    poses, places = natural_poses(person())
    with pytest.raises(InputError, match="walking"):
        register_known_poses(load_anny(), rough_scans()[:1], poses[2:], places[2:], torch.zeros(0))


SLIM_BOX = boxes("parcel", ((0.35, 1.6, 0.12), (0, 0.8, 0)))
WARDROBE = boxes("wardrobe", ((1.0, 2.0, 0.6), (0, 1.0, 0)))


HEAD, BUST = above("head", person(), "neck"), above("bust", person(), "pelvis")


@pytest.mark.parametrize("thing", [chair(), SLIM_BOX, WARDROBE, capsule(), HEAD, BUST], ids=lambda scan: scan.name)
def test_things_that_are_no_whole_person_are_refused_by_name(thing):
    with pytest.raises(InputError, match=thing.name):
        register(load_anny(), [thing])


def test_millimetres_taken_for_metres_hint_at_the_unit():
    scan = rough_scans()[0]
    with pytest.raises(InputError, match="--unit"):
        register(load_anny(), [dataclasses.replace(scan, vertices=1000 * scan.vertices)])


def test_volumes_far_from_the_others_are_odd():
    assert not odd_volume(0.085, 0.079)
    assert "part of a body" in odd_volume(0.046, 0.079)
    assert "another person" in odd_volume(0.14, 0.079)


def test_no_scans_at_all():
    for call in (lambda: register(load_anny(), []), lambda: register_to_body(person(), [])):
        with pytest.raises(InputError, match="no scans"):
            call()
