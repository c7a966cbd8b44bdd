"""Turn the records of a restricted pickle into numpy arrays, by our own checked reading of their bytes."""

import math
import re
from typing import Any

import numpy as np

from body_models.errors import InputError
from body_models.licensed.pickles import Name, Record

MAX_NUMBERS = 200_000_000
"""The largest official array has 15 million; more is refused before it fills the memory."""
_MAX_DEPTH = 20
_DAMAGED = (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError)


def plain_values(item: Any, source: str) -> dict[str, np.ndarray | str]:
    """The arrays and texts of a pickled dictionary; what is neither (formulas, objects) is left out.

    Floats are float64, integers int64; sparse matrices are dense. Raises InputError when an array's parts do not fit.
    """
    try:
        item = _only_object(item)
        found = ((str(key), _value(value, 0)) for key, value in item.items()) if isinstance(item, dict) else ()
        values: dict[str, np.ndarray | str] = {}
        total = 0
        for key, value in found:
            if value is not None:
                values[key] = value
                total += len(value) if isinstance(value, str) else value.size
            if total > MAX_NUMBERS:
                raise ValueError(f"more than {MAX_NUMBERS} numbers in all")
        return values
    except _DAMAGED as error:
        raise InputError(
            f"{source} holds an array that does not fit its own size or kind ({error}). "
            "Download it again from the official site (`avatars models list` names it)."
        ) from None


def _only_object(item: Any) -> Any:
    """What an object array of one element holds, as around a dictionary in an .npy file."""
    if isinstance(item, Record) and item.name.endswith("._reconstruct") and isinstance(item.state[-1], list):
        (item,) = item.state[-1]
    return item


def wide(array: np.ndarray) -> np.ndarray | str | None:
    """An array in float64 or int64, the text of a text scalar, or None for other kinds."""
    if array.dtype.kind in "SU":
        text = array.reshape(-1)[0] if array.size == 1 else ""
        return text.decode("latin-1") if isinstance(text, bytes) else str(text)
    if array.dtype.kind not in "biuf":
        return None
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def _value(item: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(item, Record):
        return _record(item, depth + 1)
    if isinstance(item, bytes):
        return item.decode("latin-1")
    if isinstance(item, bool | int | float) and abs(item) < 2**63:
        return wide(np.array(item))
    if isinstance(item, list | tuple) and item and all(isinstance(value, int | float) for value in item):
        return wide(np.array(item))
    return item if isinstance(item, str) else None


def _record(item: Record, depth: int) -> Any:
    kind = item.name.rsplit(".", 1)[-1]
    if kind == "_reconstructor":  # how protocols 0 and 1 spell a new object of a class
        maker = item.arguments[0]
        return _record(Record(maker.name, (), item.state), depth + 1) if isinstance(maker, Name) else None
    if kind == "_reconstruct":
        shape, dtype, fortran, data = item.state[-4:]
        return _array(shape, dtype, "F" if fortran else "C", data)
    if kind == "_frombuffer":
        data, dtype, shape, order = item.arguments
        return _array(shape, dtype, order, data)
    if kind == "scalar" and len(item.arguments) == 2:
        return _array((), item.arguments[0], "C", item.arguments[1])
    if item.name.startswith("scipy.sparse."):
        return _dense(kind[:3], item.state, depth)
    if item.name.startswith("chumpy."):
        return _chumpy(kind, item.state, depth)
    return None


def _array(shape: tuple[int, ...], dtype: Record, order: str, data: Any) -> np.ndarray | str | None:
    count = _count(shape)
    form = _dtype(dtype)
    if form is None:
        return None
    content = _bytes(data)
    if len(content) != count * form.itemsize:
        raise ValueError(f"{len(content)} bytes for shape {shape} of {form}")
    return wide(np.frombuffer(content, form).reshape(shape, order="F" if order == "F" else "C"))


def _count(shape: Any) -> int:
    if not isinstance(shape, tuple) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError("a shape that is none")
    count = math.prod(shape)
    if count > MAX_NUMBERS:
        raise ValueError(f"shape {shape} is more than any official file has")
    return count


def _dtype(record: Record) -> np.dtype | None:
    """The type of an array's numbers; None for Python objects and other kinds that we do not read."""
    text, order = record.arguments[0], record.state[1] if record.state else "="
    text = text.decode("latin-1") if isinstance(text, bytes) else text
    if not re.fullmatch(r"[biuf][1248]|f16|[aSU]\d{1,6}", text):
        return None
    return np.dtype(_order(order) + text.replace("a", "S"))


def _order(order: Any) -> str:
    order = order.decode("latin-1") if isinstance(order, bytes) else order
    if order not in ("<", ">", "=", "|"):
        raise ValueError("an unknown byte order")
    return order


def _bytes(data: Any) -> bytes:
    """Raw bytes: as such, as a Python 2 string, or as Python 3 writes bytes into older protocols."""
    if isinstance(data, Record) and data.name == "_codecs.encode":
        data, encoding = data.arguments
        if encoding not in ("latin1", "latin-1"):
            raise ValueError("bytes in an unknown encoding")
    elif isinstance(data, Record) and data.name.endswith(".bytes") and not data.arguments:
        return b""
    return data.encode("latin-1") if isinstance(data, str) else bytes(memoryview(data))


def _dense(kind: str, state: dict[str, Any], depth: int) -> np.ndarray:
    """The full matrix of a scipy sparse one: columns (csc) or rows (csr) compressed, or coordinates (coo)."""
    parts = {key: _value(value, depth) for key, value in state.items() if key not in ("coords", "_shape", "shape")}
    shape = state["_shape"] if "_shape" in state else state["shape"]
    _count(shape)
    rows, columns = shape
    values = np.asarray(parts["data"], np.float64).reshape(-1)
    if kind == "coo":
        coordinates = [_value(c, depth) for c in state["coords"]] if "coords" in state else (parts["row"], parts["col"])
        row, column = coordinates
    else:
        outer = np.diff(parts["indptr"])
        if len(outer) != (columns if kind == "csc" else rows) or (outer < 0).any() or outer.sum() != len(values):
            raise ValueError("a sparse matrix with unfitting pointers")
        repeated = np.repeat(np.arange(len(outer)), outer)
        row, column = (parts["indices"], repeated) if kind == "csc" else (repeated, parts["indices"])
    if min(row.min(initial=0), column.min(initial=0)) < 0:
        raise ValueError("a sparse matrix with negative places")
    dense = np.zeros(shape)
    np.add.at(dense, (row, column), values)
    return dense


def _chumpy(kind: str, state: Any, depth: int) -> Any:
    """The numbers of a chumpy array, or of a selection from one; None for formulas, which we do not work out."""
    if kind == "Ch":
        return _value(state["x"], depth)
    if kind not in ("Select", "transpose"):
        return None
    whole = _value(state["a"], depth)
    if whole is None:
        return None
    if kind == "transpose":
        return np.ascontiguousarray(np.transpose(whole, state.get("axes") or None))
    chosen = whole.reshape(-1)[_value(state["idxs"], depth)]
    shape = state.get("preferred_shape")
    return chosen if shape is None else chosen.reshape(shape if isinstance(shape, tuple) else _value(shape, depth))
