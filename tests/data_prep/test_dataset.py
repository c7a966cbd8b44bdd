import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from safetensors.torch import load_file, save_file

from body_models.body import Body
from body_models.errors import InputError
from body_models.skeleton import Skeleton
from data_prep.dataset import ScanDataset, is_complete, read_dataset, write_dataset
from data_prep.paint import PaintedPoints
from data_prep.scans import Scan
from data_prep.tensor_files import write_tensors

REMEDY = "delete the folder and run `avatars fit-scans` again"


def small_body() -> Body:
    mesh = trimesh.creation.icosphere(subdivisions=2)
    vertices = torch.tensor(mesh.vertices, dtype=torch.float32)
    upper = vertices[:, 1:2].clamp(0, 1)
    return Body(
        skeleton=Skeleton(("pelvis", "spine"), (-1, 0)),
        vertices=vertices,
        faces=torch.tensor(mesh.faces),
        skinning_weights=torch.cat([1 - upper, upper], dim=1),
        joints=torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.5, 0.0]]),
        canonical_pose=torch.zeros(2, 3),
    )


def dataset_of(*names: str, seed: int = 0) -> ScanDataset:
    generator = torch.Generator().manual_seed(seed)
    mesh = trimesh.creation.icosphere(subdivisions=1)
    scans = [Scan(name, mesh.vertices * (1 + number), mesh.faces) for number, name in enumerate(names)]
    return ScanDataset(
        body=small_body(),
        names=names,
        poses=torch.randn(len(names), 2, 3, generator=generator),
        translations=torch.randn(len(names), 3, generator=generator),
        residuals_mm=torch.rand(len(names), generator=generator) * 10,
        scans=scans,
        body_model="anny",
        skipped=(("bad.ply", "no faces"),),
        notes=("taken as millimetres", "größer"),
        exact_poses=True,
    )


@pytest.fixture
def written(tmp_path) -> Path:
    write_dataset(dataset_of("pose_0", "pose_1"), tmp_path / "alice")
    return tmp_path / "alice"


def coloured() -> ScanDataset:
    dataset = dataset_of("pose_0", "pose_1")
    random = np.random.default_rng(0)
    colours = PaintedPoints(
        random.random((7, 3)).astype(np.float32), random.integers(256, size=(7, 3)).astype(np.uint8)
    )
    return replace(dataset, scans=[dataset.scans[0], replace(dataset.scans[1], colours=colours)])


def test_colours_come_back_and_go_with_their_scans(tmp_path):
    dataset = coloured()
    write_dataset(dataset, tmp_path / "alice")
    first, second = read_dataset(tmp_path / "alice").scans
    assert first.colours is None
    np.testing.assert_array_equal(second.colours.points, dataset.scans[1].colours.points)
    np.testing.assert_array_equal(second.colours.coded, dataset.scans[1].colours.coded)
    write_dataset(dataset_of("pose_0"), tmp_path / "alice")
    assert not list((tmp_path / "alice/colours").iterdir())


def test_damaged_colours_are_named(tmp_path):
    write_dataset(coloured(), tmp_path / "alice")
    (file,) = (tmp_path / "alice/colours").iterdir()
    write_tensors(file, {"points": torch.zeros(7, 3), "coded": torch.zeros(7, 3)})
    with pytest.raises(InputError, match="coded"):
        read_dataset(tmp_path / "alice")
    file.unlink()
    with pytest.raises(InputError, match="missing"):
        read_dataset(tmp_path / "alice")


def edit(folder: Path, **changes: object) -> None:
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def assert_same(found: ScanDataset, expected: ScanDataset) -> None:
    for field in ("names", "body_model", "skipped", "notes", "exact_poses"):
        assert getattr(found, field) == getattr(expected, field)
    for field in ("poses", "translations", "residuals_mm"):
        assert torch.equal(getattr(found, field), getattr(expected, field))
    assert found.body.skeleton == expected.body.skeleton
    for field in ("vertices", "faces", "skinning_weights", "joints", "canonical_pose"):
        assert torch.equal(getattr(found.body, field), getattr(expected.body, field))
    for scan, original in zip(found.scans, expected.scans, strict=True):
        assert scan.name == original.name
        np.testing.assert_array_equal(scan.vertices, original.vertices.astype(np.float32))
        np.testing.assert_array_equal(scan.faces, original.faces)
        assert (scan.vertices.dtype, scan.faces.dtype) == (np.float32, np.int32)


