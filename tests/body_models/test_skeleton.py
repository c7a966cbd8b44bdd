import pytest
import torch

from body_models import InputError, Skeleton
from body_models.skeleton import invert_rigid, posed_from_rest, rigid, rotation_matrices, transform_points

CHAIN = Skeleton(("hips", "left_knee", "right_knee", "left_foot"), (-1, 0, 0, 1))
JOINTS = torch.tensor([[0.0, 1, 0], [0.1, 0.5, 0], [-0.1, 0.5, 0], [0.1, 0, 0.1]], dtype=torch.float64)


def random_pose(*batch, seed=0):
    return torch.randn(*batch, len(CHAIN), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def pose_chain(pose, translation):
    return posed_from_rest(rotation_matrices(pose), translation, JOINTS, CHAIN.parents)


def test_lookups():
    pair = Skeleton(("hips", "left_knee", "right_knee"), (-1, 0, 0))
    assert CHAIN.index("left_foot") == 3
    assert CHAIN.children(0) == (1, 2)
    assert CHAIN.children(3) == ()
    assert pair.mirror == (0, 2, 1)
    assert len(pair) == 3


@pytest.mark.parametrize(
    ("names", "parents"), [((), ()), (("a",), (0,)), (("a", "b"), (-1,)), (("a", "b"), (-1, 1)), (("a", "b"), (-1, -1))]
)
def test_impossible_trees_are_refused(names, parents):
    with pytest.raises(InputError):
        Skeleton(names, parents)


def test_unknown_joint_and_missing_counterpart_are_named():
    with pytest.raises(InputError, match="tail"):
        CHAIN.index("tail")
    with pytest.raises(InputError, match="right_foot"):
        _ = CHAIN.mirror


def test_no_rotation_is_a_shift():
    shift = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    transforms = pose_chain(torch.zeros_like(JOINTS), shift)
    assert torch.allclose(transforms, rigid(torch.eye(3, dtype=torch.float64), shift).expand(4, 4, 4))


def test_bones_stay_joined_and_keep_their_length():
    pose, shift = random_pose(5), torch.zeros(5, 3, dtype=torch.float64)
    transforms = pose_chain(pose, shift)
    places = transform_points(transforms, JOINTS.expand(5, -1, -1))
    for bone, parent in enumerate(CHAIN.parents[1:], 1):
        by_parent = transform_points(transforms[:, parent], JOINTS[bone].expand(5, 3))
        assert torch.allclose(places[:, bone], by_parent)
        length = (JOINTS[bone] - JOINTS[parent]).norm()
        assert torch.allclose((places[:, bone] - places[:, parent]).norm(dim=1), length.expand(5))


def test_inverse_and_batches():
    pose = random_pose(2, 3)
    transforms = pose_chain(pose, torch.ones(2, 3, 3, dtype=torch.float64))
    identity = torch.eye(4, dtype=torch.float64).expand_as(transforms)
    assert torch.allclose(transforms @ invert_rigid(transforms), identity, atol=1e-12)
    assert torch.allclose(transforms[1, 2], pose_chain(pose[1, 2], torch.ones(3, dtype=torch.float64)))


def test_rotation_matrices_are_rotations_and_smooth_at_zero():
    matrices = rotation_matrices(random_pose(4))
    assert torch.allclose(matrices @ matrices.mT, torch.eye(3, dtype=torch.float64).expand_as(matrices), atol=1e-12)
    assert torch.allclose(torch.linalg.det(matrices), torch.ones(4, 4, dtype=torch.float64))
    zero = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    rotation_matrices(zero).sum().backward()
    assert zero.grad.isfinite().all()


def test_gradient():
    def joints(pose, shift):
        return transform_points(pose_chain(pose, shift), JOINTS)

    shift = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(joints, (random_pose().requires_grad_(), shift))
