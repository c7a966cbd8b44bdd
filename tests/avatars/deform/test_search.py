"""What holds for the search by kernel and by twin alike: inverses of skinning, and defined results for bad input."""

import pytest
import torch

from avatars.deform.roots import SearchOptions, distinct
from avatars.deform.sampled import SampledSkinning
from avatars.deform.search import _check, inverse_affine, search, search_twin
from avatars.deform.skinning import Skinning, forward_skin
from avatars.deform.starts import choose_starts
from avatars.fit.loop import make_fabric
from body_models import InputError
from tests.avatars.deform.cases import devices, gap_to_roots, person, poses, queries, surface_points

OPTIONS = SearchOptions()
SEARCHES = [pytest.param(search, id="kernel"), pytest.param(search_twin, id="twin")]
both = pytest.mark.parametrize("find", SEARCHES)


def field_in(turns, offsets=False):
    return person().field(turns, offsets)


def carried(field, points, frame):
    return forward_skin(field, points, frame)


def gaps(points, roots):
    return gap_to_roots(points, torch.arange(len(points)), roots)


@both
@pytest.mark.parametrize("offsets", [False, True])
def test_search_inverts_skinning(find, offsets):
    field = field_in(poses("compact", 4), offsets)
    points, frame = surface_points(1000, 4)
    roots = find(carried(field, points, frame), frame, field, OPTIONS)
    assert (gaps(points, roots) < 1e-3).float().mean() >= 0.99


@both
def test_the_identity_returns_the_points(find):
    field = field_in(person().body.canonical_pose[None])
    points, frame = surface_points(500, 1)
    roots = find(points, frame, field, OPTIONS)
    assert torch.equal(roots.point, torch.arange(500))
    assert (roots.canonical - points).norm(dim=1).max() < 2e-5


@both
def test_turning_and_shifting_everything_keeps_the_roots(find):
    turn = torch.tensor([[0.0, -1, 0, 5], [1, 0, 0, -3], [0, 0, 1, 2], [0, 0, 0, 1]])
    here = field_in(poses("compact", 2))
    there = SampledSkinning(here.grid, here.log_weights, turn @ here.posed_from_canonical)
    posed, frame = queries(here, 500)
    moved = posed @ turn[:3, :3].T + turn[:3, 3]
    one, other = find(posed, frame, here, OPTIONS), find(moved, frame, there, OPTIONS)
    assert (gap_to_roots(one.canonical, one.point, other) < 1e-3).float().mean() >= 0.99
    assert (gap_to_roots(other.canonical, other.point, one) < 1e-3).float().mean() >= 0.99


@both
def test_more_starts_lose_no_roots(find):
    field = field_in(poses("compact", 1, scale=0.6))
    points, frame = surface_points(500, 1)
    posed = carried(field, points, frame)
    few = find(posed, frame, field, SearchOptions(start_bones=2))
    many = find(posed, frame, field, SearchOptions(start_bones=24, reach=10.0, least_influence=0))
    assert (gap_to_roots(few.canonical, few.point, many) < 1e-3).float().mean() >= 0.995
    assert len(many.canonical) >= len(few.canonical)


@both
@pytest.mark.parametrize("count", [0, 1])
def test_no_points_and_one_point(find, count):
    field = field_in(poses("compact", 1))
    points, frame = surface_points(1, 1)
    roots = find(carried(field, points, frame)[:count], frame[:count], field, OPTIONS)
    assert roots.point_count == count
    assert (roots.point.unique()).tolist() == list(range(count))


@both
def test_no_frames_and_no_points(find):
    field = field_in(poses("compact", 1)[:0])
    roots = find(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), field, OPTIONS)
    assert roots.canonical.shape == (0, 3)
    with pytest.raises(InputError, match="0 poses"):
        search(torch.zeros(1, 3), torch.zeros(1, dtype=torch.long), field, OPTIONS)


@both
def test_far_points_have_no_roots(find):
    far = torch.tensor([[0.0, 50.0, 0.0], [1e30, 0.0, 0.0], [-4.0, 0.0, 0.0], [0.0, -3e38, 3e38]])
    roots = find(far, torch.zeros(4, dtype=torch.long), field_in(poses("compact", 1)), OPTIONS)
    assert len(roots.canonical) == 0
    assert roots.point_count == 4


@both
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_points_that_are_not_finite_have_no_roots_and_disturb_nobody(find, value):
    field = field_in(poses("compact", 1), offsets=True)
    points, frame = surface_points(30, 1)
    posed = carried(field, points, frame)
    bad = posed.clone()
    bad[7, 0], bad[9] = value, value
    roots, clean = find(bad, frame, field, OPTIONS), find(posed, frame, field, OPTIONS)
    left = (clean.point != 7) & (clean.point != 9)
    assert torch.equal(roots.point, clean.point[left])
    assert torch.allclose(roots.canonical, clean.canonical[left], atol=1e-5)


