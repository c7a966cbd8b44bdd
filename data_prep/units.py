"""Find the unit and the up axis of a folder of scans of one person, and say how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from body_models.errors import InputError
from data_prep.mesh_files import RawMesh

METRES_PER_UNIT = {"m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001, "in": 0.0254}
UNIT_NAMES = {"m": "metres", "dm": "decimetres", "cm": "centimetres", "mm": "millimetres", "in": "inches"}
LONGEST_EXTENT = {"m": (0.65, 2.6), "dm": (6.5, 26.0), "in": (55.0, 80.0), "cm": (80.0, 260.0), "mm": (650.0, 2600.0)}
"""What the longest side over all scans reads in each unit, from a crouching child to a tall man reaching up."""
CM_OR_INCHES = (55.0, 102.0)
ASSUMED_HEIGHT = 1.7
"""Metres; only for scans in no known unit."""
YUP_FROM = {
    "y": np.eye(3),
    "-y": np.diag([1.0, -1.0, -1.0]),
    "z": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "-z": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
}
CLEAR_RATIO = 0.3
"""Logarithm of height over depth that tells the up axis; 1.35 times as high as deep."""


@dataclass(frozen=True)
class Frame:
    """How to bring the scans of one folder to metres, Y up; which way the person faces stays open."""

    scale_to_metres: float
    rotation: Float[np.ndarray, "3 3"]
    """Y-up frame from the file's frame."""
    notes: list[str]


def apply_frame(frame: Frame, vertices: Float[np.ndarray, "vertex 3"]) -> Float[np.ndarray, "vertex 3"]:
    """Bring points of a file to metres, Y up."""
    return frame.scale_to_metres * vertices @ frame.rotation.T


def detect_frame(meshes: Sequence[RawMesh], unit: str = "auto", up: str = "auto") -> Frame:
    """Unit and up axis of all scans together: one person, one scanner, finite vertices.

    `unit` is auto, m, dm, cm, mm or in; `up` is auto, y, z, -y or -z; what is given is taken as said.
    Doubtful cases keep Y up, and the notes say so. Raises InputError for other words or no scans.
    """
    if unit not in ("auto", *METRES_PER_UNIT):
        raise InputError(f"unit '{unit}' is unknown; use auto, {', '.join(METRES_PER_UNIT)}")
    if up not in ("auto", *YUP_FROM):
        raise InputError(f"up axis '{up}' is unknown; use auto, {', '.join(YUP_FROM)}")
    if not meshes:
        raise InputError("no scans to find the unit and up axis from")
    extents = np.stack([np.ptp(mesh.vertices, axis=0) for mesh in meshes])
    scale, notes = _scale(extents.max(1), unit)
    axis, axis_notes = (
        (up, [f"up axis: {up.upper()}, as given or as the format defines"])
        if up != "auto"
        else _up_axis(meshes, extents)
    )
    return Frame(scale_to_metres=scale, rotation=YUP_FROM[axis], notes=notes + axis_notes)


def _scale(longest: Float[np.ndarray, " scan"], unit: str) -> tuple[float, list[str]]:
    extent = float(longest.max())
    notes = []
    if longest.max() > 4 * longest.min():
        notes.append(
            f"sizes differ a lot ({longest.min():.4g} to {extent:.4g}): scans in different units or incomplete?"
        )
    if unit != "auto":
        notes.append(f"unit: {UNIT_NAMES[unit]} as given; longest side {extent * METRES_PER_UNIT[unit]:.2f} m")
        return METRES_PER_UNIT[unit], notes
    for name, (low, high) in LONGEST_EXTENT.items():
        if low <= extent < high:
            scale = METRES_PER_UNIT[name]
            notes.append(
                f"unit: taken as {UNIT_NAMES[name]}; longest side {extent * scale:.2f} m" + _doubt(extent, scale)
            )
            return scale, notes
    scale = ASSUMED_HEIGHT / extent
    notes.append(
        f"unit: unknown (longest side {extent:.4g}), no size of a person in any unit; scaled so that it is "
        f"{ASSUMED_HEIGHT} m: sizes are a guess. Give --unit (m, dm, cm, mm, in) if you know it"
    )
    return scale, notes


