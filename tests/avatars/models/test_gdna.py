"""The prior's networks: they begin at the body model, pose it as it poses itself, and keep people apart."""

import dataclasses

import pytest
import torch

from avatars.models.gdna import Gdna, posed_normals
from avatars.models.gdna_start import CanonicalModel, start_prior
from body_models import load_anny
from data_prep.surface import Surface
from tests.avatars.small_body import small_body, small_poses
from tests.avatars.small_prior import SIZES, small_prior

PEOPLE = 2


@pytest.fixture(scope="module")
def model():
    return small_prior().model


def bodies(betas, poses):
    return [load_anny().body(b).pose_vertices(p, torch.zeros(3)) for b, p in zip(betas, poses, strict=True)]


def test_the_mean_build_is_at_home(model):
    space, none = model.space, torch.zeros(1, 3)
    assert torch.allclose(space.similarity(none)[0], torch.eye(4), atol=1e-5)
    assert space.offsets(none).abs().max() < 1e-5
    still = space.posed_from_canonical(space.canonical_pose[None], torch.zeros(1, 3), none)
    assert torch.allclose(still[0], torch.eye(4).expand(24, 4, 4), atol=1e-5)


def test_joints_are_the_body_models_own(model):
    betas = torch.tensor([[1.0, -0.5, 0.7]])
    assert torch.allclose(model.space.joints_of(betas)[0], load_anny().body(betas[0]).joints, atol=1e-6)


def test_builds_and_poses_carry_the_mean_surface_to_the_posed_body(model):
    betas = torch.tensor([[0.0, 0.0, 0.0], [-2.0, 1.0, 0.5], [1.0, -1.0, -1.0]])
    poses = small_poses(3)
    field = model.skinning(torch.zeros(3, 4), betas, poses, torch.zeros(3, 3))
    canonical = small_body().canonical()[::20]
    for number, posed in enumerate(bodies(betas, poses)):
        frame = torch.full((len(canonical),), number)
        carried = field.blend(canonical, frame)
        found = (carried[..., :3] @ field.shifted(canonical, frame)[..., None])[..., 0] + carried[..., 3]
        missed = (found - posed[::20]).norm(dim=1)
        assert missed.median() < 0.012, "a 7 cm grid carries each build to a centimetre"


def test_the_bases_are_the_body_models_blendshapes():
    canonical = CanonicalModel(load_anny(), 3)
    model = start_prior(load_anny(), dataclasses.replace(SIZES, weight_spacing=0.03))
    some = canonical.vertices[::40]
    error = model.space.warp_error(some, canonical.displacements[:, ::40]).sqrt()
    assert error < 0.25 * canonical.displacements.norm(dim=-1).mean()


def test_an_untrained_prior_is_the_naked_body(model):
    poses, betas = small_poses(PEOPLE), torch.tensor([[0.0, 0.0, 0.0], [-1.0, 0.5, 0.5]])
    codes = torch.randn(PEOPLE, 4, generator=torch.Generator().manual_seed(0))
    field = model.skinning(codes, betas, poses, torch.zeros(PEOPLE, 3))
    for number, vertices in enumerate(bodies(betas, poses)):
        surface = Surface(vertices, small_body().faces)
        low, high = vertices.amin(0), vertices.amax(0)
        points = low + (high - low) * torch.rand(1500, 3, generator=torch.Generator().manual_seed(number))
        distance = surface.signed_distance(points)
        clear = distance.abs() > 0.03
        frame = torch.full((len(points),), number)
        logits = model(points, frame, model.shape(codes), field)
        agree = ((logits > 0) == (distance < 0))[clear]
        assert agree.float().mean() > 0.985
        assert ((logits > 0) & (distance < 0)).sum() > 20, "there is somebody"


def test_beyond_the_box_is_outside(model):
    far = model.space.box[1] + torch.tensor([[0.3, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert (model.logits(far, torch.zeros(2).long(), model.shape(torch.zeros(1, 4))) < -20).all()


def test_while_training_gradients_reach_codes_networks_and_weights():
    torch.manual_seed(0)
    model = start_prior(load_anny(), SIZES).train()
    torch.nn.init.normal_(model.occupancy.last.weight)
    codes = torch.randn(PEOPLE, 4).requires_grad_()
    field = model.skinning(codes, torch.zeros(PEOPLE, 3), small_poses(PEOPLE), torch.zeros(PEOPLE, 3))
    points = torch.cat(bodies(torch.zeros(PEOPLE, 3), small_poses(PEOPLE)))[::50]
    frame = torch.arange(PEOPLE).repeat_interleave(len(points) // PEOPLE + 1)[: len(points)]
    model(points, frame, model.shape(codes), field).square().sum().backward()
    assert codes.grad.abs().sum() > 0
    for part in (model.occupancy.volumes.basis, model.occupancy.base, model.weights.logits, model.weights.patterns):
        assert part.grad is not None
        assert part.grad.isfinite().all()


def test_normals_turn_with_the_body(model):
    field = model.skinning(torch.zeros(1, 4), torch.zeros(1, 3), _heading(torch.pi / 2), torch.zeros(1, 3))
    points = small_body().canonical()[::500]
    normals = torch.randn(len(points), 3, generator=torch.Generator().manual_seed(0))
    normals = normals / normals.norm(dim=1, keepdim=True)
    turned = posed_normals(normals, points, torch.zeros(len(points)).long(), field)
    x, y, z = normals.unbind(1)
    assert torch.allclose(turned, torch.stack([z, y, -x], 1), atol=1e-4), "a quarter turn about Y"


def _heading(angle):
    pose = small_body().canonical_pose.clone()
    pose[0] = torch.tensor([0.0, angle, 0.0])
    return pose[None]


def test_untrained_details_are_the_coarse_normals(model):
    points = small_body().canonical()[::300]
    subject, shape = torch.zeros(len(points)).long(), model.shape(torch.zeros(1, 4))
    fine = model.detail_normals(points, subject, shape, torch.randn(1, 4))
    assert torch.allclose(fine, model.coarse_normals(points, subject, shape), atol=1e-5)


def test_the_publications_networks_run_too():
    options = dataclasses.replace(SIZES, network="mlp", mlp_width=32)
    model: Gdna = start_prior(load_anny(), options).train()
    codes = torch.zeros(PEOPLE, 4)
    field = model.skinning(codes, torch.zeros(PEOPLE, 3), small_poses(PEOPLE), torch.zeros(PEOPLE, 3))
    points = small_body().canonical()[::400]
    frame = torch.zeros(len(points)).long()
    model(points, frame, model.shape(codes), field).sum().backward()
    assert model.occupancy.volumes.constant.grad.abs().sum() > 0
    fine = model.detail_normals(points, frame, model.shape(codes), torch.zeros(PEOPLE, 4))
    assert torch.allclose(fine.norm(dim=1), torch.ones(len(points)), atol=1e-5)
