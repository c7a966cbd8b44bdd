import hashlib
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from body_models.errors import InputError
from body_models.licensed.library import (
    BUILT_IN,
    add_and_report,
    add_models,
    list_models,
    load_licensed,
    models_folder,
)
from tests.body_models.licensed.pickle_files import chumpy_pickle, light_arrays, npz_bytes, python2_pickle, write_zip
from tests.shared_data import shared


def same_model(first, second) -> bool:
    names = (
        "template",
        "faces",
        "skinning_weights",
        "template_joints",
        "shape_basis",
        "expression_basis",
        "pose_basis",
    )
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in names)


def test_every_format_gives_the_same_model(tmp_path):
    arrays = light_arrays("flame")
    formats = {
        "python2/generic_model.pkl": python2_pickle(arrays),
        "chumpy/generic_model.pkl": chumpy_pickle(arrays),
        "npz/FLAME_NEUTRAL.npz": npz_bytes(arrays),
    }
    models = []
    for name, data in formats.items():
        path = tmp_path / name
        path.parent.mkdir()
        path.write_bytes(data)
        (added,) = add_models(path, folder=tmp_path / "models")
        assert (added.family, added.gender, added.source) == ("flame", "neutral", str(path))
        models.append(load_licensed("flame", folder=tmp_path / "models"))
    assert all(same_model(models[0], model) for model in models[1:])
    assert models[0].template.shape == (5023, 3)
    assert len(models[0].skeleton) == 5


def test_several_models_of_one_zip(tmp_path):
    members = {
        f"models/basicmodel_{letter}_lbs_10_207_0_v1.1.0.pkl": python2_pickle(light_arrays("smpl", seed))
        for seed, letter in enumerate("fm")
    }
    added = add_models(str(write_zip(tmp_path / "smpl.zip", members)), folder=tmp_path / "models")
    assert [(model.family, model.gender) for model in added] == [("smpl", "female"), ("smpl", "male")]
    female, male = (load_licensed("smpl", gender, tmp_path / "models") for gender in ("female", "male"))
    assert not torch.equal(female.template, male.template)


@pytest.mark.parametrize("family", ["smplh", "smplx"])
def test_bodies_with_hands(tmp_path, family):
    path = tmp_path / f"{family}_female.npz"
    path.write_bytes(npz_bytes(light_arrays(family)))
    add_models(path, folder=tmp_path)
    assert load_licensed(family, "female", tmp_path).hands is not None


def test_the_file_tells_where_it_came_from(tmp_path):
    path = tmp_path / "female_model.pkl"
    path.write_bytes(python2_pickle(light_arrays("flame")))
    (added,) = add_models(path, folder=tmp_path / "deep" / "models")
    assert added.path == tmp_path / "deep" / "models" / "flame_female.safetensors"
    with safe_open(added.path, framework="pt") as file:
        header = file.metadata()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert header == {
        "format": "body-model",
        "version": "1",
        "family": "flame",
        "gender": "female",
        "source": "female_model.pkl",
        "sha256": digest,
    }
    assert [p.name for p in added.path.parent.iterdir()] == ["flame_female.safetensors"]


def test_the_last_of_two_versions_stays(tmp_path):
    for version, seed in (("1.0.0", 0), ("1.1.0", 1)):
        (tmp_path / f"basicmodel_f_lbs_10_207_0_v{version}.pkl").write_bytes(python2_pickle(light_arrays("smpl", seed)))
    added, skipped = add_and_report(tmp_path, folder=tmp_path / "models")
    assert [Path(model.source).stem[-5:] for model in added] == ["1.1.0"]
    assert "v1.1.0" in skipped[0].reason


def test_a_refused_file_leaves_the_old_model_alone(tmp_path):
    path = tmp_path / "female_model.pkl"
    path.write_bytes(python2_pickle(light_arrays("flame")))
    (added,) = add_models(path, folder=tmp_path / "models")
    before = added.path.read_bytes()
    for data in (path.read_bytes()[:-1000], b"cos\nsystem\n(S'x'\ntR.", b"<html>login"):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"female_model.pkl"):
            add_models(path, folder=tmp_path / "models")
    assert added.path.read_bytes() == before
    assert len(list(added.path.parent.iterdir())) == 1


