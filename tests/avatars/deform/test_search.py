import pytest
import torch

from avatars.deform.search import Roots, SearchOptions, distinct, nearest_bones, search
from avatars.deform.skinning import Skinning, forward_skin
from avatars.fields.weights import GridSkinning
from tests.avatars.deform.cases import body_bones, body_weights, surface_points
from tests.avatars.small_body import small_body, small_poses


def field_in(poses, kind=GridSkinning):
    return kind(body_weights(), small_body().posed_from_canonical(poses, torch.zeros(len(poses), 3)))


def nearest_root(roots: Roots, points):
    """Distance of each point to its nearest root; infinite without one."""
    gaps = (roots.canonical - points[roots.point]).norm(dim=1)
    return torch.full((len(points),), torch.inf).scatter_reduce(0, roots.point, gaps, "amin")


@pytest.mark.parametrize("seed", range(3))
def test_search_inverts_skinning(seed):
    field = field_in(small_poses(4, seed=seed))
    points, frame = surface_points(1000, 4, seed)
    posed = forward_skin(field, points, frame)
    roots = search(posed, frame, field, body_bones(), SearchOptions())
    assert (nearest_root(roots, points) < 1e-3).float().mean() >= 0.99
    residual = forward_skin(field, roots.canonical, frame[roots.point]) - posed[roots.point]
    assert residual.norm(dim=1).max() < 1.1e-4


def test_identity_returns_the_points():
    field = field_in(small_body().canonical_pose[None])
    points, frame = surface_points(500, 1)
    roots = search(points, frame, field, body_bones(), SearchOptions())
    assert nearest_root(roots, points).max() < 1e-3
    assert roots.point_count == 500
    assert len(roots.canonical) == 500


def test_roots_are_sorted_by_point_and_apart():
    field = field_in(small_poses(2, scale=0.5))
    points, frame = surface_points(500, 2)
    roots = search(forward_skin(field, points, frame), frame, field, body_bones(), SearchOptions())
    assert (roots.point.diff() >= 0).all()
    gaps = (roots.canonical.diff(dim=0)).norm(dim=1)[roots.point.diff() == 0]
    assert (gaps >= 2e-3).all()


def test_turning_and_shifting_everything_keeps_the_roots():
    body, poses = small_body(), small_poses(1)
    points, frame = surface_points(200, 1)
    shift = torch.tensor([[5.0, -3.0, 2.0]])
    here = field_in(poses)
    there = GridSkinning(body_weights(), body.posed_from_canonical(poses, shift))
    options = SearchOptions(tolerance=1e-4)
    a = search(forward_skin(here, points, frame), frame, here, body_bones(), options)
    b = search(forward_skin(there, points, frame), frame, there, body_bones(), options)
    assert (nearest_root(a, points) < 1e-3).float().mean() >= 0.99
    assert (nearest_root(b, points) < 1e-3).float().mean() >= 0.99


def test_empty_single_and_far_points():
    field, bones, options = field_in(small_poses(1)), body_bones(), SearchOptions()
    nothing = search(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), field, bones, options)
    assert nothing.canonical.shape == (0, 3)
    assert nothing.point_count == 0
    points, frame = surface_points(1, 1)
    single = search(forward_skin(field, points, frame), frame, field, bones, options)
    assert nearest_root(single, points)[0] < 1e-3
    far = torch.tensor([[0.0, 50.0, 0.0], [1e30, 0.0, 0.0], [-4.0, 0.0, 0.0]])
    roots = search(far, torch.zeros(3, dtype=torch.long), field, bones, options)
    assert len(roots.canonical) == 0
    assert roots.point_count == 3


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_points_that_are_not_finite_have_no_roots_and_disturb_nobody(value):
    field = field_in(small_poses(1))
    points, frame = surface_points(3, 1)
    posed = forward_skin(field, points, frame)
    bad = posed.clone()
    bad[1, 0] = value
    roots = search(bad, frame, field, body_bones(), SearchOptions())
    clean = search(posed, frame, field, body_bones(), SearchOptions())
    assert not (roots.point == 1).any()
    assert torch.equal(roots.canonical, clean.canonical[clean.point != 1])


