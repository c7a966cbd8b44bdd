import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float

from body_models.errors import InputError
from body_models.gltf import Document, clip_tracks, sample_track_at, world_transforms
from body_models.motion.clips import load_motion
from body_models.motion.gltf_clips import load_gltf_clip
from tests.shared_data import shared

BONES = {  # a small person: place relative to the parent, and the parent
    "Hips": ((0, 0.9, 0), None),
    "Spine": ((0, 0.5, 0), "Hips"),
    **{
        f"{side}{name}": ((sign * x, y, z), f"{side}{parent}" if parent not in ("Hips", "Spine") else parent)
        for side, sign in (("Left", 1), ("Right", -1))
        for name, (x, y, z), parent in (
            ("UpLeg", (0.1, 0, 0), "Hips"),
            ("Leg", (0, -0.4, 0), "UpLeg"),
            ("Foot", (0, -0.4, 0), "Leg"),
            ("Arm", (0.2, 0, 0), "Spine"),
            ("ForeArm", (0.3, 0, 0), "Arm"),
            ("Hand", (0.3, 0, 0.05), "ForeArm"),
        )
    },
}


class Rig:
    """A small glTF person, whose armature may be scaled and turned as exporters do."""

    def __init__(self, scale: float = 1.0, turn: tuple[float, ...] = (0, 0, 0, 1), folded: bool = False) -> None:
        self.data = b""
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.nodes: list[dict[str, Any]] = [{"name": "Armature", "scale": [scale] * 3, "rotation": list(turn)}]
        self.index: dict[str, int] = {}
        rng = np.random.default_rng(0)
        for name, (offset, parent) in BONES.items():
            above = 0 if parent is None else self.index[parent]
            if folded and name == "LeftLeg":
                self._node(above, {"name": "between", "rotation": [0, 0, 0.6, 0.8], "translation": [0, 0.1, 0]})
                above = len(self.nodes) - 1
            rotation = rng.standard_normal(4) if folded else np.array([0.0, 0, 0, 1])
            place = [value / scale for value in offset]
            node = {"name": name, "translation": place, "rotation": (rotation / np.linalg.norm(rotation)).tolist()}
            self._node(above, node)
            self.index[name] = len(self.nodes) - 1
        self.skins = [{"joints": list(self.index.values())}]
        self.animations: list[dict[str, Any]] = []
        self.meshes: list[dict[str, Any]] = []

    def _node(self, above: int, node: dict[str, Any]) -> None:
        self.nodes.append(node)
        self.nodes[above].setdefault("children", []).append(len(self.nodes) - 1)

    def add(self, values: object, kind: str) -> int:
        array = np.asarray(values, "<f4")
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": array.nbytes})
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[kind]
        count = array.size // width
        view = len(self.views) - 1
        self.accessors.append({"bufferView": view, "componentType": 5126, "count": count, "type": kind})
        self.data += array.tobytes()
        return len(self.accessors) - 1

    def animate(self, name: str, times: object, tracks: dict[tuple[int, str], object]) -> None:
        samplers, channels = [], []
        keys = self.add(times, "SCALAR")
        for (node, path), values in tracks.items():
            kind = {"rotation": "VEC4", "translation": "VEC3", "weights": "SCALAR"}[path]
            samplers.append({"input": keys, "output": self.add(values, kind)})
            channels.append({"sampler": len(samplers) - 1, "target": {"node": node, "path": path}})
        self.animations.append({"name": name, "samplers": samplers, "channels": channels})

    def dance(self, name: str = "dance", times: object = tuple(np.arange(9) / 24)) -> None:
        rng = np.random.default_rng(1)
        tracks: dict[tuple[int, str], object] = {}
        for node in self.index.values():
            turns = self.nodes[node]["rotation"] + 0.3 * rng.standard_normal((len(np.array(times)), 4))
            tracks[node, "rotation"] = turns / np.linalg.norm(turns, axis=1, keepdims=True)
        root = np.array(self.nodes[1]["translation"])
        tracks[1, "translation"] = root * (1 + 0.1 * rng.standard_normal((len(np.array(times)), 3)))
        self.animate(name, times, tracks)

    def write(self, path: Path, **parts: Any) -> Path:
        uri = "data:application/octet-stream;base64," + base64.b64encode(self.data).decode()
        lists = {"skins": self.skins, "animations": self.animations, "meshes": self.meshes}
        path.write_text(
            json.dumps(
                {
                    "asset": {"version": "2.0"},
                    "buffers": [{"uri": uri, "byteLength": len(self.data)}],
                    "bufferViews": self.views,
                    "accessors": self.accessors,
                    "nodes": self.nodes,
                    "scenes": [{"nodes": [0]}],
                    **{key: value for key, value in lists.items() if value},
                    **parts,
                }
            )
        )
        return path


