import dataclasses
import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from body_models.errors import InputError
from data_prep.people import holds_people, member_file, read_people, write_member
from tests.data_prep.people.cases import ball_member, write_balls, write_index

TENSORS = ("betas", "poses", "translations", "points", "distances", "surface", "normals", "maps")


def test_round_trip(tmp_path):
    written = write_balls(tmp_path)
    people = read_people(tmp_path)
    assert holds_people(tmp_path)
    assert (len(people), people.names, people.scan_counts) == (3, ("anna", "bert", "carl"), (1, 2, 1))
    assert (people.body_model, people.betas_count, people.view_size) == ("anny", 4, 16)
    assert people.skipped == (("dora", "no person"),)
    assert people.notes == ("made of balls",)
    for index, member in enumerate(written):
        read = people.member(index)
        assert read.name == member.name
        for name in TENSORS:
            tensor, original = getattr(read, name), getattr(member, name)
            assert tensor.dtype == original.dtype
            torch.testing.assert_close(tensor, original, atol=1e-3, rtol=1e-3)
        assert torch.equal(read.distances.signbit(), member.distances.signbit())
        assert people.member(index) is read


def test_halves_on_disk(tmp_path):
    path = write_member(tmp_path, ball_member())
    tensors = load_file(path)
    assert {name for name in TENSORS if tensors[name].dtype == torch.float16} == {"distances", "normals"}
    assert tensors["maps"].dtype == torch.uint8


def damage(path, how):
    tensors = load_file(path)
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif how == "gone":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "nan":
        tensors["points"][0, 3, 1] = torch.nan
    elif how == "betas":
        tensors["betas"] = torch.zeros(5)
    elif how == "bones":
        tensors["poses"] = torch.zeros(2, 7, 3)
    elif how == "lacks":
        del tensors["maps"]
    elif how == "type":
        tensors["maps"] = tensors["maps"].float()
    elif how == "rows":
        tensors["distances"] = tensors["distances"][:, :-1]
    if how not in ("cut", "gone", "empty"):
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("cut", "cut short"),
        ("empty", "cut short"),
        ("gone", "missing"),
        ("nan", "'points' holds numbers that are not finite"),
        ("betas", r"'betas' has the shape \(5,\) instead of \(4,\)"),
        ("bones", "'poses'"),
        ("lacks", "'maps' is missing"),
        ("type", "float32"),
        ("rows", "'distances'"),
    ],
)
def test_damaged_members_are_left_out_and_named(tmp_path, how, reason):
    write_balls(tmp_path)
    damage(tmp_path / member_file("bert"), how)
    people = read_people(tmp_path)
    assert people.names == ("anna", "carl")
    assert people.skipped[-1][0] == "bert"
    assert re.search(reason, people.skipped[-1][1])
    assert people.member(1).name == "carl"


def test_one_person_is_no_dataset(tmp_path):
    write_balls(tmp_path, ("anna", "bert"))
    damage(tmp_path / member_file("bert"), "nan")
    with pytest.raises(InputError, match=r"1 usable person.*needs 2 at least.*make-people(.|\n)*bert: 'points'"):
        read_people(tmp_path)


def test_a_file_damaged_after_opening(tmp_path):
    write_balls(tmp_path)
    people = read_people(tmp_path)
    damage(tmp_path / member_file("anna"), "cut")
    with pytest.raises(InputError, match=r"anna\.safetensors cannot be used: its file is cut short"):
        people.member(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "newer than this program's 1"),
        ({"version": "1"}, "names no version"),
        ({"kind": "scans"}, "its kind is 'scans'"),
        ({"units": "mm"}, "its units is 'mm'"),
        ({"betas": None}, "lacks or garbles"),
        ({"members": 3}, "lacks or garbles"),
    ],
)
def test_damaged_index(tmp_path, change, message):
    write_balls(tmp_path)
    path = tmp_path / "people.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message):
        read_people(tmp_path)


def test_no_file_outside_the_folder_is_read(tmp_path):
    write_balls(tmp_path)
    path = tmp_path / "people.json"
    index = json.loads(path.read_text())
    index["members"][0]["file"] = "../members/anna.safetensors"
    path.write_text(json.dumps(index))
    people = read_people(tmp_path)
    assert people.names == ("bert", "carl")
    assert "outside" in people.skipped[-1][1]


def test_folders_without_people(tmp_path):
    with pytest.raises(InputError, match="No dataset folder"):
        read_people(tmp_path / "none")
    with pytest.raises(InputError, match="holds no dataset of people"):
        read_people(tmp_path)
    write_member(tmp_path, ball_member())
    with pytest.raises(InputError, match="not written to its end"):
        read_people(tmp_path)
    (tmp_path / "people.json").write_text('{"kind": ')
    with pytest.raises(InputError, match=r"people\.json cannot be used"):
        read_people(tmp_path)


def test_any_name_gets_a_file_of_its_own(tmp_path):
    names = ("Zoë Ω/..", "a b", "a_b", "con", "x" * 300, "..", "日本")
    files = [member_file(name) for name in names]
    assert len(set(files)) == len(files)
    assert all(len(file.removeprefix("members/").encode()) < 80 and ".." not in file for file in files)
    assert member_file("person_00012") == "members/person_00012.safetensors"
    write_balls(tmp_path, names)
    assert read_people(tmp_path).names == names
    with pytest.raises(InputError, match="rename one"):
        write_index(tmp_path, ("Anna", "anna"))


def test_no_number_that_is_not_finite_is_written(tmp_path):
    member = ball_member()
    broken = dataclasses.replace(member, betas=torch.full((4,), torch.nan))
    with pytest.raises(InputError, match="Member 'anna' cannot be written: 'betas'"):
        write_member(tmp_path, broken)
    assert not list(tmp_path.rglob("*.safetensors"))
