"""three.js plays our files in a browser, without a complaint, and puts every vertex where we do."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from avatars.export.gltf import write_glb
from avatars.export.gltf.binding import bound_for
from tests.avatars.export.outside.exports import Exported, exported
from tests.tools import three_player

MILLIMETRE = 1e-3
FRAMES = [0, 2, 4]


def test_it_plays_the_clip_as_we_do(model):
    with three_player(model.path) as player:
        clips = player.ask("window.player.clips")
        assert [clip["name"] for clip in clips] == [model.motion.name]
        np.testing.assert_allclose(clips[0]["seconds"], (len(model.motion) - 1) / model.motion.frame_rate, atol=1e-5)
        assert len(player.ask("window.player.joints")) == len(model.rig.skeleton)
        assert player.ask("window.player.morphs") == list(model.rig.morph_names)
        worn = ["map", *(["normalMap"] if not model.look.unlit else [])]
        assert player.ask("window.player.textures") == worn
        material = "MeshBasicMaterial" if model.look.unlit else "MeshStandardMaterial"
        assert player.ask("window.player.materials") == [material]
        pictures = []
        for time, expected in zip(model.times(FRAMES), model.posed(FRAMES), strict=True):
            player.set_time(time)
            np.testing.assert_allclose(player.posed_vertices(), expected, atol=MILLIMETRE)
            pictures.append(player.picture())
        for before, after in pairwise(pictures):
            assert (before != after).any(2).mean() > 1e-3
        assert player.ask("window.player.playedFrames(0.3)") > 0
        assert player.messages == []


X_BOT = {
    "Hips": ("X", -0.74),
    "Spine": ("X", -7.715),
    "Spine2": ("X", 1.476),
    "LeftUpLeg": ("Z", 180.0),
    "LeftLeg": ("X", 0.0),
    "LeftFoot": ("X", 50.82),
    "LeftToeBase": ("X", 39.18),
    "RightUpLeg": ("Z", 180.0),
}
"""How bones of Mixamo's X Bot are turned from their parents' in its T-pose, about their own axes (degrees)."""
ACTING = X_BOT | {"LeftForeArm": ("X", 60.0), "RightForeArm": ("Z", -90.0)}
SITTING = X_BOT | {"LeftUpLeg": ("XZ", -90.0), "LeftLeg": ("X", -90.0), "Spine": ("X", 30.0)}
PLAY = """(turns) => {
  const { THREE, file } = window.player, tracks = [];
  const axes = { X: new THREE.Vector3(1, 0, 0), Y: new THREE.Vector3(0, 1, 0), Z: new THREE.Vector3(0, 0, 1) };
  for (const [bone, [kind, degrees]] of Object.entries(turns)) {
    const turn = new THREE.Quaternion().setFromAxisAngle(axes[kind[0]], (degrees * Math.PI) / 180);
    if (kind[1]) turn.multiply(new THREE.Quaternion().setFromAxisAngle(axes[kind[1]], Math.PI));
    const keys = [...turn.toArray(), ...turn.toArray()];
    tracks.push(new THREE.QuaternionKeyframeTrack(`mixamorig${bone}.quaternion`, [0, 1], keys));
  }
  const mixer = new THREE.AnimationMixer(file.scene);
  mixer.clipAction(new THREE.AnimationClip("theirs", 1, tracks)).play();
  mixer.setTime(0.5);
  file.scene.updateMatrixWorld(true);
  const places = {};
  file.scene.traverse((one) => {
    if (one.isBone) places[one.name.replace("mixamorig", "")] = one.getWorldPosition(new THREE.Vector3()).toArray();
  });
  mixer.stopAllAction();
  return places;
}"""


@pytest.fixture(scope="module")
def mixamo(tmp_path_factory) -> Exported:
    """The small body with Mixamo's names and axes, and the rig that its mesh is bound as."""
    folder = tmp_path_factory.mktemp("mixamo")
    plain = exported("body", folder)
    binding, (motion,) = bound_for(plain.rig, [plain.motion], "mixamo")
    path = write_glb(Path(folder) / "mixamo.glb", plain.rig, [plain.motion], plain.look, "mixamo")
    return replace(plain, path=path, rig=binding.rig, motion=motion)


def test_mixamos_axes_play_our_clips_and_mixamos_own(mixamo):
    with three_player(mixamo.path) as player:
        for time, expected in zip(mixamo.times(FRAMES), mixamo.posed(FRAMES), strict=True):
            player.set_time(time)
            np.testing.assert_allclose(player.posed_vertices(), expected, atol=MILLIMETRE)
        player.ask("window.player.choose(-1)")
        rest, acting, sitting = (player.page.evaluate(PLAY, turns) for turns in (X_BOT, ACTING, SITTING))
        assert player.messages == []
    for side, outward in (("Left", 1), ("Right", -1)):
        assert direction(rest, f"{side}Arm", f"{side}Hand") == near(outward, 0, 0)
        assert direction(rest, f"{side}UpLeg", f"{side}Foot") == near(0, -1, 0)
    assert direction(acting, "LeftForeArm", "LeftHand") == near(0.5, -0.866, 0)
    assert direction(acting, "RightForeArm", "RightHand") == near(0, 0, 1)
    assert direction(sitting, "LeftUpLeg", "LeftLeg") == near(0, 0, 1)
    assert direction(sitting, "LeftLeg", "LeftFoot") == near(0, -1, 0)
    forwards = np.array(direction(sitting, "Hips", "Head"))
    upright = np.array(direction(rest, "Hips", "Head"))
    assert math.degrees(math.asin(forwards[2]) - math.asin(upright[2])) == pytest.approx(37.7, abs=5)


def direction(places: dict, start: str, end: str) -> list[float]:
    step = np.subtract(places[end], places[start])
    return (step / np.linalg.norm(step)).tolist()


def near(*values: float):
    return pytest.approx(values, abs=0.05)
