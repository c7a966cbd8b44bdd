"""`avatars sample`: people from a prior to files, again, varied, and on the way from one to another."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from avatars.cli import main
from avatars.models import load
from avatars.models.person_file import prior_mark, read_person
from avatars.models.prior_file import load_prior
from body_models import InputError
from tests.avatars.small_prior import small_prior, small_prior_file
from tests.avatars.tiny_bvh import write_bvh

CODES = ("shape", "detail", "betas")


@pytest.fixture(scope="module")
def prior_file(tmp_path_factory) -> Path:
    return small_prior_file(tmp_path_factory.mktemp("prior"))


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch):
    """Sheets of small pictures."""
    from avatars.export import people

    monkeypatch.setattr(people, "people_sheet", lambda *given, **more: _sheet(*given, **{**more, "size": 40}))


def _sheet(*given, **more):
    from avatars.export.contact_sheet import people_sheet

    return people_sheet(*given, **more)


@pytest.fixture(scope="module")
def people(prior_file, tmp_path_factory) -> Path:
    """Three people of a seed, as meshes."""
    folder = tmp_path_factory.mktemp("people") / "people"
    arguments = ["--count", "3", "--seed", "5", "--format", "ply", "--resolution", "64"]
    assert main(["sample", "--prior", str(prior_file), "--out", str(folder), *arguments]) == 0
    return folder


def sample(prior: Path, out: Path, *arguments: str | Path) -> int:
    quick = ["--resolution", "48", "--format", "ply"]
    return main(["sample", "--prior", str(prior), "--out", str(out), *quick, *map(str, arguments)])


def fails(capsys, prior: Path, out: Path, *arguments: str | Path) -> str:
    assert sample(prior, out, *arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err


def codes(folder: Path, number: int) -> dict[str, np.ndarray]:
    stored = json.loads((folder / f"person_{number:03d}.json").read_text())
    return {name: np.array(stored[name]) for name in CODES}


def varied(folder: Path, count: int) -> list[str]:
    """Which codes differ between the people of a folder."""
    found = [codes(folder, number) for number in range(count)]
    return [name for name in CODES if any(not np.array_equal(found[0][name], other[name]) for other in found[1:])]


def test_people_have_meshes_codes_and_a_picture(people):
    names = sorted(path.name for path in people.iterdir())
    expected = [f"person_{number:03d}.{ending}" for number in range(3) for ending in ("json", "ply")]
    assert names == [*expected, "sheet.png"]
    for number in range(3):
        mesh = trimesh.load(people / f"person_{number:03d}.ply", process=False)
        assert 0.5 < np.ptp(mesh.vertices[:, 1]) < 2.5
    assert varied(people, 3) == list(CODES)
    assert Image.open(people / "sheet.png").size[0] > 0


def test_the_first_people_of_a_seed_stay_the_same(people, prior_file, tmp_path):
    assert sample(prior_file, tmp_path / "one", "--count", 1, "--seed", 5) == 0
    for name in CODES:
        assert np.array_equal(codes(people, 0)[name], codes(tmp_path / "one", 0)[name])
    assert sample(prior_file, tmp_path / "other", "--count", 1, "--seed", 6) == 0
    assert not np.array_equal(codes(people, 0)["shape"], codes(tmp_path / "other", 0)["shape"])


def test_an_avatar_that_other_verbs_take(prior_file, tmp_path, capsys):
    out = tmp_path / "people"
    assert sample(prior_file, out, "--count", 1, "--format", "avatar,OBJ") == 0
    said = capsys.readouterr().out
    assert "One person" in said
    assert f"avatars animate {out / 'person_000.avatar'}" in said
    avatar = load(out / "person_000.avatar")
    assert avatar.info.names == ("person_000",)
    assert (out / "person_000.obj").is_file()


def test_a_person_is_made_again_from_its_codes(people, prior_file, tmp_path):
    out = tmp_path / "again"
    assert sample(prior_file, out, "--from", people / "person_002.json", people / "person_001.json") == 0
    for number, source in ((0, 2), (1, 1)):
        assert all(np.array_equal(codes(out, number)[name], codes(people, source)[name]) for name in CODES)


@pytest.mark.parametrize(("vary", "parts"), [("shape", ["shape"]), ("detail", ["detail"]), ("build", ["betas"])])
def test_one_part_varies_the_others_stay(vary, parts, people, prior_file, tmp_path):
    person = people / "person_001.json"
    assert sample(prior_file, tmp_path / "of_one", "--count", 2, "--vary", vary, "--from", person) == 0
    assert varied(tmp_path / "of_one", 2) == parts
    for name in set(CODES) - set(parts):
        assert np.array_equal(codes(tmp_path / "of_one", 0)[name], codes(people, 1)[name])


def test_from_one_person_to_another(people, prior_file, tmp_path):
    out, end = tmp_path / "way", people / "person_002.json"
    assert sample(prior_file, out, "--seed", 5, "--interpolate", 0, end, "--steps", 3) == 0
    for name in CODES:
        first, last = codes(people, 0)[name], codes(people, 2)[name]
        assert np.allclose(codes(out, 0)[name], first, atol=1e-6)
        assert np.allclose(codes(out, 1)[name], (first + last) / 2, atol=1e-6)
        assert np.allclose(codes(out, 2)[name], last, atol=1e-6)


def test_the_sheet_takes_poses_of_a_motion(prior_file, tmp_path, capsys):
    motion = write_bvh(tmp_path / "walk.bvh")
    assert sample(prior_file, tmp_path / "people", "--count", 1, "--poses", motion) == 0
    capsys.readouterr()
    missing = fails(capsys, prior_file, tmp_path / "none", "--count", 1, "--poses", tmp_path / "no.bvh")
    assert "no.bvh" in missing
    assert not (tmp_path / "none").exists()
    unknown = write_bvh(tmp_path / "alien.bvh", prefix="alien")
    assert "Motion 'alien'" in fails(capsys, prior_file, tmp_path / "none", "--count", 1, "--poses", unknown)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--count", "0"], "--count 0"),
        (["--format", "ply,fbx"], "'fbx'"),
        (["--format", ""], "Unknown format"),
        (["--vary", "hair"], "'hair'; use both, shape"),
        (["--truncation", "-1"], "--truncation -1"),
        (["--truncation", "nan"], "--truncation nan"),
        (["--steps", "1"], "--steps 1"),
        (["--resolution", "5"], "resolution of 5"),
        (["--device", "tpu"], "'tpu'"),
        (["--interpolate", "0", "nobody.json"], "nobody.json"),
        (["--interpolate", "0", "1", "--from", "a.json"], "either --from or --interpolate"),
        (["--from", "nobody.json"], "nobody.json"),
    ],
)
def test_arguments_that_make_no_sense(arguments, said, prior_file, tmp_path, capsys):
    assert said in fails(capsys, prior_file, tmp_path / "people", *arguments)
    assert not (tmp_path / "people").exists()


def test_places_and_files_that_cannot_be_used(prior_file, tmp_path, capsys):
    (tmp_path / "file").write_text("here")
    assert "is a file" in fails(capsys, prior_file, tmp_path / "file")
    assert "folder" in fails(capsys, prior_file, tmp_path / "one.ply")
    assert "nowhere.prior" in fails(capsys, tmp_path / "nowhere.prior", tmp_path / "people")
    broken = tmp_path / "broken.prior"
    broken.write_bytes(prior_file.read_bytes()[:5000])
    assert "broken.prior" in fails(capsys, broken, tmp_path / "people")


def test_codes_that_do_not_fit(people, prior_file, tmp_path):
    prior = load_prior(prior_file)
    stored = json.loads((people / "person_000.json").read_text())
    cases = {
        r"shape code has 3 numbers.*have 4": stored | {"shape": [0.0] * 3},
        r"body shape has 9 numbers.*have 3": stored | {"betas": [0.0] * 9},
        "'detail' is not a list of finite numbers": stored | {"detail": [1.0, None, 2.0, 3.0]},
        "'shape' is not": {"kind": "person", "version": 1},
        "another version": stored | {"version": 2},
        r"no \.json of a sampled person": {"kind": "motion"},
        "of another prior": stored | {"prior": "0" * 16},
    }
    for message, content in cases.items():
        path = tmp_path / "person.json"
        path.write_text(json.dumps(content))
        with pytest.raises(InputError, match=message):
            read_person(path, prior, prior_mark(prior))
    path.write_text('{"kind": "person", "shape": [NaN')
    with pytest.raises(InputError, match="damaged"):
        read_person(path, prior)


def test_a_mark_tells_priors_apart():
    mark = prior_mark(small_prior())
    assert mark == prior_mark(small_prior())
    other = small_prior().model.state_dict()
    name = next(name for name, value in other.items() if value.is_floating_point())
    kept = other[name].clone()
    other[name].add_(1.0)
    assert prior_mark(small_prior()) != mark
    other[name].copy_(kept)
    assert torch.equal(small_prior().model.state_dict()[name], kept)
