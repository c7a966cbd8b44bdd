"""Writers of files that look as official downloads do: Python 2 pickles, chumpy and sparse arrays, archives."""

import gzip
import io
import lzma
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import scipy.sparse

from tests.body_models.licensed.official_arrays import official_arrays

_OLD_MODULES = {
    "copyreg": "copy_reg",
    "builtins": "__builtin__",
    "numpy._core.multiarray": "numpy.core.multiarray",
    "scipy.sparse._csc": "scipy.sparse.csc",
    "scipy.sparse._csr": "scipy.sparse.csr",
    "scipy.sparse._coo": "scipy.sparse.coo",
}


class Ch:
    """Pickled as chumpy pickles its arrays."""

    pickled_as = ("chumpy.ch", "Ch")

    def __init__(self, x):
        self.__dict__ = {"_dirty_vars": set(), "_itr": None, "_depends_on_deps": {}, "x": x}


class Select:
    """Pickled as chumpy pickles a part of an array, which is how some SMPL files hold their first ten betas."""

    pickled_as = ("chumpy.reordering", "Select")

    def __init__(self, a, idxs, preferred_shape):
        self.a, self.idxs, self.preferred_shape = Ch(a), idxs, preferred_shape


class Python2Pickler(pickle._Pickler):
    """Writes bytes and text as Python 2 wrote its strings, and modules under the names they had then."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_string(self, item):
        data = item if isinstance(item, bytes) else item.encode("latin-1")
        if not self.bin:
            text = "".join(chr(c) if 32 <= c < 127 and c not in (39, 92) else f"\\x{c:02x}" for c in data)
            self.write(pickle.STRING + b"'" + text.encode("ascii") + b"'\n")
        else:
            self.write(pickle.BINSTRING + len(data).to_bytes(4, "little") + data)
        self.memoize(item)

    dispatch[bytes] = dispatch[str] = save_string

    def save_global(self, item, name=None):
        module, name = getattr(item, "pickled_as", (item.__module__, name or item.__qualname__))
        self.write(pickle.GLOBAL + f"{_OLD_MODULES.get(module, module)}\n{name}\n".encode())
        self.memoize(item)

    dispatch[type] = save_global
    dispatch[type(len)] = dispatch[type(lambda: None)] = save_global


def python2_pickle(values, protocol: int = 2) -> bytes:
    """What Python 2's pickle.dumps would have written."""
    stream = io.BytesIO()
    Python2Pickler(stream, protocol).dump(values)
    return stream.getvalue()


def chumpy_pickle(arrays: dict[str, np.ndarray], protocol: int = 2) -> bytes:
    """An SMPL file of the first release: chumpy arrays, shapedirs a part of a larger one, a sparse regressor."""
    values: dict[str, Any] = {
        key: Ch(value) if key in ("v_template", "weights", "posedirs") else value for key, value in arrays.items()
    }
    shapedirs = arrays["shapedirs"]
    larger = np.concatenate([shapedirs, np.full_like(shapedirs[..., :2], 7.0)], axis=-1)
    places = np.arange(larger.size).reshape(larger.shape)[..., : shapedirs.shape[-1]].reshape(-1)
    values["shapedirs"] = Select(larger, places, shapedirs.shape)
    values["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
    return python2_pickle({**values, "bs_type": "lrotmin", "bs_style": "lbs"}, protocol)


def light_arrays(family: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Official arrays of true size that compress well: no pose correctives, few components."""
    arrays = official_arrays(family, seed, components=20 if family in ("smplx", "flame") else 10)
    return {**arrays, "posedirs": np.zeros_like(arrays["posedirs"])}


def npz_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """An npz, with the object entries that SMPL-X files have."""
    stream = io.BytesIO()
    np.savez(stream, **arrays, part2num=np.array({"head": 15}, dtype=object))
    return stream.getvalue()


def npy_dictionary(values: dict[str, np.ndarray]) -> bytes:
    """An npy with a pickled dictionary, as FLAME's dynamic landmarks are."""
    stream = io.BytesIO()
    np.save(stream, np.array(values, dtype=object), allow_pickle=True)
    return stream.getvalue()


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    """A zip of the given members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    """A tar of the given members, compressed as its suffix says."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    whole = stream.getvalue()
    path.write_bytes(lzma.compress(whole, preset=0) if path.suffix == ".xz" else gzip.compress(whole, 1))
    return path
