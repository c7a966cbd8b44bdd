import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from body_models.errors import InputError
from data_prep.gltf_skin import read_posed_meshes
from data_prep.mesh_files import read_meshes
from tests.shared_data import shared

QUARTER_TURN = [0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)]


class GltfWriter:
    """Collects arrays into a one-buffer glTF file."""

    def __init__(self) -> None:
        self.data = b""
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(self, values: object, kind: str, component: int = 5126, normalized: bool = False) -> int:
        array = np.asarray(values, {5126: "<f4", 5123: "<u2", 5121: "<u1"}[component])
        self.data += b"\0" * (-len(self.data) % 4)
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": array.nbytes})
        accessor = {"bufferView": len(self.views) - 1, "componentType": component, "count": len(array), "type": kind}
        self.accessors.append({**accessor, "normalized": normalized})
        self.data += array.tobytes()
        return len(self.accessors) - 1

    def write(self, path: Path, **parts: Any) -> Path:
        (path.parent / "data file.bin").write_bytes(self.data)
        buffers = [{"uri": "data%20file.bin", "byteLength": len(self.data)}]
        document = {"asset": {"version": "2.0"}, "buffers": buffers, "bufferViews": self.views}
        path.write_text(json.dumps({**document, "accessors": self.accessors, **parts}))
        return path


def _arm(path: Path, keys: object, interpolation: str = "LINEAR", animated: bool = True) -> Path:
    """A triangle hung on a joint at (1, 0, 0) that a parent lifts by 2 and an animation turns about Z."""
    writer = GltfWriter()
    inverse_bind = np.eye(4)
    inverse_bind[:3, 3] = [-1, 0, 0]
    attributes = {
        "POSITION": writer.add([[1, 0, 0], [2, 0, 0], [1, 0, 1]], "VEC3"),
        "JOINTS_0": writer.add([[0, 0, 0, 0]] * 3, "VEC4", 5121),
        "WEIGHTS_0": writer.add([[255, 0, 0, 0]] * 3, "VEC4", 5121, normalized=True),
    }
    binds = writer.add([inverse_bind.T.ravel()], "MAT4")
    sampler = {
        "input": writer.add([0.0, 1.0], "SCALAR"),
        "output": writer.add(keys, "VEC4"),
        "interpolation": interpolation,
    }
    channel = {"sampler": 0, "target": {"node": 1, "path": "rotation"}}
    nodes = [
        {"children": [1], "translation": [0, 2, 0]},
        {"translation": [1, 0, 0], "rotation": [0, 0, 0, 1]},
        {"mesh": 0, "skin": 0, "translation": [9, 9, 9]},
    ]
    parts = {"animations": [{"samplers": [sampler], "channels": [channel]}]} if animated else {}
    return writer.write(
        path,
        nodes=nodes,
        scenes=[{"nodes": [0, 2]}],
        meshes=[{"primitives": [{"attributes": attributes}]}],
        skins=[{"joints": [1], "inverseBindMatrices": binds}],
        **parts,
    )


def test_skin_follows_joint_and_ignores_its_own_node(tmp_path: Path) -> None:
    path = _arm(tmp_path / "arm.gltf", [[0, 0, 0, 1], QUARTER_TURN], animated=False)
    (mesh,) = read_posed_meshes(path)
    np.testing.assert_allclose(mesh.vertices, [[1, 2, 0], [2, 2, 0], [1, 2, 1]], atol=1e-6)


def test_animated_frames_turn_evenly(tmp_path: Path) -> None:
    path = _arm(tmp_path / "arm.gltf", [[0, 0, 0, 1], QUARTER_TURN])
    meshes = read_posed_meshes(path, frames=3)
    angles = [np.degrees(np.arctan2(*(mesh.vertices[1] - mesh.vertices[0])[[1, 0]])) for mesh in meshes]
    np.testing.assert_allclose(angles, [0, 30, 60], atol=1e-4)
    assert [mesh.name for mesh in read_meshes(path, frames=2)] == ["arm_frame_00", "arm_frame_01"]


