"""`avatars prepare` as users meet it; what comes out is tested in tests/data_prep/test_prepare.py."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avatars.cli import main
from data_prep.video_dataset import read_video_dataset
from tests.data_prep.talking_video import COUNT, assert_equal_results, film, pictures

pytest.importorskip("mediapipe")
ROOT = Path(__file__).resolve().parents[2]
QUICK = ("--size", "96", "--no-overlay")


def started(*arguments: str | Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    command = [sys.executable, "-m", "avatars", "prepare", *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=_hear_control_c,
    )


def _hear_control_c() -> None:
    """A shell's background jobs ignore Ctrl-C, and would hand that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(*arguments: str | Path) -> tuple[int, str, str]:
    process = started(*arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return film(tmp_path_factory.mktemp("film") / "head.mp4", pictures())


def assert_one_line(err: str) -> str:
    """Nothing but the bars and one message: no traceback, no chatter of the libraries."""
    lines = [line for line in err.splitlines() if line.strip() and "ETA" not in line]
    assert len(lines) == 1, err
    assert lines[0].startswith("Error: ")
    return lines[0]


def refused(out: Path, *arguments: str | Path) -> str:
    """The message, from a process of its own."""
    code, _, err = run(*arguments, "--out", out, *QUICK)
    assert code == 2, err
    assert not (out / "dataset.json").exists()
    return assert_one_line(err)


def refused_here(capsys, out: Path, *arguments: str | Path) -> str:
    """The message, without the seconds that a new process takes."""
    assert main(["prepare", *map(str, arguments), "--out", str(out), *QUICK]) == 2
    assert not (out / "dataset.json").exists()
    return assert_one_line(capsys.readouterr().err)


def test_a_dataset_and_where_to_look(video, tmp_path, capsys):
    out = tmp_path / "dataset"
    code, said, err = run(video, "--out", out, *QUICK)
    assert code == 0, err
    assert all("ETA" in line for line in err.splitlines() if line.strip())
    assert said == (
        f"Dataset of {COUNT} frames, {COUNT} of them usable: {out}. Look at {out / 'summary.html'} first.\n"
    )
    assert len(read_video_dataset(out)) == COUNT
    assert main(["prepare", str(video), "--out", str(out)]) == 2
    assert "finished dataset" in assert_one_line(capsys.readouterr().err)
    assert len(read_video_dataset(out)) == COUNT


def test_no_face(tmp_path):
    room = film(tmp_path / "room.mp4", [np.full((96, 96, 3), 90, np.uint8)] * 5)
    message = refused(tmp_path / "out", room)
    assert "No face" in message
    assert "--body" in message


def test_a_corrupt_file(video, tmp_path):
    noise = np.random.default_rng(0).bytes(20_000)
    (tmp_path / "noise.mp4").write_bytes(noise)
    assert "noise.mp4" in refused(tmp_path / "out", tmp_path / "noise.mp4")


def test_damage_inside_a_file_is_one_message_or_a_dataset(video, tmp_path, capsys):
    content = bytearray(video.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 2000] = np.random.default_rng(1).bytes(2000)
    (tmp_path / "hurt.mp4").write_bytes(content)
    code = main(["prepare", str(tmp_path / "hurt.mp4"), "--out", str(tmp_path / "out"), *QUICK])
    if code == 2:
        assert_one_line(capsys.readouterr().err)
    assert code in (0, 2)
    assert (tmp_path / "out" / "dataset.json").exists() == (code == 0)


@pytest.mark.parametrize("share", [0.05, 0.7])
def test_of_a_truncated_file_what_is_there_is_used_and_the_rest_told(video, tmp_path, capsys, share):
    """Where the index comes first, as ours does; without an index there is nothing to read."""
    content = video.read_bytes()
    (tmp_path / "half.mp4").write_bytes(content[: int(share * len(content))])
    code = main(["prepare", str(tmp_path / "half.mp4"), "--out", str(tmp_path / "out"), *QUICK])
    err = capsys.readouterr().err
    assert code == (2 if share < 0.5 else 0)
    assert "half.mp4" in err
    if code == 0:
        assert "half.mp4 ends early" in err
        dataset = read_video_dataset(tmp_path / "out")
        assert 3 <= len(dataset) < COUNT
        assert any("ends early" in note for note in dataset.notes)


def test_trouble_is_counted(tmp_path, capsys):
    frames = list(pictures())
    frames[3] = np.zeros_like(frames[3])
    film(tmp_path / "black.mp4", frames)
    assert main(["prepare", str(tmp_path / "black.mp4"), "--out", str(tmp_path / "out"), *QUICK]) == 0
    assert f"{COUNT} frames, {COUNT - 1} of them usable, 1 warning: " in capsys.readouterr().out


def test_sound_without_pictures(tmp_path, capsys):
    with av.open(str(tmp_path / "sound.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = 16000, Fraction(1, 16000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    message = refused_here(capsys, tmp_path / "out", tmp_path / "sound.m4a")
    assert "sound.m4a" in message
    assert "video" in message


def test_files_that_are_not_there(tmp_path, capsys):
    assert "does not exist" in refused_here(capsys, tmp_path / "out", tmp_path / "gone.mp4")
    (tmp_path / "empty").mkdir()
    assert "empty" in refused_here(capsys, tmp_path / "out", tmp_path / "empty")
    (tmp_path / "zero.mp4").touch()
    assert "zero.mp4" in refused_here(capsys, tmp_path / "out", tmp_path / "zero.mp4")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--model", "flaem"), "Unknown model 'flaem'"),
        (("--size", "3"), "--size 3"),
        (("--crop", "face"), "--crop 'face'"),
        (("--focal", "-5"), "--focal -5"),
        (("--start", "9"), "--start 9"),
        (("--landmarks", "no.npz"), "no.npz"),
        (("--masks", "no_masks"), "no_masks"),
        (("--resume",), "no interrupted work"),
    ],
)
def test_options_that_make_no_sense(video, tmp_path, capsys, flags, message):
    assert main(["prepare", str(video), "--out", str(tmp_path / "out"), *flags]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_places_that_cannot_be_used(video, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert "is a file" in refused_here(capsys, tmp_path / "file", video)
    message = refused_here(capsys, video.parent, video)
    assert "head.mp4" in message
    assert "new folder" in message
    assert video.is_file()


def test_a_killed_run_is_gone_on_with(video, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "killed"
    assert main(["prepare", str(video), "--out", str(whole), *QUICK]) == 0
    process = started(video, "--out", out, *QUICK)
    _wait_for(lambda: (out / "frames" / "000003.png").exists() or process.poll() is not None)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was killed before its end"
    assert not (out / "dataset.json").exists()
    assert (out / "work" / "job.json").is_file()
    assert main(["prepare", str(video), "--out", str(out), *QUICK, "--resume"]) == 0
    assert_equal_results(read_video_dataset(out), read_video_dataset(whole))
    assert sorted(_files(out)) == sorted(_files(whole)), "nothing of the killed run stays"


def test_control_c_tells_how_to_resume(video, tmp_path):
    out = tmp_path / "out put"
    process = started(video, "--out", out, *QUICK)
    _wait_for(lambda: (out / "frames" / "000001.png").exists() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT), err  # a shell shows 130 for both
    assert "Traceback" not in err
    assert "resume with: avatars prepare" in err
    assert shlex.quote(str(out)) in err
    assert "--resume" in err


def _wait_for(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happens() and time.monotonic() < deadline:
        time.sleep(0.005)


def _files(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*")]
