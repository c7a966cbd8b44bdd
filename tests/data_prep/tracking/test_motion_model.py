"""Where points appear: derivatives against automatic ones, and the model's own posing."""

import pytest
import torch

from body_models import load_body_model
from body_models.errors import InputError
from body_models.landmarks import Landmarks
from data_prep.tracking.head_motion import FLIP, head_motion
from data_prep.tracking.head_points import head_points, turning_joints
from data_prep.tracking.motion_model import RIGID, linearise, project
from tests.data_prep.tracking.cases import flame_like, ict_like, random_state

MODELS = {"anny": lambda: load_body_model("anny-head"), "flame": flame_like, "ict": ict_like}


def some_points(model, count=15, at_vertices=False):
    generator = torch.Generator().manual_seed(0)
    corners = model.faces[torch.randint(len(model.faces), (count,), generator=generator)]
    eye = model.skinning_weights[:, 3].argmax()
    corners[0] = eye
    weights = torch.rand(count, 3, generator=generator)
    if at_vertices:
        weights = torch.tensor([1.0, 0.0, 0.0]).repeat(count, 1)
    return Landmarks(tuple(f"p{k}" for k in range(count)), corners, weights / weights.sum(1, keepdim=True))


@pytest.mark.parametrize("kind", MODELS)
def test_the_jacobian_is_the_automatic_one(kind):
    model = MODELS[kind]()
    points = head_points(model, some_points(model), 6, 12).to(torch.float64)
    state = random_state(points, 3, 1)
    if points.correctives.shape[-1] > 0:
        points = type(points)(**{**vars(points), "correctives": points.correctives[..., :0]})
    unknowns, shared = RIGID + points.coefficients, len(state.betas) + 1
    offset = torch.zeros(len(points), 3, dtype=torch.float64)

    def image(step, common, shift):
        return project(points, state.moved(step, common), shift)

    zero = torch.zeros(3, unknowns, dtype=torch.float64), torch.zeros(shared, dtype=torch.float64), offset
    by_step, by_shared, by_offset = torch.autograd.functional.jacobian(image, zero)
    found, jacobian, by_rest = linearise(points, state, shared=True)
    assert torch.allclose(found, project(points, state))
    for frame in range(3):
        assert torch.allclose(jacobian[frame, ..., :unknowns], by_step[frame, :, :, frame], atol=1e-9)
        assert by_step[frame, :, :, [f for f in range(3) if f != frame]].abs().max() == 0
        for point in range(len(points)):
            assert torch.allclose(by_rest[frame, point], by_offset[frame, point, :, point], atol=1e-9)
    assert torch.allclose(jacobian[..., unknowns:], by_shared, atol=1e-9)


@pytest.mark.parametrize("kind", MODELS)
def test_points_are_where_the_model_poses_them(kind):
    model = MODELS[kind]()
    landmarks = some_points(model, 40, at_vertices=True)
    points = head_points(model, landmarks, 20, 60)
    state = random_state(points, 4, 2, torch.float32)
    motion = head_motion(model, points, state)
    vertices = model.body(motion.betas).pose_vertices(motion.poses, motion.translations, motion.expressions)
    camera = landmarks.on(vertices) @ FLIP
    expected = state.log_focal.exp() * camera[..., :2] / camera[..., 2:]
    assert torch.allclose(project(points, state), expected, atol=2e-5)


def test_which_joints_turn_depends_on_what_actions_move():
    names = load_body_model("anny-head").skeleton.joint_names
    assert turning_joints(load_body_model("anny-head")) == ()
    assert [names[j] for j in turning_joints(ict_like())] == ["left_eye", "right_eye"]
    assert [names[j] for j in turning_joints(flame_like())] == ["jaw", "left_eye", "right_eye"]


def test_a_change_of_focal_length_keeps_the_pivot_in_place():
    model = load_body_model("anny-head")
    points = head_points(model, some_points(model), 4, 4).to(torch.float64)
    state = random_state(points, 2, 5)
    longer = state.moved(torch.zeros(2, RIGID + 4).double(), torch.tensor([0.0] * 4 + [0.5]).double())
    pivot = points.shifted(points.pivot - points.rest)
    pivot = type(pivot)(**{**vars(pivot), "shape": 0 * points.shape, "expression": 0 * points.expression})
    assert torch.allclose(project(pivot, state), project(pivot, longer))
    assert torch.allclose(project(pivot, state), state.places[:, None, :2].expand(-1, len(points), -1))


def test_a_body_is_refused():
    body = load_body_model("anny")
    with pytest.raises(InputError, match="no head model"):
        head_points(body, some_points(body), 4, 4)
