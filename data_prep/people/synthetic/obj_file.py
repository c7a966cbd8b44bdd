"""Wavefront OBJ files: positions and triangulated faces."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from body_models.errors import InputError


@dataclass(frozen=True)
class Drawn:
    """Points in the file's own unit, and triangles."""

    points: Float[np.ndarray, "vertex 3"]
    triangles: Int[np.ndarray, "face 3"]


def read_obj(path: Path, groups: tuple[str, ...] | None = None) -> Drawn:
    """Read an OBJ file; of `groups` only, where given, and with all of its points.

    Raises InputError that names the file when it is missing, damaged or without faces.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        drawn = _parse(lines, groups)
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}; give another folder.") from error
    except (ValueError, IndexError) as error:
        raise InputError(f"{path} is damaged ({error}); fetch it again.") from error
    if not np.isfinite(drawn.points).all():
        raise InputError(f"{path} is damaged (a coordinate is no number); fetch it again.")
    return drawn


def _parse(lines: list[str], groups: tuple[str, ...] | None) -> Drawn:
    points: list[list[float]] = []
    triangles: list[tuple[int, int, int]] = []
    wanted = groups is None
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "v":
            points.append([float(number) for number in rest.split()[:3]])
        elif kind == "g" and groups is not None:
            wanted = rest.strip() in groups
        elif kind == "f" and wanted:
            corners = [int(corner.split("/")[0]) - 1 for corner in rest.split()]
            triangles += [(corners[0], corners[i], corners[i + 1]) for i in range(1, len(corners) - 1)]
    if not points or not triangles:
        raise ValueError("it has no faces")
    found = np.array(triangles)
    if found.min() < 0 or found.max() >= len(points):
        raise ValueError("a face refers to a vertex that is not there")
    return Drawn(np.array(points, dtype=np.float64), found)