def test_round_trip(written):
    assert_same(read_dataset(written), dataset_of("pose_0", "pose_1"))
    assert is_complete(written)


def test_the_folder_holds_only_the_files_of_the_schema(written):
    files = {str(path.relative_to(written)) for path in written.rglob("*") if path.is_file()}
    scans = {f"scans/pose_{number}.safetensors" for number in range(2)}
    assert files == {"dataset.json", "body.safetensors", "poses.safetensors"} | scans
    index = json.loads((written / "dataset.json").read_text())
    assert (index["version"], index["units"], index["up"]) == (1, "metres", "y")


def test_views_and_gradients_are_written_too(tmp_path):
    plain = dataset_of("a", "b")
    doubled = torch.cat([plain.poses, plain.poses])
    shared_memory = replace(plain.body, canonical_pose=plain.body.joints)
    odd = replace(plain, poses=doubled[::2].requires_grad_(), body=shared_memory)
    odd = replace(odd, scans=[replace(s, vertices=np.asfortranarray(s.vertices)[::-1]) for s in odd.scans])
    write_dataset(odd, tmp_path / "odd")
    assert_same(read_dataset(tmp_path / "odd"), odd)


def test_awkward_names_get_safe_and_unique_files(tmp_path):
    names = ("a/b", "a\\b", "A?B", "..", "", "CON", "x" * 300, "x" * 301, "日本" * 60, "\udcff", "a_b_2")
    write_dataset(dataset_of(*names), tmp_path / "alice")
    assert read_dataset(tmp_path / "alice").names == names
    files = [path.name for path in (tmp_path / "alice" / "scans").iterdir()]
    assert len({file.casefold() for file in files}) == len(names)
    assert all(len(file.encode()) < 255 and not file.startswith(".") for file in files)
    assert "CON.safetensors" not in files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alice"]


def test_an_older_dataset_is_replaced_and_what_is_not_ours_stays(written):
    (written / "scans" / "mine.txt").write_text("keep")
    loaded = read_dataset(written)
    newer = dataset_of("POSE_0", seed=1)
    write_dataset(newer, written)
    assert_same(read_dataset(written), newer)
    assert {path.name for path in (written / "scans").iterdir()} == {"POSE_0.safetensors", "mine.txt"}
    write_dataset(loaded, written)
    assert_same(read_dataset(written), loaded)


def test_files_that_an_index_names_outside_the_folder_are_left_alone(written):
    outside = written.parent / "other.safetensors"
    outside.write_text("keep")
    entry = {"name": "x", "file": "scans/../../other.safetensors", "residual_mm": 1.0}
    edit(written, scans=[entry, entry])
    with pytest.raises(InputError, match="outside the folder"):
        read_dataset(written)
    write_dataset(dataset_of("a"), written)
    assert outside.read_text() == "keep"


def test_a_failed_write_leaves_the_folder_incomplete(written, monkeypatch):
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("data_prep.tensor_files.save_file", full_disk)
    with pytest.raises(InputError, match="No space left"):
        write_dataset(dataset_of("a"), written)
    assert not is_complete(written)
    assert not list(written.rglob(".*"))
    with pytest.raises(InputError, match="not written to its end.*" + REMEDY):
        read_dataset(written)


