"""A fixed family of fold patterns for each garment, placed on the mean body along and around its limbs.

Cloth hangs in long folds down and across the limbs and bunches only at elbows, knees and hems, so every family has
drapes, slanted folds of both senses, folds that fan out from armpits or crotch, and bunches.
"""

import numpy as np
from jaxtyping import Float

from data_prep._clothes import ramp
from data_prep.people.synthetic.outfit import GARMENTS

DEPTH = {"top": 0.0055, "bottom": 0.0055, "hair": 0.006}
"""Depth that no sum of folds exceeds (metres)."""
STRENGTH = {"top": 1.7, "bottom": 1.6, "hair": 1.0}
LEFT = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")

Joints = dict[str, Float[np.ndarray, "3"]]
Patterns = Float[np.ndarray, "pattern vertex"]
Column = Float[np.ndarray, "vertex"]


def fold_height(
    garment: str,
    points: Float[np.ndarray, "vertex 3"],
    joints: Joints,
    amplitudes: Float[np.ndarray, "garment pattern"],
) -> Float[np.ndarray, "vertex"]:
    """Height of a garment's folds at points on the mean body, whose joints are given (metres)."""
    patterns = {"top": _top, "bottom": _bottom, "hair": _hair}[garment](points, joints)
    return DEPTH[garment] * np.tanh(STRENGTH[garment] * amplitudes[GARMENTS.index(garment)] @ patterns)


def _bottom(points: Float[np.ndarray, "vertex 3"], joints: Joints) -> Patterns:
    """Trousers: around each leg and down from the hip (metres)."""
    hip, knee, ankle = (joints[f"left_{name}"] for name in LEFT[:3])
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    levels = [ankle[1], knee[1], hip[1]]
    out = x - np.interp(y, levels, [ankle[0], knee[0], hip[0]])
    ahead = z - np.interp(y, levels, [ankle[2], knee[2], hip[2]])
    around, down, side = np.arctan2(out, ahead), hip[1] - y, 0.9 * np.sign(points[:, 0])
    bend, end = hip[1] - knee[1], hip[1] - ankle[1]
    leg = ramp(down, -0.06, 0.1)
    behind = 0.5 - 0.5 * np.cos(around)
    hem = ramp(down, end - 0.2, end - 0.05) * (0.35 + 0.65 * (0.5 + 0.5 * np.cos(around - 1.0 + side)))
    return np.stack(
        [
            leg * np.cos(5 * around + 4 * down + side),
            leg * np.cos(4 * around + 26 * down + side) * (0.5 + 0.5 * np.cos(7 * down + side)),
            leg * np.cos(4 * around - 23 * down + 2 + side) * (0.5 + 0.5 * np.cos(6 * down + 2)),
            _fan(x - 0.03, y - hip[1] + 0.08, 9, 0.2),
            _near(down - bend, 0.075)
            * _bunch(down - bend, 0.055, 1.4 * np.cos(around + side))
            * (0.25 + 0.75 * behind),
            hem * _bunch(down, 0.05, 1.8 * np.sin(around + side)),
        ]
    )


def _top(points: Float[np.ndarray, "vertex 3"], joints: Joints) -> Patterns:
    """Trunk and sleeves, blended at the shoulders."""
    start, elbow, wrist = (joints[f"left_{name}"] for name in LEFT[3:])
    axis = (wrist - start) / np.linalg.norm(wrist - start)
    relative = points * np.where(points[:, :1] < 0, (-1.0, 1.0, 1.0), 1.0) - start
    along = relative @ axis
    across = relative - along[:, None] * axis
    sleeve = ramp(along, 0.0, 0.09) * ramp(np.linalg.norm(across, axis=1), 0.155, 0.11)
    around = np.arctan2(across @ np.cross([0.0, 0.0, 1.0], axis), across[:, 2])
    bend, end = float((elbow - start) @ axis), float((wrist - start) @ axis)
    on_sleeve = _sleeve(along, around, bend, end, 0.9 * np.sign(points[:, 0]))
    return sleeve * on_sleeve + (1 - sleeve) * _trunk(points, joints)


