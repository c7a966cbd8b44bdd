"""Distances between a rig and its avatar."""

import json
from dataclasses import replace

import pytest
import torch

from avatars.export import training_motion
from avatars.export.rig.bake import plain_rig
from avatars.export.rig.fidelity import (
    PARTS,
    SAMPLES,
    compared,
    implicit_motion,
    measure_fidelity,
    parts_of,
    sweep,
    sweep_table,
)
from avatars.export.rig.source import source_of
from body_models import InputError, Motion, load_anny
from body_models.names import SMPL_SKELETON, SMPLX_SKELETON
from tests.avatars.export.rig.small_rigs import body_rig, head_rig
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_head import small_head


def test_a_fine_rig_lies_on_its_avatar() -> None:
    avatar = small_avatar()
    rig = plain_rig(source_of(avatar, 96), 100_000, 24)
    found = measure_fidelity(avatar, rig, training_motion(avatar), frames=2, resolution=96)
    assert found.frames == (0, 1)
    assert found.mean < 1.5
    assert found.percentile_95 < 5.0
    assert found.to_rig.samples == 2 * SAMPLES >= found.to_implicit.samples > 0


def test_a_rig_moved_aside_is_that_far_away() -> None:
    avatar, rig = small_avatar(), body_rig()
    known = implicit_motion(avatar, training_motion(avatar), 1, 64)
    near = compared(rig, avatar, known)
    far = compared(replace(rig, vertices=rig.vertices + 0.05 * rig.normals), avatar, known)
    assert far.mean > 20 > 2 * near.mean
    assert far.to_implicit.most >= far.to_implicit.percentile_95 >= far.to_implicit.mean


def test_heads_are_compared_with_their_zero_level() -> None:
    avatar = small_head()
    found = measure_fidelity(avatar, head_rig(), training_motion(avatar), frames=2, resolution=64)
    assert found.mean < 1.0
    assert {name for name, _ in found.parts} >= {"head"}
    assert found.morphs == len(head_rig().morphs)


def test_what_is_hidden_in_the_rig_does_not_count() -> None:
    avatar, rig = small_avatar(), body_rig()
    known = implicit_motion(avatar, training_motion(avatar), 1, 64)
    inner = rig.vertices.mean(0) + 0.3 * (rig.vertices - rig.vertices.mean(0))
    doubled = rig.taken(
        torch.arange(len(rig.vertices)).repeat(2), torch.cat([rig.faces, rig.faces + len(rig.vertices)])
    )
    doubled = replace(doubled, vertices=torch.cat([rig.vertices, inner]))
    plain, found = compared(rig, avatar, known), compared(doubled, avatar, known)
    assert found.hidden > plain.hidden + 0.02
    assert found.to_implicit.mean < 3 * plain.to_implicit.mean + 5


def test_the_record_tells_itself_as_a_table_and_as_json() -> None:
    avatar = small_avatar()
    found = measure_fidelity(avatar, body_rig(), training_motion(avatar), frames=1, resolution=48)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["to_rig"]["mean"] == found.to_rig.mean
    assert set(told["parts"]) == {name for name, _ in found.parts}
    table = found.table()
    assert "rig to avatar" in table
    assert f"{found.to_rig.mean:.2f}" in table
    assert "hidden" in table


def test_a_sweep_says_what_triangles_buy() -> None:
    avatar = small_avatar()
    source, known = source_of(avatar, 96), implicit_motion(avatar, training_motion(avatar), 2, 96)
    rows = sweep(
        avatar, lambda faces, influences, _: plain_rig(source, faces, influences), known, [(300, 4, 0), (9000, 4, 0)]
    )
    assert rows[0].fidelity.mean > 1.5 * rows[1].fidelity.mean
    assert sweep_table(rows).count("\n") == 4


def test_bones_belong_to_parts_of_the_body() -> None:
    part = dict(zip(SMPLX_SKELETON.joint_names, parts_of(SMPLX_SKELETON), strict=True))
    assert part["left_index2"] == part["right_wrist"] == "hands"
    assert part["left_elbow"] == "arms"
    assert part["left_collar"] == part["pelvis"] == part["spine3"] == "torso"
    assert part["left_hip"] == part["right_knee"] == "legs"
    assert part["left_foot"] == part["right_ankle"] == "feet"
    assert part["jaw"] == part["neck"] == part["left_eye"] == "head"
    assert set(parts_of(SMPL_SKELETON)) == set(PARTS)
    anny = load_anny(rig="full").skeleton
    assert set(parts_of(anny)) == set(PARTS)


def test_clips_of_others_and_no_frames_are_refused() -> None:
    avatar, rig = small_avatar(), body_rig()
    other = Motion("other", SMPLX_SKELETON, torch.zeros(55, 3), torch.zeros(2, 55, 3), torch.zeros(2, 3), 30.0)
    with pytest.raises(InputError, match="another skeleton"):
        measure_fidelity(avatar, rig, other)
    with pytest.raises(InputError, match="at least one"):
        measure_fidelity(avatar, rig, training_motion(avatar), frames=0)
