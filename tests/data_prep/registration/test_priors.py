import pytest
import torch

from body_models.names import SMPL_SKELETON
from data_prep.registration.kinematics import PoseState
from data_prep.registration.priors import limb_options, limit_frames, limits, start_poses, start_rotations
from data_prep.registration.solve import PosePrior
from tests.data_prep.registration.cases import person

MIRROR = torch.tensor([1.0, -1.0, -1.0])


def mirrored(pose: torch.Tensor) -> torch.Tensor:
    """A pose (axis-angle) seen in the plane between left and right."""
    return pose[..., list(SMPL_SKELETON.mirror), :] * MIRROR


def test_limit_frames_are_rotations():
    frames = limit_frames(person())
    torch.testing.assert_close(frames @ frames.mT, torch.eye(3).expand(24, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(frames), torch.ones(24), atol=1e-5, rtol=0)


def test_limits_hold_the_rest_pose_and_are_mirrored():
    skeleton = SMPL_SKELETON
    lower, upper = limits(skeleton)
    assert (lower < 0).all()
    assert (upper > 0).all()
    for joint, other in enumerate(skeleton.mirror):
        if skeleton.joint_names[joint].endswith("elbow"):
            continue  # limited in frames of their own
        bounds = torch.stack([lower[joint] * MIRROR, upper[joint] * MIRROR]).sort(0).values
        torch.testing.assert_close(bounds, torch.stack([lower[other], upper[other]]))


@pytest.mark.parametrize("seed", range(3))
def test_prior_is_as_hard_on_a_pose_as_on_its_mirror_image(seed):
    prior = PosePrior.of(person())
    pose = 0.9 * torch.randn(1, 24, 3, generator=torch.Generator().manual_seed(seed))
    energy = [prior.terms(PoseState.from_pose(p, torch.zeros(1, 3))).energy for p in (pose, mirrored(pose))]
    torch.testing.assert_close(energy[0], energy[1], rtol=0.02, atol=0.0)


def test_prior_pulls_downhill():
    prior = PosePrior.of(person())
    pose = 1.2 * torch.randn(4, 24, 3, generator=torch.Generator().manual_seed(7))
    state = PoseState.from_pose(pose, torch.zeros(4, 3))
    terms = prior.terms(state)
    moved = state.moved(1e-5 * terms.padded_pull())
    assert (prior.terms(moved).energy < terms.energy).all()


def test_starts_are_rotations_without_repeats():
    starts = start_rotations()
    torch.testing.assert_close(starts @ starts.mT, torch.eye(3).expand(len(starts), 3, 3), atol=1e-5, rtol=0)
    distance = torch.cdist(starts.flatten(1), starts.flatten(1)) + torch.eye(len(starts))
    assert distance.min() > 0.3


def test_starting_poses_and_limb_positions_come_in_mirrored_pairs():
    poses = start_poses(person())
    for pose in poses:
        assert (poses - mirrored(pose)).abs().amax((1, 2)).min() < 1e-5
    left_arm, left_leg, right_arm, right_leg = limb_options(person())
    torch.testing.assert_close(left_leg.poses * MIRROR, right_leg.poses)
    torch.testing.assert_close(left_arm.poses[:, :2] * MIRROR, right_arm.poses[:, :2])
