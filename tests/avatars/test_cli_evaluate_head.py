import json

import pytest

from avatars.cli import main
from avatars.models.file import save
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_head import small_head


@pytest.fixture(scope="module")
def bob(tmp_path_factory):
    file = tmp_path_factory.mktemp("head") / "bob.avatar"
    save(small_head(), file)
    return file


def test_a_head_is_evaluated(bob, talking, tmp_path, capsys):
    words = ["evaluate", str(bob), str(talking / "data"), "--size", "32"]
    assert main([*words, "--out", str(tmp_path / "report"), "--json", str(tmp_path / "scores.json")]) == 0
    told = capsys.readouterr().out
    assert "| face |" in told
    assert "No LPIPS" in told or "LPIPS |" in told
    assert (tmp_path / "report" / "sheet.png").is_file()
    assert len(json.loads((tmp_path / "scores.json").read_text())["frames"]) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "avatars evaluate"),
        (["--scans", "held_out"], "which is compared with a tracked video"),
        (["none"], "No dataset at 'none'"),
        (["DATA", "--frames", "lost"], "Unknown choice of frames"),
        (["DATA", "--size", "5"], "size of 5 pixels"),
    ],
)
def test_bad_words_are_one_line(bob, talking, capsys, words, told):
    given = [str(talking / "data") if word == "DATA" else word for word in words]
    assert main(["evaluate", str(bob), *given]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert told in error


@pytest.mark.parametrize("words", [[], ["data"], ["--scans", "held_out", "--out", "report"]])
def test_a_body_wants_scans(tmp_path, capsys, words):
    save(small_avatar(), tmp_path / "alice.avatar")
    assert main(["evaluate", str(tmp_path / "alice.avatar"), *words]) == 2
    assert "the avatar of a body, which is compared with scans: `avatars evaluate" in capsys.readouterr().err
