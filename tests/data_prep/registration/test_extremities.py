import pytest
import roma
import torch

from data_prep.registration.checks import fit_notes, folded, mesh_volume, odd_residuals
from data_prep.registration.extremities import extremities, extremity_residuals, misplaced, turn_extremities
from data_prep.registration.fine import FineScan, refine_pose
from data_prep.registration.kinematics import PoseState
from data_prep.registration.parallel import scan_workers
from data_prep.registration.personal import Person, search_bad_ones
from data_prep.registration.register import scan_surface
from tests.data_prep.registration.cases import natural_poses, person, rough_scan

BODY = person()
PARTS = extremities(BODY)
FOOT = BODY.skeleton.index("right_ankle")
BENT, STRAIGHT, POINTED = torch.tensor([[-1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.6, 0.0, 0.0]])


def turned(state: PoseState, joint: int, turn: torch.Tensor) -> PoseState:
    """The state with a joint's rotation replaced (axis-angle)."""
    rotations = state.rotations.clone()
    rotations[:, joint] = roma.rotvec_to_rotmat(turn)
    return PoseState(rotations, state.translation)


def joints(state: PoseState) -> torch.Tensor:
    """Where a state has the joints (metres)."""
    return BODY.pose_joints(roma.rotmat_to_rotvec(state.rotations), state.translation)


@pytest.fixture(scope="module")
def walked() -> tuple[list[FineScan], list[PoseState]]:
    """Every natural pose, the first one's right foot strongly bent, with the true states."""
    poses, places = natural_poses(BODY)
    poses[0, FOOT] = BENT
    scans = [rough_scan(str(n), BODY, pose, place) for n, (pose, place) in enumerate(zip(poses, places, strict=True))]
    states = [PoseState.from_pose(pose[None], place[None]) for pose, place in zip(poses, places, strict=True)]
    return [FineScan.of(scan_surface(scan), 1) for scan in scans], states


def test_parts_are_disjoint_feet_and_hands():
    assert {part.name for part in PARTS} == {"left foot", "right foot", "left hand", "right hand"}
    assert torch.stack([part.vertices for part in PARTS]).sum(0).max() == 1


def test_a_wrong_foot_shows_at_that_foot_only(walked):
    scans, states = walked
    right = [part.name for part in PARTS].index("right foot")
    before = extremity_residuals(BODY, scans[0], states[0], PARTS)
    after = extremity_residuals(BODY, scans[0], turned(states[0], FOOT, STRAIGHT), PARTS)
    others = [number for number in range(len(PARTS)) if number != right]
    assert after[right] > 20
    torch.testing.assert_close(after[others], before[others], atol=1.0, rtol=0)
    assert misplaced(BODY, scans[0], states[0]) == []
    assert misplaced(BODY, scans[0], turned(states[0], FOOT, POINTED)) == ["right foot"]


@pytest.mark.parametrize("wrong", [STRAIGHT, POINTED], ids=["straight", "pointed"])
def test_a_wrong_foot_is_turned_back_and_nothing_else_changes(walked, wrong):
    scans, states = walked
    with scan_workers() as workers:
        mended = turn_extremities(BODY, [turned(states[0], FOOT, wrong), *states[1:]], scans, workers)
    off = (mended[0].rotations[0, FOOT] @ states[0].rotations[0, FOOT].T - torch.eye(3)).norm()
    assert off < 0.3
    for found, given in zip(mended[1:], states[1:], strict=True):
        assert torch.equal(found.rotations, given.rotations)


def test_refining_keeps_a_strongly_bent_foot(walked):
    scans, states = walked
    refined = refine_pose(BODY, scans[0], states[0], 0)
    assert (refined.rotations[0, FOOT] @ states[0].rotations[0, FOOT].T - torch.eye(3)).norm() < 0.1


def test_a_scan_far_worse_than_the_others_is_searched_again(walked):
    scans, states = walked
    spoilt = turned(states[1], BODY.skeleton.index("left_shoulder"), torch.tensor([0.0, 0.0, -0.6]))
    with scan_workers() as workers:
        found = search_bad_ones(Person(BODY, [states[0], spoilt, states[2]]), scans, 0, workers)
        again = search_bad_ones(found, scans, 0, workers)
    assert found.states[0] is states[0]
    assert (joints(found.states[1]) - joints(states[1])).norm(dim=-1).mean() < 0.01
    assert again is found


def test_only_residuals_far_above_the_median_are_odd():
    assert odd_residuals([]) == []
    assert odd_residuals([30.0]) == []
    assert odd_residuals([1.0, 1.0, 5.0]) == []
    assert odd_residuals([2.0, 2.5, 7.0, 3.0]) == [2]


def test_a_body_much_larger_than_its_scan_is_folded():
    volume = mesh_volume(BODY)
    assert folded(BODY, 0.9 * volume) == ""
    assert "part of a body" in folded(BODY, 0.6 * volume)


def test_notes_name_the_scan_and_what_is_wrong():
    names, residuals = ("a", "b", "c", "d"), [2.0, 2.0, 2.0, 9.0]
    found = fit_notes(names, residuals, [[], ["left foot"], [], []])
    assert len(found) == 2
    assert found[0].startswith("b: the left foot")
    assert found[1].startswith("d: the body stays 9.0 mm")
    assert fit_notes(names[:3], residuals[:3], [[], [], []]) == ()
