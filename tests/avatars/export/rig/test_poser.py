"""The fast poser says what the plain one says."""

from dataclasses import replace

import pytest
import torch

from avatars.export.rig import Correctives, Rig, RigMotion
from avatars.export.rig.poser import RigPoser
from body_models import InputError
from tests.avatars.deform.cases import devices
from tests.avatars.export.rig.small_rigs import body_rig, head_rig, random_poses


def with_random_correctives(rig: Rig) -> Rig:
    generator = torch.Generator().manual_seed(3)
    morphs = 0.003 * torch.randn(5, len(rig.vertices), 3, generator=generator)
    matrix = 0.2 * torch.randn(9 * (len(rig.skeleton) - 1), 5, generator=generator)
    names = tuple(f"corrective_{number:03d}" for number in range(5))
    plain = replace(rig, morphs=rig.morphs[: rig.expressions], morph_names=rig.morph_names[: rig.expressions])
    return replace(
        plain,
        morphs=torch.cat([plain.morphs, morphs]),
        morph_names=plain.morph_names + names,
        correctives=Correctives(matrix, torch.full((5,), 0.1)),
    )


def moving(rig: Rig, frames: int, sparse: bool = False) -> RigMotion:
    generator = torch.Generator().manual_seed(1)
    rotations = random_poses(rig, frames)
    expression = torch.rand(frames, rig.expressions, generator=generator)
    if sparse:
        expression[:, 3:] = 0.0
    places = torch.randn(frames, 3, generator=generator)
    return RigMotion("random", rotations, places, rig.morph_weights(rotations, expression), 30.0)


@pytest.mark.parametrize("device", devices())
@pytest.mark.parametrize("frames", [1, 2, 33])
@pytest.mark.parametrize("kind", ["body", "body of dense weights", "body with correctives", "head"])
def test_poses_equal_the_plain_twin(kind: str, frames: int, device: str) -> None:
    rig = {
        "body": body_rig(),
        "body of dense weights": body_rig(24),
        "body with correctives": with_random_correctives(body_rig()),
        "head": head_rig(),
    }[kind]
    motion = moving(rig, frames)
    found = RigPoser(rig.to(device)).pose(motion.rotations, motion.translations, motion.morph_weights)
    torch.testing.assert_close(found.cpu(), rig.pose(motion), atol=1e-5, rtol=0)


def test_morphs_that_are_not_used_change_nothing() -> None:
    rig = head_rig()
    for motion in (moving(rig, 3, sparse=True), moving(rig, 120)):
        found = RigPoser(rig).pose(motion.rotations, motion.translations, motion.morph_weights)
        torch.testing.assert_close(found, rig.pose(motion), atol=1e-5, rtol=0)


def test_without_weights_correctives_follow_the_pose() -> None:
    rig = with_random_correctives(body_rig())
    motion = moving(rig, 4)
    poser = RigPoser(rig)
    given = poser.pose(motion.rotations, motion.translations, motion.morph_weights)
    torch.testing.assert_close(poser.pose(motion.rotations, motion.translations), given)


def test_the_bind_pose_gives_the_mesh_back() -> None:
    rig = body_rig()
    found = RigPoser(rig).pose(rig.bind_pose[None], torch.zeros(1, 3))
    torch.testing.assert_close(found[0], rig.vertices, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [1e-6, 1e-3, 6e-3, 3.0])
def test_turns_of_any_size_are_taken(size: float) -> None:
    rig = replace(body_rig(), bind_pose=torch.zeros_like(body_rig().bind_pose))
    motion = RigMotion("turning", random_poses(rig, 3, size), torch.zeros(3, 3), torch.zeros(3, 0), 30.0)
    found = RigPoser(rig).pose(motion.rotations, motion.translations)
    torch.testing.assert_close(found, rig.pose(motion), atol=1e-5, rtol=0)


def test_no_frames_give_no_poses() -> None:
    rig = head_rig()
    found = RigPoser(rig).pose(torch.zeros(0, len(rig.skeleton), 3), torch.zeros(0, 3), torch.zeros(0, len(rig.morphs)))
    assert found.shape == (0, len(rig.vertices), 3)


def test_shapes_that_do_not_fit_are_refused() -> None:
    rig = head_rig()
    poser, bones = RigPoser(rig), len(rig.skeleton)
    with pytest.raises(InputError, match="rig_motion"):
        poser.pose(torch.zeros(2, bones + 1, 3), torch.zeros(2, 3))
    with pytest.raises(InputError, match="expressions first"):
        poser.pose(torch.zeros(2, bones, 3), torch.zeros(2, 3), torch.zeros(2, len(rig.morphs) + 1))
