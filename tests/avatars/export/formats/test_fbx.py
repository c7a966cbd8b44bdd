"""FBX files, read back by Blender."""

import json
import os
import shutil
import struct
import tempfile
from dataclasses import replace

import numpy as np
import pytest

from avatars.export.formats import blender
from avatars.export.formats.blender import run_in_blender
from avatars.export.formats.fbx import write_fbx
from avatars.export.gltf import bone_names
from avatars.export.gltf.binding import bound_for
from avatars.export.gltf.material import PLAIN_COLOUR, encoded_colour
from avatars.export.look import Look
from body_models import InputError
from tests.avatars.export.gltf.small_rigs import body_rig
from tests.avatars.export.outside.rigs import checkered, tiny_clip, tiny_rig
from tests.tools import in_blender

needs_blender = pytest.mark.skipif(shutil.which("blender") is None, reason="Blender is not installed")
MILLIMETRE = 1e-3
COLOUR_WIRES = [["BSDF_PRINCIPLED", "Base Color"], ["OUTPUT_MATERIAL", "Surface"]]
SHINING_WIRES = [["BSDF_PRINCIPLED", "Emission"], ["OUTPUT_MATERIAL", "Surface"]]
NORMAL_WIRES = [["NORMAL_MAP", "Color"], ["BSDF_PRINCIPLED", "Normal"]]

PICTURES_SCRIPT = """
import json, sys
import bpy

path = sys.argv[-1]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.fbx(filepath=path)
links = [link for material in bpy.data.materials for link in material.node_tree.links]
seen = {}
for link in links:
    if link.from_node.type == "TEX_IMAGE" and link.to_socket.name in ("Color", "Base Color", "Emission"):
        picture = link.from_node.image
        values = list(picture.pixels)
        assert picture.name == bpy.path.basename(picture.filepath)
        then = [(link.to_node.type, link.to_socket.name)]
        then += [(on.to_node.type, on.to_socket.name) for on in links if on.from_node == link.to_node]
        means = [sum(values[channel::4]) * 4 / len(values) for channel in range(3)]
        seen[picture.name] = [then, picture.colorspace_settings.name, means, bool(picture.packed_file)]
nodes = [node for material in bpy.data.materials for node in material.node_tree.nodes]
surfaces = [node for node in nodes if node.type == "BSDF_PRINCIPLED"]
names = ("Base Color", "Emission", "Emission Strength", "Specular", "Roughness")
values = {name: surface.inputs[name].default_value for surface in surfaces for name in names}
seen["values"] = {name: value if isinstance(value, float) else list(value)[:3] for name, value in values.items()}
print("SEEN" + json.dumps(seen))
"""


@needs_blender
def test_blender_reads_back_bones_morphs_clips_and_poses(tmp_path):
    rig = tiny_rig()
    step, hop = tiny_clip(rig), tiny_clip(rig, 9, "hop")
    look = Look(checkered(), checkered(), unlit=False)
    path = write_fbx(tmp_path / "tiny.fbx", rig, [step, hop], look, notes=("made for tests",))
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.fbx"]
    seen = in_blender(path, [frame / 20 for frame in range(5)], clip="step", frame_rate=20.0, open_sliders=True)
    assert seen.counts["joints"] == list(rig.skeleton.joint_names)
    assert seen.counts["parents"] == ["", "hip", "knee.L", "hip"]
    assert seen.counts["shape_keys"] == list(rig.morph_names)
    assert {name.split("|")[1] for name in seen.counts["actions"] if "|" in name} == {"step", "hop"}
    assert [picture[1:] for picture in seen.counts["textures"]] == [[64, 64], [64, 64]]
    assert seen.counts["faces"] == len(rig.faces)
    np.testing.assert_allclose(seen.posed, rig.pose(step).numpy(), atol=MILLIMETRE)


@needs_blender
def test_a_rig_without_clips_stands_in_its_bind_pose_and_keeps_colours_that_hold_light(tmp_path):
    rig = replace(tiny_rig(), correctives=None)
    look = Look(checkered(), checkered(), unlit=True)
    seen = in_blender(write_fbx(tmp_path / "tiny.fbx", rig, look=look), [0.0])
    assert seen.counts["actions"] == []
    assert len(seen.counts["textures"]) == 1
    np.testing.assert_allclose(seen.posed[0], rig.vertices.numpy(), atol=MILLIMETRE)