def zero_bone(bones):
    bones[:, 18] = 0.0


def folded_bone(bones):
    bones[:, 18] = bones[:, 16]


def flat_bone(bones):
    bones[:, 18, :3, 0] = 0.0


def equal_bones(bones):
    bones[:] = bones[:, :1]


def zero_bones(bones):
    bones[:] = 0.0


def nan_bone(bones):
    bones[:, 18] = torch.nan


def nan_bones(bones):
    bones[:] = torch.nan


def infinite_bone(bones):
    bones[:, 18, 0, 0] = torch.inf


def huge_bone(bones):
    bones[:, 18, :3] *= 1e30


BROKEN = [zero_bone, folded_bone, flat_bone, equal_bones, zero_bones, nan_bone, nan_bones, infinite_bone, huge_bone]


@both
@pytest.mark.parametrize("damage", BROKEN)
def test_any_bones_give_finite_roots_that_solve(find, damage):
    whole = field_in(poses("compact", 2))
    bones = whole.posed_from_canonical.clone()
    damage(bones)
    field = SampledSkinning(whole.grid, whole.log_weights, bones)
    posed, frame = queries(whole, 400)
    roots = find(posed, frame, field, OPTIONS)
    assert roots.canonical.isfinite().all()
    assert roots.inverse_jacobian is None or roots.inverse_jacobian.isfinite().all()
    residual = carried(field, roots.canonical, frame[roots.point]) - posed[roots.point]
    assert (residual.norm(dim=1) < 2e-5).all()
    if damage is equal_bones:
        assert len(roots.point) > 200


@both
@pytest.mark.parametrize("seed", range(3))
def test_random_garbage_gives_no_roots_that_are_not_numbers(find, seed):
    generator = torch.Generator().manual_seed(seed)
    bones = torch.randn(3, 24, 4, 4, generator=generator) * 10 ** (8 * torch.rand(3, 24, 1, 1, generator=generator) - 4)
    bones[torch.rand(bones.shape, generator=generator) < 0.01] = torch.nan
    log_weights = 30 * torch.randn(person().grid.count, 24, generator=generator)
    log_weights[torch.rand(log_weights.shape, generator=generator) < 0.001] = torch.nan
    field = SampledSkinning(person().grid, log_weights, bones)
    posed = 2 * torch.randn(1000, 3, generator=generator)
    frame = torch.randint(3, (1000,), generator=generator)
    assert find(posed, frame, field, SearchOptions(start_bones=24, least_influence=0)).canonical.isfinite().all()


@both
@pytest.mark.parametrize("factors", [(1.3, 1.3, 1.3), (-1.0, 1.0, 1.0), (0.7, -1.2, 1.1)])
def test_scaled_and_reflected_bones_are_inverted(find, factors):
    stretch = torch.diag(torch.tensor([*factors, 1.0]))
    whole = field_in(poses("compact", 2))
    field = SampledSkinning(whole.grid, whole.log_weights, stretch @ whole.posed_from_canonical)
    points, frame = surface_points(500, 2)
    roots = find(carried(field, points, frame), frame, field, OPTIONS)
    assert (gaps(points, roots) < 1e-3).float().mean() >= 0.98


@both
def test_strided_points_have_the_same_roots(find):
    field = field_in(poses("compact", 2))
    posed, frame = queries(field, 200)
    strided, frames = torch.stack([posed, posed], 2)[..., 0], torch.stack([frame, frame], 1)[:, 0]
    assert not strided.is_contiguous()
    one, other = find(posed, frame, field, OPTIONS), find(strided, frames, field, OPTIONS)
    assert torch.equal(one.canonical, other.canonical)


def test_strided_fields_have_the_same_roots():
    field = field_in(poses("compact", 2), offsets=True)
    posed, frame = queries(field, 200)
    parts = (field.log_weights, field.posed_from_canonical, field.offsets)
    strided = [torch.stack([part, part], -1)[..., 0] for part in parts]
    other = search(posed, frame, SampledSkinning(field.grid, *strided), OPTIONS)
    assert torch.equal(search(posed, frame, field, OPTIONS).canonical, other.canonical)


def test_double_precision_finds_the_same_roots():
    field = field_in(poses("compact", 2))
    wide = SampledSkinning(field.grid, field.log_weights.double(), field.posed_from_canonical.double())
    points, frame = surface_points(200, 2)
    posed = carried(wide, points.double(), frame)
    roots = search(posed, frame, wide, SearchOptions(steps=200, tolerance=1e-9))
    assert roots.canonical.dtype == torch.float64
    assert (gaps(points.double(), roots) < 1e-6).double().mean() >= 0.98


