"""pixiv's three-vrm loads our VRM files as humanoids that stand in a T and whose arms and legs obey."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from avatars.export.gltf import write_glb
from avatars.export.rig import source_of
from avatars.export.rig.bake import plain_rig
from tests.avatars.export.gltf.small_rigs import body_rig
from tests.avatars.small_avatar import small_avatar
from tests.tools import three_player, validator_messages

BODY = ("hips", "spine", "chest", "upperChest", "neck", "head")
PARTS = ("Proximal", "Intermediate", "Distal")
LIMBS = ("UpperLeg", "LowerLeg", "Foot", "Toes", "Shoulder", "UpperArm", "LowerArm", "Hand", "MiddleProximal")
BONES = {*BODY, *(f"{side}{part}" for side in ("left", "right") for part in LIMBS)}
PLACES = """() => {
  const { file, THREE } = window.player, vrm = file.userData.vrm;
  file.scene.updateMatrixWorld(true);
  const bones = Object.keys(vrm.humanoid.humanBones);
  const place = (name) => vrm.humanoid.getRawBoneNode(name).getWorldPosition(new THREE.Vector3()).toArray();
  return Object.fromEntries(bones.map((name) => [name, place(name)]));
}"""
TURN = """([name, axis, angle]) => {
  const { file, THREE } = window.player, humanoid = file.userData.vrm.humanoid;
  humanoid.resetNormalizedPose();
  humanoid.getNormalizedBoneNode(name).quaternion.setFromAxisAngle(new THREE.Vector3(...axis), angle);
  file.userData.vrm.update(0);
  window.player.draw();
}"""


class Humanoid:
    """What three-vrm says of a file."""

    def __init__(self, player) -> None:
        self.player = player

    def places(self) -> dict[str, np.ndarray]:
        """Where the bones' nodes are (metres)."""
        return {name: np.array(place) for name, place in self.player.ask(PLACES).items()}

    def turn(self, bone: str, axis: list[float], degrees: float) -> None:
        """Turn a normalised bone, whose axes are the world's in the T-pose; all others are as in the T-pose."""
        self.player.page.evaluate(TURN, [bone, axis, math.radians(degrees)])


@pytest.fixture(scope="module")
def vrm(tmp_path_factory) -> Path:
    avatar = small_avatar()
    rig = plain_rig(source_of(avatar, 48), 2000, 4)
    return write_glb(tmp_path_factory.mktemp("vrm") / "person.vrm", rig, names="vrm", notes=["made for tests"])


@pytest.fixture(scope="class")
def humanoid(vrm):
    with three_player(vrm, as_vrm=True) as player:
        yield Humanoid(player)
        assert player.messages == []


class TestPerson:
    """Of one page, which is slow to open."""

    def test_it_is_a_humanoid_of_vrm_1_with_its_rights(self, humanoid):
        meta = humanoid.player.ask("window.player.file.userData.vrm.meta")
        assert (meta["metaVersion"], meta["avatarPermission"]) == ("1", "onlyAuthor")
        assert meta["references"] == ["made for tests"]
        assert set(humanoid.places()) == BONES

    def test_it_stands_in_a_t_on_the_ground_and_faces_forwards(self, humanoid):
        humanoid.turn("hips", [0.0, 1.0, 0.0], 0.0)
        places = humanoid.places()
        for side, sign in (("left", 1), ("right", -1)):
            chain = [places[f"{side}{part}"] for part in ("UpperArm", "LowerArm", "Hand")]
            for start, end in pairwise(chain):
                direction = (end - start) / np.linalg.norm(end - start)
                np.testing.assert_allclose(direction, [sign, 0, 0], atol=0.01)
            leg = places[f"{side}Foot"] - places[f"{side}UpperLeg"]
            assert leg[1] < -0.98 * np.linalg.norm(leg)
            assert places[f"{side}Toes"][2] > places[f"{side}Foot"][2] + 0.05
        vertices = humanoid.player.posed_vertices()
        assert abs(vertices[:, 1].min()) < 1e-3
        assert abs(places["head"][0]) < 0.02

    @pytest.mark.parametrize(("side", "sign"), [("left", 1), ("right", -1)])
    def test_a_normalised_arm_turns_as_vrm_says(self, humanoid, side, sign):
        humanoid.turn(f"{side}UpperArm", [0.0, 0.0, 1.0], 0.0)
        before, skin = humanoid.places(), humanoid.player.posed_vertices()
        humanoid.turn(f"{side}UpperArm", [0.0, 0.0, 1.0], -45.0 * sign)
        after, moved = humanoid.places(), humanoid.player.posed_vertices()
        shoulder, length = before[f"{side}UpperArm"], np.linalg.norm(before[f"{side}Hand"] - before[f"{side}UpperArm"])
        down = shoulder + length * np.array([sign * math.sqrt(0.5), -math.sqrt(0.5), 0])
        np.testing.assert_allclose(after[f"{side}Hand"], down, atol=0.01)
        still = [
            name
            for name in BONES
            if not name.startswith((f"{side}UpperArm", f"{side}LowerArm", f"{side}Hand", f"{side}Middle"))
        ]
        assert max(np.abs(after[name] - before[name]).max() for name in still) < 1e-5
        hand = np.linalg.norm(skin - before[f"{side}Hand"], axis=1) < 0.05
        assert hand.any()
        np.testing.assert_allclose(moved[hand].mean(0) - after[f"{side}Hand"], [0, 0, 0], atol=0.05)
        other = sign * skin[:, 0] < -0.2
        assert np.abs(moved - skin)[other].max() < 1e-5

    def test_a_knee_bends_backwards(self, humanoid):
        humanoid.turn("hips", [0.0, 1.0, 0.0], 0.0)
        before = humanoid.places()
        humanoid.turn("leftLowerLeg", [1.0, 0.0, 0.0], 90.0)
        after = humanoid.places()
        shin = np.linalg.norm(before["leftFoot"] - before["leftLowerLeg"])
        np.testing.assert_allclose(after["leftFoot"] - after["leftLowerLeg"], [0, 0, -shin], atol=0.06)


def test_fingers_are_found_too(tmp_path):
    path = write_glb(tmp_path / "hands.vrm", body_rig("hands"), names="vrm")
    assert validator_messages(path)["numErrors"] == 0
    with three_player(path, as_vrm=True) as player:
        bones = set(Humanoid(player).places())
        assert player.messages == []
    fingers = {f"{finger}{part}" for finger in ("Index", "Middle", "Ring", "Little") for part in PARTS}
    fingers |= {f"Thumb{part}" for part in ("Metacarpal", "Proximal", "Distal")}
    assert bones >= BONES | {f"{side}{finger}" for side in ("left", "right") for finger in fingers}


def test_a_file_without_the_extension_is_no_vrm(tmp_path):
    path = write_glb(tmp_path / "plain.glb", body_rig())
    with three_player(path, as_vrm=True) as player:
        assert player.ask("window.player.file.userData.vrm ?? null") is None
