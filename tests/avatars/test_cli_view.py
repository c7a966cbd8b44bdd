"""`avatars view`, but for what a browser shows; for that see tests/avatars/viewer."""

import socket
from pathlib import Path

import pytest

pytest.importorskip("viser", reason="viser is not installed: pip install viser")

from avatars.cli.viewing import View
from avatars.viewer import Viewer
from body_models import InputError
from tests.avatars.small_avatar import small_avatar_file
from tests.avatars.tiny_bvh import write_bvh


@pytest.fixture
def served(monkeypatch):
    """Viewers that the verb made, which it leaves as soon as they are ready."""
    made = []

    def ready(viewer):
        viewer.wait(30.0)
        made.append(([figure.name for figure in viewer.stage.figures], [f.clip for f in viewer.stage.figures]))

    monkeypatch.setattr(Viewer, "serve_forever", ready)
    return made


def test_avatars_are_shown_side_by_side_in_motion(served, tmp_path, capsys):
    path = small_avatar_file(tmp_path)
    motion = write_bvh(tmp_path / "walk.bvh")
    assert View((path, path), motion, port=23_900).run() == ""
    names, clips = served[0]
    assert names == ["small", "small"]
    assert None not in clips
    assert "Open http://localhost:239" in capsys.readouterr().out


def test_a_folder_is_a_gallery(served, tmp_path, monkeypatch):
    small_avatar_file(tmp_path)
    seen = []
    monkeypatch.setattr(Viewer, "show_gallery", lambda viewer, places, motion: seen.append((list(places), motion)))
    View((tmp_path,), port=23_900).run()
    assert [place.path.name for place in seen[0][0]] == ["small.avatar"]
    assert seen[0][1] is None


def test_a_port_in_use_is_told(served, tmp_path, capsys):
    path = small_avatar_file(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        View((path,), port=port).run()
    assert f"(port {port} is in use, so it is " in capsys.readouterr().out


def test_who_came_by_ssh_learns_the_tunnel(served, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.2 50000 10.0.0.9 22")
    View((small_avatar_file(tmp_path),), port=23_900).run()
    assert "ssh -N -L 239" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"avatars": ()}, "Name an avatar file"),
        ({"avatars": ("none.avatar",)}, "No file or folder"),
        ({"avatars": ("empty",)}, "holds no .avatar files"),
        ({"avatars": ("text.avatar",)}, "cannot be read as an avatar"),
        ({"port": 0}, "--port 0 is not in 1 to 65535"),
        ({"port": 99_999}, "--port 99999 is not"),
        ({"host": "192.0.2.1"}, "not an address of this computer"),
        ({"motion": "none.bvh"}, "No motion file"),
        ({"motion": "text.bvh"}, "text.bvh"),
        ({"prior": "none.prior"}, "No prior file"),
    ],
)
def test_bad_input_is_told(served, tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    small_avatar_file(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.bvh").write_text("hello")
    (tmp_path / "text.avatar").write_text("no avatar")
    paths = {name: Path(value) for name, value in given.items() if name in ("motion", "prior")}
    files = tuple(Path(name) for name in given.get("avatars", ("small.avatar",)))
    plain = {name: value for name, value in given.items() if name in ("port", "host")}
    with pytest.raises(InputError, match=said):
        View(files, **{"port": 23_900, **plain, **paths}).run()
    assert served == []
