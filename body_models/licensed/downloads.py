"""Read official files as they are downloaded: pickles, npz and npy, alone, in folders, zip or tar archives."""

import hashlib
import io
import lzma
import math
import struct
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from body_models.errors import InputError
from body_models.file_kinds import foreign_kind, is_web_page
from body_models.licensed.arrays import MAX_NUMBERS, plain_values, wide
from body_models.licensed.pickles import read_pickle

MAX_BYTES = 1 << 30
"""The largest official file has about half of this."""
_MAX_ARCHIVE = 16 << 30
_MODEL_SUFFIXES = (".pkl", ".npz", ".npy")
_ARCHIVE_SUFFIXES = (".zip", ".tar", ".xz", ".gz", ".bz2", ".tgz")
_TAR_STARTS = (b"\xfd7zXZ", b"\x1f\x8b", b"BZh")
_AGAIN = "Download it again from the official site (`avatars models list` names it)."
_DAMAGED_ARCHIVE = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, struct.error, EOFError)
_DAMAGED_HEADER = (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, SyntaxError, tokenize.TokenError)


@dataclass(frozen=True)
class OfficialFile:
    """The content of one official file under its own keys: floats float64, integers int64, matrices dense."""

    arrays: dict[str, np.ndarray]
    source: str
    """The file, or archive!member."""
    texts: dict[str, str] = field(default_factory=dict)
    sha256: str = ""


def model_paths(path: Path) -> list[Path]:
    """The files to look into: the path itself, or what may hold a model anywhere in a folder.

    Raises InputError when there is nothing at the path.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"No file or folder '{path}'. Give the downloaded file, zip or folder.")
    suffixes = (*_MODEL_SUFFIXES, *_ARCHIVE_SUFFIXES)
    found = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in suffixes and p.is_file()]
    wanted = _wanted(str(p) for p in found)
    return [p for p in found if p.suffix.lower() in _ARCHIVE_SUFFIXES or str(p) in wanted]


def read_official(path: Path) -> OfficialFile:
    """Read one official file; nothing in it is run. Raises InputError for what is damaged, foreign or an archive."""
    with _readable(str(path)):
        _check_size(path.stat().st_size, str(path))
        return read_content(path.read_bytes(), str(path))


def official_files(path: Path, embeddings: bool = False) -> Iterator[OfficialFile]:
    """The official file at a path, or each one in the archive there: models, or else FLAME's landmark embeddings.

    The two are told apart by name. Raises InputError as `read_official` does.
    """
    with _readable(str(path)):
        with path.open("rb") as file:
            start = file.read(512)
        if start.startswith(b"PK") and zipfile.is_zipfile(path) and not _is_npz(path):
            yield from _from_zip(path, embeddings)
        elif start.startswith(_TAR_STARTS) or start[257:262] == b"ustar":
            yield from _from_tar(path, embeddings)
        elif is_embedding(path.name) == embeddings:
            yield read_official(path)


def read_content(data: bytes, source: str) -> OfficialFile:
    """Read the bytes of one pickle, npz or npy, told apart by their first bytes."""
    if not data:
        raise InputError(f"{source} is empty. {_AGAIN}")
    if is_web_page(data[:512]):
        raise InputError(
            f"{source} is a web page, not a model: the site's login page was saved in its place. "
            "Log in there with a browser, accept the licence, and download the file again."
        )
    kind = foreign_kind(data[:512])
    if kind is not None and not data.startswith(b"PK"):
        raise InputError(f"{source} is {kind}, not a model. {_AGAIN}")
    with _readable(source):
        if data.startswith(b"PK"):
            values = _npz_values(data, source)
        elif data.startswith(b"\x93NUMPY"):
            values = _npy_values(data, source)
        else:
            values = plain_values(read_pickle(data, source), source)
    arrays = {key: value for key, value in values.items() if isinstance(value, np.ndarray)}
    texts = {key: value for key, value in values.items() if isinstance(value, str)}
    return OfficialFile(arrays, source, texts, hashlib.sha256(data).hexdigest())


def _npz_values(data: bytes, source: str) -> dict[str, np.ndarray | str]:
    values: dict[str, np.ndarray | str] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            content = _member(archive, info, f"{source}!{info.filename}")
            if not content.startswith(b"\x93NUMPY"):
                raise InputError(f"{source} holds '{info.filename}', which is no array. {_AGAIN}")
            value = _npy_array(content, f"{source}!{info.filename}")
            if value is not None:
                values[info.filename.removesuffix(".npy")] = value
    return values


def _npy_values(data: bytes, source: str) -> dict[str, np.ndarray | str]:
    """What an npy file with a pickled dictionary holds; nothing for one with a plain array."""
    stream = io.BytesIO(data)
    _, _, dtype = _npy_header(stream)
    return plain_values(read_pickle(stream.read(), source), source) if dtype.hasobject else {}


def _npy_array(data: bytes, source: str) -> np.ndarray | str | None:
    """The plain array of an npy file, or None for objects, of which is only made sure that they are harmless."""
    stream = io.BytesIO(data)
    shape, fortran, dtype = _npy_header(stream)
    content = stream.read()
    if dtype.hasobject:
        read_pickle(content, source)
        return None
    count = math.prod(shape)
    if count > MAX_NUMBERS or len(content) != count * dtype.itemsize:
        raise InputError(f"{source} is truncated: {len(content)} bytes for shape {shape} of {dtype}. {_AGAIN}")
    return wide(np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C"))


def _npy_header(stream: io.BytesIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    return np.lib.format.read_array_header_2_0(stream)


def _from_zip(path: Path, embeddings: bool) -> Iterator[OfficialFile]:
    with zipfile.ZipFile(path) as archive:
        wanted = _wanted(archive.namelist(), embeddings)
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            if info.filename in wanted:
                source = f"{path}!{info.filename}"
                yield read_content(_member(archive, info, source), source)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: str) -> bytes:
    _check_size(info.file_size, source)
    if info.flag_bits & 1:
        raise InputError(f"{source} is encrypted. Unpack it with its password and give the file inside.")
    with archive.open(info) as file:
        content = file.read(MAX_BYTES + 1)
    _check_size(len(content), source)
    return content


def _from_tar(path: Path, embeddings: bool) -> Iterator[OfficialFile]:
    names, total = [], 0
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            total += member.size
            if total > _MAX_ARCHIVE:
                raise InputError(f"{path} unpacks to more than {_MAX_ARCHIVE >> 30} GB, more than any official file.")
            names.append(member.name)
        wanted = _wanted(names, embeddings)
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            if member.name in wanted and member.isfile():
                source = f"{path}!{member.name}"
                _check_size(member.size, source)
                file = archive.extractfile(member)
                yield read_content(b"" if file is None else file.read(), source)


def is_embedding(name: str) -> bool:
    """Whether a file's name says that it brings landmarks for FLAME, as flame_static_embedding.pkl does."""
    return "embedding" in name.lower()