def test_missing_and_foreign_folders(tmp_path):
    assert not is_complete(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"No dataset folder.*fit-scans"):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no dataset") as raised:
        read_dataset(tmp_path)
    assert "delete" not in str(raised.value)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="No dataset folder"):
        read_dataset(tmp_path / "file")
    with pytest.raises(InputError, match="Cannot write"):
        write_dataset(dataset_of("a"), tmp_path / "file")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"version": "x"}', "\x00\xff", "[" * 100_000, '{"version":1}']
)
def test_a_garbled_index_is_refused(written, text):
    (written / "dataset.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"dataset\.json.*" + REMEDY):
        read_dataset(written)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "video"},
        {"units": "mm"},
        {"skeleton": {"joint_names": ["a"], "parents": []}},
        {"skeleton": {"joint_names": [], "parents": []}},
        {"skeleton": 3},
        {"scans": []},
        {"scans": [{"name": "x"}]},
        {"scans": [{"name": "pose_0", "file": "scans/pose_0.safetensors", "residual_mm": float("nan")}] * 2},
        {"scans": [{"name": "pose_0", "file": "/etc/passwd", "residual_mm": 1.0}] * 2},
        {"scans": [{"name": "pose_0", "file": "scans/gone.safetensors", "residual_mm": 1.0}] * 2},
        {"skipped": [["only one"]]},
        {"notes": None},
    ],
)
def test_an_index_that_makes_no_sense_is_refused(written, changes):
    edit(written, **changes)
    with pytest.raises(InputError, match=REMEDY):
        read_dataset(written)


def test_a_newer_version_asks_for_an_update(written):
    edit(written, version=99)
    with pytest.raises(InputError, match="version 99.*pip install --upgrade.*" + REMEDY):
        read_dataset(written)


@pytest.mark.parametrize("file", ["body.safetensors", "poses.safetensors", "scans/pose_1.safetensors"])
@pytest.mark.parametrize("kept", [None, 0, 5, 100, -1])
def test_truncated_or_missing_tensors_are_refused(written, file, kept):
    content = (written / file).read_bytes()
    (written / file).unlink()
    if kept is not None:
        (written / file).write_bytes(content[:kept])
    with pytest.raises(InputError, match=Path(file).name + ".*" + REMEDY):
        read_dataset(written)


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        ("body.safetensors", "skinning_weights", torch.zeros(5, 2)),
        ("body.safetensors", "joints", torch.zeros(3, 3)),
        ("body.safetensors", "faces", torch.zeros(1, 3)),
        ("poses.safetensors", "poses", torch.zeros(3, 2, 3)),
        ("poses.safetensors", "translations", torch.full((2, 3), torch.nan)),
        ("scans/pose_0.safetensors", "faces", torch.tensor([[0, 1, 4000]])),
        ("scans/pose_0.safetensors", "faces", torch.tensor([[0, 1, -1]])),
        ("scans/pose_0.safetensors", "vertices", torch.zeros(42, 3, dtype=torch.bfloat16)),
        ("scans/pose_0.safetensors", "vertices", torch.zeros(42)),
    ],
)
def test_tensors_that_do_not_fit_are_refused(written, file, name, value):
    save_file({key: v.clone() for key, v in load_file(written / file).items()} | {name: value}, written / file)
    with pytest.raises(InputError, match=Path(file).name + ".*" + REMEDY):
        read_dataset(written)


def test_datasets_that_make_no_sense_are_refused(tmp_path):
    dataset = dataset_of("a", "b")
    with pytest.raises(InputError, match="names of a dataset"):
        replace(dataset, names=("b", "a"))
    with pytest.raises(InputError, match="one of each"):
        replace(dataset, poses=torch.zeros(2, 3, 3))
    with pytest.raises(InputError, match="one of each"):
        replace(dataset, poses=torch.zeros(1, 2, 3), translations=torch.zeros(1, 3), residuals_mm=torch.zeros(1))
    with pytest.raises(InputError, match="at least one scan"):
        dataset_of()
    broken = dataset.poses.clone()
    broken[1, 0, 0] = torch.nan
    with pytest.raises(InputError, match="poses of scan 'b'"):
        write_dataset(replace(dataset, poses=broken), tmp_path / "broken")
    assert not (tmp_path / "broken").exists()
