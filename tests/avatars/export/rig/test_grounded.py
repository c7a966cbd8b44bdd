"""A rig on the ground stands there, and its motions go where they went."""

import torch

from avatars.export import training_motion
from avatars.export.rig import rig_motion, source_of
from avatars.export.rig.bake import rig_of
from avatars.export.rig.grounded import on_the_ground
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_head import small_head


def test_a_body_stands_on_the_ground_and_moves_as_before() -> None:
    avatar = small_avatar()
    rig = rig_of(source_of(avatar, 48))
    motion = rig_motion(avatar, rig, training_motion(avatar))
    standing, (moved,) = on_the_ground(rig, [motion])
    assert abs(float(standing.vertices[:, 1].min())) < 1e-6
    torch.testing.assert_close(standing.pose(moved), rig.pose(motion), atol=1e-5, rtol=0)


def test_a_head_stays_where_it_is() -> None:
    rig = rig_of(source_of(small_head(), 48))
    assert on_the_ground(rig)[0] is rig
