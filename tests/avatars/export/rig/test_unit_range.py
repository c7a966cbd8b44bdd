"""Correctives in unit range do what they did."""

from dataclasses import replace

import torch

from avatars.export.rig.unit_range import in_unit_range
from tests.avatars.export.outside.rigs import tiny_clip, tiny_rig


def test_poses_stay_and_weights_of_correctives_lie_between_0_and_1():
    rig = tiny_rig()
    clips = [tiny_clip(rig), tiny_clip(rig, 9, "hop")]
    scaled, moved = in_unit_range(rig, clips)
    for before, after in zip(clips, moved, strict=True):
        torch.testing.assert_close(scaled.pose(after), rig.pose(before), atol=1e-6, rtol=0)
        torch.testing.assert_close(after.morph_weights[:, :2], before.morph_weights[:, :2])
        assert after.morph_weights[:, 2:].min() >= 0
        assert after.morph_weights[:, 2:].max() <= 1
        torch.testing.assert_close(scaled.morph_weights(after.rotations)[:, 2:], after.morph_weights[:, 2:])


def test_other_poses_and_the_bind_pose_stay_too():
    rig = tiny_rig()
    scaled, _ = in_unit_range(rig, [tiny_clip(rig)])
    for pose in (rig.bind_pose, -rig.bind_pose):
        still = replace(tiny_clip(rig, 1), rotations=pose[None])
        before = replace(still, morph_weights=rig.morph_weights(pose[None]))
        after = replace(still, morph_weights=scaled.morph_weights(pose[None]))
        torch.testing.assert_close(scaled.pose(after), rig.pose(before), atol=1e-6, rtol=0)


def test_a_rig_without_correctives_or_with_still_ones_is_not_harmed():
    plain = replace(tiny_rig(), correctives=None)
    clip = tiny_clip(tiny_rig())
    assert in_unit_range(plain, [clip]) == (plain, [clip])
    rig = tiny_rig()
    scaled, moved = in_unit_range(rig, [])
    assert moved == []
    torch.testing.assert_close(scaled.morphs, rig.morphs)
    assert torch.isfinite(scaled.vertices).all()
