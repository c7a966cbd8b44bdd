import torch

from data_prep.registration.kinematics import (
    PoseState,
    bone_transforms,
    descendants,
    pose_jacobian,
    pose_points,
    shape_jacobian,
)
from tests.data_prep.registration.cases import person, random_points

STEP = 1e-6


def a_state(bones: int, starts: int = 2) -> PoseState:
    generator = torch.Generator().manual_seed(1)
    pose = 0.7 * torch.randn(starts, bones, 3, generator=generator, dtype=torch.float64)
    return PoseState.from_pose(pose, torch.randn(starts, 3, generator=generator, dtype=torch.float64))


def test_no_step_moves_nothing_and_a_shift_moves_the_translation_only():
    state = a_state(24)
    step = torch.zeros(2, 75, dtype=torch.float64)
    still = state.moved(step)
    torch.testing.assert_close((still.rotations, still.translation), (state.rotations, state.translation))
    step[:, -3:] = torch.tensor([1.0, 2.0, 3.0])
    shifted = state.moved(step)
    torch.testing.assert_close(shifted.rotations, state.rotations)
    torch.testing.assert_close(shifted.translation - state.translation, step[:, -3:])


def test_a_step_and_its_negative_cancel():
    state = a_state(24)
    step = torch.randn(2, 75, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    back = state.moved(step).moved(-step)
    torch.testing.assert_close((back.rotations, back.translation), (state.rotations, state.translation))


def test_join_and_select_are_inverse():
    state = a_state(24, 5)
    halves = [state.select(torch.tensor([0, 1])), state.select(torch.tensor([2, 3, 4]))]
    assert torch.equal(PoseState.join(halves).rotations, state.rotations)


def test_every_bone_turns_with_the_root_and_with_itself():
    marks = descendants(person().skeleton.parents)
    assert (marks[0] == 1).all()
    assert (marks.diagonal() == 1).all()
    assert marks.sum(1)[person().skeleton.index("left_hand")] == 1


def test_pose_jacobian_matches_finite_differences():
    body, state = person(), a_state(24)
    points, joints, parents = random_points(body, 30, torch.float64), body.joints[None].double(), body.skeleton.parents

    def posed(moved: PoseState) -> torch.Tensor:
        return pose_points(points, bone_transforms(moved, joints, parents))

    analytic = pose_jacobian(points, bone_transforms(state, joints, parents), joints, parents)
    for parameter in range(75):
        step = torch.zeros(2, 75, dtype=torch.float64)
        step[:, parameter] = STEP
        numeric = (posed(state.moved(step)) - posed(state.moved(-step))) / (2 * STEP)
        torch.testing.assert_close(analytic[..., parameter], numeric, atol=1e-7, rtol=1e-5)


def test_shape_jacobian_is_the_exact_change():
    body, state, generator = person(), a_state(24), torch.Generator().manual_seed(4)
    points, joints, parents = random_points(body, 30, torch.float64), body.joints.double(), body.skeleton.parents
    by_vertices = torch.randn(1, 30, 3, 5, generator=generator, dtype=torch.float64)
    by_joints = torch.randn(24, 3, 5, generator=generator, dtype=torch.float64)
    amount = torch.randn(5, generator=generator, dtype=torch.float64)
    transforms = bone_transforms(state, joints[None], parents)
    analytic = shape_jacobian(points.weights, by_vertices, by_joints, transforms, parents) @ amount
    moved = type(points)(points.rest + by_vertices @ amount, points.weights)
    changed = pose_points(moved, bone_transforms(state, (joints + by_joints @ amount)[None], parents))
    torch.testing.assert_close(analytic, changed - pose_points(points, transforms))