def test_an_exact_field_finds_the_same_roots():
    sampled = field_in(poses("compact", 2))

    class Weights:
        def log_weights(self, points):
            index, weights = sampled.grid.corners(points)
            return (sampled.log_weights[index] * weights[..., None]).sum(1)

        def __call__(self, points):
            return torch.softmax(self.log_weights(points), 1)

    field = Skinning(Weights(), sampled.posed_from_canonical, sampled.starts)
    posed, frame = queries(sampled, 300)
    one, other = search_twin(posed, frame, sampled, OPTIONS), search(posed, frame, field, OPTIONS)
    assert (gap_to_roots(one.canonical, one.point, other) < 1e-4).float().mean() >= 0.99


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("number", [-1, 2, 10**6])
def test_frames_without_a_pose_are_refused(dtype, number):
    whole = field_in(poses("compact", 2))
    field = SampledSkinning(whole.grid, whole.log_weights.to(dtype), whole.posed_from_canonical.to(dtype))
    with pytest.raises(InputError, match="there are 2 poses"):
        search(torch.zeros(2, 3, dtype=dtype), torch.tensor([0, number]), field, OPTIONS)


def test_inputs_that_do_not_fit_together_are_refused():
    field, frame = field_in(poses("compact", 1)), torch.zeros(2, dtype=torch.long)
    with pytest.raises(InputError, match="same precision"):
        search(torch.zeros(2, 3, dtype=torch.float64), frame, field, OPTIONS)
    with pytest.raises(InputError, match="one device"):
        search(torch.zeros(2, 3, device="meta"), frame, field, OPTIONS)
    with pytest.raises(InputError, match="one for each point"):
        _check(torch.zeros(2, 3), frame[:1], field)


@pytest.mark.parametrize(
    "wrong",
    [
        {"start_bones": 0}, {"start_bones": 25}, {"tolerance": 0.0}, {"tolerance": float("nan")}, {"near": -1.0},
        {"divergence": 0.0}, {"separation": -1e-3}, {"steps": 0}, {"least_influence": -1}, {"least_influence": 256},
        {"reach": -0.1}, {"reach": float("nan")},
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        SearchOptions(**wrong)


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a CUDA device")
def test_cuda_is_refused_where_there_is_none():
    with pytest.raises(InputError, match="no CUDA device"):
        make_fabric("cuda")


def test_starts_are_the_most_influential_bones_first():
    field = field_in(poses("compact", 2))
    posed, frame = queries(field, 300)
    inverse = inverse_affine(field.posed_from_canonical)[frame]
    start, use = choose_starts(posed, inverse, field.starts, 8, 1, 0.35)
    assert start.shape == (300, 8, 3)
    every, _ = choose_starts(posed, inverse, field.starts, 24, 1, 0.35)
    assert torch.equal(every[:, :8], start)
    assert not (use[:, 1:] & ~use[:, :-1]).any()
    assert not choose_starts(posed + 10, inverse, field.starts, 8, 0, 0.35)[1].any()


def test_inverse_affine():
    transforms = person().transforms(poses("compact", 2)) * torch.tensor([[2.0], [-1.0], [0.5], [1.0]])
    product = torch.linalg.inv(transforms)[..., :3, :]
    assert torch.allclose(inverse_affine(transforms), product, atol=1e-5)
    assert inverse_affine(torch.zeros(2, 4, 4)).isnan().all()


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


@pytest.mark.parametrize("device", devices())
@pytest.mark.parametrize("offsets", [False, True])
def test_jacobian_equals_finite_differences(offsets, device):
    single = person().field(poses("compact", 2), offsets, device)
    shifts = None if single.offsets is None else single.offsets.double()
    field = SampledSkinning(single.grid, single.log_weights.double(), single.posed_from_canonical.double(), shifts)
    points, frame = surface_points(400, 2)
    low = torch.tensor(single.grid.patches[1].lower)
    points = torch.cat([points, points[:40] + 3.0, low + 0.1 * points[:100].sin()]).double().to(device)
    frame, step = torch.cat([frame, frame[:40], frame[:100]]).to(device), 1e-8
    columns = [
        (forward_skin(field, points + step * axis, frame) - forward_skin(field, points - step * axis, frame))
        / (2 * step)
        for axis in torch.eye(3, dtype=torch.float64, device=device)
    ]
    assert torch.allclose(field.jacobian(points, frame), torch.stack(columns, 2), atol=1e-5)
    assert field.jacobian(points[:0], frame[:0]).shape == (0, 3, 3)
