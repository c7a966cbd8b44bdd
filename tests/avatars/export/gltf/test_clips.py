import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import roma
import torch
from roma import rotmat_geodesic_distance as rotation_distance

from avatars.export.gltf import bone_names, write_glb
from avatars.export.gltf.clips import continuous_quaternions
from avatars.export.rig import RigMotion
from body_models import Motion, load_anny, load_body_model, load_motion, retarget
from body_models.gltf import Document, clip_tracks
from body_models.skeleton import rotation_matrices
from tests.avatars.export.gltf.small_rigs import body_rig, clip, head_rig


def test_turns_never_go_the_long_way_round():
    axis = torch.tensor([0.3, 0.8, -0.1])
    turned = roma.rotvec_to_unitquat(torch.linspace(0, 25, 60)[:, None, None] * axis / axis.norm())
    turns = continuous_quaternions(turned)
    assert (turns[1:] * turns[:-1]).sum(-1).min() > 0.9
    assert np.abs(np.linalg.norm(turns, axis=-1) - 1).max() < 1e-6


def test_clips_are_named_once_and_share_their_times(tmp_path):
    rig = head_rig()
    motions = [clip(rig, "talk", 20), clip(rig, "talk", 5), clip(rig, "still", 1)]
    document = Document(write_glb(tmp_path / "a.glb", rig, motions))
    assert [one.name for one in document.gltf.animations] == ["talk", "talk_2", "still"]
    for motion, one in zip(motions, document.gltf.animations, strict=True):
        tracks = clip_tracks(document, one)
        assert len({sampler.input for sampler in one.samplers}) <= 2
        assert {track.times[-1] for track in tracks} == {np.float32((len(motion) - 1) / 30.0)}
        assert [track.path for track in tracks].count("translation") == 1
        assert [track.path for track in tracks].count("weights") == 1


def test_what_stands_still_has_two_keys(tmp_path):
    rig = body_rig()
    document = Document(write_glb(tmp_path / "a.glb", rig, [clip(rig, frames=9)]))
    keys = [len(track.times) for track in clip_tracks(document, document.gltf.animations[0])]
    assert keys == [9] * 24 + [2]
    nothing = RigMotion("nothing", torch.zeros(9, 24, 3), torch.zeros(9, 3), torch.zeros(9, 0), 30.0)
    document = Document(write_glb(tmp_path / "a.glb", rig, [nothing]))
    keys = [len(track.times) for track in clip_tracks(document, document.gltf.animations[0])]
    assert keys == [9, 9] + [2] * 23


@pytest.mark.parametrize(
    ("bones", "names"),
    [("compact", "mixamo"), ("hands", "model"), ("full", "mixamo"), ("compact", "vrm"), ("full", "vrm")],
)
def test_a_clip_comes_back_from_its_file(tmp_path, bones, names):
    rig, body = body_rig(bones), load_anny(rig=bones).body()
    moves = calm(clip(rig, frames=6))
    again = load_motion(write_glb(tmp_path / "a.glb", rig, [moves], names=names))
    own = Motion("own", rig.skeleton, rig.joints, moves.rotations, moves.translations, moves.frame_rate)
    order = [again.skeleton.index(name) for name in bone_names(rig.skeleton, names)]
    assert (again.frame_rate, len(again)) == (30.0, 6)
    assert (again.joint_positions()[:, order] - own.joint_positions()).abs().max() < 1e-5
    turns = [rotation_matrices(one.rotations) for one in (retarget(again, body), own)]
    assert rotation_distance(*turns).max() < math.radians(10)
    assert rotation_distance(*turns).mean() < math.radians(2)


@pytest.mark.parametrize("bones", ["compact", "hands", "full"])
def test_mixamos_axes_are_undone(tmp_path, bones):
    rig, body = body_rig(bones), load_anny(rig=bones).body()
    moves = calm(clip(rig, frames=6))
    again = retarget(load_motion(write_glb(tmp_path / "a.glb", rig, [moves], names="mixamo")), body)
    turns = [rotation_matrices(one.rotations) for one in (again, moves)]
    assert rotation_distance(*turns).max() < 2e-3


@pytest.mark.parametrize("names", ["model", "mixamo"])
def test_a_face_comes_back_from_its_file(tmp_path, caplog, names):
    rig, body = head_rig(), load_body_model("anny-head").body()
    moves = clip(rig, frames=6)
    with caplog.at_level(logging.WARNING):
        again = load_motion(write_glb(tmp_path / "a.glb", rig, [moves], names=names))
    assert caplog.records == []
    assert again.expression_names == rig.morph_names
    assert torch.allclose(again.expression, moves.morph_weights, atol=1e-6)
    back = retarget(again, body)
    assert torch.allclose(back.expression, moves.morph_weights[:, :52], atol=1e-6)
    turned = rotation_matrices(back.rotations[:, :2]) - rotation_matrices(moves.rotations[:, :2])
    assert turned.abs().max() < 1e-4
    assert torch.allclose(back.translations, moves.translations, atol=1e-5)


def calm(motion: RigMotion) -> RigMotion:
    return replace(motion, rotations=motion.rotations * 0.2)
