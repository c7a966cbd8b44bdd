"""Skirts and the lower parts of coats and dresses: filled bells about both legs."""

import numpy as np
from jaxtyping import Float
from scipy.spatial import ConvexHull

from body_models.body import Body
from data_prep._clothes import Part, bone_share, joints, ramp
from data_prep.people.synthetic.garments import Covered
from data_prep.people.synthetic.levels import ARM, scale_of
from data_prep.people.synthetic.loft import Loft, angles_of
from data_prep.people.synthetic.outfit import GARMENTS, PATTERNS, Outfit

ANGLES = 96
SPACING = 0.013
PLEAT = 0.055
"""Depth of pleats of amplitude one at a radius that grew by one metre (metres)."""


def skirt(covered: Covered, body: Body, outfit: Outfit) -> Loft:
    """A bell from the waist to the hem, wide enough for what hangs above and lies within."""
    joint, scale = joints(body), scale_of(body)
    waist = joint["pelvis"][1] + scale * outfit.skirt_waist
    hip, ankle = joint["left_hip"][1], joint["left_ankle"][1]
    hem = hip + outfit.skirt_length * (ankle - hip)
    heights = np.linspace(waist, hem, max(8, int((waist - hem) / SPACING)))
    middle = np.array([0.0, joint["pelvis"][2]])
    body_radii = _hulls(covered, body, heights, middle)
    step = heights[0] - heights[1]
    radii = body_radii.copy()
    for ring in range(1, len(heights)):
        hang = radii[ring - 1] - 0.12 * step
        radii[ring] = np.maximum(body_radii[ring], hang)
    radii = _round_off(radii)
    down = (waist - heights)[:, None]
    ease = 0.004 + scale * outfit.skirt_ease * ramp(heights, waist, hip)[:, None]
    below = ramp(heights, hip + 0.06 * scale, hip - 0.25 * scale)[:, None]
    flare = outfit.skirt_flare * np.maximum(down - 0.06 * scale, 0.0)
    pleats = _pleats(outfit) * (0.006 + PLEAT * 0.4 * np.maximum(flare, 0.0) / 0.1) * below
    shape = np.maximum(radii + ease + flare + pleats, body_radii + 0.005)
    inner = np.stack([0.5 * shape[0], 0.85 * shape[0]])
    rounded = np.stack([shape[-1] - 0.004, 0.55 * shape[-1]])
    return Loft(
        np.concatenate([[waist - 0.002, waist + 0.002], heights, [hem - 0.006, hem - 0.005]]),
        np.broadcast_to(middle, (len(heights) + 4, 2)).copy(),
        np.concatenate([inner, shape, rounded]),
    )


def skirt_weights(loft: Loft, body: Body) -> Float[np.ndarray, "vertex bone"]:
    """Weights that hang the bell from the pelvis and share it smoothly between the legs."""
    points, joint, scale = loft.points(), joints(body), scale_of(body)
    x, y, _ = points.T
    hip, knee = joint["left_hip"][1], joint["left_knee"][1]
    legs = 0.92 * ramp(y, joint["pelvis"][1] + 0.04 * scale, hip - 0.16 * scale)
    shin = 0.75 * ramp(y, knee + 0.08 * scale, knee - 0.2 * scale)
    left = ramp(x, -0.1 * scale, 0.1 * scale)
    upper = ramp(y, joint["pelvis"][1] - 0.02 * scale, joint["pelvis"][1] + 0.15 * scale)
    weights = np.zeros((len(points), len(body.skeleton)))
    names = body.skeleton.joint_names
    weights[:, names.index("pelvis")] = (1 - legs) * (1 - 0.5 * upper)
    weights[:, names.index("spine1")] = (1 - legs) * 0.5 * upper
    for side, share in (("left", left), ("right", 1 - left)):
        weights[:, names.index(f"{side}_hip")] = legs * share * (1 - shin)
        weights[:, names.index(f"{side}_knee")] = legs * share * shin
    return weights


def _hulls(
    covered: Covered, body: Body, heights: Float[np.ndarray, "ring"], middle: Float[np.ndarray, "2"]
) -> Float[np.ndarray, "ring angle"]:
    """Radius of the convex hull of everything but the arms at each height."""
    values = np.concatenate([covered.points, covered.weights], axis=1)
    trunk = covered.points[(bone_share(values, body, *ARM) < 0.25) & (covered.part != Part.HAIR)]
    angles = angles_of(ANGLES)
    outward = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    radii: list[Float[np.ndarray, "angle"]] = []
    for height in heights:
        near = trunk[np.abs(trunk[:, 1] - height) < 0.015][:, [0, 2]]
        if len(near) < 3:
            radii.append(radii[-1])
            continue
        radii.append(np.maximum(_reach(middle, outward, ConvexHull(near).equations), 0.03))
    return np.stack(radii)


def _reach(
    start: Float[np.ndarray, "2"], outward: Float[np.ndarray, "ray 2"], lines: Float[np.ndarray, "line 3"]
) -> Float[np.ndarray, "ray"]:
    """Distance from inside a convex outline to its boundary."""
    slope, gap = outward @ lines[:, :2].T, -(lines[:, :2] @ start + lines[:, 2])
    return np.where(slope > 1e-6, gap / np.maximum(slope, 1e-6), np.inf).min(1)


def _round_off(radii: Float[np.ndarray, "ring angle"]) -> Float[np.ndarray, "ring angle"]:
    """Smooth over height and angle, never inside of what was given by much."""
    for _ in range(6):
        radii = 0.5 * radii + 0.25 * (np.roll(radii, 1, axis=1) + np.roll(radii, -1, axis=1))
        padded = np.concatenate([radii[:1], radii, radii[-1:]])
        radii = 0.5 * radii + 0.25 * (padded[:-2] + padded[2:])
    return radii


def _pleats(outfit: Outfit) -> Float[np.ndarray, "angle"]:
    """Fixed waves around the bell, mixed by the outfit's amplitudes."""
    angles = angles_of(ANGLES)
    amplitudes = outfit.folds[GARMENTS.index("skirt")]
    waves = [np.sin((6, 9, 13)[k // 2] * angles + 0.5 * np.pi * (k % 2) + 0.4 * k) for k in range(PATTERNS)]
    return np.tanh(sum(a * wave for a, wave in zip(amplitudes, waves, strict=True)) * 0.7)
