import numpy as np
import pytest
import torch

from data_prep.synthetic_heads.hair import HairStyle, scalp
from data_prep.synthetic_heads.paint import paint_eye, random_palette
from data_prep.synthetic_heads.person import HAIR, TEETH, TRUNK, dressed_pose, head_model, make_person
from data_prep.synthetic_heads.texture import cells


@pytest.fixture(scope="module")
def person():
    return make_person(np.random.default_rng(5))


def test_the_iris_is_as_wide_as_a_humans():
    palette = random_palette(np.random.default_rng(0))
    x = np.linspace(-0.011, 0.011, 2201)
    ball = np.stack([x, np.zeros_like(x), np.sqrt(0.0165**2 - x**2)], axis=1)
    colors = paint_eye(ball, palette, 0)[:, :3]
    white = colors.min(1) > 0.25
    assert abs(np.ptp(x[~white]) - 0.0117) < 0.0002
    assert colors[len(x) // 2].max() < 0.02  # the pupil


def test_eyes_are_painted_about_their_joints(person):
    model, part = head_model()
    texture, body = person.texture, person.head
    for side, number in (("left", 5), ("right", 7)):
        faces = torch.from_numpy(np.flatnonzero(part == number))
        middle = torch.full((len(faces), 3), 1 / 3)
        colors = texture.look_up(faces, middle)[:, :3]
        centre = body.joints[model.skeleton.index(f"{side}_eye")]
        place = body.vertices[body.faces[faces]].mean(1) - centre
        off_axis = place[:, :2].norm(dim=-1)
        assert (colors[off_axis > 0.0065].min(-1).values > 0.2).all()
        assert (colors[(off_axis < 0.004) & (place[:, 2] > 0)].min(-1).values < 0.3).all()


def test_weights_are_shares_and_the_skeleton_gains_shoulders(person):
    weights = person.dressed.skinning_weights
    assert weights.shape == (len(person.dressed.vertices), 6)
    assert torch.allclose(weights.sum(-1), torch.ones(len(weights)), atol=1e-4)
    assert person.dressed.skeleton.joint_names[-1] == "shoulders"
    assert {HAIR, TEETH, TRUNK} <= set(person.part.tolist())


def test_the_neck_joins_the_head_without_a_gap(person):
    trunk = person.dressed.faces[person.part == TRUNK].unique()
    pose = dressed_pose(person, torch.tensor([[0.1, 0.4, 0.05], *[[0.0] * 3] * 4]))
    for expression in (torch.zeros(52), torch.full((52,), 0.1)):
        vertices = person.dressed.pose_vertices(pose, torch.zeros(3), expression)
        edges = torch.cat([person.head.faces[:, [0, 1]], person.head.faces[:, [1, 2]], person.head.faces[:, [2, 0]]])
        unique, count = edges.sort(1).values.unique(dim=0, return_counts=True)
        rim = unique[count == 1].unique()
        assert float(torch.cdist(vertices[rim], vertices[trunk]).min(1).values.max()) < 1e-4


def test_hair_grows_on_the_skull_but_not_on_the_face():
    model, _ = head_model()
    names = model.landmarks.names
    above = scalp(model.template.double().numpy(), HairStyle(0.01, 0.0, 0.0))
    at = dict(zip(names, above[model.landmarks.corners[:, 0].numpy()], strict=True))
    assert all(at[name] < 0 for name in ("nose", "chin", "left_eye", "right_brow_outer", "left_ear"))
    assert above[int(model.template[:, 1].argmax())] > 0.02


def test_texture_cells_are_found_where_they_are():
    grid = cells(np.array([1, 4, 7]))
    texture = grid.painted(np.concatenate([grid.barycentric, grid.face[:, None]], axis=1).astype(float))
    random = np.random.default_rng(0)
    barycentric = torch.from_numpy(random.dirichlet(np.ones(3), 300)).float()
    face = torch.from_numpy(random.integers(1, 3, 300))
    values = texture.look_up(face, barycentric)
    assert torch.equal(values[:, 3].long(), face)
    assert float((values[:, :3] - barycentric).abs().max()) < 0.5 / 4 * 2


def test_random_numbers_decide_on_everything(person):
    again = make_person(np.random.default_rng(5))
    assert torch.equal(person.betas, again.betas)
    assert torch.equal(person.dressed.vertices, again.dressed.vertices)
    assert torch.equal(person.texture.values, again.texture.values)