def test_double_precision_finds_the_same_roots():
    weights = body_weights().double()
    body, poses, bones = small_body(), small_poses(2), body_bones()
    transforms = body.posed_from_canonical(poses, torch.zeros(2, 3)).double()
    field = GridSkinning(weights, transforms)
    points, frame = surface_points(200, 2)
    points = points.double()
    double_bones = type(bones)(bones.heads.double(), bones.tails.double(), bones.bone)
    options = SearchOptions(steps=200, tolerance=1e-9)
    roots = search(forward_skin(field, points, frame), frame, field, double_bones, options)
    assert roots.canonical.dtype == torch.float64
    assert (nearest_root_double(roots, points) < 1e-6).double().mean() >= 0.98


def nearest_root_double(roots, points):
    gaps = (roots.canonical - points[roots.point]).norm(dim=1)
    return torch.full((len(points),), torch.inf, dtype=torch.float64).scatter_reduce(0, roots.point, gaps, "amin")


def test_strided_points_and_plain_skinning_find_the_same_roots():
    poses = small_poses(2)
    fast, plain = field_in(poses), field_in(poses, Skinning)
    points, frame = surface_points(100, 2)
    posed = forward_skin(fast, points, frame)
    strided = torch.stack([posed, posed], 2)[..., 0]
    wanted = search(posed, frame, fast, body_bones(), SearchOptions())
    assert torch.equal(search(strided, frame, fast, body_bones(), SearchOptions()).canonical, wanted.canonical)
    other = search(posed, frame, plain, body_bones(), SearchOptions())
    assert (nearest_root(other, points) < 1e-3).float().mean() >= 0.99


def test_more_starts_lose_no_roots():
    field = field_in(small_poses(1, scale=0.6))
    points, frame = surface_points(300, 1)
    posed = forward_skin(field, points, frame)
    few = search(posed, frame, field, body_bones(), SearchOptions(start_bones=2))
    many = search(posed, frame, field, body_bones(), SearchOptions(start_bones=24, reach=10.0))
    assert len(many.canonical) >= len(few.canonical)


def test_nearest_bones_are_nearest_and_in_reach():
    body, poses, bones = small_body(), small_poses(1), body_bones()
    transforms = body.posed_from_canonical(poses, torch.zeros(1, 3))
    joints = body.pose_joints(poses, torch.zeros(1, 3))[0]
    frame = torch.zeros(len(joints), dtype=torch.long)
    index, near = nearest_bones(joints, frame, transforms, bones, SearchOptions())
    assert index.shape == (len(joints), SearchOptions().start_bones)
    assert (index == torch.arange(len(joints))[:, None]).any(1).all()
    assert near[:, 0].all()
    assert not nearest_bones(joints + 10, frame, transforms, bones, SearchOptions())[1].any()


def test_distinct_keeps_one_of_each_cluster():
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0, 0], [0.1, 0, 0], [0.0, 0.3, 0]])
    which = torch.randint(3, (50, 6), generator=generator)
    roots = centres[which] + 1e-4 * torch.randn(50, 6, 3, generator=generator)
    roots[torch.rand(50, 6, generator=generator) < 0.3] = torch.nan
    keep = distinct(roots)
    valid = ~roots[..., 0].isnan()
    assert not (keep & ~valid).any()
    for centre in range(3):
        present = (valid & (which == centre)).any(1)
        assert torch.equal((keep & (which == centre)).sum(1), present.long())


def test_distinct_of_nothing_and_of_one_start():
    assert distinct(torch.full((3, 4, 3), torch.nan)).sum() == 0
    assert distinct(torch.zeros(0, 4, 3)).shape == (0, 4)
    assert distinct(torch.zeros(2, 1, 3)).all()
    assert distinct(torch.zeros(2, 3, 3)).sum() == 2


@pytest.mark.parametrize("kind", [GridSkinning, Skinning])
def test_jacobian_equals_finite_differences(kind):
    poses = small_poses(2)
    transforms = small_body().posed_from_canonical(poses, torch.zeros(2, 3)).double()
    field = kind(body_weights().double(), transforms)
    points, frame = surface_points(50, 2)
    points = torch.cat([points, points[:10] + 3.0]).double()  # the last lie beyond the grid
    frame, step = torch.cat([frame, frame[:10]]), 1e-7
    columns = [
        (forward_skin(field, points + step * axis, frame) - forward_skin(field, points - step * axis, frame))
        / (2 * step)
        for axis in torch.eye(3, dtype=torch.float64)
    ]
    assert torch.allclose(field.jacobian(points, frame), torch.stack(columns, 2), atol=1e-5)
    assert field.jacobian(points[:0], frame[:0]).shape == (0, 3, 3)
