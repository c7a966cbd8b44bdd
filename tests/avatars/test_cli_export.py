"""`avatars export` to rigged files, as a user types it."""

import json
from pathlib import Path

import pytest

from avatars.cli import main
from avatars.models import save
from body_models.gltf import Document
from tests.avatars.head_drivers import acting_head
from tests.avatars.small_avatar import small_avatar_file
from tests.avatars.tiny_bvh import write_bvh

SMALL = ("--faces", "2000", "--resolution", "48", "--texture", "128")


@pytest.fixture(scope="module")
def avatar_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_avatar_file(tmp_path_factory.mktemp("avatar"))


def runs(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def fails(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("Error: ")
    return message


def test_one_command_gives_a_rigged_animated_file(avatar_file, tmp_path, capsys) -> None:
    walk, out = write_bvh(tmp_path / "walk.bvh"), tmp_path / "a.glb"
    said = runs(capsys, "export", avatar_file, "--motion", walk, "--rig", "mixamo", *SMALL, "--out", out)
    assert "24 bones" in said
    assert "1 clip)" in said
    assert "no colours" in said
    document = Document(out).gltf
    assert {document.nodes[joint].name for joint in document.skins[0].joints} >= {"mixamorig:Hips"}
    assert document.asset.extras["syntheticMedia"] is True


def test_a_clip_can_be_cut(avatar_file, tmp_path, capsys) -> None:
    out = tmp_path / "a.glb"
    runs(capsys, "export", avatar_file, "--training-poses", "--start", "1", *SMALL, "--out", out)
    document = Document(out)
    sampler = document.gltf.animations[0].samplers[0]
    assert len(document.accessor(sampler.input)) == 1


def test_the_report_says_how_far_the_rig_is_off(avatar_file, tmp_path, capsys) -> None:
    out = tmp_path / "a.glb"
    said = runs(capsys, "export", avatar_file, "--training-poses", "--report", *SMALL, "--out", out)
    assert "mm" in said
    assert json.loads((tmp_path / "a.report.json").read_text())


def test_a_head_keeps_its_face(tmp_path, capsys) -> None:
    file, out = tmp_path / "head.avatar", tmp_path / "a.glb"
    save(acting_head(), file)
    said = runs(capsys, "export", file, "--training-poses", *SMALL, "--out", out)
    assert "52 morph targets" in said
    assert "1 clip" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "a.xyz"), "a.xyz"),
        (("--rig", "biped", "--out", "a.glb"), "mixamo"),
        (("--pose", "0", "--out", "a.usdz"), "meshes"),
        (("--report", "--out", "a.glb"), "--motion"),
        (("--report", "--pose", "0", "--out", "a.ply"), "--report"),
        (("--faces", "10", "--out", "a.glb"), "10"),
        (("--texture", "7", "--out", "a.glb"), "Textures"),
        (("--motion", "nowhere.bvh", "--out", "a.glb"), "nowhere.bvh"),
        (("--motion", "a.bvh", "b.bvh", "--out", "a.ply"), "Several motions"),
        (("--out", "meshes"), "has no ending"),
    ],
)
def test_wrong_requests_are_told_and_leave_nothing(
    avatar_file, tmp_path, capsys, monkeypatch, arguments, message
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in fails(capsys, "export", avatar_file, *arguments)
    assert list(tmp_path.iterdir()) == []
