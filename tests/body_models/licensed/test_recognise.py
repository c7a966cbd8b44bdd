import pickle
from pathlib import Path

import numpy as np
import pytest

from body_models.errors import InputError
from body_models.licensed.downloads import OfficialFile
from body_models.licensed.recognise import Found, Skipped, gender_of, recognise
from tests.body_models.licensed.pickle_files import (
    chumpy_pickle,
    light_arrays,
    npy_dictionary,
    npz_bytes,
    python2_pickle,
    write_tar,
    write_zip,
)


def found(path: Path, gender: str | None = None) -> list[tuple[str, str]]:
    return [(item.family, item.gender) for item in recognise(path, gender) if isinstance(item, Found)]


def skipped(path: Path) -> list[str]:
    return [item.reason for item in recognise(path) if isinstance(item, Skipped)]


@pytest.mark.parametrize(
    ("source", "gender"),
    [
        ("SMPL_python_v.1.0.0.zip!smpl/models/basicModel_f_lbs_10_207_0_v1.0.0.pkl", "female"),
        ("a.zip!models/basicmodel_m_lbs_10_207_0_v1.1.0.pkl", "male"),
        ("basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl", "neutral"),
        ("SMPL_NEUTRAL.pkl", "neutral"),
        ("SMPL_MALE.npz", "male"),
        ("mano_v1_2.zip!models/SMPLH_female.pkl", "female"),
        ("smplh.tar.xz!male/model.npz", "male"),
        ("C:\\body\\female\\model.npz", "female"),
        ("models/smplx/SMPLX_NEUTRAL.npz", "neutral"),
        ("SMPLX_NEUTRAL_2020.npz", "neutral"),
        ("FLAME2020.zip!generic_model.pkl", "neutral"),
        ("FLAME2020/female_model.pkl", "female"),
        ("flame2023.pkl", "neutral"),
        ("flame2023_Open.pkl", "neutral"),
    ],
)
def test_gender_by_name(source, gender):
    assert gender_of(OfficialFile({}, source)) == gender
    assert gender_of(OfficialFile({}, source), gender) == gender


def test_gender_by_entry_or_by_word_of_the_user():
    assert gender_of(OfficialFile({}, "model.npz", {"gender": "female"})) == "female"
    assert gender_of(OfficialFile({}, "model.npz", {"gender": "unknown"}), "male") == "male"
    with pytest.raises(InputError, match=r"avatars models add '/my files/model.npz' --gender female"):
        gender_of(OfficialFile({}, "/my files/model.npz"))


@pytest.mark.parametrize(
    ("file", "given"),
    [
        (OfficialFile({}, "SMPL_MALE.pkl"), "female"),
        (OfficialFile({}, "male/model.npz"), "female"),
        (OfficialFile({}, "SMPL_MALE.pkl", {"gender": "female"}), None),
    ],
)
def test_a_contradicted_gender(file, given):
    with pytest.raises(InputError, match=r"wrong gender: its .* says male, .* says female"):
        gender_of(file, given)


def test_smpl_download(tmp_path):
    members = {
        "SMPL/models/basicModel_f_lbs_10_207_0_v1.0.0.pkl": chumpy_pickle(light_arrays("smpl")),
        "SMPL/models/basicmodel_m_lbs_10_207_0_v1.0.0.pkl": python2_pickle(light_arrays("smpl", 1)),
        "SMPL/__MACOSX/._basicModel_f.pkl": b"junk",
        "SMPL/smpl_webuser/serialization.py": b"import chumpy",
    }
    path = write_zip(tmp_path / "SMPL_python_v.1.0.0.zip", members)
    assert found(path) == [("smpl", "female"), ("smpl", "male")]
    assert skipped(path) == []


def test_smplh_of_the_amass_site(tmp_path):
    path = write_tar(tmp_path / "smplh.tar.xz", {"female/model.npz": npz_bytes(light_arrays("smplh"))})
    assert found(path) == [("smplh", "female")]


def test_smplx_prefers_the_npz(tmp_path):
    members = {"models/smplx/SMPLX_NEUTRAL.npz": npz_bytes(light_arrays("smplx"))}
    members["models/smplx/SMPLX_NEUTRAL.pkl"] = b"never read, since the npz brings the same"
    (item,) = recognise(write_zip(tmp_path / "models_smplx_v1_1.zip", members))
    assert isinstance(item, Found)
    assert (item.family, item.gender) == ("smplx", "neutral")
    assert item.file.source.endswith("models_smplx_v1_1.zip!models/smplx/SMPLX_NEUTRAL.npz")


def flame_members() -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    arrays = light_arrays("flame")
    landmarks = {name: arrays.pop(name) for name in ("lmk_faces_idx", "lmk_bary_coords")}
    static = {"lmk_face_idx": landmarks["lmk_faces_idx"], "lmk_b_coords": landmarks["lmk_bary_coords"]}
    turning = {"lmk_face_idx": np.ones((79, 17), np.int64), "lmk_b_coords": np.ones((79, 17, 3))}
    members = {
        "generic_model.pkl": python2_pickle(arrays),
        "flame_static_embedding.pkl": python2_pickle(static),
        "flame_dynamic_embedding.npy": npy_dictionary(turning),
    }
    return members, landmarks


