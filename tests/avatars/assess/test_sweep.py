from copy import copy, deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from avatars.assess.sweep import FLOATING, OPENS, TORN, SweptHead, mouth_opening, sweep
from avatars.assess.sweep_openings import Opening, lip_vertices
from avatars.assess.sweep_poses import TURNS, sweep_poses
from avatars.assess.sweep_sheet import sweep_sheet
from avatars.assess.sweep_surface import face_pieces, face_stretch, floating_share, gashes, stretch_around, torn_picture
from avatars.models.head_avatar import HeadAvatar
from avatars.models.head_prior import HeadPrior
from body_models import InputError, Skeleton
from data_prep.camera import look_at
from data_prep.surface import Surface
from tests.avatars.small_head import COARSE, head_body, small_head, small_model

SIZES = replace(COARSE, part_weight_spacing=0.0035, part_base_spacing=0.003)
"""The face as fine as by default."""


def box(centre: tuple[float, float, float], half: float) -> tuple[torch.Tensor, torch.Tensor]:
    corners = torch.cartesian_prod(*[torch.tensor([-half, half])] * 3) + torch.tensor(centre)
    faces = torch.tensor(
        [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
         [1, 5, 7], [1, 7, 3]]
    )  # fmt: skip
    return corners, faces


def avatar_of(model) -> HeadAvatar:
    head = small_head()
    return HeadAvatar(model, head.tracks, head.info)


@pytest.fixture(scope="module")
def prior():
    return HeadPrior(head_body())


@pytest.fixture(scope="module")
def fine():
    return avatar_of(small_model(SIZES))


def poses_of(avatar, *names):
    every = sweep_poses(avatar.skeleton, avatar.expression_names, 52)
    return tuple(pose for pose in every if pose.name in names)


def test_the_started_head_keeps_all_bars(fine, prior):
    head = SweptHead(fine, prior, 128)
    poses = poses_of(fine, "neutral", "jawOpen", "eyeBlink", "mouthSmile", "neck left", "combination 3")
    assert len(poses) == 6
    found = sweep(head, poses, 96)
    assert found.passed, [verdict for verdict in found.verdicts if not verdict.passed]
    assert found.mouth.after > 0.02 > 0.005 > found.mouth.before
    assert [eye.name for eye in found.eyes] == ["eyeBlinkLeft", "eyeBlinkRight"]
    assert len(found.verdicts) == 7


def with_sdf(change) -> HeadAvatar:
    """The small head with its signed distance changed as a function of points and itself."""
    model = small_model()
    grid = model.geometry.base_grid
    nodes = grid.nodes().to(model.box)
    model.geometry.start_from(change(nodes, model.geometry.base.detach()[:, 0]))
    return avatar_of(model)


def test_a_floating_ball_is_found(prior):
    middle = torch.tensor([0.12, 0.17, 0.12])
    avatar = with_sdf(lambda nodes, sdf: torch.minimum(sdf, (nodes - middle).norm(dim=1) - 0.04))
    found = sweep(SweptHead(avatar, prior, 64), poses_of(avatar, "neutral"), 48)
    assert found.rows[0].floating > FLOATING
    assert not found.verdicts[0].passed
    assert "neutral" in found.verdicts[0].found


def test_a_mouth_that_is_filled_does_not_open(prior):
    low, high = torch.tensor([-0.03, -0.06, 0.0]), torch.tensor([0.03, -0.01, 0.112])
    inside = lambda nodes: torch.maximum(low - nodes, nodes - high).amax(1)  # noqa: E731
    avatar = with_sdf(lambda nodes, sdf: torch.minimum(sdf, inside(nodes)))
    opening = mouth_opening(SweptHead(avatar, prior, 96))
    assert opening.model_after > 0.02
    assert not opening.opens(OPENS)


