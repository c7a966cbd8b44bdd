"""Correctives bring a rig nearer to its avatar, or stay away."""

from functools import cache

import pytest
import torch

from avatars.export.rig.bake import plain_rig
from avatars.export.rig.correctives import needed_displacements, with_correctives
from avatars.export.rig.poser import RigPoser
from avatars.export.rig.rig import Rig
from avatars.export.rig.source import source_of
from avatars.models import Avatar
from body_models import InputError
from tests.avatars.export.rig.small_rigs import body_rig, breathing_avatar, head_rig, random_poses
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_head import small_head


@cache
def breathing_rig() -> Rig:
    return plain_rig(source_of(breathing_avatar(), 64), 2000, 4)


def logits_on(avatar: Avatar, rig: Rig, pose: torch.Tensor) -> torch.Tensor:
    """How far inside the posed avatar a rig's vertices lie."""
    return avatar.pose(pose).occupancy(RigPoser(rig).pose(pose[None], torch.zeros(1, 3))[0])


def test_needed_displacements_lead_onto_the_posed_surface() -> None:
    avatar, rig = breathing_avatar(), breathing_rig()
    pose = random_poses(rig, 1, 0.1)
    moved = Rig(**{**vars(rig), "vertices": rig.vertices + needed_displacements(avatar, rig, pose)[0]})
    before, after = (logits_on(avatar, one, pose[0]).abs().median() for one in (rig, moved))
    assert float(after) < 0.1 * float(before)


def test_nothing_is_needed_by_a_dense_rig_of_a_shape_that_does_not_change() -> None:
    avatar = small_avatar()
    rig = plain_rig(source_of(avatar, 128), 100_000, 24)
    found = needed_displacements(avatar, rig, rig.bind_pose[None]).norm(dim=2)
    assert float(found.median()) < 5e-4


def test_correctives_help_in_poses_that_were_not_seen() -> None:
    avatar, rig = breathing_avatar(), breathing_rig()
    corrected = with_correctives(avatar, rig, random_poses(rig, 30, bones=4), 8)
    assert len(corrected.morphs) == len(corrected.morph_names) == 8
    assert corrected.expressions == 0
    assert corrected.morph_names[0] == "corrective_000"
    poses = random_poses(rig, 5, seed=9, bones=4)
    left = needed_displacements(avatar, rig, poses)
    still = torch.zeros(len(poses), 3)
    weights = corrected.morph_weights(poses)
    moved = torch.einsum("fc,cvx->fvx", weights, corrected.morphs)
    assert float((left - moved).square().sum()) < 0.3 * float(left.square().sum())
    assert bool(RigPoser(corrected).pose(poses, still).isfinite().all())


def test_correctives_come_after_those_that_a_rig_has() -> None:
    avatar, rig = breathing_avatar(), breathing_rig()
    poses = random_poses(rig, 16, bones=2)
    twice = with_correctives(avatar, with_correctives(avatar, rig, poses, 1), poses, 1)
    assert twice.morph_names == ("corrective_000", "corrective_001")
    assert twice.correctives is not None
    assert twice.correctives.matrix.shape[1] == 2


def test_a_rig_that_is_bound_elsewhere_is_corrected_alike() -> None:
    avatar, rig = breathing_avatar(), breathing_rig()
    poses = random_poses(rig, 16, bones=2)
    here = with_correctives(avatar, rig, poses, 4)
    there = with_correctives(avatar, rig.rebound(torch.zeros_like(rig.bind_pose)), poses, 4)
    still = torch.zeros(len(poses), 3)
    first, second = (RigPoser(one).pose(poses, still) for one in (here, there))
    assert float((first - second).norm(dim=2).mean()) < 3e-4


def test_without_anything_to_learn_the_rig_stays_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    avatar, rig = breathing_avatar(), breathing_rig()
    caplog.set_level("INFO")
    assert with_correctives(avatar, rig, random_poses(rig, 3), 8) is rig
    assert "too few" in caplog.text
    assert with_correctives(avatar, rig, random_poses(rig, 30), 0) is rig


def test_noise_teaches_nothing(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    avatar, rig = small_avatar(), body_rig()
    caplog.set_level("INFO")
    generator = torch.Generator().manual_seed(0)
    monkeypatch.setattr(
        "avatars.export.rig.correctives.needed_displacements",
        lambda avatar, rig, poses: 0.01 * torch.randn(len(poses), len(rig.vertices), 3, generator=generator),
    )
    assert with_correctives(avatar, rig, random_poses(rig, 20), 8) is rig
    assert "held out" in caplog.text


def test_heads_keep_what_they_have() -> None:
    rig = head_rig()
    assert with_correctives(small_head(), rig, random_poses(rig, 9), 4) is rig


def test_poses_of_another_skeleton_are_refused() -> None:
    with pytest.raises(InputError, match="takes"):
        with_correctives(small_avatar(), body_rig(), torch.zeros(9, 5, 3), 4)
