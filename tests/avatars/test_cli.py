import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import avatars
from avatars.cli import main
from avatars.cli.fitting import write_json
from data_prep.atomic import replacing
from tests.avatars.small_avatar import small_avatar_file
from tests.avatars.tiny_bvh import write_bvh

ROOT = Path(__file__).resolve().parents[2]
VERBS = ("prepare", "fit-scans", "fit-video", "sample", "train-prior", "animate", "export", "evaluate", "info")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    command = [sys.executable, "-m", "avatars", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


@pytest.fixture(scope="module")
def avatar_file(tmp_path_factory):
    return small_avatar_file(tmp_path_factory.mktemp("avatar"))


def fails(capsys, *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith("Error: ")
    return message


def test_help_lists_the_verbs_without_loading_torch():
    done = run("--help")
    assert done.returncode == 0
    assert all(verb in done.stdout for verb in VERBS)
    code = "import sys; from avatars.cli import main; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT).stdout == "False\n"


def test_no_argument_shows_help():
    assert run().stdout == run("--help").stdout


def test_version():
    assert run("--version").stdout == f"avatars {avatars.__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    assert f"avatars {verb}" in capsys.readouterr().out


def test_unknown_file_is_one_message_and_code_2(tmp_path):
    done = run("info", tmp_path / "nobody.avatar")
    assert done.returncode == 2
    assert "nobody.avatar" in done.stderr
    assert "avatars fit-scans" in done.stderr
    assert "Traceback" not in done.stderr


def test_truncated_avatar(avatar_file, tmp_path, capsys):
    broken = tmp_path / "broken.avatar"
    broken.write_bytes(avatar_file.read_bytes()[:20_000])
    assert "truncated" in fails(capsys, "info", broken)


def test_avatar_of_a_newer_version(tmp_path, capsys):
    path = tmp_path / "future.avatar"
    save_file({"poses": torch.zeros(1)}, path, metadata={"format": "animatable-avatar", "version": "999"})
    assert "newer version" in fails(capsys, "animate", path, "--turntable", "--out", tmp_path / "a.mp4")


def test_safetensors_of_something_else(tmp_path, capsys):
    path = tmp_path / "weights.avatar"
    save_file({"weight": torch.zeros(1)}, path)
    assert "no avatar" in fails(capsys, "info", path)


def test_info_tells_what_is_inside(avatar_file, capsys):
    assert main(["info", str(avatar_file)]) == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("snarf", "24 joints", "standing, bent", "made for tests"))


def test_export_and_animate_say_where_the_file_is(avatar_file, tmp_path, capsys):
    mesh, film = tmp_path / "pose.ply", tmp_path / "frames"
    walk = write_bvh(tmp_path / "walk.bvh", frames=3)
    assert main(["export", str(avatar_file), "--pose", "1", "--resolution", "48", "--out", str(mesh)]) == 0
    assert str(mesh) in capsys.readouterr().out
    arguments = ["--motion", str(walk), "--fps", "10", "--size", "32", "--out", str(film)]
    assert main(["animate", str(avatar_file), *arguments]) == 0
    assert str(film) in capsys.readouterr().out
    assert len(list(film.iterdir())) == 3


@pytest.mark.parametrize("poses", [[], ["--pose", "0", "--canonical"]])
def test_export_wants_exactly_one_pose(avatar_file, tmp_path, capsys, poses):
    assert "--canonical" in fails(capsys, "export", avatar_file, *poses, "--out", tmp_path / "a.ply")


def test_animate_wants_something_to_film(avatar_file, tmp_path, capsys):
    assert "--turntable" in fails(capsys, "animate", avatar_file, "--out", tmp_path / "a.mp4")


@pytest.mark.parametrize(("content", "message"), [(None, "no file or folder"), ("", "no scans in")])
def test_scans_that_are_not_there(tmp_path, capsys, content, message):
    scans = tmp_path / "scans"
    if content is not None:
        scans.mkdir()
    told = fails(capsys, "fit-scans", scans, "--out", tmp_path / "a.avatar")
    assert message in told
    assert not (tmp_path / "a.avatar").exists()


def test_ctrl_c_tells_how_to_resume(monkeypatch, capsys, tmp_path):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("avatars.cli.fitting.FitScans.run", interrupted)
    assert main(["fit-scans", "my scans", "--out", "a.avatar"]) == 130
    assert "avatars fit-scans 'my scans' --out a.avatar --resume" in capsys.readouterr().err


def test_sigterm_cleans_up_as_ctrl_c_does(monkeypatch, capsys, tmp_path):
    def terminated(_):
        with replacing(tmp_path / "frames") as folder:
            folder.mkdir()
            (folder / "0.ply").write_text("half of a mesh")
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("avatars.cli.exporting.Export.run", terminated)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["export", "a.avatar", "--out", "frames"]) == 143
    assert "nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_is_told_though_a_library_swallowed_it(monkeypatch):
    def careless(_):
        with suppress(BaseException):
            signal.raise_signal(signal.SIGTERM)
        return ""

    monkeypatch.setattr("avatars.cli.exporting.Export.run", careless)
    assert main(["export", "a.avatar", "--out", "frames"]) == 143


def test_evaluation_as_json(tmp_path):
    from avatars.fit import Evaluation, EvaluationRow

    row = EvaluationRow("a", 0.9, 0.8, 5.0, 0.95, float("nan"), torch.zeros(24, 3), torch.zeros(3))
    write_json(Evaluation((row,), (("b", "no person"),)), tmp_path / "out.json")
    stored = json.loads((tmp_path / "out.json").read_text())
    assert stored["mean"]["iou_box"] == pytest.approx(0.9)
    assert stored["scans"][0]["residual_mm"] is None
    assert stored["skipped"] == [{"name": "b", "reason": "no person"}]


def test_a_path_that_the_system_refuses_is_one_message(capsys):
    assert "File name too long" in fails(capsys, "info", "a" * 5000)


def test_a_reader_that_leaves_is_no_traceback(avatar_file):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "avatars", "info", str(avatar_file)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=300)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