def pictures_in_blender(folder, path) -> dict:
    """How the file's pictures are wired, their colour space, their means, and whether they are inside, by name.

    Under "values" is what the surface has where no picture tells.
    """
    script = folder / "pictures.py"
    script.write_text(PICTURES_SCRIPT)
    said = run_in_blender(script, str(path))
    return json.loads(next(line for line in said.splitlines() if line.startswith("SEEN"))[4:])


BONES_SCRIPT = """
import json, sys
import bpy

bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.fbx(filepath=sys.argv[-1], use_anim=False)
(person,) = [thing for thing in bpy.data.objects if thing.type == "ARMATURE"]
bones = {bone.name: [list(row) for row in bone.bone.matrix_local] for bone in person.pose.bones}
nodes = {bone.name: [list(row) for row in bone.matrix] for bone in person.pose.bones}
morphs = [key.value for mesh in bpy.data.meshes if mesh.shape_keys for key in mesh.shape_keys.key_blocks[1:]]
print("SEEN" + json.dumps([bones, nodes, morphs]))
"""


def bones_in_blender(folder, path) -> tuple[dict, dict, list[float]]:
    """How bones are bound, how their nodes stand while nothing plays, and the weights of morph targets then."""
    (folder / "bones.py").write_text(BONES_SCRIPT)
    said = run_in_blender(folder / "bones.py", str(path))
    bones, nodes, morphs = json.loads(next(line for line in said.splitlines() if line.startswith("SEEN"))[4:])
    return bones, nodes, morphs


@needs_blender
def test_nodes_rest_in_the_bind_pose_although_clips_are_there(tmp_path):
    rig = tiny_rig()
    clips = [tiny_clip(rig, name="step"), tiny_clip(rig, 9, "hop")]
    bones, nodes, morphs = bones_in_blender(tmp_path, write_fbx(tmp_path / "a.fbx", rig, clips))
    assert set(bones) == set(rig.skeleton.joint_names)
    for name in bones:
        np.testing.assert_allclose(nodes[name], bones[name], atol=1e-3)  # centimetres
    assert morphs == [0.0] * len(rig.morph_names)


@needs_blender
def test_bones_have_mixamos_axes_in_the_files_own_space(tmp_path):
    rig = body_rig()
    binding, _ = bound_for(rig, [], "mixamo")
    seen, _, _ = bones_in_blender(tmp_path, write_fbx(tmp_path / "a.fbx", rig, names="mixamo"))
    bones = np.array([seen[name] for name in bone_names(rig.skeleton, "mixamo")])
    expected = binding.world_from_bone().numpy()
    np.testing.assert_allclose(bones[:, :3, :3], expected[:, :3, :3], atol=1e-4)
    np.testing.assert_allclose(bones[:, :3, 3] / 100, expected[:, :3, 3], atol=MILLIMETRE)


def highlights(content: bytes) -> tuple[float, ...]:
    """The surface's colour of highlights, which three.js takes as it is and Blender does not read."""
    values = content[content.rindex(b"SpecularColor") :].split(b"A", 1)[1]  # the file's defaults come before
    return struct.unpack("<xdxdxd", values[:27])


def noise(low: tuple[int, int, int], high: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, (64, 64, 3)).astype(np.uint8)


