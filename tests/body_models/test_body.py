import copy
import pickle
from dataclasses import replace

import pytest
import roma
import torch

from body_models import InputError, load_anny, skin

MODEL = load_anny()
BODY = MODEL.body()
NOWHERE = torch.zeros(3)


def random_pose(*batch, seed=0, scale=0.5):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*batch, len(BODY.skeleton), 3, generator=generator)


def test_identity_pose_is_rest():
    zero = torch.zeros(len(BODY.skeleton), 3)
    assert torch.allclose(BODY.pose_vertices(zero, NOWHERE), BODY.vertices, atol=1e-5)
    assert torch.allclose(BODY.pose_joints(zero, NOWHERE), BODY.joints, atol=1e-6)


def test_canonical_is_the_body_in_the_canonical_pose():
    assert torch.equal(BODY.canonical(), BODY.pose_vertices(BODY.canonical_pose, NOWHERE))
    identity = torch.eye(4).expand(len(BODY.skeleton), 4, 4)
    assert torch.allclose(BODY.posed_from_canonical(BODY.canonical_pose, NOWHERE), identity, atol=1e-5)


def test_rest_to_pose_goes_through_canonical():
    pose, shift = random_pose(3), torch.rand(3, 3)
    through = BODY.posed_from_canonical(pose, shift) @ BODY.canonical_from_rest()
    assert torch.allclose(through, BODY.posed_from_rest(pose, shift), atol=1e-5)


def test_turning_the_root_turns_everything_about_it():
    pose, shift = random_pose(), torch.tensor([0.3, -0.2, 1.0])
    turn = roma.rotvec_to_rotmat(torch.tensor([0.4, 1.1, -0.3]))
    turned = pose.clone()
    turned[0] = roma.rotmat_to_rotvec(turn @ roma.rotvec_to_rotmat(pose[0]))
    centre = BODY.joints[0]
    expected = (BODY.pose_vertices(pose, NOWHERE) - centre) @ turn.T + centre + shift
    assert torch.allclose(BODY.pose_vertices(turned, shift), expected, atol=1e-4)


def test_a_batch_is_its_members():
    pose, shift = random_pose(2, 2), torch.rand(2, 2, 3)
    together = BODY.pose_vertices(pose, shift)
    assert together.shape == (2, 2, len(BODY.vertices), 3)
    assert torch.allclose(together[1, 0], BODY.pose_vertices(pose[1, 0], shift[1, 0]), atol=1e-5)


def test_subset_poses_the_same_vertices():
    keep = torch.arange(0, len(BODY.vertices), 997)
    pose = random_pose()
    part = BODY.subset(keep)
    assert torch.allclose(part.pose_vertices(pose, NOWHERE), BODY.pose_vertices(pose, NOWHERE)[keep], atol=1e-5)
    assert part.faces.shape == (0, 3)


def test_bending_a_knee_moves_the_shin_and_not_the_rest():
    pose = torch.zeros(len(BODY.skeleton), 3)
    knee = BODY.skeleton.index("left_knee")
    pose[knee, 0] = 1.0
    moved = (BODY.pose_vertices(pose, NOWHERE) - BODY.vertices).norm(dim=1)
    below = [knee, BODY.skeleton.index("left_ankle"), BODY.skeleton.index("left_foot")]
    share = BODY.skinning_weights[:, below].sum(1)
    assert moved[share == 0].max() < 1e-5
    assert moved[share > 0.99].max() > 0.3
    assert BODY.pose_joints(pose, NOWHERE)[below[-1], 2] < BODY.joints[below[-1], 2] - 0.2


def test_betas_are_linear():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, len(MODEL.shape_basis), generator=generator)
    for read in (lambda body: body.vertices, lambda body: body.joints):
        mean, mixed = read(MODEL.body()), read(MODEL.body(0.3 * a - 2 * b))
        expected = mean + 0.3 * (read(MODEL.body(a)) - mean) - 2 * (read(MODEL.body(b)) - mean)
        assert torch.allclose(mixed, expected, atol=1e-4)


