import builtins
import copyreg
import os
import pickle
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from body_models.errors import InputError
from body_models.licensed.downloads import official_files, read_content, read_official
from body_models.licensed.pickles import read_pickle
from tests.body_models.licensed.pickle_files import (
    Ch,
    Select,
    chumpy_pickle,
    npy_dictionary,
    npz_bytes,
    python2_pickle,
    write_tar,
    write_zip,
)

ROOT = Path(__file__).resolve().parents[3]
WRITERS = {
    **{f"python 3, protocol {p}": (lambda values, p=p: pickle.dumps(values, p)) for p in range(6)},
    **{f"python 2, protocol {p}": (lambda values, p=p: python2_pickle(values, p)) for p in range(3)},
}


def arrays_of(data: bytes) -> dict[str, np.ndarray]:
    return read_content(data, "file").arrays


def refused(data: bytes, source: str = "bad.pkl") -> str:
    with pytest.raises(InputError) as caught:
        read_content(data, source)
    assert source in str(caught.value)
    return str(caught.value)


def small_model() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "v_template": random.normal(size=(20, 3)),
        "shapedirs": random.normal(size=(20, 3, 4)),
        "posedirs": random.normal(size=(20, 3, 9)),
        "weights": random.random((20, 2)),
        "J_regressor": np.where(random.random((2, 20)) < 0.3, random.random((2, 20)), 0),
        "f": random.integers(0, 20, (30, 3)).astype(np.uint32),
    }


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("kind", ["<f4", "<f8", ">f8", "f2", "<u4", "i8", "?", "u1"])
def test_arrays_of_every_kind_come_back(writer, kind):
    whole = (np.arange(24).reshape(2, 3, 4) % 5).astype(kind)
    stored = {"plain": whole, "fortran": np.asfortranarray(whole), "part": whole[:, ::2], "none": whole[:0]}
    read = arrays_of(writer(stored))
    for name, value in stored.items():
        np.testing.assert_array_equal(read[name], value)
        assert read[name].dtype == (np.float64 if np.dtype(kind).kind == "f" else np.int64)


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_numbers_texts_and_lists(writer):
    stored = {"gender": "male", "n": 3, "x": 0.5, "list": [1, 2], "scalar": np.float64(2.5), "odd": "it's\n\xe9\\n"}
    read = read_content(writer(stored), "file")
    assert read.texts == {"gender": "male", "odd": "it's\n\xe9\\n"}
    assert {key: value.tolist() for key, value in read.arrays.items()} == {
        "n": 3,
        "x": 0.5,
        "list": [1, 2],
        "scalar": 2.5,
    }


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("form", ["csc_matrix", "csr_matrix", "coo_matrix", "csc_array", "csr_array", "coo_array"])
def test_sparse_matrices_are_dense(writer, form):
    dense = np.where(np.random.default_rng(1).random((5, 7)) < 0.4, 1.5, 0.0)
    read = arrays_of(writer({"J_regressor": getattr(scipy.sparse, form)(dense)}))
    np.testing.assert_array_equal(read["J_regressor"], dense)


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_chumpy_arrays_are_data(protocol):
    model = small_model()
    read = arrays_of(chumpy_pickle(model, protocol))
    for key, value in model.items():
        np.testing.assert_array_equal(read[key], value)


def test_formulas_and_objects_are_left_out():
    class MatVecMult(Ch):
        pickled_as = ("chumpy.ch", "MatVecMult")

    stored = {"J": MatVecMult(np.ones(3)), "names": np.array([{"a": 1}, None], dtype=object), "f": np.ones((2, 3))}
    assert list(arrays_of(python2_pickle(stored))) == ["f"]


def test_npz_and_npy_dictionaries():
    model = small_model()
    np.testing.assert_array_equal(arrays_of(npz_bytes(model))["posedirs"], model["posedirs"])
    assert "part2num" not in arrays_of(npz_bytes(model))
    np.testing.assert_array_equal(arrays_of(npy_dictionary({"lmk": model["f"]}))["lmk"], model["f"])


class Calls:
    """Pickled so that an ordinary reader would call a function."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


class Builds:
    """Pickled so that an ordinary reader would give a list to this class's __setstate__."""

    def __init__(self, marker):
        self.marker = marker

    def __getstate__(self):
        return [self.marker]

    def __setstate__(self, state):
        Path(state[0]).touch()


def _getattr_by_dots(marker: Path) -> bytes:
    """Protocol 4 walks along dotted names: numpy, ndarray.tofile; then calls it on an array."""
    payload = pickle.dumps((np.arange(3.0), str(marker)), 4)[2:-1]
    return b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93" + payload + b"R."