def test_a_tear_is_found(prior):
    model = small_model()
    with torch.no_grad():  # half of the face is carried 15 cm away by the jaw's action, all at once
        nodes = model.weight_grid.nodes()
        jaw = head_body().expression_names.index("jawOpen")
        model.offsets.basis[:, 3 * jaw] += 0.15 * ((nodes[:, 0] > 0.0) & (nodes[:, 1] > 0.0)).float()
    head = SweptHead(avatar_of(model), prior, 64)
    found = sweep(head, poses_of(head.avatar, "neutral", "jawOpen"), 64)
    assert found.rows[0].stretched <= TORN
    assert found.rows[1].stretched > TORN
    assert not found.verdicts[1].passed


def test_a_gash_in_the_cheek_is_found(fine, prior):
    model = deepcopy(fine.model)
    nodes, sdf = model.geometry.base_grid.nodes().to(model.box), model.geometry.base.detach()[:, 0]
    away = (nodes - torch.tensor([0.03, -0.01, 0.1])).abs() - torch.tensor([0.004, 0.015, 0.05])
    model.geometry.start_from(torch.maximum(sdf, -away.amax(1)))
    found = sweep(SweptHead(avatar_of(model), prior, 128), poses_of(fine, "neutral"), 160)
    assert found.rows[0].gashes > TORN
    assert not found.verdicts[1].passed


def test_poses_are_forty_different_and_repeatable():
    body = head_body()
    poses = sweep_poses(body.skeleton, body.expression_names, 52)
    again, other = (sweep_poses(body.skeleton, body.expression_names, 52, seed=seed) for seed in (0, 1))
    assert len({pose.name for pose in poses}) == len(poses) == 40
    assert all(torch.equal(a.expression, b.expression) for a, b in zip(poses, again, strict=True))
    assert not torch.equal(poses[-1].expression, other[-1].expression)
    values = {pose.name: pose for pose in poses}
    assert values["jawOpen"].expression.sum() == 1 == values["jawOpen"].expression.max()
    assert values["eyeBlink"].expression.sum() == 2
    assert not bool(values["neutral"].expression.any())
    assert not bool(values["neutral"].rotation.any())
    assert all(bool(values[name].rotation.any()) for name in TURNS)
    assert torch.stack([pose.expression for pose in poses]).min() >= 0
    with pytest.raises(InputError, match="no room"):
        sweep_poses(body.skeleton, body.expression_names, 52, count=20)


def test_components_without_names_go_both_ways():
    poses = sweep_poses(Skeleton(("root",), (-1,)), (), 20)
    assert len(poses) == 40
    shown = torch.stack([pose.expression for pose in poses])
    assert shown[:27].aminmax() == (-2, 2)
    assert not any(bool(pose.rotation.any()) for pose in poses)
    assert len(sweep_poses(Skeleton(("root",), (-1,)), (), 0)) == 40


def test_stretch_is_the_largest_and_blind_to_rotation():
    before, faces = box((0.0, 0.0, 0.0), 0.5)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    assert torch.allclose(face_stretch(before, before @ turn.T + 1.0, faces), torch.ones(12), atol=1e-4)
    drawn = face_stretch(before, before * torch.tensor([1.0, 7.0, 1.0]), faces)
    upright = before[faces][..., 1].amax(1) - before[faces][..., 1].amin(1) > 0.5
    assert torch.allclose(drawn[upright], torch.tensor(7.0), atol=1e-3)
    assert torch.allclose(drawn[~upright], torch.tensor(1.0), atol=1e-3)
    sliver = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.0, 0.0]])
    assert face_stretch(sliver, 9 * sliver, torch.tensor([[0, 1, 2]])).tolist() == [1.0]


def test_the_models_stretch_near_a_point():
    centres = torch.tensor([[0.0, 0.0, 0.0], [0.005, 0.0, 0.0], [0.1, 0.0, 0.0]])
    points = torch.tensor([[0.0, 0.001, 0.0], [0.3, 0.0, 0.0]])
    assert stretch_around(points, torch.tensor([1.0, 4.0, 9.0]), centres).tolist() == [4.0, 9.0]