def test_missing_betas_are_zero():
    few = torch.tensor([1.0, -0.5])
    padded = torch.cat([few, torch.zeros(len(MODEL.shape_basis) - 2)])
    assert torch.allclose(MODEL.body(few).vertices, MODEL.body(padded).vertices, atol=1e-6)
    assert torch.equal(MODEL.body(torch.zeros(0)).vertices, MODEL.template)
    assert torch.allclose(MODEL.body(few.double()).vertices, MODEL.body(few).vertices)


@pytest.mark.parametrize("betas", [torch.zeros(49), torch.tensor([float("nan")]), torch.tensor([0.0, float("inf")])])
def test_unusable_betas_are_refused(betas):
    with pytest.raises(InputError, match="betas"):
        MODEL.body(betas)


def test_parameters_have_roles():
    sizes = {name: parameter.size for name, parameter in MODEL.parameters.items()}
    assert sizes == {"betas": 48, "expression": 0, "body_pose": 69, "global_orient": 3, "transl": 3}
    assert {parameter.role for parameter in MODEL.parameters.values()} == {"identity", "expression", "pose", "global"}


def test_moving_to_a_device_keeps_everything():
    moved = MODEL.to("cpu")
    assert moved.skeleton == MODEL.skeleton
    assert torch.equal(moved.body().vertices, BODY.vertices)


def test_gradients_of_posing():
    keep = torch.arange(0, len(BODY.vertices), 3001)
    small = BODY.subset(keep)
    names = ("vertices", "skinning_weights", "joints", "canonical_pose")
    small = replace(small, **{name: getattr(small, name).double() for name in names})
    pose, shift = random_pose(2).double().requires_grad_(), torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(small.pose_vertices, (pose, shift))


def test_gradient_by_betas_reaches_the_posed_surface():
    betas = torch.zeros(3, requires_grad=True)
    MODEL.body(betas).pose_vertices(random_pose(), NOWHERE).square().sum().backward()
    assert betas.grad.isfinite().all()
    assert betas.grad.abs().min() > 0


def test_skinning_by_one_bone_is_that_bone():
    points = torch.rand(10, 3)
    weights = torch.nn.functional.one_hot(torch.arange(10) % 24, 24).float()
    transforms = BODY.posed_from_rest(random_pose(), NOWHERE)
    rows = transforms[torch.arange(10) % 24]
    expected = (rows[:, :3, :3] @ points[..., None])[..., 0] + rows[:, :3, 3]
    assert torch.allclose(skin(points, weights, transforms), expected, atol=1e-5)


def test_a_body_that_was_posed_can_be_copied_and_moved():
    body = replace(MODEL.body(), pose_basis=0.001 * torch.randn(9 * 23, len(BODY.vertices), 3))
    pose, shift = random_pose(33), torch.rand(33, 3)
    expected = body.pose_vertices(pose, shift)
    assert torch.allclose(body.pose_vertices(pose[:2], shift[:2]), expected[:2], atol=1e-5)
    for other in (copy.deepcopy(body), pickle.loads(pickle.dumps(body)), body.to("cpu"), body.to(torch.float64)):
        found = other.pose_vertices(pose.to(other.vertices), shift.to(other.vertices))
        assert torch.allclose(found.float(), expected, atol=1e-5)


@pytest.mark.parametrize("method", ["pose_vertices", "pose_joints", "posed_from_rest"])
def test_wrong_sizes_are_told(method):
    posing = getattr(BODY, method)
    pose = random_pose(2)
    with pytest.raises(InputError, match=r"pose of shape \(23, 3\).*\(\.\.\., 24, 3\)"):
        posing(pose[0, 1:], NOWHERE)
    with pytest.raises(InputError, match=r"53 expression parameters given.*body has none"):
        posing(pose, NOWHERE, torch.zeros(53))
    basis = torch.zeros(52, 1, 1)
    face = replace(BODY, expression_basis=basis.expand(52, *BODY.vertices.shape))
    face = replace(face, expression_basis_joints=basis.expand(52, *BODY.joints.shape))
    with pytest.raises(InputError, match=r"53 expression parameters given.*body has 52"):
        getattr(face, method)(pose, NOWHERE, torch.zeros(53))
    getattr(face, method)(pose, NOWHERE, torch.zeros(10))


def test_a_body_is_one_person():
    with pytest.raises(InputError, match=r"shape \(1, 10\).*betas\[0\]"):
        MODEL.body(torch.zeros(1, 10))
