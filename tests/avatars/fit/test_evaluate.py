import importlib
import json

import pytest
import torch

from avatars.cli import main
from avatars.fit import evaluate
from avatars.fit.pose import refine_poses
from avatars.metrics import iou
from body_models import InputError, load_poses, write_amass
from data_prep.scans import Scan
from data_prep.surface import Surface
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_body import small_body, small_poses


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Fewer points and cells than the protocol's."""
    module = importlib.import_module("avatars.fit.evaluate")
    for name, value in (("UNIFORM_POINTS", 5000), ("NEAR_POINTS", 5000), ("MESH_RESOLUTION", 64)):
        monkeypatch.setattr(module, name, value)


def test_its_own_scans_in_their_poses(whole, scans):
    found = evaluate(whole[0], scans / "train", poses=scans / "train/poses.npz", quiet=True)
    assert [row.name for row in found.rows] == ["scan_000", "scan_001", "scan_002"]
    assert found.iou_box > 0.9
    assert found.iou_surface > 0.6
    assert found.chamfer_mm < 15
    assert found.normal_consistency > 0.8
    assert all(row.residual_mm != row.residual_mm for row in found.rows)
    assert found.skipped == ()
    assert found.table().count("\n") == 5
    again = evaluate(whole[0], scans / "train", poses=scans / "train/poses.npz", quiet=True)
    assert again.table() == found.table()


def test_a_held_out_scan_as_json(whole, scans, tmp_path, capsys):
    path, poses = tmp_path / "found.json", scans / "test/poses.npz"
    arguments = [whole[1], "--scans", scans / "test", "--poses", poses, "--json", path]
    assert main(["evaluate", *map(str, arguments)]) == 0
    assert str(path) in capsys.readouterr().out
    stored = json.loads(path.read_text())
    assert stored["scans"][0]["name"] == "scan_000"
    assert stored["mean"]["iou_box"] > 0.8
    assert torch.allclose(torch.tensor(stored["scans"][0]["pose"]), load_poses(poses).motion.rotations[0])


@pytest.mark.parametrize(("folder", "poses"), [("train", "test"), ("test", "train")])
def test_a_wrong_number_of_poses(whole, scans, folder, poses):
    with pytest.raises(InputError, match=r"poses\.npz.*one a scan"):
        evaluate(whole[0], scans / folder, poses=scans / poses / "poses.npz", quiet=True)


def test_poses_of_another_body(whole, scans, tmp_path):
    motion = load_poses(scans / "train/poses.npz").motion
    write_amass(tmp_path / "smpl.npz", motion, body_model="smpl")
    with pytest.raises(InputError, match="smpl body"):
        evaluate(whole[0], scans / "train", poses=tmp_path / "smpl.npz", quiet=True)


@pytest.mark.parametrize("seed", [-1, 2**40])
def test_a_seed_that_is_none(whole, scans, seed):
    with pytest.raises(InputError, match="seed"):
        evaluate(whole[0], scans / "test", seed=seed, quiet=True)


def test_nothing_to_evaluate(whole, tmp_path):
    with pytest.raises(InputError, match="no scans"):
        evaluate(whole[0], tmp_path, quiet=True)


def overlap(avatar, scan, pose, place):
    surface = Surface(torch.as_tensor(scan.vertices), torch.as_tensor(scan.faces))
    low, high = surface.vertices.amin(0) - 0.05, surface.vertices.amax(0) + 0.05
    points = low + torch.rand(20_000, 3, generator=torch.Generator().manual_seed(1)) * (high - low)
    return float(iou(avatar.pose(pose, place).occupancy(points) > 0, surface.inside(points)))


def test_refinement_recovers_a_perturbed_pose_and_changes_nothing_else():
    avatar = small_avatar()
    before = {name: value.clone() for name, value in avatar.model.state_dict().items()}
    truth, places = small_poses(2, scale=0.1, seed=7), torch.tensor([[0.0, 0.0, 0.0], [0.2, 0.1, -0.3]])
    faces = small_body().faces.numpy()
    bodies = [small_body().pose_vertices(pose, place).numpy() for pose, place in zip(truth, places, strict=True)]
    scans = [Scan(f"scan_{number}", vertices, faces) for number, vertices in enumerate(bodies)]
    start = truth + 0.06 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(2))
    shifted = places + torch.tensor([0.01, 0.0, -0.01])
    kept = start.clone(), shifted.clone()
    found, found_places = refine_poses(avatar, scans, start, shifted, seed=0)
    for number, scan in enumerate(scans):
        was = overlap(avatar, scan, start[number], shifted[number])
        now = overlap(avatar, scan, found[number], found_places[number])
        assert now > was + 0.05
        assert now > 0.88
    assert torch.equal(start, kept[0])
    assert torch.equal(shifted, kept[1])
    assert all(torch.equal(value, before[name]) for name, value in avatar.model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in avatar.model.parameters())
    assert not found.requires_grad