def _sleeve(along: Column, around: Column, bend: float, end: float, side: Column) -> Patterns:
    cuff = ramp(along, end - 0.15, end - 0.03) * (0.4 + 0.6 * (0.5 + 0.5 * np.cos(around + side)))
    inner = 0.5 + 0.5 * np.cos(around)
    return np.stack(
        [
            np.cos(3 * around + 6 * along + side),
            np.cos(3 * around + 36 * along + side) * (0.5 + 0.5 * np.cos(11 * along + side)),
            np.cos(3 * around - 32 * along + 1 + side) * (0.5 + 0.5 * np.cos(9 * along + 2)),
            _near(along - 0.07, 0.05) * np.cos(2 * around + 45 * along),
            _near(along - bend, 0.065)
            * _bunch(along - bend, 0.05, 1.4 * np.cos(around + side))
            * (0.25 + 0.75 * inner),
            cuff * _bunch(along, 0.045, 1.8 * np.sin(around + side)),
        ]
    )


def _trunk(points: Float[np.ndarray, "vertex 3"], joints: Joints) -> Patterns:
    shoulder, neck, pelvis = joints["left_shoulder"], joints["neck"], joints["pelvis"]
    x, y, z = points.T
    around, up = np.arctan2(x, z - pelvis[2]), y - pelvis[1]
    share = up / (neck[1] - pelvis[1])
    from_neck = np.linalg.norm(points - neck, axis=1)
    low = ramp(share, 0.85, 0.3)
    return np.stack(
        [
            low * np.cos(7 * around + 8 * up + 1),
            np.cos(6 * around + 24 * up + 2) * (0.3 + 0.7 * (0.5 + 0.5 * np.cos(around + 6 * up))) * (0.4 + 0.6 * low),
            np.cos(6 * around - 27 * up) * (0.3 + 0.7 * (0.5 + 0.5 * np.cos(around - 5 * up + 2))) * (0.4 + 0.6 * low),
            _fan(np.abs(x) - shoulder[0] + 0.02, y - shoulder[1] + 0.11, 8, 0.18),
            _near(share - 0.3, 0.18)
            * _bunch(up, 0.085, 2.0 * np.cos(2 * around) + np.sin(around))
            * np.sin(around) ** 2,
            0.6 * _bunch(from_neck, 0.09, 1.2 * np.sin(2 * around)) * _near(from_neck - 0.2, 0.09),
        ]
    )


def _hair(points: Float[np.ndarray, "vertex 3"], joints: Joints) -> Patterns:
    """Short hair: more on one side, in front or behind, a parting, and locks that run out from the crown."""
    centre = joints["head"] + np.array([0.0, 0.07, 0.02])
    x, y, z = (points - centre).T
    around, up = np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))
    top = ramp(y, 0.0, 0.06)
    return np.stack(
        [
            1.2 * top * np.tanh(x / 0.04),
            1.5 * top * np.tanh((z - 0.03) / 0.04),
            np.cos(9 * around + 5 * up) * np.cos(up),
            np.cos(7 * around - 7 * up + 1) * np.cos(up),
            np.cos(5 * around + 1) * np.cos(9 * up),
            -1.5 * top * _near(x - 0.03, 0.012),
        ]
    )


def _near(distance: Column, width: float) -> Column:
    return np.exp(-((distance / width) ** 2))


def _bunch(distance: Column, wavelength: float, slant: Column) -> Column:
    """Waves along a limb, bent as they go around it."""
    return np.cos(2 * np.pi / wavelength * distance + slant)


def _fan(across: Column, up: Column, count: int, reach: float) -> Column:
    """Folds that run out from a point in the front view; an odd or even number of them in a full turn."""
    distance = np.hypot(across, up)
    return np.cos(count * np.arctan2(up, across)) * ramp(distance, 0.03, 0.08) * ramp(distance, reach, 0.5 * reach)
