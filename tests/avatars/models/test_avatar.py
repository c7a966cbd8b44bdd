import pytest
import torch

from avatars.models import Avatar, AvatarInfo
from avatars.models.snarf import OUTSIDE
from body_models import InputError
from data_prep.surface import Surface
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_body import small_body, small_poses, small_snarf


def body_in(pose):
    return small_body().pose_vertices(pose, torch.zeros(3))


def chamfer(a, b):
    """Mean distance of points on either surface to the other surface (metres)."""
    first, second = (Surface(mesh.vertices, mesh.faces) for mesh in (a, b))
    there = second.closest(first.sample(4000, torch.Generator().manual_seed(0)).points).distance.mean()
    back = first.closest(second.sample(4000, torch.Generator().manual_seed(0)).points).distance.mean()
    return (there + back) / 2


@pytest.fixture(scope="module")
def mild():
    return small_avatar().pose(small_poses(1, scale=0.1, seed=3)[0])


@pytest.mark.parametrize("seed", range(2))
def test_a_start_from_the_body_is_the_body_in_unseen_poses(seed):
    pose = small_poses(1, seed=seed)[0]
    vertices = body_in(pose)
    generator = torch.Generator().manual_seed(seed)
    low, high = vertices.amin(0) - 0.05, vertices.amax(0) + 0.05
    points = low + torch.rand(20_000, 3, generator=generator) * (high - low)
    inside = Surface(vertices, small_body().faces).inside(points)
    predicted = small_avatar().pose(pose).occupancy(points) > 0
    assert (inside & predicted).sum() / (inside | predicted).sum() > 0.9


def test_points_far_from_the_body_are_outside(mild):
    far = torch.tensor([[3.0, 0, 0], [0, -5.0, 0], [0, 0, 1e6], [0.7, 0.9, 0.7], [float("nan"), 0, 0]])
    logits = mild.occupancy(far)
    assert (logits < 0).all()
    assert (logits[:3] == OUTSIDE).all()
    assert logits[4] == OUTSIDE


def test_no_points_and_double_points(mild):
    assert mild.occupancy(torch.zeros(0, 3)).shape == (0,)
    points = body_in(mild.rotation)[::500]
    assert torch.equal(mild.occupancy(points.double()), mild.occupancy(points))


def test_the_translation_carries_the_field(mild):
    points = body_in(mild.rotation)[::100] * 1.02
    shift = torch.tensor([1.0, -2.0, 0.5])
    there = mild.avatar.pose(mild.rotation, shift).occupancy(points + shift)
    assert torch.allclose(there, mild.occupancy(points), atol=0.1)


def test_exact_and_skinned_meshes_are_close_to_each_other_and_the_body(mild):
    exact, skinned = mild.mesh(resolution=96), mild.mesh(resolution=96, exact=False)
    assert chamfer(exact, skinned) < 5e-3
    body = type(exact)(body_in(mild.rotation), small_body().faces)
    assert chamfer(exact, body) < 0.02


def test_meshes_are_outward(mild):
    for mesh in (mild.mesh(resolution=64), mild.skinned_mesh(resolution=64)):
        a, b, c = mesh.vertices[mesh.faces].unbind(1)
        volume = (a * torch.linalg.cross(b, c)).sum() / 6
        assert 0.03 < volume < 0.15


def test_the_rigged_body_has_weights_and_is_kept():
    avatar = small_avatar()
    body = avatar.body(64)
    assert avatar.body(64) is body
    assert torch.allclose(body.skinning_weights.sum(1), torch.ones(len(body.vertices)), atol=1e-4)
    assert body.vertices.isfinite().all()
    surface = Surface(small_body().canonical(), small_body().faces)
    assert surface.closest(body.canonical()).distance.mean() < 0.01


def test_training_poses():
    avatar = small_avatar()
    posed = avatar.training_pose(1)
    assert torch.equal(posed.rotation, avatar.poses[1])
    assert torch.equal(posed.translation, avatar.translations[1])
    for index in (-1, 2):
        with pytest.raises(InputError, match="training pose"):
            avatar.training_pose(index)


def test_poses_that_do_not_fit_are_refused():
    avatar = small_avatar()
    nan = torch.zeros(24, 3).index_fill(0, torch.tensor([3]), torch.nan)
    with pytest.raises(InputError, match="24 joints"):
        avatar.pose(torch.zeros(22, 3))
    with pytest.raises(InputError, match="finite"):
        avatar.pose(nan)
    with pytest.raises(InputError, match="finite"):
        avatar.pose(torch.zeros(24, 3), torch.tensor([0.0, torch.inf, 0.0]))


def test_an_avatar_on_a_device_computes_there():
    avatar = Avatar(small_snarf(), torch.zeros(1, 24, 3), torch.zeros(1, 3), AvatarInfo(("a",))).to_device("cpu")
    assert avatar.device == torch.device("cpu")
    assert avatar.pose(torch.zeros(24, 3).double()).rotation.dtype == torch.float32