def joints_in_file(path: Path, names: tuple[str, ...], rate: float, frames: int) -> Float[np.ndarray, "frame bone 3"]:
    """Places of the joints by the file's own node tree."""
    document = Document(path)
    tracks = clip_tracks(document, document.gltf.animations[0])
    times = min(track.times[0] for track in tracks) + np.arange(frames) / rate
    pose: dict[int, Any] = {}
    for track in tracks:
        pose.setdefault(track.node, {})[track.path] = sample_track_at(track, times)
    index = [[node.name for node in document.gltf.nodes].index(name) for name in names]
    return world_transforms(document, pose)[:, index][..., :3, 3]


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize(
    ("scale", "turn"), [(1.0, (0, 0, 0, 1)), (0.01, (0, 0, 0, 1)), (0.01, (0.5**0.5, 0, 0, 0.5**0.5))]
)
def test_joints_are_where_the_file_puts_them(tmp_path, scale, turn, folded):
    rig = Rig(scale, turn, folded)
    rig.dance()
    motion = load_gltf_clip(rig.write(tmp_path / "rig.gltf"))
    assert motion.frame_rate == 24.0
    assert len(motion) == 9
    expected = joints_in_file(tmp_path / "rig.gltf", motion.skeleton.joint_names, 24.0, 9)
    ours = motion.joint_positions().double().numpy()
    if turn[0]:  # the file's person lies on the back; ours stands
        expected = expected @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    if not folded:
        np.testing.assert_allclose(ours, expected, atol=1e-4)
        return
    turned, _ = kabsch(ours[0], expected[0])
    np.testing.assert_allclose(ours @ turned.T, expected, atol=1e-4)