def _doubt(extent: float, scale: float) -> str:
    if CM_OR_INCHES[0] <= extent < CM_OR_INCHES[1]:
        return "; centimetres and inches are both possible here: give --unit cm or in if this is wrong"
    if extent * scale < 1.3:
        return "; small for a person: a child, a crouching pose or a mesh scaled to 1? Give --unit if this is wrong"
    return ""


def _up_axis(meshes: Sequence[RawMesh], extents: Float[np.ndarray, "scan 3"]) -> tuple[str, list[str]]:
    """Vote over the scans: people are mostly higher than deep, and mirror-symmetric across, not upwards."""
    ratio = float(np.median(np.log(extents[:, 1] / extents[:, 2])))
    widest = float(np.median(np.log(extents[:, 0] / extents[:, 1:].max(1))))
    if widest > CLEAR_RATIO:
        return "y", ["up axis: unsure, the scans are longest along X; kept Y up. Give --up y or z, or turn the scans"]
    if abs(ratio) > CLEAR_RATIO:
        axis, reason = ("y" if ratio > 0 else "z"), "the scans are longest along it"
    else:
        lopsided_y, lopsided_z = (np.median([_lopsidedness(mesh, axis) for mesh in meshes]) for axis in (1, 2))
        if abs(lopsided_y - lopsided_z) < 0.2 or min(lopsided_y, lopsided_z) > 0.05:
            return "y", ["up axis: unsure, the scans are about as long along Y as along Z; kept Y up. Else give --up z"]
        axis, reason = ("y" if lopsided_y > lopsided_z else "z"), "along the other axis the scans are mirror-symmetric"
    return _signed_axis(meshes, axis, reason)


def _signed_axis(meshes: Sequence[RawMesh], axis: str, reason: str) -> tuple[str, list[str]]:
    """Turn the axis round only when the ground plane or the body's build clearly says so."""
    column = "xyz".index(axis)
    lows = np.array([mesh.vertices[:, column].min() for mesh in meshes])
    highs = np.array([mesh.vertices[:, column].max() for mesh in meshes])
    ground = float(np.median((np.abs(highs) - np.abs(lows)) / (highs - lows)))
    centre, flare = np.mean([_build(mesh, column) for mesh in meshes], axis=0)
    name = axis.upper()
    looks_reversed = centre < -0.02 and flare < -0.15
    if looks_reversed and (ground < -0.8 or (len(meshes) >= 3 and ground < 0.8)):
        return f"-{axis}", [f"up axis: -{name}, {reason} and the heads are at its low end; if wrong, give --up {axis}"]
    notes = [f"up axis: {name}, {reason}"]
    if looks_reversed or ground < -0.8:
        notes.append(f"the scans may be upside down; kept {name} up. If they are, give --up=-{axis}")
    return axis, notes


def _surface_samples(mesh: RawMesh) -> tuple[Float[np.ndarray, "face 3"], Float[np.ndarray, " face"]]:
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return (a + b + c) / 3, areas / areas.sum()


def _lopsidedness(mesh: RawMesh, axis: int) -> float:
    """Share of the surface without a counterpart when the profile along an axis is mirrored, 0 to 1."""
    points, shares = _surface_samples(mesh)
    span = (float(mesh.vertices[:, axis].min()), float(mesh.vertices[:, axis].max()))
    profile = np.histogram(points[:, axis], bins=20, range=span, weights=shares)[0]
    return float(np.abs(profile - profile[::-1]).sum() / 2)


def _build(mesh: RawMesh, axis: int) -> tuple[float, float]:
    """How far the surface's middle lies above mid-height, and log of how much wider the low end is than the high end.

    Both are positive for people on their feet: shoulders and arms are high, a head is narrower than two feet.
    """
    points, shares = _surface_samples(mesh)
    low, height = mesh.vertices[:, axis].min(), np.ptp(mesh.vertices[:, axis])
    level = (points[:, axis] - low) / height
    across = np.delete(points, axis, axis=1)
    feet, head = (_spread(across[end], shares[end]) for end in (level < 0.1, level > 0.9))
    return float(level @ shares) - 0.5, float(np.log(max(feet, 1e-6 * height) / max(head, 1e-6 * height)))


def _spread(points: Float[np.ndarray, "face 2"], shares: Float[np.ndarray, " face"]) -> float:
    if shares.sum() == 0:
        return 0.0
    middle = shares @ points / shares.sum()
    return float(np.sqrt(shares @ ((points - middle) ** 2).sum(1) / shares.sum()))
