"""The other networks and softmaxes from fitting through the file to evaluation."""

import importlib
from dataclasses import replace

import pytest
import torch

from avatars.fields.weights import GridWeights
from avatars.fit import evaluate, fit_scans
from avatars.fit.options import load_preset
from avatars.models import load, snarf_from_body
from body_models import InputError
from tests.avatars.fit.tiny import PRESET, write_scans
from tests.avatars.small_body import OPTIONS, small_body, small_poses

SEARCH = "search: {start_bones: 6, least_influence: 0, near: 4.0e-3, separation: 1.0e-3}"
VARIANTS = {
    "hierarchical": f"hierarchical: true, {SEARCH}",
    "hierarchical mlp": f"network: mlp, hierarchical: true, width: 32, depth: 5, weight_width: 16, {SEARCH}",
}


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    return write_scans(tmp_path_factory.mktemp("scans"))


@pytest.mark.parametrize("name", VARIANTS)
def test_fit_save_load_and_evaluate(name, scans, tmp_path, monkeypatch):
    module = importlib.import_module("avatars.fit.evaluate")
    for constant, value in (("UNIFORM_POINTS", 2000), ("NEAR_POINTS", 2000), ("MESH_RESOLUTION", 32)):
        monkeypatch.setattr(module, constant, value)
    preset = tmp_path / "variant.yaml"
    text = PRESET.replace("steps: 20", "steps: 4\nbootstrap: 0.5").replace("snarf: {", f"snarf: {{{VARIANTS[name]}, ")
    preset.write_text(text)
    out, poses = tmp_path / "a.avatar", scans / "train/poses.npz"
    avatar = fit_scans(scans / "train", out, poses=poses, preset=str(preset), quiet=True)
    again = load(out)
    assert again.model.options == avatar.model.options == load_preset(str(preset)).snarf
    points = small_body().canonical()[::100]
    before, after = (a.training_pose(0).occupancy(points) for a in (avatar, again))
    assert torch.allclose(before, after, atol=0.1)
    found = evaluate(again, scans / "test", poses=scans / "test/poses.npz", quiet=True)
    assert len(found.rows) == 1
    assert found.iou_box >= (0.85 if name == "hierarchical" else 0.0)


def test_the_hierarchical_softmax_starts_at_the_bodys_weights():
    models = [snarf_from_body(small_body(), replace(OPTIONS, hierarchical=flag)).eval() for flag in (False, True)]
    points = small_body().canonical()[::50]
    plain, tree = (model.weights(points) for model in models)
    assert isinstance(models[1].weights, GridWeights)
    assert models[1].weights.parents == small_body().skeleton.parents
    assert (plain - tree).abs().max() < 1e-2
    pose, place = small_poses(1), torch.zeros(1, 3)
    posed = small_body().pose_vertices(pose[0], place[0])[::50]
    frame = torch.zeros(len(posed), dtype=torch.long)
    with torch.no_grad():
        first, second = (model(posed, frame, pose, place, model.pose_code(pose)) for model in models)
    assert ((first > 0) == (second > 0)).float().mean() > 0.97


@pytest.mark.parametrize(
    "text",
    [
        "part_spacing: 0.0",
        "part_base_spacing: -1.0",
        "part_spacing: .nan",
        "search: {near: 0.0}",
        "search: {separation: .inf}",
        "search: {least_influence: 256}",
        "search: {least_influence: -1}",
        "search: {start_bones: 25}",
    ],
)
def test_sizes_beyond_what_is_possible_are_refused(text, tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_text(f"snarf: {{{text}}}\n")
    with pytest.raises(InputError, match=text.split(":")[-2].strip(" {")):
        load_preset(str(path))
