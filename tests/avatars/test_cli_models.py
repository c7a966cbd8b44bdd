import os
import subprocess
import sys
from pathlib import Path

import pytest

from avatars.cli import main
from tests.body_models.licensed.pickle_files import light_arrays, python2_pickle, write_zip

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("AVATARS_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_add_tells_what_it_found_and_list_shows_it(tmp_path, models, capsys):
    members = {"FLAME/female_model.pkl": python2_pickle(light_arrays("flame")), "FLAME/hand.pkl": python2_pickle({})}
    archive = write_zip(tmp_path / "FLAME2020.zip", members)
    assert main(["models", "add", str(archive)]) == 0
    told = capsys.readouterr().out
    stored = models / "flame_female.safetensors"
    assert told.splitlines() == [
        f"flame female: {archive}!FLAME/female_model.pkl -> {stored}",
        f"Left aside: {archive}!FLAME/hand.pkl: no body or head model",
    ]
    assert stored.is_file()
    assert main(["models", "list"]) == 0
    lines = {" ".join(line.split()) for line in capsys.readouterr().out.splitlines()}
    assert "flame female there flame_female.safetensors" in lines
    assert "flame male missing from https://flame.is.tue.mpg.de" in lines
    assert "anny there built in" in lines


@pytest.mark.parametrize(
    ("name", "data", "gender", "message"),
    [
        ("SMPL_MALE.pkl", b"cos\nsystem\n(S'touch marker'\ntR.", [], "os.system"),
        ("SMPL_MALE.zip", b"<html>", [], "login page"),
        ("SMPL_MALE.pkl", b"\x89PNG\r\n\x1a\n and more", [], "is a PNG picture"),
        ("SMPL_MALE.pkl", b"%PDF-1.7 and more", [], "is a PDF document"),
        ("SMPL_MALE.npz", b"\xff\xd8\xff\xe0 and more", [], "is a JPEG picture"),
        ("SMPL_MALE.zip", b"PK\x03\x04 and no more", [], "truncated or damaged"),
        ("male_model.pkl", None, ["--gender", "female"], "wrong gender"),
        ("model.pkl", None, [], "--gender female"),
    ],
)
def test_bad_files_are_one_message(tmp_path, models, capsys, name, data, gender, message):
    path = tmp_path / name
    path.write_bytes(python2_pickle(light_arrays("flame")) if data is None else data)
    assert main(["models", "add", str(path), *gender]) == 2
    told = capsys.readouterr().err
    assert told.startswith("Error: ")
    assert message in told
    assert str(path) in told
    assert not models.exists()


def test_help_needs_no_torch():
    code = "import sys; import avatars.cli.models; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=os.environ)
    assert done.stdout == "False False\n"


@pytest.mark.parametrize("verb", ["add", "list"])
def test_each_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["models", verb, "--help"])
    assert stopped.value.code == 0
    assert f"avatars models {verb}" in capsys.readouterr().out
