"""MakeHuman's .mhclo files: where a garment's vertices lie by vertices of the base mesh."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from body_models.errors import InputError

_AXES = ("x_scale", "y_scale", "z_scale")


@dataclass(frozen=True)
class Fitting:
    """Each vertex is a weighted mean of three base vertices plus an offset that grows with the body."""

    corners: Int[np.ndarray, "vertex 3"]
    shares: Float[np.ndarray, "vertex 3"]
    offsets: Float[np.ndarray, "vertex 3"]
    ends: Int[np.ndarray, "axis 2"]
    """Two base vertices whose distance along an axis, over `lengths`, scales the offsets along it."""
    lengths: Float[np.ndarray, "axis"]

    def on(self, base: Float[np.ndarray, "base 3"]) -> Float[np.ndarray, "vertex 3"]:
        """The vertices around a shape of the base mesh, in its unit."""
        span = np.array([abs(base[a, axis] - base[b, axis]) for axis, (a, b) in enumerate(self.ends)])
        return np.einsum("vk,vkc->vc", self.shares, base[self.corners]) + self.offsets * (span / self.lengths)


def read_mhclo(path: Path, base_count: int, count: int) -> Fitting:
    """Read the fitting of a garment of `count` vertices to a base mesh of `base_count`.

    Raises InputError that names the file when it is missing, damaged or of another number of vertices.
    """
    try:
        fitting = _parse(path.read_text(encoding="utf-8").splitlines())
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}; fetch it again.") from error
    except (ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path} is damaged ({error}); fetch it again.") from error
    used = np.concatenate([fitting.corners.ravel(), fitting.ends.ravel()])
    if len(fitting.corners) != count or used.min() < 0 or used.max() >= base_count:
        raise InputError(f"{path} does not fit its OBJ file or MakeHuman's base mesh; fetch both files again.")
    if not all(np.isfinite(values).all() for values in (fitting.shares, fitting.offsets, fitting.lengths)):
        raise InputError(f"{path} is damaged (a value is no number); fetch it again.")
    return fitting


def _parse(lines: list[str]) -> Fitting:
    scales: dict[str, list[str]] = {}
    rows: list[list[float]] = []
    in_vertices = False
    for words in (line.split() for line in lines):
        if not words or words[0].startswith("#"):
            continue
        if words[0] in _AXES:
            scales[words[0]] = words[1:4]
        elif words[0] in ("verts", "delete_verts"):
            in_vertices = words[0] == "verts"
        elif in_vertices and words[0].isdigit():
            rows.append(_row([float(word) for word in words]))
    values = np.array(rows)
    if values.ndim != 2:
        raise ValueError("it places no vertices")
    ends = np.array([[int(word) for word in scales[axis][:2]] for axis in _AXES])
    lengths = np.array([float(scales[axis][2]) for axis in _AXES])
    if (lengths <= 0).any():
        raise ValueError("a scale is not positive")
    return Fitting(values[:, :3].astype(np.int64), values[:, 3:6], values[:, 6:], ends, lengths)


def _row(numbers: list[float]) -> list[float]:
    """Three vertices, three shares and an offset; a vertex alone stands for itself."""
    if len(numbers) == 1:
        return [*numbers * 3, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    if len(numbers) != 9:
        raise ValueError(f"{len(numbers)} numbers for a vertex")
    return numbers
