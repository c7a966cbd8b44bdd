import os
import re
from pathlib import Path

import pytest

from body_models.errors import InputError
from data_prep.video.job import OURS, WORK, Job, close_work, open_work

OPTIONS = {"size": 96, "crop": "auto", "end": None}


@pytest.fixture
def video(tmp_path) -> Path:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"film")
    return path


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "dataset"


def begin(out: Path, video: Path, resume: bool = False, overwrite: bool = False, **changes: object) -> bool:
    """Whether work is gone on with."""
    work, going_on = open_work(out, Job.of(video, OPTIONS | changes), resume, overwrite)
    assert work == out / WORK
    assert (work / "job.json").is_file()
    return going_on


def leave_work(out: Path) -> None:
    """What an interrupted run leaves."""
    for name in ("frames/000000.png", "work/faces-0000000-4.npz"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(b"work")


def finish(out: Path) -> None:
    (out / "dataset.json").write_text("{}")
    (out / "summary.html").write_text("")
    close_work(out)


def refused(message: str, *arguments: object, **more: object) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        begin(*arguments, **more)


def test_the_same_job_goes_on(out, video):
    assert not begin(out, video)
    leave_work(out)
    assert begin(out, video)
    assert begin(out, video, resume=True)
    assert (out / "work" / "faces-0000000-4.npz").is_file()
    assert (out / "frames" / "000000.png").is_file()


def test_another_job_clears_what_was_there(out, video):
    begin(out, video)
    leave_work(out)
    assert not begin(out, video, size=128)
    assert sorted(path.name for path in out.rglob("*")) == ["job.json", "work"]
    assert begin(out, video, size=128)


def test_a_video_that_changed_is_another_job(out, video):
    begin(out, video)
    os.utime(video, ns=(1, 1))
    assert not begin(out, video)
    video.write_bytes(b"longer film")
    assert not begin(out, video)


def test_a_folder_that_gets_another_picture_is_another_job(out, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "0.png").write_bytes(b"a")
    begin(out, folder)
    assert begin(out, folder)
    (folder / "1.png").write_bytes(b"b")
    assert not begin(out, folder)


def test_a_folder_whose_picture_changed_is_another_job(out, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "0.png").write_bytes(b"a")
    begin(out, folder)
    (folder / "0.png").write_bytes(b"another picture")
    assert not begin(out, folder)


def test_own_landmarks_that_changed_are_another_job(out, video, tmp_path):
    own = tmp_path / "own.npz"
    own.write_bytes(b"a")
    begin(out, video, landmarks=str(own))
    assert begin(out, video, landmarks=str(own))
    own.write_bytes(b"others")
    assert not begin(out, video, landmarks=str(own))


def test_resume_insists(out, video, tmp_path):
    refused("there is no interrupted work in it", out, video, resume=True)
    begin(out, video)
    leave_work(out)
    refused("other options (--size)", out, video, resume=True, size=128)
    other = tmp_path / "other.mp4"
    other.write_bytes(b"film")
    refused(f"it was made from {video}", out, other, resume=True)
    assert begin(out, video, resume=True)
    assert (out / "work" / "faces-0000000-4.npz").is_file()


@pytest.mark.parametrize("record", ["", "{", "[]", "3", "{}", '{"source": 1}', "[" * 3000])
def test_a_damaged_record_is_no_crash(out, video, record):
    begin(out, video)
    (out / WORK / "job.json").write_text(record)
    refused("its record cannot be read", out, video, resume=True)
    assert not begin(out, video)


def test_a_finished_dataset_is_kept_unless_told(out, video):
    begin(out, video)
    leave_work(out)
    finish(out)
    for resume in (False, True):
        refused("finished dataset", out, video, resume=resume)
    assert (out / "frames" / "000000.png").is_file()
    assert not begin(out, video, overwrite=True)
    assert not (out / "dataset.json").exists()
    assert not (out / "frames").exists()


def test_other_files_are_never_touched(out, video):
    begin(out, video)
    (out / "thesis.tex").write_text("years")
    for flags in ({}, {"overwrite": True}):
        refused("'thesis.tex'", out, video, size=128, **flags)
    assert (out / "thesis.tex").read_text() == "years"
    assert (out / WORK).is_dir()


@pytest.mark.parametrize("name", ["frames", "masks", "work", "overlay.mp4"])
def test_a_folder_that_we_did_not_make_is_not_emptied(out, video, name):
    """One's own pictures may well lie in a folder named `frames`."""
    (out / name).mkdir(parents=True)
    (out / name / "mine.png").write_bytes(b"mine")
    for flags in ({}, {"overwrite": True}):
        refused(f"'{name}'", out, video, **flags)
    assert (out / name / "mine.png").is_file()


def test_input_inside_the_dataset_is_not_eaten(out, video):
    begin(out, video)
    leave_work(out)
    finish(out)
    refused("inside", out, out / "frames", overwrite=True)
    refused("inside", out, video, overwrite=True, masks=str(out / "frames"))
    assert (out / "frames" / "000000.png").is_file()
    assert (out / "dataset.json").is_file()


def test_clearing_that_was_interrupted_is_done_again(out, video, monkeypatch):
    begin(out, video)
    leave_work(out)
    finish(out)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("data_prep.video.job.shutil.rmtree", stop)
    with pytest.raises(KeyboardInterrupt):
        begin(out, video, overwrite=True)
    monkeypatch.undo()
    assert not begin(out, video)
    assert not (out / "frames").exists()


def test_a_file_at_out(out, video):
    out.write_text("mine")
    for overwrite in (False, True):
        refused("is a file", out, video, overwrite=overwrite)
    assert out.read_text() == "mine"


def test_a_place_below_a_file(out, video):
    out.write_text("mine")
    refused("Cannot write", out / "below", video)


def test_hidden_files_do_not_matter(out, video):
    out.mkdir()
    (out / ".DS_Store").write_text("")
    assert not begin(out, video)


def test_all_that_is_written_is_known(out):
    assert {"frames", "masks", "dataset.json", "work"} <= set(OURS)