@pytest.mark.parametrize("place", ["zip", "folder", "file"])
def test_flame_with_the_landmarks_beside_it(tmp_path, place):
    members, landmarks = flame_members()
    for name, data in members.items():
        (tmp_path / name).write_bytes(data)
    path = {"folder": tmp_path, "file": tmp_path / "generic_model.pkl"}.get(place)
    if path is None:
        path = write_zip(tmp_path / "FLAME2020.zip", members)
    (item,) = recognise(path)
    assert isinstance(item, Found)
    assert (item.family, item.gender) == ("flame", "neutral")
    for key, value in landmarks.items():
        np.testing.assert_array_equal(item.file.arrays[key], value)
    assert item.file.arrays["dynamic_lmk_bary_coords"].shape == (79, 17, 3)


def test_a_malicious_embedding_beside_a_model_is_left_aside(tmp_path):
    members, _ = flame_members()
    (tmp_path / "flame2023.pkl").write_bytes(members["generic_model.pkl"])
    (tmp_path / "flame_static_embedding.pkl").write_bytes(b"cos\nsystem\n(S'x'\ntR.")
    assert found(tmp_path / "flame2023.pkl") == [("flame", "neutral")]
    assert "os.system" in skipped(tmp_path / "flame2023.pkl")[0]


def test_the_variant_without_jaw_only_when_it_is_named(tmp_path):
    members, _ = flame_members()
    pair = {name: members["generic_model.pkl"] for name in ("flame2023.pkl", "flame2023_no_jaw.pkl")}
    path = write_zip(tmp_path / "FLAME2023.zip", pair)
    assert found(path) == [("flame", "neutral")]
    assert "without a jaw" in skipped(path)[0]
    (tmp_path / "flame2023_no_jaw.pkl").write_bytes(pair["flame2023.pkl"])
    assert found(tmp_path / "flame2023_no_jaw.pkl") == [("flame", "neutral")]


def test_hands_alone_and_other_files_are_left_aside(tmp_path):
    hand = {"v_template": np.zeros((778, 3)), "weights": np.zeros((778, 16)), "shapedirs": np.zeros((778, 3, 10))}
    members = {
        "models/MANO_LEFT.pkl": python2_pickle(hand),
        "walk.npz": npz_bytes({"poses": np.zeros((2, 72))}),
        "plain.npy": npy_dictionary({}),
    }
    reasons = skipped(write_zip(tmp_path / "mano_v1_2.zip", members))
    assert sorted(reason.split(" ")[0] for reason in reasons) == ["a", "no", "no"]


def test_wrong_counts_and_missing_keys_name_file_and_field(tmp_path):
    arrays = light_arrays("flame")
    path = tmp_path / "female_model.pkl"
    path.write_bytes(python2_pickle({**arrays, "v_template": arrays["v_template"][:-1]}))
    with pytest.raises(InputError, match=r"female_model.pkl.*v_template.*5022.*5023"):
        found(path)
    del arrays["kintree_table"]
    path.write_bytes(python2_pickle(arrays))
    with pytest.raises(InputError, match=r"female_model.pkl.*kintree_table"):
        found(path)


def test_one_bad_file_spoils_an_archive_but_not_a_folder(tmp_path):
    good, bad = python2_pickle(light_arrays("flame")), pickle.dumps(print)
    archive = write_zip(tmp_path / "all.zip", {"male_model.pkl": good, "notes.pkl": bad})
    with pytest.raises(InputError, match=r"notes.pkl wants to use .*print"):
        found(archive)
    archive.unlink()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "male_model.pkl").write_bytes(good)
    (tmp_path / "notes.pkl").write_bytes(bad)
    assert found(tmp_path) == [("flame", "male")]
    assert "print" in skipped(tmp_path)[0]


def test_ict_facekit_by_its_keys_and_by_its_meshes(tmp_path):
    arrays = {name: np.zeros((2, 3), np.float16) for name in ("neutral", "faces", "expr_delta", "id_delta")}
    (tmp_path / "ict.npz").write_bytes(npz_bytes(arrays))
    folder = tmp_path / "FaceXModel"
    folder.mkdir()
    for name in ("generic_neutral_mesh.obj", "identity000.obj"):
        (folder / name).write_text("v 0 0 0\n")
    assert [item.path for item in recognise(tmp_path) if isinstance(item, Found)] == [folder, tmp_path / "ict.npz"]
    assert found(tmp_path / "ict.npz") == [("ict", "neutral")]
    assert "unpack it" in skipped(write_zip(tmp_path / "a.zip", {"ict.npz": npz_bytes(arrays)}))[0]


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="No file or folder"):
        found(tmp_path / "nobody.zip")
