from avatars.cli import main
from avatars.models.file import load_avatar
from tests.avatars.fit.tiny_video import FRAMES


def test_a_dataset_becomes_an_avatar_file(talking, tmp_path, capsys):
    out = tmp_path / "bob.avatar"
    preset = ["--preset", str(talking / "tiny.yaml"), "--steps", "2", "--evaluate", "--device", "cpu"]
    assert main(["fit-video", str(talking / "data"), "--out", str(out), *preset]) == 0
    told = capsys.readouterr()
    assert f"Head of {FRAMES - 2} frames: {out}" in told.out
    assert told.out.rstrip().endswith(f"avatars animate {out} --turntable --out turn.mp4")
    assert "Held-out frames: " in told.err
    assert len(load_avatar(out).tracks) == FRAMES - 2


def test_a_missing_video_is_one_line(tmp_path, capsys):
    assert main(["fit-video", str(tmp_path / "none.mp4"), "--out", str(tmp_path / "bob.avatar")]) == 2
    assert capsys.readouterr().err.startswith("Error: No video or dataset at")


def test_an_interruption_names_the_way_on(tmp_path, capsys, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("avatars.fit.fit_video", stopped)
    assert main(["fit-video", "talk.mp4", "--out", "bob.avatar"]) == 130
    assert "avatars fit-video talk.mp4 --out bob.avatar --resume" in capsys.readouterr().err