@needs_blender
def test_colours_and_normals_are_two_pictures_with_plain_names(tmp_path):
    colour, normal = noise((150, 60, 20), (250, 160, 60)), noise((118, 118, 245), (138, 138, 255))
    assert encoded_colour(colour)[1] == "image/jpeg"
    (tmp_path / "out").mkdir()
    path = write_fbx(tmp_path / "out" / "person.fbx", tiny_rig(), look=Look(colour, normal, unlit=False))
    assert [found.name for found in path.parent.iterdir()] == ["person.fbx"]
    moved = path.rename(tmp_path / "elsewhere.fbx")
    seen = pictures_in_blender(tmp_path, moved)
    assert set(seen) == {"person_colour.png", "person_normal.png", "values"}
    wires, space, means, inside = seen["person_colour.png"]
    assert (wires, space, inside) == (COLOUR_WIRES, "sRGB", True)
    np.testing.assert_allclose(means, colour.mean((0, 1)) / 255, atol=0.01)
    wires, space, means, inside = seen["person_normal.png"]
    assert (wires, space, inside) == (NORMAL_WIRES, "Non-Color", True)
    np.testing.assert_allclose(means, [0.5, 0.5, 0.98], atol=0.01)
    black, white = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
    assert (seen["values"]["Base Color"], seen["values"]["Emission"], seen["values"]["Specular"]) == (white, black, 0.0)
    assert seen["values"]["Roughness"] > 0.85
    content = moved.read_bytes()
    assert highlights(content) == (0.0, 0.0, 0.0)
    assert not [part for part in (tempfile.gettempdir(), str(tmp_path), ".fbm") if part.encode() in content]


@needs_blender
def test_colours_that_hold_light_shine_alone(tmp_path):
    path = write_fbx(tmp_path / "head.fbx", tiny_rig(), look=Look(checkered(), checkered(), unlit=True))
    seen = pictures_in_blender(tmp_path, path)
    assert set(seen) == {"head_colour.png", "values"}
    assert seen["head_colour.png"][0] == SHINING_WIRES
    white, black = [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]
    values = {"Base Color": black, "Emission": white, "Emission Strength": 1.0, "Specular": 0.0, "Roughness": 1.0}
    assert seen["values"] == values
    np.testing.assert_allclose(seen["head_colour.png"][2], checkered().mean((0, 1)) / 255, atol=0.01)


@needs_blender
def test_a_head_without_pictures_shines_in_the_colour_of_clay(tmp_path):
    seen = pictures_in_blender(
        tmp_path, write_fbx(tmp_path / "head.fbx", tiny_rig(), look=Look(None, None, unlit=True))
    )
    assert set(seen) == {"values"}
    assert seen["values"]["Base Color"] == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(seen["values"]["Emission"], PLAIN_COLOUR[:3], atol=1e-3)


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"end the name in \.fbx"):
        write_fbx(tmp_path / "tiny.glb", tiny_rig())


def test_without_blender_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"Install it .* or write a \.glb"):
        write_fbx(tmp_path / "tiny.fbx", tiny_rig())
    assert list(tmp_path.iterdir()) == []


def fake_blender(folder, words: str) -> None:
    program = folder / "blender"
    program.write_text(f"#!/bin/sh\n{words}\n")
    program.chmod(0o755)


def test_what_blender_leaves_in_its_temporary_folder_goes(tmp_path, monkeypatch):
    programs, places = tmp_path / "programs", tmp_path / "places"
    programs.mkdir(), places.mkdir()
    fake_blender(programs, 'echo "$TMPDIR"; mkdir "$TMPDIR/blender_left"')
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(tempfile, "tempdir", str(places))
    said = run_in_blender(tmp_path / "script.py")
    assert said.startswith(str(places))
    assert list(places.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("echo 'ModuleNotFoundError: No module named numpy' >&2; exit 3", "python3-numpy"),
        ("echo 'RuntimeError: no room' >&2; exit 3", "RuntimeError: no room"),
        ("exit 3", "it said nothing"),
        ("exit 0", r"wrote no tiny\.fbx"),
        ("while :; do :; done", "did not do its work"),
    ],
)
def test_a_blender_that_fails_leaves_no_file(tmp_path, monkeypatch, words, told):
    programs, out = tmp_path / "programs", tmp_path / "out"
    programs.mkdir()
    fake_blender(programs, words)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(blender, "LONGEST", 1.0)
    with pytest.raises(InputError, match=told):
        write_fbx(out / "tiny.fbx", tiny_rig())
    assert list(out.iterdir()) == []


@needs_blender
def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        write_fbx(tmp_path / "file" / "tiny.fbx", tiny_rig())
