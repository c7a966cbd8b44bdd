import re
import shutil

import numpy as np
import pytest
from jaxtyping import Float

from body_models.errors import InputError
from body_models.gltf import Document, Track, clip_tracks, sample_track, sample_track_at, world_transforms
from tests.shared_data import shared


def _track(interpolation: str, values: Float[np.ndarray, "key slot width"]) -> Track:
    return Track(0, "translation", interpolation, np.array([1.0, 2.0, 4.0]), values)


def test_sampling_interpolates_and_holds_the_ends() -> None:
    line = _track("LINEAR", np.array([[[0.0]], [[10.0]], [[20.0]]]))
    assert [sample_track(line, time)[0] for time in (0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 9.0)] == pytest.approx(
        [0, 0, 5, 10, 15, 20, 20]
    )
    assert sample_track(_track("STEP", line.values), 3.9)[0] == 10


def test_cubic_spline_reproduces_a_cubic() -> None:
    times = np.array([1.0, 2.0, 4.0])
    slopes = 3 * times**2 - 2
    spline = _track("CUBICSPLINE", np.stack([slopes, times**3 - 2 * times, slopes], axis=1)[..., None])
    for time in (1.0, 1.3, 2.0, 3.7, 4.0):
        assert sample_track(spline, time)[0] == pytest.approx(time**3 - 2 * time)


@pytest.mark.parametrize("interpolation", ["LINEAR", "STEP", "CUBICSPLINE"])
@pytest.mark.parametrize("path", ["rotation", "translation"])
def test_many_moments_are_as_one_by_one(interpolation: str, path: str) -> None:
    slots, width = 3 if interpolation == "CUBICSPLINE" else 1, 4 if path == "rotation" else 3
    values = np.random.default_rng(0).standard_normal((3, slots, width))
    track = Track(0, path, interpolation, np.array([1.0, 2.0, 4.0]), values)
    times = np.linspace(0.0, 5.0, 23)
    expected = np.stack([sample_track(track, float(time)) for time in times])
    np.testing.assert_allclose(sample_track_at(track, times), expected, atol=1e-12)


def test_transforms_over_time_are_those_of_each_moment() -> None:
    document = Document(shared("rigged_cesium_man") / "CesiumMan.glb")
    tracks = clip_tracks(document, document.gltf.animations[0])
    times = np.array([0.1, 0.7, 1.9])
    pose: dict = {}
    for track in tracks:
        pose.setdefault(track.node, {})[track.path] = sample_track_at(track, times)
    together = world_transforms(document, pose)
    for moment in range(len(times)):
        alone = {node: {path: value[moment] for path, value in parts.items()} for node, parts in pose.items()}
        np.testing.assert_allclose(together[moment], world_transforms(document, alone), atol=1e-12)


def test_parents_come_before_children() -> None:
    document = Document(shared("rigged_cesium_man") / "CesiumMan.glb")
    seen: set[int] = set()
    for node in document.order:
        assert document.parents.get(node, node) in seen | {node}
        seen.add(node)
    assert len(seen) == len(document.gltf.nodes)


@pytest.mark.parametrize("content", [b"", b"text", b"glTF\x02\x00\x00\x00\xff\x00\x00\x00", b"{", b"[]", b"{}x"])
@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
def test_damaged_files_are_user_errors(tmp_path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(str(path))):
        Document(path)


def test_truncated_and_missing_files(tmp_path) -> None:
    path = tmp_path / "clip.glb"
    path.write_bytes((shared("rigged_cesium_man") / "CesiumMan.glb").read_bytes()[:9000])
    with pytest.raises(InputError, match=r"clip\.glb"):
        Document(path)
    with pytest.raises(InputError, match="cannot be read"):
        Document(tmp_path / "none.glb")


def test_data_that_end_too_early(tmp_path) -> None:
    import pygltflib

    copy = shutil.copy(shared("rigged_cesium_man") / "CesiumMan.glb", tmp_path)
    document = pygltflib.GLTF2().load(str(copy))
    document.convert_buffers(pygltflib.BufferFormat.BINFILE)  # writes beside the file
    document.buffers[0].uri = "clip.bin"
    (tmp_path / "clip.bin").write_bytes(b"\0" * 1000)
    (tmp_path / "clip.gltf").write_text(document.gltf_to_json())
    broken = Document(tmp_path / "clip.gltf")
    with pytest.raises(InputError, match=r"clip\.gltf.*truncated"):
        clip_tracks(broken, broken.gltf.animations[0])
