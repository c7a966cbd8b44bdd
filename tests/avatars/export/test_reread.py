"""What we exported goes back in as a motion, and is the motion that was exported."""

from pathlib import Path

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from avatars.export import motion_on
from avatars.export.gltf import write_glb
from avatars.export.rig import Rig, rig_motion, source_of
from avatars.export.rig.bake import plain_rig
from avatars.models import Avatar
from avatars.models.head_avatar import HeadAvatar
from body_models import Motion, load_motion
from body_models.skeleton import rotation_matrices
from tests.avatars.export.outside.exports import walk, with_made_up_correctives
from tests.avatars.head_drivers import acting_head, talker
from tests.avatars.small_avatar import small_avatar

NEAR = 1e-5
"""Metres, and parts of a rotation matrix."""


@pytest.fixture(scope="module")
def body() -> Rig:
    return plain_rig(source_of(small_avatar(), 48), 1500, 4)


@pytest.fixture(scope="module")
def head() -> Rig:
    return plain_rig(source_of(acting_head(), 48), 1500, 4)


def talking() -> Motion:
    """A clip of the acting head whose jaw turns as well, from what is rest."""
    clip = motion_on(acting_head(), talker())
    rotations = clip.rotations.clone()
    rotations[:, clip.skeleton.index("jaw"), 0] = torch.linspace(0, 0.3, len(clip))
    return Motion(**{**vars(clip), "rotations": rotations})


def written(avatar: Avatar | HeadAvatar, rig: Rig, clip: Motion, path: Path, names: str = "model") -> Path:
    return write_glb(path, rig, [rig_motion(avatar, rig, clip)], names=names)


def gap(one: Float[Tensor, "frame bone 3"], other: Float[Tensor, "frame bone 3"]) -> float:
    """How far turns are from each other, as the largest difference of their matrices."""
    return float((rotation_matrices(one) - rotation_matrices(other)).abs().max())


@pytest.mark.parametrize("names", ["model", "mixamo", "vrm"])
def test_a_body_moves_again_as_it_did(tmp_path, body, names):
    avatar, clip = small_avatar(), walk()
    again = motion_on(avatar, written(avatar, body, clip, tmp_path / "a.glb", names))
    assert (again.frame_rate, len(again)) == (clip.frame_rate, len(clip))
    assert gap(again.rotations, clip.rotations) < NEAR
    moved = again.translations - again.translations[:1]
    torch.testing.assert_close(moved, clip.translations - clip.translations[:1], atol=NEAR, rtol=0)


def test_a_vrm_is_a_motion_too(tmp_path, body):
    again = motion_on(small_avatar(), written(small_avatar(), body, walk(), tmp_path / "a.vrm", "vrm"))
    assert gap(again.rotations, walk().rotations) < NEAR


def test_rest_is_where_no_joint_is_turned_though_it_is_bound_otherwise(tmp_path, body):
    assert body.bind_pose.abs().max() > 0.1
    again = load_motion(written(small_avatar(), body, walk(), tmp_path / "a.glb"))
    order = [again.skeleton.index(name) for name in body.skeleton.joint_names]
    torch.testing.assert_close(again.rest_joints[order], body.joints, atol=NEAR, rtol=0)
    assert gap(again.rotations[:, order], walk().rotations) < NEAR


def test_a_jaw_turns_as_it_did_though_it_is_bound_open(tmp_path, head):
    avatar, clip = acting_head(), talking()
    jaw = head.skeleton.index("jaw")
    assert head.bind_pose[jaw].norm() > 0.1
    again = load_motion(written(avatar, head, clip, tmp_path / "a.glb"))
    joints = [again.skeleton.index(name) for name in clip.skeleton.joint_names]
    assert gap(again.rotations[:, joints], clip.rotations) < NEAR
    driven = motion_on(avatar, tmp_path / "a.glb", absolute=True)
    assert gap(driven.rotations, clip.rotations) < NEAR
    assert clip.expression is not None
    torch.testing.assert_close(driven.expression, clip.expression, atol=NEAR, rtol=0)


def test_correctives_are_no_expressions_of_anybody_else(tmp_path, body, head):
    avatar = small_avatar()
    path = written(avatar, with_made_up_correctives(body), walk(), tmp_path / "body.glb")
    assert gap(motion_on(avatar, path).rotations, walk().rotations) < NEAR
    face, clip = acting_head(), talking()
    path = written(face, with_made_up_correctives(head), clip, tmp_path / "head.glb")
    driven = motion_on(face, path, absolute=True)
    torch.testing.assert_close(driven.expression, clip.expression, atol=NEAR, rtol=0)


def test_a_body_drives_a_head_by_its_own(tmp_path, body):
    clip = walk()
    clip.rotations[:, clip.skeleton.index("head"), 1] = torch.linspace(-0.4, 0.4, len(clip))
    driven = motion_on(acting_head(), written(small_avatar(), body, clip, tmp_path / "a.glb"))
    assert len(driven) == len(clip)
    assert torch.isfinite(driven.rotations).all()
    assert driven.rotations.amax() - driven.rotations.amin() > 0.1
