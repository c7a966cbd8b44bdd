"""A rig says the same as the avatar it was made of."""

import pytest
import torch

from avatars.export import training_motion
from avatars.export.rig import Rig, RigMotion, rig_motion, source_of
from avatars.export.rig.bake import rig_of
from avatars.export.rig.source import Source
from body_models import InputError
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_head import small_head


def dense_rig(source: Source) -> Rig:
    """The source itself as a rig with as many influences as bones."""
    return rig_of(source, len(source.skeleton))


def test_a_body_rig_goes_where_the_skinned_avatar_goes() -> None:
    avatar = small_avatar()
    rig = dense_rig(source_of(avatar, 48))
    clip = training_motion(avatar)
    posed = rig.pose(rig_motion(avatar, rig, clip))
    body = avatar.body(48)
    torch.testing.assert_close(posed, body.pose_vertices(clip.rotations, clip.translations), atol=2e-5, rtol=0)


def test_a_head_rig_goes_where_the_posed_head_goes() -> None:
    avatar = small_head()
    rig = dense_rig(source_of(avatar, 48))
    clip = training_motion(avatar)
    posed = rig.pose(rig_motion(avatar, rig, clip))
    for frame in range(len(clip)):
        expected = avatar.frame(frame).mesh(48).vertices
        torch.testing.assert_close(posed[frame], expected, atol=5e-5, rtol=0)


def test_the_bind_pose_is_the_mesh_itself() -> None:
    rig = dense_rig(source_of(small_avatar(), 48))
    still = RigMotion("bind", rig.bind_pose[None], torch.zeros(1, 3), torch.zeros(1, 0), 1.0)
    torch.testing.assert_close(rig.pose(still)[0], rig.vertices, atol=1e-6, rtol=0)


def test_a_rebound_rig_stands_in_its_new_pose() -> None:
    avatar = small_avatar()
    rig = dense_rig(source_of(avatar, 48))
    pose = avatar.poses[1]
    motion = RigMotion("bent", pose[None], torch.zeros(1, 3), torch.zeros(1, 0), 1.0)
    rebound = rig.rebound(pose)
    torch.testing.assert_close(rebound.vertices, rig.pose(motion)[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(rebound.pose(motion)[0], rebound.vertices, atol=1e-6, rtol=0)
    torch.testing.assert_close(rebound.normals.norm(dim=1), torch.ones(len(rig.vertices)))


def test_morphs_of_a_head_are_named_and_its_correctives_rest_in_the_canonical_pose() -> None:
    avatar = small_head()
    rig = dense_rig(source_of(avatar, 48))
    assert rig.morph_names[: rig.expressions] == avatar.expression_names
    torch.testing.assert_close(
        rig.morph_weights(rig.bind_pose[None]), torch.zeros(1, len(rig.morphs)), atol=1e-6, rtol=0
    )


def test_a_clip_of_another_skeleton_is_refused() -> None:
    rig = dense_rig(source_of(small_avatar(), 48))
    with pytest.raises(InputError, match="motion_on"):
        rig_motion(small_avatar(), rig, training_motion(small_head()))


def test_expressions_of_another_number_are_refused() -> None:
    rig = dense_rig(source_of(small_head(), 48))
    with pytest.raises(InputError, match="expression parameters"):
        rig.morph_weights(rig.bind_pose[None], torch.zeros(1, 3))


def test_taken_vertices_move_as_before() -> None:
    avatar = small_avatar()
    rig = dense_rig(source_of(avatar, 48))
    index = torch.randperm(len(rig.vertices), generator=torch.Generator().manual_seed(0))[:100]
    motion = rig_motion(avatar, rig, training_motion(avatar))
    some = rig.taken(index, torch.zeros(0, 3, dtype=torch.long))
    torch.testing.assert_close(some.pose(motion), rig.pose(motion)[:, index])
