"""The paper's table in small, as a user types it: it fits, tests, keeps its fits and shows figures that are numbers."""

import json
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SMALL = ("--steps", "2", "--size", "32", "--eval-size", "64", "--frames", "4", "--tests", "2", "--device", "cpu")


@pytest.fixture(scope="module")
def run():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        from table_imavatar import main

        def typed(*words):
            patch.setattr(sys, "argv", ["table_imavatar.py", *map(str, words)])
            main()

        yield typed


@pytest.fixture(scope="module")
def out(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    run("--out", folder, "--subjects", "1,", "--rows", "fast", *SMALL)
    return folder


def test_a_row_on_a_synthetic_subject(out):
    table = (out / "table.md").read_text()
    for told in ("1 synthetic subjects", "| Ours |", "Normal, face", "## Published", "blendshapes (mm)", "| C-Net |"):
        assert told in table
    assert "nan" not in table
    stored = json.loads((out / "table.json").read_text())["results"]["subject_1"]["fast"]["figures"]
    assert 0 < stored["normal_face"] < 90
    assert stored["fields.weights"] < 0.5
    assert not (out / "subject_1" / "fast.avatar.work").exists()


def test_results_are_kept(out, run, capsys):
    before = (out / "subject_1" / "fast.avatar").stat().st_mtime_ns
    run("--out", out, "--subjects", "1,", "--rows", "fast", *SMALL)
    assert "| Ours |" in capsys.readouterr().out
    assert (out / "subject_1" / "fast.avatar").stat().st_mtime_ns == before


def test_a_row_that_cannot_be_fitted_leaves_the_others(out, run, capsys, monkeypatch):
    import imavatar_tables

    monkeypatch.setitem(imavatar_tables.ROWS, "none", imavatar_tables.Row("None", "no-such-preset"))
    run("--out", out, "--subjects", "1,", "--rows", "none,fast", *SMALL)
    told = capsys.readouterr()
    assert "Failed: None on subject_1: No preset 'no-such-preset'" in told.out
    assert "| Ours |" in told.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--rows", "fast,snarf"), "Unknown rows snarf"),
        (("--subjects", "many"), "--subjects takes"),
        (("--frames", "1"), "--frames and --tests"),
        (("--real", "nowhere"), "nowhere"),
    ],
)
def test_bad_requests(run, tmp_path, words, told):
    with pytest.raises(SystemExit, match=told):
        run("--out", tmp_path, *words)


def test_other_settings_want_another_folder(out, run):
    with pytest.raises(SystemExit, match="made with other settings"):
        run("--out", out, "--subjects", "1,", *SMALL, "--steps", "3")
