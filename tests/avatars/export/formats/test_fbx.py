"""FBX files, read back by Blender."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from avatars.export.formats import blender
from avatars.export.formats.fbx import write_fbx
from avatars.export.look import Look
from body_models import InputError
from tests.avatars.export.outside.rigs import checkered, tiny_clip, tiny_rig
from tests.tools import in_blender

needs_blender = pytest.mark.skipif(shutil.which("blender") is None, reason="Blender is not installed")
MILLIMETRE = 1e-3


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
