"""`avatars dataset` for datasets of many people: making, converting, looking into them."""

from pathlib import Path

import pytest

from avatars.cli import main
from data_prep.people import member_file, read_people
from tests.data_prep.people.cases import write_balls
from tests.data_prep.people.smpl_folders import add_stand_in, write_thuman


def does(capsys, *arguments: str | Path) -> str:
    assert main(["dataset", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def fails(capsys, *arguments: str | Path) -> str:
    assert main(["dataset", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


def test_what_is_inside(tmp_path, capsys):
    write_balls(tmp_path)
    (tmp_path / member_file("bert")).write_bytes(b"junk")
    said = does(capsys, "info", tmp_path)
    for part in (
        "many people, model anny",
        "2, 2 scans, 4 shape parameters",
        "300 points with distances, 150 of the surface",
        "3 normal maps of 16 x 16 pixels",
        "dora: no person",
        "bert: its file is cut short",
        "made of balls",
    ):
        assert part in said


def test_what_is_inside_an_unfinished_dataset(tmp_path, capsys):
    write_balls(tmp_path)
    (tmp_path / "people.json").unlink()
    assert "not written to its end" in fails(capsys, "info", tmp_path)


def test_a_folder_of_scans_with_parameters(tmp_path, capsys, monkeypatch):
    add_stand_in(tmp_path / "models")
    monkeypatch.setenv("AVATARS_MODELS", str(tmp_path / "models"))
    write_thuman(tmp_path / "thuman")
    (tmp_path / "thuman" / "0009").mkdir()
    (tmp_path / "thuman" / "0009" / "0009.obj").write_text("")
    out = tmp_path / "out"
    said = does(capsys, "people", tmp_path / "thuman", "--out", out)
    assert f"Dataset of 2 people (smpl): {out}" in said
    assert "Left out: 0009: no SMPL parameters" in said
    people = read_people(out)
    assert people.names == ("0000", "0001")
    assert people.member(0).maps.shape == (1, 8, 128, 128, 3)
    assert "add --overwrite" in fails(capsys, "people", tmp_path / "thuman", "--out", out)
    assert "model smpl" in does(capsys, "info", out)


def test_a_folder_without_people(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "No scans in" in fails(capsys, "people", tmp_path / "empty", "--out", tmp_path / "out")
    assert "No folder at" in fails(capsys, "people", tmp_path / "none", "--out", tmp_path / "out")
    assert "no kind of folder 'thumen'. Did you mean 'thuman'" in fails(
        capsys, "people", tmp_path / "empty", "--out", tmp_path / "out", "--kind", "thumen"
    )
    assert not (tmp_path / "out").exists()


def test_making_people_in_shards(tmp_path, capsys):
    rest = ("--out", tmp_path / "made", "--count", 2, "--seed", 5, "--poses", 1, "--betas", 6, "--shards", 2)
    said = does(capsys, "make-people", *rest)
    assert "Made 1 people; 1 of 2 are not there yet" in said
    assert "not written to its end" in fails(capsys, "info", tmp_path / "made")
    assert "Made 1 people: " in does(capsys, "make-people", *rest, "--shard", 1)
    people = read_people(tmp_path / "made")
    assert people.names == ("person_00000", "person_00001")
    assert (people.betas_count, people.scan_counts) == (6, (1, 1))
    assert "model anny" in does(capsys, "info", tmp_path / "made")


@pytest.mark.parametrize(("option", "message"), [(("--count", 1), "two or more"), (("--shard", 3), "no shard 3")])
def test_people_that_cannot_be_made(tmp_path, capsys, option, message):
    assert message in fails(capsys, "make-people", "--out", tmp_path / "made", *option)
