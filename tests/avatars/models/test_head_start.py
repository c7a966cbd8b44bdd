from dataclasses import replace

import pytest
import torch

from avatars.deform.skinning import forward_skin
from avatars.models.head_prior import HeadPrior, exposed_faces, neck_loop, pseudo_truth
from avatars.models.head_proxy import head_proxy
from avatars.models.head_start import face_parts, head_shell, imavatar_from_head, mean_rotation
from body_models import InputError, load_anny
from body_models.anny.head import anny_head_parts
from data_prep.surface import Surface
from tests.avatars.small_head import COARSE, expression, head_body, small_model

STILL = (torch.zeros(1, 5, 3), torch.zeros(1, 3))


@pytest.fixture(scope="module")
def prior():
    return HeadPrior(head_body())


@pytest.fixture(scope="module")
def model():
    return small_model(replace(COARSE, weight_spacing=0.014, part_weight_spacing=0.0035))


EXPRESSIONS = {
    "neutral": {},
    "jaw": {"jawOpen": 1.0},
    "blink": {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
    "smile": {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0},
}


@pytest.mark.parametrize("name", list(EXPRESSIONS))
def test_the_started_head_moves_as_the_tracked_one(model, prior, name):
    shown = prior.surface.faces.unique()
    given = expression(**EXPRESSIONS[name])
    poses = torch.zeros(1, 5, 3)
    poses[0, 0] = torch.tensor([0.1, 0.4, 0.0])
    truth = head_body().pose_vertices(poses, torch.zeros(1, 3), given)[0, shown]
    with torch.no_grad():
        field = model.deformation(poses, torch.zeros(1, 3), given)
        found = forward_skin(field, prior.canonical[shown], torch.zeros(len(shown), dtype=torch.long))
    gap = (found - truth).norm(dim=1)
    face = prior.canonical[shown, 2] > 0.05
    assert float(gap.mean()) < 1e-3
    assert float(gap[face].mean()) < 1.5e-3
    assert float(gap[face].quantile(0.95)) < 5e-3


@pytest.mark.parametrize("name", ["neutral", "jaw"])
def test_the_posed_mesh_is_the_tracked_head(prior, name):
    model = small_model(replace(COARSE, weight_spacing=0.02, base_spacing=0.006, part_base_spacing=0.003))
    proxy = head_proxy(model, 128)
    given = expression(**EXPRESSIONS[name])
    posed = proxy.posed(model.transforms(*STILL), model.coefficients(STILL[0], given))[0]
    truth = head_body().pose_vertices(*STILL, given)[0]
    samples = Surface(truth, prior.surface.faces).sample(4000, torch.Generator().manual_seed(0)).points
    assert float(Surface(posed, proxy.faces).closest(samples).distance.mean()) < 1.5e-3
    above = posed[posed[:, 1] > -0.04]
    assert float(Surface(truth, prior.surface.faces).closest(above).distance.mean()) < 1.5e-3


def test_the_mesh_is_closed(model):
    faces = head_proxy(model, 64).faces
    assert len(neck_loop(torch.zeros(int(faces.max()) + 1, 3), faces)) == 0


def test_the_mouth_opens(model, prior):
    body = head_body()
    jaw = body.skinning_weights[:, 2]
    low = int((torch.where(jaw > 0.5, body.vertices[:, 2], -1.0)).argmax())  # foremost of the lower jaw: lip or chin
    up = int((body.vertices - body.vertices[low] - torch.tensor([0, 0.02, 0.0])).norm(dim=1).argmin())
    lips = prior.canonical[[low, up]]
    heights = []
    for name in ("neutral", "jaw"):
        with torch.no_grad():
            field = model.deformation(*STILL, expression(**EXPRESSIONS[name]))
            heights.append(forward_skin(field, lips, torch.zeros(2, dtype=torch.long))[:, 1])
    assert float(heights[0][0] - heights[1][0]) > 0.01
    assert float((heights[0][1] - heights[1][1]).abs()) < 0.006


def test_flesh_does_not_fold(model, prior):
    shown = prior.surface.faces.unique()
    noise = 0.012 * torch.randn(len(shown), 3, generator=torch.Generator().manual_seed(0))
    near = prior.canonical[shown] + noise
    frame = torch.zeros(len(shown), dtype=torch.long)
    for name in ("neutral", "jaw", "smile"):
        with torch.no_grad():
            volume = torch.linalg.det(model.deformation(*STILL, expression(**EXPRESSIONS[name])).jacobian(near, frame))
            folded = volume <= 0
            assert float(folded.float().mean()) < 0.02  # the air between lips that close
            assert not bool((folded & (model.sdf(near) < -2e-3)).any())


def test_the_ghost_rules_the_shoulders_only(model, prior):
    weights = model.weights(prior.canonical[prior.canonical[:, 1] > 0])
    assert weights[:, 5].max().item() < 1e-3
    floor = torch.tensor([[0.0, 0.0, 0.0], [0.15, 0.0, 0.0], [-0.15, 0.0, 0.0]])
    floor[:, 1] = model.box[0, 1]
    assert model.weights(floor)[:, 5].min().item() > 0.9


def test_the_neck_goes_on_to_the_floor(model, prior):
    shell = head_shell(prior, model.box)
    centre = prior.canonical[neck_loop(prior.canonical, head_body().faces)[:, 0]].mean(0)
    inside, aside = centre.clone(), centre.clone()
    inside[1] = model.box[0, 1]
    aside[0] = aside[0] + 0.12
    distance = shell.surface.signed_distance(torch.stack([inside, centre, aside]))
    assert distance[:2].max() < -0.01 < 0.01 < distance[2]
    assert shell.values.shape[1] == 6 + 3 * 52


def test_without_supervision_weights_are_uniform_and_nothing_bends():
    model = imavatar_from_head(head_body(), COARSE, supervised=False)
    assert model.weights.logits.abs().max().item() == 0
    assert model.offsets.basis.abs().max().item() == 0
    assert model.sdf(torch.zeros(1, 3)).item() < 0  # its surface is the head's all the same


def test_pose_correctives_are_taken_over(prior):
    body = head_body()
    basis = 0.01 * torch.sin(20 * body.vertices + torch.arange(36.0)[:, None, None])
    corrected = replace(body, pose_basis=basis)
    model = imavatar_from_head(corrected, replace(COARSE, weight_spacing=0.014, part_weight_spacing=0.0035))
    assert (model.sizes.expressions, model.sizes.correctives) == (52, 36)
    poses = torch.zeros(1, 5, 3)
    poses[0, 1, 1] = 0.3
    shown = HeadPrior(corrected).surface.faces.unique()
    truth = corrected.pose_vertices(poses, torch.zeros(1, 3))[0, shown]
    with torch.no_grad():
        field = model.deformation(poses, torch.zeros(1, 3), torch.zeros(1, 52))
        found = forward_skin(field, corrected.canonical()[shown], torch.zeros(len(shown), dtype=torch.long))
    still = forward_skin(
        replaced_offsets(field), corrected.canonical()[shown], torch.zeros(len(shown), dtype=torch.long)
    )
    assert float((found - truth).norm(dim=1).mean()) < 1.2e-3 < float((still - truth).norm(dim=1).mean())


def replaced_offsets(field):
    """The same deformation without blendshapes."""
    return field.in_poses(field.posed_from_canonical)


def test_pseudo_truth_at_the_surface_is_the_model_itself(prior):
    body = head_body()
    shown = prior.surface.faces.unique()[::50]
    found = prior.at(prior.canonical[shown])
    assert float(found.distance.max()) < 1e-5
    assert torch.allclose(found.weights[:, :5], body.skinning_weights[shown], atol=1e-3)
    assert float(found.weights[:, 5].abs().max()) == 0
    assert torch.allclose(found.basis, prior.basis[shown], atol=1e-4)
    away = pseudo_truth(body, torch.tensor([[0.0, 0.5, 0.0]]), ghost=False)
    assert away.weights.shape == (1, 5)
    assert float(away.distance) == pytest.approx(0.5 - float(prior.canonical[:, 1].max()), abs=5e-3)
    assert prior.at(torch.zeros(0, 3)).basis.shape == (0, 52, 3)


def test_blendshapes_turn_with_the_canonical_jaw(prior):
    body = head_body()
    ridden = (body.skinning_weights[:, 2] > 0.999).nonzero()[:, 0]
    turn = body.canonical_from_rest()[2, :3, :3]
    expected = body.expression_basis[:, ridden].transpose(0, 1) @ turn.T
    assert torch.allclose(prior.basis[ridden], expected, atol=1e-5)


def test_hidden_faces_do_not_count(prior):
    parts = anny_head_parts()
    assert not bool(prior.exposed[parts["left_eye_socket"]].any())
    assert not bool(prior.exposed[parts["right_eye_back"]].any())
    assert bool(prior.exposed[parts["left_eye_front"]].any())
    assert float(prior.exposed[parts["skin"]].float().mean()) > 0.95


def test_a_box_is_exposed_all_over_and_has_no_neck():
    corners = torch.cartesian_prod(*[torch.tensor([-0.1, 0.1])] * 3)
    faces = torch.tensor(
        [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
         [1, 5, 7], [1, 7, 3]]
    )  # fmt: skip
    assert bool(exposed_faces(corners, faces).all())
    assert len(neck_loop(corners, faces)) == 0
    assert sorted(neck_loop(corners, faces[4:]).flatten().unique().tolist()) in ([0, 1, 2, 3], [4, 5, 6, 7])


def test_finer_parts_hold_eyes_and_lips():
    eyes, mouth = face_parts(head_body())
    joints = head_body().joints[3:]
    assert bool(((joints[:, :2] > eyes[0, :2]) & (joints[:, :2] < eyes[1, :2])).all())
    assert float(mouth[1, 1]) <= float(eyes[0, 1])
    assert float(mouth[1, 1] - mouth[0, 1]) > 0.03


def test_bodies_without_a_jaw_are_refused():
    with pytest.raises(InputError, match="no jaw"):
        face_parts(load_anny().body())


def test_the_mean_rotation():
    turns = torch.tensor([[0.0, 0.2, 0.0], [0.0, 0.4, 0.0], [0.1, 0.3, 0.0], [-0.1, 0.3, 0.0]])
    assert torch.allclose(mean_rotation(turns), torch.tensor([0.0, 0.3, 0.0]), atol=1e-3)
    model = imavatar_from_head(head_body(), COARSE, turns[:, None].expand(4, 5, 3))
    assert torch.allclose(model.ghost_rotation, mean_rotation(turns))
