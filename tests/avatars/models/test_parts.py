import math
from dataclasses import replace
from functools import cache

import pytest
import torch

from avatars.models import Avatar, AvatarInfo, load, save, snarf_from_body
from avatars.models.parts import FINGERS, body_parts, curled_fingers, finger_chains, hand_vertices
from avatars.models.start import weights_off_surface, weights_on_patches
from body_models import load_anny
from body_models.names import SMPL_SKELETON, SMPLH_SKELETON, SMPLX_SKELETON
from data_prep.surface import Surface
from tests.avatars.small_body import OPTIONS, small_body

FINE = replace(OPTIONS, part_spacing=0.007, part_base_spacing=0.004)


@cache
def body_with_fingers():
    return load_anny("hands").body()


@cache
def one_hand(fine=True):
    """A coarse avatar whose left hand alone has finer grids."""
    parts = body_parts(body_with_fingers())[:1] if fine else torch.zeros(0, 2, 3)
    torch.manual_seed(0)
    body = body_with_fingers()
    model = snarf_from_body(body, FINE, parts)
    return Avatar(model, curled_fingers(body, math.radians(60))[None], torch.zeros(1, 3), AvatarInfo(("curled",)))


def overlap(avatar, pose):
    """Intersection over union of the avatar's and the body's left hand."""
    vertices = body_with_fingers().pose_vertices(pose, torch.zeros(3))
    own = vertices[hand_vertices(body_with_fingers(), "left")]
    unit = torch.rand(15_000, 3, generator=torch.Generator().manual_seed(0))
    points = own.amin(0) + unit * (own.amax(0) - own.amin(0))
    there, here = Surface(vertices, body_with_fingers().faces).inside(points), avatar.pose(pose).occupancy(points) > 0
    return (there & here).sum() / (there | here).sum()


@pytest.mark.parametrize("rig", ["hands", "full"])
def test_each_hand_with_fingers_has_a_box_that_holds_it(rig):
    body = load_anny(rig).body()
    boxes, canonical = body_parts(body), body.canonical()
    assert len(boxes) == 2
    for box, side in zip(boxes, ("left", "right"), strict=True):
        own = canonical[hand_vertices(body, side)]
        assert ((own > box[0] + 0.02) & (own < box[1] - 0.02)).all()
        assert ((box[1] - box[0]) < 0.3).all()
    mirrored = torch.stack([boxes[1][:, 0].flip(0).neg(), *boxes[1].T[1:]], 1)
    assert torch.allclose(boxes[0], mirrored, atol=5e-3)


def test_mittens_have_no_parts():
    assert body_parts(small_body()).shape == (0, 2, 3)
    assert torch.equal(curled_fingers(small_body(), 1.0), small_body().canonical_pose)


@pytest.mark.parametrize("side", ["left", "right"])
def test_fingers_are_found_by_name(side):
    assert finger_chains(SMPL_SKELETON, side) == {}
    for skeleton in (SMPLH_SKELETON, SMPLX_SKELETON, load_anny("full").body().skeleton):
        chains = finger_chains(skeleton, side)
        assert tuple(chains) == FINGERS
        for chain in chains.values():
            assert len(chain) == 3
            assert [skeleton.parents[joint] for joint in chain[1:]] == list(chain[:2])


def test_a_jaw_gives_the_face_a_box():
    body = small_body()
    names = tuple("jaw" if name == "head" else name for name in body.skeleton.joint_names)
    faced = replace(body, skeleton=replace(body.skeleton, joint_names=names))
    (box,) = body_parts(faced)
    assert box[1, 1] > body.canonical()[:, 1].max()
    assert box[0, 1] > 0.5


def test_curling_brings_the_finger_tips_to_the_palm():
    body = body_with_fingers()
    for side in ("left", "right"):
        chains, wrist = finger_chains(body.skeleton, side), body.skeleton.index(f"{side}_wrist")
        tips = [chain[-1] for name, chain in chains.items() if name != "thumb"]
        reach = [
            (joints[tips] - joints[wrist]).norm(dim=1)
            for joints in (body.pose_joints(curled_fingers(body, angle), torch.zeros(3)) for angle in (0.0, 1.0))
        ]
        assert (reach[1] < 0.9 * reach[0]).all()


@pytest.mark.parametrize("degrees", [0, 30, 60])
def test_bent_fingers_come_back(degrees):
    assert overlap(one_hand(), curled_fingers(body_with_fingers(), math.radians(degrees))) > 0.93


def test_without_a_finer_grid_fingers_blur():
    assert overlap(one_hand(fine=False), curled_fingers(body_with_fingers(), math.radians(60))) < 0.8


def test_fields_are_continuous_across_the_edge_of_a_part():
    model = one_hand().model
    generator = torch.Generator().manual_seed(0)
    for grid, read, most in (
        (model.weight_grid, model.weights, 0.1),
        (model.occupancy.base_grid, model.occupancy, 1.0),
    ):
        spec = grid.patches[1]
        lower = torch.tensor(spec.lower)
        upper = lower + spec.spacing * (torch.tensor(spec.shape) - 1)
        edge = lower + torch.rand(300, 3, generator=generator) * (upper - lower)
        edge[:, 1] = upper[1]
        step = torch.tensor([0.0, 1e-6, 0.0])
        code = () if read is model.weights else (torch.zeros(300, model.options.pose_code),)
        jump = (read(edge - step, *code) - read(edge + step, *code)).abs()
        assert jump.max() < most
        assert jump.mean() < most / 20


def test_weights_in_a_part_are_the_surfaces_and_the_coarse_ones_at_its_edge():
    body, model = body_with_fingers(), one_hand().model
    surface, grid = Surface(body.canonical(), body.faces), model.weight_grid
    values = weights_on_patches(surface, body.skinning_weights, grid)
    assert torch.allclose(values.sum(1), torch.ones(len(values)), atol=1e-4)
    coarse = weights_off_surface(surface, body.skinning_weights, grid.patches[0])
    assert torch.equal(values[: len(coarse)], coarse)
    tips = hand_vertices(body, "left")
    learned = model.weights(body.canonical()[tips])
    assert (learned - body.skinning_weights[tips]).abs().sum(1).mean() < 0.1


def test_parts_survive_the_file(tmp_path):
    avatar = one_hand()
    save(avatar, tmp_path / "hand.avatar")
    again = load(tmp_path / "hand.avatar")
    assert torch.equal(again.model.parts, avatar.model.parts)
    assert again.model.weight_grid == avatar.model.weight_grid
    assert overlap(again, avatar.poses[0]) > 0.93