def malicious(marker: Path) -> dict[str, tuple[bytes, str]]:
    touch = f"touch '{marker}'"
    code = f"open({str(marker)!r}, 'w')"
    system = Calls(os.system, touch)
    return {
        "os.system": (pickle.dumps(system), "system"),
        "os.system 0": (pickle.dumps(system, 0), "posix.system"),
        "nested": (pickle.dumps({"v_template": [np.ones(3), {"a": system}]}, 2), "posix.system"),
        "eval": (pickle.dumps(Calls(builtins.eval, code), 2), "__builtin__.eval"),
        "exec": (pickle.dumps(Calls(builtins.exec, code), 4), "builtins.exec"),
        "open": (pickle.dumps(Calls(open, str(marker), "w")), "open"),
        "subprocess": (pickle.dumps(Calls(subprocess.Popen, ["touch", str(marker)])), "subprocess.Popen"),
        "setstate": (pickle.dumps(Builds(str(marker))), "test_pickles.Builds"),
        "instance": (f"(S'{touch}'\nios\nsystem\n.".encode().replace(b"''", b"'"), "os.system"),
        "object": (b"(cos\nsystem\nS'x'\no.", "os.system"),
        "tofile": (_getattr_by_dots(marker), "numpy.ndarray.tofile"),
        "getattr": (b"c__builtin__\ngetattr\n(cos\nsystem\nS'x'\ntR.", "getattr"),
        "chumpy walk": (b"\x80\x04\x8c\x06chumpy\x8c\tos.system\x93\x8c\x01x\x85R.", "chumpy"),
        "copyreg": (pickle.dumps(Calls(copyreg.add_extension, "os", "system", 7)), "copyreg.add_extension"),
        "load": (pickle.dumps(Calls(pickle.loads, pickle.dumps(system))), "pickle.loads"),
        "memmap": (pickle.dumps(Calls(np.memmap, str(marker), "u1", "w+", 0, (8,))), "memmap"),
        "reconstruct": (b"cnumpy.core.multiarray\n_reconstruct\n(cos\nsystem\n(I0\ntS'b'\ntR.", "os.system"),
        "build on a class": (b"cnumpy\nndarray\n(dS'x'\nI1\nsb.", "BUILD"),
        "persistent": (b"Pwhatever\n.", "PERSID"),
        "persistent binary": (b"\x80\x02U\x01xQ.", "BINPERSID"),
        "extension": (b"\x80\x02\x82\x07.", "EXT1"),
        "line breaks": (b"cos\n\n.", "os"),
    }


@pytest.mark.parametrize("name", malicious(Path("x")))
def test_nothing_runs_in_a_malicious_pickle(name, tmp_path):
    marker = tmp_path / "marker"
    data, wish = malicious(marker)[name]
    inside_npz = {"v_template.npy": npy_dictionary({})[:-1].split(b"\n")[0] + b"\n" + data}
    (tmp_path / "bad.pkl").write_bytes(data)
    for attempt in (
        lambda: read_official(tmp_path / "bad.pkl"),
        lambda: list(official_files(write_zip(tmp_path / "bad.zip", {"smpl/models/SMPL_MALE.pkl": data}))),
        lambda: list(official_files(write_tar(tmp_path / "bad.tar.gz", {"male/model.pkl": data}))),
        lambda: read_official(write_zip(tmp_path / "bad.npz", inside_npz)),
        lambda: read_content(inside_npz["v_template.npy"], "bad.npy"),
    ):
        with pytest.raises(InputError, match="nothing in it was run") as caught:
            attempt()
        assert "bad." in str(caught.value)
        assert wish in str(caught.value)
    assert not marker.exists()


def test_the_malicious_files_would_run_otherwise(tmp_path):
    """Guards the test above: pickle itself does run them."""
    ran = []
    for name in ("os.system", "os.system 0", "nested", "eval", "exec", "open", "tofile", "setstate"):
        marker = tmp_path / name
        pickle.loads(malicious(marker)[name][0])
        ran.append(marker.exists())
    assert all(ran)


def test_a_registered_extension_is_not_fetched():
    copyreg.add_extension("os", "system", 7)
    try:
        assert pickle.loads(b"\x80\x02\x82\x07.") is os.system  # from now on in pickle's cache of extensions
        assert "EXT1" in refused(b"\x80\x02\x82\x07.")
    finally:
        copyreg.remove_extension("os", "system", 7)
        copyreg.clear_extension_cache()


def test_every_truncation_is_one_error():
    for data in (python2_pickle(small_model()), python2_pickle({"f": np.ones(3)}, 0), npz_bytes({"f": np.ones(3)})):
        for length in range(0, len(data), max(1, len(data) // 150)):
            assert refused(data[:length])


def test_damaged_bytes_give_data_or_one_error():
    random = np.random.default_rng(2)
    for data in (chumpy_pickle(small_model()), python2_pickle(small_model(), 0), npz_bytes(small_model())):
        for _ in range(200):
            broken = bytearray(data)
            for place in random.integers(0, len(data), 3):
                broken[place] = random.integers(256)
            with suppress(InputError):
                read_content(bytes(broken), "broken.pkl")


def _deep_key(depth: int) -> bytes:
    return b"\x80\x02}(" + b")" + b"\x85" * depth + b"K\x01u."


def _doubling_key(levels: int) -> bytes:
    return b"\x80\x02})" + b"2\x86" * levels + b"K\x01s."


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # a memo of two thousand million places
        _deep_key(200_000),
        _doubling_key(60),
        b"\x80\x02\x8a\x7f" + b"\xff" * 3,
        b"I" + b"9" * 100_000 + b"\n.",
        b"\x80\x02]" + b"2a" * 50 + b".",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
        python2_pickle({"a": Select(np.ones(3), np.array([0, 5]), (2,))}),
        python2_pickle({"a": Select(np.ones(3), np.array([0, 1]), (7,))}),
    ],
)
def test_bombs_fizzle(data):
    with suppress(InputError):
        assert read_content(data, "bomb.pkl").arrays == {}