def kabsch(
    start: Float[np.ndarray, "point 3"], end: Float[np.ndarray, "point 3"]
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3"]]:
    """Rotation about the origin between point sets, and its singular values."""
    u, s, vt = np.linalg.svd(end.T @ start)
    return u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt, s


def test_cesium_man_walks():
    path = shared("rigged_cesium_man") / "CesiumMan.glb"
    motion = load_motion(path)
    assert len(motion.skeleton) == 19
    assert motion.frame_rate == pytest.approx(24.0)
    expected = joints_in_file(path, motion.skeleton.joint_names, motion.frame_rate, len(motion))
    np.testing.assert_allclose(motion.joint_positions().numpy(), expected, atol=1e-4)
    assert 1.0 < np.ptp(motion.rest_joints.numpy(), axis=0)[1] < 1.8


@pytest.mark.parametrize(
    "told", [[[0.0, 0, 0, 1]], [["a"]], [[0.0] * 4] * 14, {"a": 1}, 1, None, [10**400], [[None] * 4] * 14]
)
def test_what_a_skin_tells_of_its_rest_in_other_words_is_left_alone(tmp_path, told):
    rig = Rig(folded=True)
    rig.dance()
    plain = load_gltf_clip(rig.write(tmp_path / "plain.gltf"))
    rig.skins[0]["extras"] = {"restIsUnturned": told}
    again = load_gltf_clip(rig.write(tmp_path / "told.gltf"))
    assert torch.equal(again.rotations, plain.rotations)


def test_a_rig_without_clips_says_so():
    with pytest.raises(InputError, match=r"rigged\.glb.*no animation"):
        load_motion(shared("valid_black_m2") / "rigged.glb")


def test_bind_pose_of_a_real_rig_is_the_rest_pose(tmp_path):
    """The artist's rig gets a clip in which an elbow turns: at rest it stands, scaled by 0.01, as the file does."""
    import pygltflib

    document = pygltflib.GLTF2().load(str(shared("valid_black_m2") / "rigged.glb"))
    elbow = [node.name for node in document.nodes].index("LeftForeArm")
    blob = document.binary_blob()
    data = np.array([0, 0.5, 1], "<f4").tobytes()
    data += np.array([document.nodes[elbow].rotation, [0, 0, 0, 1], [0, 0, 0, 1]], "<f4").tobytes()
    document.set_binary_blob(blob + data)
    document.buffers[0].byteLength = len(blob) + len(data)
    for offset, size, kind, count in ((0, 12, "SCALAR", 3), (12, 48, "VEC4", 3)):
        document.bufferViews.append(pygltflib.BufferView(buffer=0, byteOffset=len(blob) + offset, byteLength=size))
        view = len(document.bufferViews) - 1
        document.accessors.append(pygltflib.Accessor(bufferView=view, componentType=5126, count=count, type=kind))
    sampler = pygltflib.AnimationSampler(input=len(document.accessors) - 2, output=len(document.accessors) - 1)
    target = pygltflib.AnimationChannelTarget(node=elbow, path="rotation")
    channels = [pygltflib.AnimationChannel(sampler=0, target=target)]
    document.animations.append(pygltflib.Animation(name="bend", channels=channels, samplers=[sampler]))
    document.save(str(tmp_path / "bend.glb"))
    motion = load_gltf_clip(tmp_path / "bend.glb", "bend")
    expected = joints_in_file(tmp_path / "bend.glb", motion.skeleton.joint_names, motion.frame_rate, len(motion))
    np.testing.assert_allclose(motion.joint_positions().numpy(), expected, atol=1e-4)
    torch.testing.assert_close(motion.rest_joints, motion.joint_positions()[0], atol=1e-3, rtol=0)
    moved = motion.rotations.norm(dim=-1).amax(0)
    assert {name for name, angle in zip(motion.skeleton.joint_names, moved, strict=True) if angle > 0.01} == {
        "LeftForeArm"
    }


def test_clips_by_name_and_number(tmp_path):
    rig = Rig()
    rig.dance("walk")
    rig.dance("run", np.arange(5) / 60)
    path = rig.write(tmp_path / "rig.gltf")
    assert len(load_gltf_clip(path)) == len(load_gltf_clip(path, "walk")) == 9
    assert len(load_gltf_clip(path, "run")) == len(load_gltf_clip(path, 1)) == 5
    with pytest.raises(InputError, match=r"'wlak'.*Did you mean 'walk'.*walk, run"):
        load_gltf_clip(path, "wlak")
    with pytest.raises(InputError, match=r"clip number 2.*walk, run"):
        load_gltf_clip(path, 2)


def test_uneven_keys_are_sampled_steadily(tmp_path):
    rig = Rig()
    rig.dance(times=(0.0, 0.1, 0.35, 0.4, 1.0))
    path = rig.write(tmp_path / "rig.gltf")
    assert (load_gltf_clip(path).frame_rate, len(load_gltf_clip(path))) == (30.0, 31)
    faster = load_gltf_clip(path, frame_rate=60.0)
    torch.testing.assert_close(faster.joint_positions()[::2], load_gltf_clip(path).joint_positions(), atol=1e-5, rtol=0)


def test_morph_targets_become_the_expression(tmp_path):
    rig = Rig()
    point = rig.add([[0, 0, 0]], "VEC3")
    primitive = {"attributes": {"POSITION": point}, "targets": [{"POSITION": point}] * 2}
    rig.meshes = [{"primitives": [primitive], "extras": {"targetNames": ["jawOpen", "mouthSmileLeft"]}}]
    rig.nodes.append({"mesh": 0})
    rig.animate("talk", [0.0, 0.05, 0.1], {(len(rig.nodes) - 1, "weights"): [[0, 1], [0.5, 0.5], [1, 0]]})
    motion = load_gltf_clip(rig.write(tmp_path / "rig.gltf"))
    assert motion.expression_names == ("jawOpen", "mouthSmileLeft")
    torch.testing.assert_close(motion.expression, torch.tensor([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]))
    assert not motion.rotations.any()


def test_several_roots_hang_on_what_they_share(tmp_path):
    rig = Rig()
    rig.skins = [{"joints": [node for name, node in rig.index.items() if name != "Hips"]}]
    rig.dance()
    path = rig.write(tmp_path / "rig.gltf")
    motion = load_gltf_clip(path)
    assert motion.skeleton.joint_names[0] == "Hips"
    expected = joints_in_file(path, motion.skeleton.joint_names, 24.0, 9)
    np.testing.assert_allclose(motion.joint_positions().numpy(), expected, atol=1e-4)
    rig.nodes[0]["children"] = []
    rig.nodes[1]["children"] = []
    with pytest.raises(InputError, match="several roots"):
        load_gltf_clip(rig.write(path))


def test_unusable_files(tmp_path):
    rig = Rig()
    rig.dance()
    rig.skins = []
    with pytest.raises(InputError, match="no skin"):
        load_gltf_clip(rig.write(tmp_path / "rig.gltf"))
    mirrored = Rig(-1.0)
    mirrored.dance()
    with pytest.raises(InputError, match="mirrored"):
        load_gltf_clip(mirrored.write(tmp_path / "rig.gltf"))
