"""The harness itself: programs that always say yes prove nothing."""

import struct

import pytest

from tests.tools import validator_messages


def glb(document: bytes, path):
    """A GLB of a JSON document alone."""
    padded = document + b" " * (-len(document) % 4)
    header = struct.pack("<4sIIII", b"glTF", 2, 20 + len(padded), len(padded), 0x4E4F534A)
    path.write_bytes(header + padded)
    return path


def test_the_validator_is_content_with_an_empty_scene(tmp_path):
    said = validator_messages(glb(b'{"asset": {"version": "2.0"}}', tmp_path / "empty.glb"))
    assert (said["numErrors"], said["numWarnings"], said["messages"]) == (0, 0, [])


def test_the_validator_finds_errors_warnings_and_hints(tmp_path):
    document = b'{"asset": {"version": "2.0"}, "materials": [{"alphaCutoff": 0.5}], "scene": 3, "surprise": 1}'
    said = validator_messages(glb(document, tmp_path / "bad.glb"))
    assert {message["code"] for message in said["messages"]} == {
        "UNEXPECTED_PROPERTY", "UNRESOLVED_REFERENCE", "MATERIAL_ALPHA_CUTOFF_INVALID_MODE", "UNUSED_OBJECT",
    }  # fmt: skip
    assert (said["numErrors"], said["numWarnings"]) == (1, 2)


def test_a_file_that_is_no_gltf_fails_the_test(tmp_path):
    path = tmp_path / "text.glb"
    path.write_text("no glTF")
    with pytest.raises(AssertionError, match="could not detect glTF format"):
        validator_messages(path)
