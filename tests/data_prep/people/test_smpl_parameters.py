import os
import pickle

import numpy as np
import pytest
import torch

from body_models.errors import InputError
from body_models.licensed.library import add_models, load_licensed
from body_models.names import SMPLX_SKELETON
from data_prep.people.folders.smpl_parameters import read_smpl_parameters
from tests.body_models.licensed.pickle_files import light_arrays, python2_pickle
from tests.data_prep.people.smpl_folders import SCALE, as_json, npz, parameters

POSE = np.random.default_rng(0).normal(size=165)


def respelled() -> dict[str, dict[str, np.ndarray]]:
    """The same parameters in each spelling."""
    values = parameters(1.5) | {"body_pose": POSE[None, 3:72], "global_orient": POSE[None, :3]}
    rest = {"betas": values["betas"], "transl": values["transl"], "scale": values["scale"]}
    return {
        "smplx": values,
        "pose": rest | {"pose": POSE[:72]},
        "theta": {"theta": POSE[:72], "shape": rest["betas"], "trans": rest["transl"], "scale": np.array(SCALE)},
        "orient": rest | {"orient": POSE[:3], "pose": POSE[3:72]},
        "amass": rest | {"root_orient": POSE[:3], "pose_body": POSE[3:72]},
    }


@pytest.mark.parametrize("spelling", list(respelled()))
@pytest.mark.parametrize("suffix", [".pkl", ".npz", ".json"])
def test_every_spelling_and_format_says_the_same(tmp_path, spelling, suffix):
    path = tmp_path / f"0000_smpl{suffix}"
    values = respelled()[spelling]
    path.write_bytes({".pkl": python2_pickle, ".npz": npz, ".json": as_json}[suffix](values))
    found = read_smpl_parameters(path)
    assert found.family == "smpl"
    assert found.scale == pytest.approx(SCALE)
    expected = {"global_orient": POSE[:3], "body_pose": POSE[3:72]}
    assert set(found.values) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found.values[name], torch.tensor(value, dtype=torch.float32))
    assert found.betas[0] == 1.5
    assert found.transl.tolist() == pytest.approx(parameters()["transl"][0].tolist())


def test_python_3_pickles(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(parameters()))
    assert read_smpl_parameters(path).betas.shape == (10,)


def test_the_family_by_the_joints(tmp_path):
    path = tmp_path / "a.npz"
    rest = {"betas": np.zeros(10)}
    path.write_bytes(npz(rest | {"pose": POSE[:156]}))
    assert read_smpl_parameters(path).family == "smplh"
    path.write_bytes(npz(rest | {"pose": POSE}))
    found = read_smpl_parameters(path)
    assert found.family == "smplx"
    torch.testing.assert_close(found.values["right_hand_pose"], torch.tensor(POSE[-45:], dtype=torch.float32))
    assert found.scale is None
    assert found.transl.tolist() == [0, 0, 0]
    hands = {"left_hand_pose": np.zeros((1, 12)), "right_hand_pose": np.zeros((1, 12)), "jaw_pose": np.zeros((1, 3))}
    path.write_bytes(npz(rest | hands | {"global_orient": POSE[:3], "body_pose": POSE[3:66]}))
    assert read_smpl_parameters(path).family == "smplx"


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.pkl", pickle.dumps({"betas": Evil()}), "nothing in it was run"),
        ("a.pkl", pickle.dumps(parameters())[:-40], "damaged pickle"),
        ("a.npz", npz(parameters())[:-40], "cannot be read"),
        ("a.npz", b"", "cannot be read"),
        ("a.json", b"[1, 2]", "no named parameters"),
        ("a.json", b'{"betas": [1', "cannot be read"),
        ("a.npz", npz({"cam": np.zeros(3)}), "no global_orient and no body_pose and no betas .it has cam"),
        ("a.npz", npz(parameters() | {"betas": np.full(10, np.nan)}), "'betas' is not finite"),
        ("a.npz", npz(parameters() | {"scale": np.array(0.0)}), "one above zero"),
        ("a.npz", npz(parameters() | {"transl": np.zeros(4)}), "three numbers"),
        ("a.npz", npz(parameters() | {"gender": np.array("female")}), "fit the neutral one"),
        ("a.npz", npz({"pose": np.zeros((2, 72)), "betas": np.zeros(10)}), "its pose has 144 numbers"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, monkeypatch, name, data, message):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_smpl_parameters(path)
    assert str(caught.value).startswith(name)
    assert not (tmp_path / "evil").exists()


def test_few_hand_numbers_are_components(tmp_path):
    arrays = light_arrays("smplx")
    (tmp_path / "SMPLX_NEUTRAL.npz").write_bytes(npz(arrays))
    add_models(tmp_path / "SMPLX_NEUTRAL.npz", folder=tmp_path)
    model = load_licensed("smplx", folder=tmp_path)
    components = np.zeros((1, 12))
    components[0, 2] = 0.7
    values = parameters() | {"body_pose": POSE[None, 3:66], "left_hand_pose": components, "expression": np.zeros(10)}
    (tmp_path / "smplx_param.npz").write_bytes(npz(values))
    pose = read_smpl_parameters(tmp_path / "smplx_param.npz").pose(model)
    hand = torch.tensor(arrays["hands_meanl"] + 0.7 * arrays["hands_componentsl"][2], dtype=torch.float32)
    fingers = [joint for joint, name in enumerate(SMPLX_SKELETON.joint_names) if name.startswith("left_index")]
    torch.testing.assert_close(pose[fingers].flatten(), hand[:9], atol=1e-5, rtol=0)
    torch.testing.assert_close(pose[1:22].flatten(), torch.tensor(POSE[3:66], dtype=torch.float32))