def test_a_sparse_matrix_as_large_as_the_world():
    matrix = scipy.sparse.coo_matrix(([1.0], ([0], [0])), shape=(1 << 24, 1 << 24))
    assert "more than any official file" in refused(pickle.dumps({"J_regressor": matrix}, 2))


def test_arrays_whose_parts_do_not_fit():
    data = python2_pickle({"f": np.arange(3.0)}).replace(b"K\x03\x85", b"K\x04\x85")
    assert "24 bytes" in refused(data)
    matrix = scipy.sparse.csc_matrix(np.eye(3))
    matrix.indices[1] = 99
    assert "fit" in refused(pickle.dumps({"J_regressor": matrix}, 2))


def test_an_array_that_holds_itself():
    loop = Ch(None)
    loop.__dict__["x"] = loop
    assert "nested too deeply" in refused(python2_pickle({"v_template": loop}))


@pytest.mark.parametrize("suffix", [".pkl", ".zip", ".npz", ".npy"])
def test_what_is_saved_in_place_of_a_model(tmp_path, suffix):
    path = tmp_path / f"SMPL_MALE{suffix}"
    for content, remedy in ((b"", "empty"), (b"\n<!DOCTYPE html><html>Sign in", "login page"), (b"hello", "again")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=remedy) as caught:
            list(official_files(path))
        assert str(path) in str(caught.value)


def test_truncated_archives(tmp_path):
    members = {"models/SMPL_MALE.pkl": python2_pickle(small_model())}
    for whole in (write_zip(tmp_path / "a.zip", members), write_tar(tmp_path / "a.tar.xz", members)):
        data = whole.read_bytes()
        for share in (0.3, 0.9):
            whole.write_bytes(data[: int(len(data) * share)])
            with pytest.raises(InputError, match="truncated or damaged") as caught:
                list(official_files(whole))
            assert str(whole) in str(caught.value)


def test_a_zip_that_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr("body_models.licensed.downloads.MAX_BYTES", 1 << 16)
    path = write_zip(tmp_path / "bomb.zip", {"SMPL_MALE.pkl": bytes(1 << 20)})
    with pytest.raises(InputError, match="more than any official file"):
        list(official_files(path))


def test_names_that_lead_outside_write_nothing(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    path = write_zip(folder / "a.zip", {"../../outside.pkl": python2_pickle(small_model())})
    assert len(list(official_files(path))) == 1
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.zip", "in"]


REAL_CHUMPY = """
import pickle, sys
import numpy as np, scipy.sparse
import chumpy
whole = chumpy.array(np.arange(60.0).reshape(5, 3, 4))
values = {"v_template": chumpy.array(np.arange(15.0).reshape(5, 3)), "shapedirs": whole[:, :, :2], "turned": whole.T,
          "J_regressor": scipy.sparse.csc_matrix(np.eye(5)), "J": whole + 1.0, "bs_type": "lrotmin"}
sys.stdout.buffer.write(pickle.dumps(values, int(sys.argv[1])))
"""
READER = """
import sys
from body_models.licensed.downloads import read_content
arrays = read_content(sys.stdin.buffer.read(), "file").arrays
print(sorted(arrays), [name for name in sys.modules if name.startswith("chumpy")])
"""


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_files_of_the_real_chumpy(protocol):
    done = subprocess.run([sys.executable, "-c", REAL_CHUMPY, str(protocol)], capture_output=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr.decode()
    read = arrays_of(done.stdout)
    whole = np.arange(60.0).reshape(5, 3, 4)
    np.testing.assert_array_equal(read["v_template"], np.arange(15.0).reshape(5, 3))
    np.testing.assert_array_equal(read["shapedirs"], whole[:, :, :2])
    np.testing.assert_array_equal(read["turned"], whole.T)
    told = subprocess.run([sys.executable, "-c", READER], input=done.stdout, capture_output=True, cwd=ROOT)
    assert told.stdout.decode().strip() == "['J_regressor', 'shapedirs', 'turned', 'v_template'] []"


def test_steps_are_counted(monkeypatch):
    monkeypatch.setattr("body_models.licensed.pickles.MAX_STEPS", 10)
    with pytest.raises(InputError, match="more than 10 steps"):
        read_pickle(pickle.dumps(list(range(50))), "long.pkl")