def test_a_folder_that_cannot_be_written(tmp_path):
    path = tmp_path / "female_model.pkl"
    path.write_bytes(python2_pickle(light_arrays("flame")))
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(InputError, match="AVATARS_MODELS"):
        add_models(path, folder=tmp_path / "models")


def test_gender_of_a_file_without_one(tmp_path):
    path = tmp_path / "model.npz"
    path.write_bytes(npz_bytes(light_arrays("smpl")))
    with pytest.raises(InputError, match="--gender female"):
        add_models(path, folder=tmp_path)
    assert add_models(path, "female", tmp_path)[0].gender == "female"
    with pytest.raises(InputError, match=r"'femal'. Did you mean 'female'"):
        add_models(path, "femal", tmp_path)


def test_no_model_at_all(tmp_path):
    (tmp_path / "walk.npz").write_bytes(npz_bytes({}))
    for path in (tmp_path, tmp_path / "walk.npz"):
        with pytest.raises(InputError, match=r"(?s)No body or head model in .*walk.npz: no body or head model"):
            add_models(path, folder=tmp_path)


def test_a_model_that_is_missing(tmp_path):
    with pytest.raises(InputError, match=r"No female smpl .*smpl.is.tue.mpg.de .*`avatars models add PATH`"):
        load_licensed("smpl", "female", tmp_path)
    (tmp_path / "smpl_male.safetensors").touch()
    with pytest.raises(InputError, match="There is a male one"):
        load_licensed("smpl", "female", tmp_path)
    with pytest.raises(InputError, match="Did you mean 'smplx'"):
        load_licensed("smplxx", folder=tmp_path)
    with pytest.raises(InputError, match="Known: neutral, female, male"):
        load_licensed("smpl", "woman", tmp_path)


def test_a_stored_file_that_is_damaged_or_another(tmp_path):
    path = tmp_path / "smpl_male.safetensors"
    path.write_bytes(b"x" * 100)
    headers = [None, {"format": "body-model", "family": "flame"}, {"format": "body-model", "family": "smpl"}]
    for header, message in zip([0, *headers], ("damaged", "no smpl model", "no smpl model", "version"), strict=True):
        if header != 0:
            save_file({"a": torch.zeros(1)}, path, metadata=header)
        with pytest.raises(InputError, match=message) as caught:
            load_licensed("smpl", "male", tmp_path)
        assert "avatars models add" in str(caught.value)


def test_the_list_names_what_is_there_and_where_the_rest_is(tmp_path):
    (tmp_path / "smplx_male.safetensors").touch()
    entries = {(entry.family, entry.gender): entry for entry in list_models(tmp_path)}
    assert len(entries) == len(BUILT_IN) + 4 * 3 + 1
    assert entries["anny", ""].there
    assert entries["anny-head", ""].there
    assert entries["smplx", "male"].path == tmp_path / "smplx_male.safetensors"
    assert not entries["smplx", "female"].there
    assert "mano" in entries["smplh", "male"].obtained


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_DATA_HOME", "given/avatars/models"),
        ("linux", None, "home/.local/share/avatars/models"),
        ("darwin", None, "home/Library/Application Support/avatars/models"),
        ("win32", "APPDATA", "given/avatars/models"),
        ("win32", "AVATARS_MODELS", "given"),
    ],
)
def test_where_models_are_kept(tmp_path, monkeypatch, platform, variable, expected):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    for name in ("AVATARS_MODELS", "XDG_DATA_HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    if variable is not None:
        monkeypatch.setenv(variable, str(tmp_path / "given"))
    assert models_folder() == tmp_path / expected


def test_the_ict_face_model(tmp_path):
    source = shared("model_ict_facekit") / "ict_facekit.npz"
    (added,) = add_models(source, folder=tmp_path)
    assert (added.family, added.gender) == ("ict", "neutral")
    assert len(load_licensed("ict", folder=tmp_path).shape_basis) == 100