def _wanted(names: Iterable[str], embeddings: bool | None = None) -> set[str]:
    """Names that may be models (or embeddings); of a pickle and an npz with the same name, only the npz."""
    paths = {name: PurePosixPath(name.replace("\\", "/")) for name in names}
    kept = {
        name: path
        for name, path in paths.items()
        if path.suffix.lower() in _MODEL_SUFFIXES and not path.name.startswith("._") and "__MACOSX" not in path.parts
    }
    kept = {name: path for name, path in kept.items() if embeddings in (None, is_embedding(path.name))}
    plain = {path.with_suffix("") for path in kept.values() if path.suffix.lower() == ".npz"}
    return {name for name, path in kept.items() if path.suffix.lower() != ".pkl" or path.with_suffix("") not in plain}


def _is_npz(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return bool(names) and all(name.endswith(".npy") and "/" not in name for name in names)


def _check_size(size: int, source: str) -> None:
    if size > MAX_BYTES:
        raise InputError(f"{source} has more than {MAX_BYTES >> 30} GB, more than any official file. Check what it is.")


@contextmanager
def _readable(source: str) -> Iterator[None]:
    """Turn what readers of archives raise into one message."""
    try:
        yield
    except InputError:
        raise
    except (*_DAMAGED_ARCHIVE, *_DAMAGED_HEADER) as error:
        raise InputError(f"{source} is truncated or damaged ({error}). {_AGAIN}") from None
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror or error}). Check its permissions.") from None
