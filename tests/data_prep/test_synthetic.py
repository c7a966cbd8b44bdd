"""The synthetic person: reproducible, clothed, closed, and different in training and test."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from body_models import InputError, load_anny
from body_models.motion.amass import load_poses
from data_prep._clothes import Part
from data_prep._mesh_edit import Mesh, cut_along_zero, extrude_faces, split_long_edges
from data_prep.surface import Surface
from data_prep.synthetic import WRINKLE, SyntheticOptions, make_person, make_sequence, write_sequence

OPTIONS = SyntheticOptions(seed=0, train_frames=3, test_frames=2)


@pytest.fixture(scope="module")
def model():
    return load_anny()


@pytest.fixture(scope="module")
def person(model):
    return make_person(model, OPTIONS)


@pytest.fixture(scope="module")
def written(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sequence")
    return folder, write_sequence(folder, model, OPTIONS)


def _trimesh(vertices, faces):
    return trimesh.Trimesh(np.asarray(vertices), np.asarray(faces), process=False)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_person_is_one_closed_surface(model, seed):
    clothed = make_person(model, SyntheticOptions(seed=seed)).clothed
    mesh = _trimesh(clothed.vertices, clothed.faces)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.euler_number == 2
    assert mesh.volume > 0
    assert len(np.unique(clothed.faces)) == len(clothed.vertices)
    torch.testing.assert_close(clothed.skinning_weights.sum(1), torch.ones(len(clothed.vertices)))


def test_clothes_enclose_the_body(person):
    surface = Surface(person.clothed.vertices, person.clothed.faces)
    distance = surface.signed_distance(person.body.vertices)
    assert (distance < 0.002).float().mean() > 0.97  # bare skin coincides up to its smoothing
    names = person.body.skeleton.joint_names
    torso = [names.index(name) for name in ("spine1", "spine2", "spine3", "left_hip", "right_hip")]
    covered = person.body.skinning_weights[:, torso].sum(1) > 0.9
    covered &= person.body.vertices[:, 1] < person.body.joints[names.index("left_collar"), 1] - 0.1
    assert (distance[covered] < -0.002).float().mean() > 0.97


def test_clothes_stay_near_the_body(person):
    surface = Surface(person.body.vertices, person.body.faces)
    distance = surface.signed_distance(person.clothed.vertices)
    cloth = (person.part == Part.SHIRT) | (person.part == Part.TROUSERS)
    assert distance.max() < 0.07
    assert 0.008 < distance[cloth].mean() < 0.03
    assert {int(value) for value in person.part.unique()} == {int(value) for value in Part}


def test_wrinkles_are_small_and_only_in_cloth(person):
    assert person.wrinkles.norm(dim=-1).max() <= WRINKLE
    bare = (person.part != Part.SHIRT) & (person.part != Part.TROUSERS)
    assert person.wrinkles[bare].abs().max() == 0
    assert person.wrinkles.abs().max() > 0.3 * WRINKLE


def test_rest_pose_gives_the_clothed_surface(person):
    posed = person.pose_vertices(torch.zeros_like(person.body.joints), torch.zeros(3))
    torch.testing.assert_close(posed, person.clothed.vertices)


def test_seed_decides_everything(model, person):
    again, other = make_sequence(model, OPTIONS), make_sequence(model, replace(OPTIONS, seed=1))
    first = make_sequence(model, OPTIONS, person=person)
    for (vertices, faces), (same, same_faces) in zip(first.meshes, again.meshes, strict=True):
        assert torch.equal(vertices, same)
        assert torch.equal(faces, same_faces)
    assert not torch.equal(first.betas, other.betas)
    assert not torch.equal(first.rotations, other.rotations)


def test_scans_without_defects_are_the_posed_person(model, person):
    sequence = make_sequence(model, replace(OPTIONS, noise_mm=0.0, holes=False), "test", person)
    for (vertices, faces), pose, move in zip(sequence.meshes, sequence.rotations, sequence.translations, strict=True):
        torch.testing.assert_close(vertices, person.pose_vertices(pose, torch.zeros(3)) + move)
        assert _trimesh(vertices, faces).is_watertight
        assert vertices[:, 1].min().abs() < 1e-5


def test_defects_are_small(model, person):
    clean = make_sequence(model, replace(OPTIONS, noise_mm=0.0, holes=False), "test", person)
    scan = _trimesh(*make_sequence(model, OPTIONS, "test", person).meshes[0])
    assert not scan.is_watertight
    assert scan.area == pytest.approx(_trimesh(*clean.meshes[0]).area, rel=0.05)


def test_train_and_test_differ(model, person):
    options = SyntheticOptions(seed=0)
    train, test = (make_sequence(model, options, split, person) for split in ("train", "test"))
    assert (len(train.meshes), len(test.meshes)) == (12, 5)
    gap = (test.rotations[:, None, 1:] - train.rotations[None, :, 1:]).norm(dim=-1)
    assert gap.amax(dim=-1).min() > np.deg2rad(25)  # some joint is far from each frame of the training


def test_parts_have_colours_of_their_own(person):
    means = torch.stack([person.colours[person.part == part].float().mean(0) for part in Part])
    assert (torch.cdist(means, means) + 1000 * torch.eye(len(means))).min() > 25
    skin = means[Part.SKIN]
    assert skin[0] > skin[1] > skin[2]


def test_files_round_trip(written):
    folder, sequences = written
    for split, sequence in sequences.items():
        paths = sorted((folder / split).glob("scan_*.ply"))
        assert [path.name for path in paths] == [f"scan_{i:03d}.ply" for i in range(len(sequence.meshes))]
        for path, (vertices, faces), colours in zip(paths, sequence.meshes, sequence.colours, strict=True):
            mesh = trimesh.load(path, process=False)
            np.testing.assert_array_equal(mesh.visual.vertex_colors[:, :3], colours.numpy())
            np.testing.assert_array_equal(mesh.vertices.astype(np.float32), vertices.numpy())
            np.testing.assert_array_equal(mesh.faces, faces.numpy())
        poses = load_poses(folder / split / "poses.npz")
        torch.testing.assert_close(poses.motion.rotations, sequence.rotations)
        torch.testing.assert_close(poses.motion.translations, sequence.translations)
        torch.testing.assert_close(poses.betas, sequence.betas)
        assert poses.body_model == "anny"
    assert {path.suffix for path in folder.rglob("*.*")} == {".ply", ".npz"}


def test_pose_file_has_amass_keys_and_needs_no_pickle(written):
    folder, sequences = written
    with np.load(folder / "train" / "poses.npz", allow_pickle=False) as arrays:
        assert arrays["poses"].shape == (len(sequences["train"].meshes), 72)
        assert arrays["trans"].shape == (len(sequences["train"].meshes), 3)
        assert {"betas", "joint_names", "body_model", "up"} <= set(arrays.files)


def test_writing_again_leaves_no_stale_scans(model, tmp_path):
    write_sequence(tmp_path, model, OPTIONS)
    write_sequence(tmp_path, model, replace(OPTIONS, train_frames=1))
    assert [path.name for path in (tmp_path / "train").iterdir() if path.suffix == ".ply"] == ["scan_000.ply"]


def test_bad_requests_are_refused(model, person, tmp_path):
    with pytest.raises(InputError, match="train or test"):
        make_sequence(model, OPTIONS, "validation", person)
    with pytest.raises(InputError, match="one or more"):
        make_sequence(model, replace(OPTIONS, test_frames=0), "test", person)
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(InputError, match="Cannot write"):
        write_sequence(tmp_path / "taken", model, OPTIONS)


def test_mesh_edits_keep_a_sphere_closed():
    sphere = trimesh.creation.icosphere(subdivisions=2)
    mesh = Mesh(np.concatenate([sphere.vertices, sphere.vertices[:, 1:2] - 0.13], axis=1), sphere.faces)
    finer = split_long_edges(mesh, 0.25, sphere.vertices[:, 0] > 0)
    cut = cut_along_zero(finer, -1)
    corner_levels = cut.values[cut.faces, -1]
    above = corner_levels.min(1) >= 0
    assert not ((corner_levels.min(1) < -1e-12) & (corner_levels.max(1) > 1e-12)).any()
    raised = extrude_faces(cut, above, np.ones(len(above), dtype=bool))
    for step in (finer, cut, raised):
        assert _trimesh(step.points, step.faces).is_watertight
    assert len(finer.faces) > len(mesh.faces)
    assert len(raised.values) > len(cut.values)