def test_pieces_are_told_apart_and_hollows_do_not_float():
    big, faces = box((0.0, 0.0, 0.0), 1.0)
    small, _ = box((3.0, 0.0, 0.0), 0.5)
    both, all_faces = torch.cat([big, small]), torch.cat([faces, faces + 8])
    pieces, count = face_pieces(all_faces, 16)
    assert count == 2
    assert len(pieces[:12].unique()) == 1
    assert pieces[0] != pieces[12]
    assert floating_share(both, all_faces) == pytest.approx(6 / 30)
    assert floating_share(big, faces) == 0
    hollow = torch.cat([big, small - torch.tensor([3.0, 0.0, 0.0])])
    assert floating_share(hollow, torch.cat([faces, faces.flip(1) + 8])) == 0


def test_backs_and_holes_are_seen():
    corners, faces = box((0.0, 0.0, 0.0), 0.1)
    camera = look_at(torch.tensor([0.0, 0.0, 1.0]), torch.zeros(3), torch.tensor([0.0, 1.0, 0.0]), 20.0, 40, 40)
    still = torch.zeros(12, dtype=torch.bool)
    whole = Surface(corners, faces)
    assert torn_picture(whole, still, camera, whole).share == 0
    assert torn_picture(whole, ~still, camera, whole).stretched == 1
    assert torn_picture(Surface(corners, faces.flip(1)), still, camera, whole).backs == 1
    ends = Surface(*box((0.0, 0.0, 0.0), 0.1))
    opened = ends.faces[(ends.face_normals[:, 2].abs() < 0.5)]  # a tube along the view
    seen = torn_picture(Surface(corners, opened), torch.zeros(len(opened), dtype=torch.bool), camera, whole)
    assert seen.holes > 0.5


def test_gashes_are_narrow_and_deep():
    camera = look_at(torch.tensor([0.0, 0.0, 1.0]), torch.zeros(3), torch.tensor([0.0, 1.0, 0.0]), 20.0, 100, 100)
    depth = torch.full((100, 100), torch.inf)
    depth[10:90, 10:90] = 1.0
    assert not bool(gashes(depth, camera).any())
    depth[40:60, 50:52] = 1.01
    assert gashes(depth, camera).sum() == 40
    depth[40:60, 50:52] = 1.001
    depth[30:70, 30:60] = 1.01
    assert not bool(gashes(depth, camera).any())
    assert not bool(gashes(torch.full((8, 8), torch.inf), camera).any())


def test_lips_lie_one_above_the_other():
    body = head_body()
    upper, lower = body.pose_vertices(torch.zeros(5, 3), torch.zeros(3))[lip_vertices(body)]
    assert float((upper - lower).norm()) < 0.005
    weights = body.skinning_weights[lip_vertices(body), 2]
    assert weights[0] < 0.2 < 0.5 < weights[1]


def test_opening_and_closing():
    mouth = Opening("jawOpen", 0.001, 0.016, 0.0, 0.03)
    assert mouth.opens(0.5)
    assert not mouth.opens(0.51)
    eye = Opening("eyeBlinkLeft", 0.008, 0.002, 0.01, 0.0)
    assert eye.closes(0.75, 0.8)
    assert not eye.closes(0.8, 0.8)
    assert not eye.closes(0.75, 0.9)
    assert not Opening("eyeBlinkLeft", 0.0, 0.0, 0.01, 0.0).closes(0.75, 0.4)


def test_a_sheet_of_three_rows(prior):
    avatar = small_head()
    poses = poses_of(avatar, "neutral", "jawOpen")
    sheet = sweep_sheet(SweptHead(avatar, prior, 48), poses, 32)
    assert sheet.shape == (3 * (32 + 16), 8 * 32, 3)
    assert len(np.unique(sheet[:32, :32].reshape(-1, 3), axis=0)) > 2


def test_another_head_model_is_refused(prior):
    other = copy(prior)
    other.body = replace(prior.body, expression_basis=None)
    with pytest.raises(InputError, match="give the one that it was fitted with"):
        SweptHead(small_head(), other)
