import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from body_models import load_anny
from body_models.anny import bake

SMPL_JOINTS = [
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle"),
    *("spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder"),
    *("right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand"),
]
SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
MODEL = load_anny()
BODY = MODEL.body()


def joint(name):
    return BODY.joints[BODY.skeleton.index(name)]


def run(code, folder):
    """Run code in a fresh interpreter with its own cache folder; what it printed, errors included."""
    environment = {**os.environ, "AVATARS_CACHE": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def fast_bake(monkeypatch, tmp_path):
    """An empty cache folder and a bake that takes no time; gives the folder and the list of bakes."""
    bakes = []
    tensors = {
        "template": MODEL.template,
        "shape_basis": MODEL.shape_basis,
        "template_joints": MODEL.template_joints,
        "shape_basis_joints": MODEL.shape_basis_joints,
        "skinning_weights": MODEL.skinning_weights,
        "faces": MODEL.faces.int(),
    }
    monkeypatch.setenv("AVATARS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bake, "bake_anny", lambda: bakes.append(1) or tensors)
    return tmp_path / "cache", bakes


def test_skeleton_is_smpls():
    assert list(BODY.skeleton.joint_names) == SMPL_JOINTS
    assert BODY.skeleton.parents == SMPL_PARENTS


def test_weights_are_convex_and_every_bone_moves_something():
    weights = BODY.skinning_weights
    assert weights.min() >= 0
    assert torch.allclose(weights.sum(1), torch.ones(len(weights)), atol=1e-5)
    assert (weights.max(0).values > 0.4).all()


def test_faces_are_closed_and_outward():
    assert BODY.faces.shape == (27_420, 3)
    assert sorted(BODY.faces.unique().tolist()) == list(range(BODY.faces.max() + 1))
    a, b, c = BODY.vertices[BODY.faces].unbind(1)
    volume = (a * torch.linalg.cross(b, c)).sum() / 6
    assert 0.03 < volume < 0.15


def test_frame_and_size_are_a_persons():
    height = BODY.vertices[:, 1].max() - BODY.vertices[:, 1].min()
    assert 1.5 < height < 1.9
    for side in ("left", "right"):
        assert joint(f"{side}_foot")[1] < joint(f"{side}_knee")[1] < joint("pelvis")[1] < joint("head")[1]
        foot = BODY.skinning_weights[:, BODY.skeleton.index(f"{side}_foot")] > 0.5
        heel = BODY.skinning_weights[:, BODY.skeleton.index(f"{side}_ankle")] > 0.5
        assert BODY.vertices[foot, 2].mean() > BODY.vertices[heel, 2].mean() + 0.05
    assert joint("left_hand")[0] > 0.3 > -0.3 > joint("right_hand")[0]


def test_joints_mirror():
    mirrored = BODY.joints[list(BODY.skeleton.mirror)] * torch.tensor([-1.0, 1.0, 1.0])
    assert torch.allclose(mirrored, BODY.joints, atol=1e-3)


def test_shapes_keep_the_body_symmetric():
    joints = MODEL.body(torch.tensor([1.0, -1.0, 1.0, 1.0])).joints
    mirrored = joints[list(BODY.skeleton.mirror)] * torch.tensor([-1.0, 1.0, 1.0])
    assert torch.allclose(mirrored, joints, atol=3e-3)


def test_canonical_pose_parts_the_legs():
    gaps = [
        (joints[BODY.skeleton.index("left_ankle")] - joints[BODY.skeleton.index("right_ankle")])[0]
        for joints in (BODY.joints, BODY.pose_joints(BODY.canonical_pose, torch.zeros(3)))
    ]
    assert gaps[1] > gaps[0] + 0.2


def test_shapes_are_ordered_by_size():
    size = MODEL.shape_basis.square().sum((1, 2))
    assert (size.diff() <= 1e-3 * size[:-1]).all()
    assert MODEL.shape_basis.isfinite().all()


def test_principal_directions_have_one_sign_even_when_they_sum_to_zero(monkeypatch):
    monkeypatch.setattr(bake, "SHAPE_COUNT", 2)
    across = torch.tensor([[3.0, -3.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    samples = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64) @ across
    basis = torch.eye(3, dtype=torch.float64).reshape(3, 1, 3)
    for centred in (samples, samples.flip(0)):
        directions = bake._principal_directions(centred, basis)
        assert (directions.norm(dim=1) > 0.1).all()
        assert torch.allclose(directions[0].abs(), directions[0, 0].abs() * torch.tensor([1.0, 1.0, 0.0]).double())
        largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
        assert (largest > 0).all()


def test_first_load_bakes_silently_and_the_second_does_not_import_anny(tmp_path):
    assert run("import body_models; body_models.load_anny()", tmp_path) == ""
    again = "import sys, body_models; body_models.load_anny(); print('anny' in sys.modules, 'warp' in sys.modules)"
    assert run(again, tmp_path).split() == ["False", "False"]
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]
    from safetensors.torch import load_file

    baked = load_file(next(tmp_path.iterdir()))
    for name in ("template", "shape_basis", "template_joints", "skinning_weights"):
        assert torch.allclose(baked[name], getattr(MODEL, name), atol=1e-6)


def test_the_cache_is_used_and_the_bake_announced(fast_bake, caplog):
    folder, bakes = fast_bake
    with caplog.at_level("INFO"):
        load_anny()
        load_anny()
    assert len(bakes) == 1
    assert caplog.text.count("once") == 1
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize(
    "damage", [lambda b: b[:1000], lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b"{}" * 99]
)
def test_a_damaged_cache_is_replaced(fast_bake, damage):
    folder, bakes = fast_bake
    load_anny()
    path = next(folder.iterdir())
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert torch.equal(load_anny().template, MODEL.template)
    assert len(bakes) == 2
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_costs_the_cache_only(fast_bake, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("AVATARS_CACHE", str(tmp_path / "file" / "cache"))
    assert torch.equal(load_anny().template, MODEL.template)
    assert "AVATARS_CACHE" in caplog.text


def test_bakes_at_once_leave_one_whole_file(fast_bake):
    folder, bakes = fast_bake
    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(lambda _: load_anny(), range(8)))
    assert all(torch.equal(model.template, MODEL.template) for model in models)
    assert [path.suffix for path in folder.iterdir()] == [".safetensors"]
    count = len(bakes)
    load_anny()
    assert len(bakes) == count


def test_a_damaged_cache_of_annys_own_does_not_stop_the_bake(monkeypatch, tmp_path):
    paths = pytest.importorskip("anny.paths")
    import anny as package

    own, seen = paths.get_anny_cache_path(), []

    def build(**_):
        seen.append(paths.get_anny_cache_path())
        if len(seen) == 1:
            raise RuntimeError("damaged")
        return "model"

    monkeypatch.setattr(package, "Anny", build)
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "x.safetensors").write_bytes(b"")
    paths.set_anny_cache_path(tmp_path)
    try:
        assert bake._build_anny() == "model"
        assert paths.get_anny_cache_path() == tmp_path
    finally:
        paths.set_anny_cache_path(own)
    assert seen[0] == tmp_path
    assert not seen[1].exists()
