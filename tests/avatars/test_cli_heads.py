from pathlib import Path

import pytest
import trimesh

from avatars.cli import main
from avatars.models.file import save
from body_models import write_arkit, write_head_motion
from tests.avatars.head_drivers import acting_head, talker
from tests.avatars.small_avatar import small_avatar_file
from tests.avatars.small_nerface import small_nerface
from tests.avatars.tiny_bvh import write_bvh

SMALL = ("--size", "32", "--fps", "2")


@pytest.fixture(scope="module")
def head_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("head") / "bob.avatar"
    save(acting_head(), path)
    return path


def runs(capsys, *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def fails(capsys, *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    message = capsys.readouterr().err
    assert "Error: " in message
    return message


def test_info_tells_what_a_head_can_do(head_file, capsys):
    told = runs(capsys, "info", head_file)
    assert all(word in told for word in ("imavatar", "anny-head", "left_eye", "52 actions", "60 frames", "96 x 96"))


@pytest.mark.parametrize("name", ["face.csv", "face.npz"])
def test_another_person_drives_the_head(head_file, tmp_path, capsys, name):
    write = write_arkit if name.endswith("csv") else write_head_motion
    write(tmp_path / name, talker())
    said = runs(capsys, "animate", head_file, "--motion", tmp_path / name, "--out", tmp_path / "film", *SMALL)
    assert said.startswith(f"Video: {tmp_path / 'film'}")
    assert len(list((tmp_path / "film").iterdir())) == 4


def test_notes_about_the_driver_are_told(head_file, tmp_path, capsys):
    write_head_motion(tmp_path / "face.npz", talker(2))
    said = runs(capsys, "animate", head_file, "--motion", tmp_path / "face.npz", "--out", tmp_path / "a.gif", *SMALL)
    assert "Note: Motion 'face' is too short" in said


def test_own_video_and_views(head_file, tmp_path, capsys):
    view = ("--yaw", "30", "--pitch", "-10", "--end", "0.5")
    runs(capsys, "animate", head_file, "--training-poses", *view, "--out", tmp_path / "a.gif", *SMALL)
    runs(capsys, "animate", head_file, "--turntable", "--degrees", "60", "--out", tmp_path / "b.gif", *SMALL)


def test_one_mesh_or_one_for_each_frame(head_file, tmp_path, capsys):
    write_head_motion(tmp_path / "face.npz", talker())
    small = ("--resolution", "32", "--motion", tmp_path / "face.npz")
    runs(capsys, "export", head_file, *small, "--frame", "30", "--out", tmp_path / "a.ply")
    assert trimesh.load(tmp_path / "a.ply").visual.kind == "vertex"
    said = runs(capsys, "export", head_file, *small, "--end", "0.1", "--format", "glb", "--out", tmp_path / "many")
    assert "4 frames of 30 a second" in said
    assert len(list((tmp_path / "many").glob("*.glb"))) == 4
    own = ("--training-poses", "--start", "1.9", "--resolution", "32")
    assert "3 frames" in runs(capsys, "export", head_file, *own, "--out", tmp_path / "own")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--pose", "0", "--out", "meshes"), "has no ending"),
        (("--training-poses", "--out", "a.ply"), "needs a folder"),
        (("--motion", "face.npz", "--frame", "1", "--out", "meshes"), "--frame"),
        (("--motion", "face.npz", "--format", "fbx", "--out", "meshes"), r".glb"),
        (("--pose", "0", "--canonical", "--out", "a.ply"), "one of --pose"),
        (("--pose", "99", "--out", "a.ply"), "No frame 99"),
        (("--training-poses", "--start", "9", "--out", "meshes"), "lasts 1.97 s"),
        (("--training-poses", "--start", "1", "--end", "0", "--out", "meshes"), "end must come after"),
        (("--training-poses", "--start", "nan", "--out", "meshes"), "end must come after"),
    ],
)
def test_wrong_exports_are_told(head_file, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in fails(capsys, "export", head_file, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_wrong_drivers_are_told_and_leave_nothing(head_file, tmp_path, capsys):
    out = tmp_path / "out.mp4"
    walk = write_bvh(tmp_path / "walk.bvh")
    assert "head does not turn" in fails(capsys, "animate", head_file, "--motion", walk, "--out", out)
    (tmp_path / "talk.mp4").write_bytes(b"0")
    assert "avatars prepare" in fails(capsys, "animate", head_file, "--motion", tmp_path / "talk.mp4", "--out", out)
    assert "nothing at" in fails(capsys, "animate", head_file, "--motion", tmp_path / "no.tracked", "--out", out)
    assert "--turntable" in fails(capsys, "animate", head_file, "--training-poses", "--degrees", "9", "--out", out)
    assert not out.exists()


def test_a_volume_is_driven_but_has_no_mesh(tmp_path, capsys):
    volume, out = tmp_path / "volume.avatar", tmp_path / "a.ply"
    save(small_nerface(), volume)
    write_head_motion(tmp_path / "face.npz", talker())
    drives = ("--motion", tmp_path / "face.npz")
    runs(capsys, "animate", volume, *drives, "--end", "0.5", "--out", tmp_path / "film", *SMALL)
    assert len(list((tmp_path / "film").iterdir())) == 2
    assert "nerface" in runs(capsys, "info", volume)
    for pose in (drives, ("--pose", "0"), ("--canonical",)):
        assert "without a surface" in fails(capsys, "export", volume, *pose, "--out", out)
    assert "without a surface" in fails(capsys, "export", volume, *drives, "--out", tmp_path / "many")
    assert not out.exists()
    assert not (tmp_path / "many").exists()


def test_absolute_is_for_heads(tmp_path, capsys):
    body, walk = small_avatar_file(tmp_path), write_bvh(tmp_path / "walk.bvh")
    out = tmp_path / "out.mp4"
    assert "heads" in fails(capsys, "animate", body, "--motion", walk, "--absolute", "--out", out)