def test_a_clip_of_opposite_quaternions_takes_the_short_way(tmp_path: Path) -> None:
    path = _arm(tmp_path / "arm.gltf", [[0, 0, 0, 1], [-value for value in QUARTER_TURN]])
    assert read_posed_meshes(path, frames=2)[1].vertices[1] == pytest.approx([1 + np.sqrt(0.5), 2 + np.sqrt(0.5), 0])


def test_step_and_cubic_spline_from_a_file(tmp_path: Path) -> None:
    step = _arm(tmp_path / "step.gltf", [[0, 0, 0, 1], QUARTER_TURN], "STEP")
    assert read_posed_meshes(step, frames=2)[1].vertices[1] == pytest.approx([2, 2, 0])
    still = [0, 0, 0, 0]
    spline = _arm(tmp_path / "s.gltf", [still, [0, 0, 0, 1], still, still, QUARTER_TURN, still], "CUBICSPLINE")
    middle = read_posed_meshes(spline, frames=2)[1].vertices
    assert middle[1] == pytest.approx([1 + np.sqrt(0.5), 2 + np.sqrt(0.5), 0], abs=1e-5)


def test_morph_target_at_its_default_weight_and_mirrored_node(tmp_path: Path) -> None:
    writer = GltfWriter()
    primitive = {
        "attributes": {"POSITION": writer.add([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "VEC3")},
        "indices": writer.add([0, 1, 2], "SCALAR", 5123),
        "targets": [{"POSITION": writer.add([[0, 0, 2]] * 3, "VEC3")}],
    }
    mesh = {"primitives": [primitive], "weights": [0.5]}
    path = writer.write(tmp_path / "m.gltf", meshes=[mesh], nodes=[{"mesh": 0, "scale": [-1, 1, 1]}])
    (posed,) = read_posed_meshes(path)
    np.testing.assert_allclose(posed.vertices, [[0, 0, 1], [-1, 0, 1], [0, 1, 1]], atol=1e-6)
    a, b, c = posed.vertices[posed.faces[0]]
    assert np.cross(b - a, c - a)[2] > 0  # a mirror must not turn the surface inside out


def test_bad_files_say_what_to_do(tmp_path: Path) -> None:
    writer = GltfWriter()
    cases: dict[str, dict[str, Any]] = {
        "cycle": {"nodes": [{"children": [1]}, {"children": [0]}]},
        "compression": {"nodes": [], "extensionsRequired": ["KHR_draco_mesh_compression"]},
        "download": {"nodes": [], "buffers": [{"uri": "https://example.org/a.bin", "byteLength": 4}]},
        "beside it": {"nodes": [], "buffers": [{"uri": "gone.bin", "byteLength": 4}]},
    }
    for message, parts in cases.items():
        with pytest.raises(InputError, match=message):
            read_meshes(writer.write(tmp_path / "bad.gltf", **parts))


def test_cesium_man_walks_as_in_its_reference_frames() -> None:
    folder = shared("rigged_cesium_man")
    references = sorted((folder / "posed").glob("*.obj"))
    meshes = read_posed_meshes(folder / "CesiumMan.glb", frames=len(references))
    assert len(meshes) == len(references) == 10
    for mesh, path in zip(meshes, references, strict=True):
        lines = [line.split()[1:4] for line in path.read_text().splitlines() if line.startswith("v ")]
        np.testing.assert_allclose(mesh.vertices, np.array(lines, np.float64), atol=2e-6)


def test_static_skinned_person_has_the_size_of_the_scan() -> None:
    folder = shared("valid_black_m2")
    (mesh,) = read_meshes(folder / "rigged.glb")
    scan = read_meshes(folder / "pose_00.ply")[0]
    np.testing.assert_allclose(mesh.vertices.min(0), scan.vertices.min(0), atol=1e-3)
    np.testing.assert_allclose(mesh.vertices.max(0), scan.vertices.max(0), atol=1e-3)
