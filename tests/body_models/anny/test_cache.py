from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import load_file

from body_models import load_anny
from body_models.anny import body, cache, package

MODEL = load_anny()
TENSORS = load_file(cache.cache_folder() / f"anny_body_v{cache.BAKE_VERSION}.safetensors")


@pytest.fixture
def fast_bake(monkeypatch, tmp_path):
    """An empty cache folder and a bake that takes no time; gives the folder and the list of bakes."""
    bakes = []
    monkeypatch.setenv("AVATARS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(body, "bake_body", lambda: bakes.append(1) or TENSORS)
    return tmp_path / "cache", bakes


def test_names_travel_as_bytes():
    names = ("root", "eye.L", "größer")
    assert cache.decode_names(cache.encode_names(names)) == names


def test_the_cache_is_used_and_the_bake_announced(fast_bake, caplog):
    folder, bakes = fast_bake
    with caplog.at_level("INFO"):
        load_anny()
        load_anny("full")
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
    import anny

    own, seen = paths.get_anny_cache_path(), []

    def build(**_):
        seen.append(paths.get_anny_cache_path())
        if len(seen) == 1:
            raise RuntimeError("damaged")
        return "model"

    monkeypatch.setattr(anny, "Anny", build)
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "x.safetensors").write_bytes(b"")
    paths.set_anny_cache_path(tmp_path)
    try:
        assert package.build_body_package() == "model"
        assert paths.get_anny_cache_path() == tmp_path
    finally:
        paths.set_anny_cache_path(own)
    assert seen[0] == tmp_path
    assert not seen[1].exists()
