"""Hair that leaves the skull: bobs, long hair down the back and buns, as closed lofts."""

import numpy as np
from jaxtyping import Float

from body_models.body import Body
from data_prep._clothes import bone_share, joints, ramp, skull
from data_prep.people.synthetic.garments import Covered
from data_prep.people.synthetic.levels import ARM, head_scale, scale_of
from data_prep.people.synthetic.loft import Loft, angles_of
from data_prep.people.synthetic.outfit import GARMENTS, Outfit

ANGLES = 56


def long_hair(covered: Covered, body: Body, outfit: Outfit) -> Loft:
    """Hair around the back and the sides of the head and down the neck and the back."""
    points, joint = covered.points, joints(body)
    head, scale = head_scale(points, body), scale_of(body)
    trunk = points[bone_share(np.concatenate([points, covered.weights], axis=1), body, *ARM) < 0.3]
    crown, _, ear_z = skull(points, body)
    top = crown + 0.5 * outfit.hair_volume * head
    end = crown - max(outfit.hair_length * scale, 0.16 * head)
    heights = np.linspace(top - 0.004, end, max(14, int((top - end) / 0.011)))
    half, volume = 0.079 * head, outfit.hair_volume * head
    dome = np.sqrt(1 - (1 - np.clip((top - heights) / (0.115 * head), 0.0, 1.0)) ** 2)
    low = ramp(heights, joint["head"][1] + 0.01 * head, joint["head"][1] - 0.07 * head)
    back = _slide(_hang(_back_of(trunk, heights, half, 0.012 * scale), heights))
    taper = 1 - 0.35 * ramp(heights, end + 0.1 * scale, end)
    side = dome * half * ((1 - low) + low * outfit.hair_width) + 0.7 * volume * dome
    middle = (1 - low) * (ear_z + 0.004 * head) + low * np.minimum(back + 0.07 * head, ear_z)
    depth = np.maximum(dome * (middle - back + 0.006 * head + volume), 0.01)
    front = dome * ((1 - low) * 0.03 * head + low * 0.025 * head)
    radii = _ovals(side * taper, depth, front) + _strands(outfit) * (0.2 * dome + low)[:, None]
    radii = np.concatenate([0.45 * radii[:1], radii, 0.85 * radii[-1:], 0.45 * radii[-1:]])
    ends = [heights[0] + 0.003], [heights[-1] - 0.008, heights[-1] - 0.012]
    centres = np.stack([np.zeros(len(heights)), middle], axis=1)
    return Loft(
        np.concatenate([ends[0], heights, ends[1]]),
        np.concatenate([centres[:1], centres, centres[-1:], centres[-1:]]),
        radii,
    )


def bun(covered: Covered, body: Body, outfit: Outfit) -> Loft:
    """A ball at the back of the head."""
    crown, back, _ = skull(covered.points, body)
    head = head_scale(covered.points, body)
    radius = outfit.bun * head
    tilt = np.linspace(0.12, np.pi - 0.12, 14)
    heights = crown - 0.055 * head + 0.9 * radius * np.cos(tilt)
    centre = np.array([0.0, back - 0.1 * radius])
    return Loft(heights, np.tile(centre, (14, 1)), np.tile(radius * np.sin(tilt)[:, None], (1, 32)))


def hair_weights(loft: Loft, body: Body) -> Float[np.ndarray, "vertex bone"]:
    """Hair follows the head, then the neck, and lies on the back."""
    y, joint, scale = loft.points()[:, 1], joints(body), scale_of(body)
    names = body.skeleton.joint_names
    back = 0.85 * ramp(y, joint["neck"][1] + 0.02 * scale, joint["neck"][1] - 0.14 * scale)
    neck = (1 - back) * 0.4 * ramp(y, joint["head"][1] + 0.02 * scale, joint["neck"][1])
    weights = np.zeros((len(y), len(names)))
    weights[:, names.index("spine3")] = back
    weights[:, names.index("neck")] = neck
    weights[:, names.index("head")] = 1 - back - neck
    return weights


def _back_of(
    trunk: Float[np.ndarray, "vertex 3"], heights: Float[np.ndarray, "ring"], half: float, reach: float
) -> Float[np.ndarray, "ring"]:
    """Depth of head, neck and back at each height; as at the back of the head above its widest."""
    rows: list[float] = []
    for height in heights[::-1]:
        slab = trunk[(np.abs(trunk[:, 1] - height) < reach) & (np.abs(trunk[:, 0]) < 0.7 * half)]
        rows.append(float(slab[:, 2].min()) if len(slab) else rows[-1])
    back = np.array(rows[::-1])
    widest = int(np.argmin(back[: max(1, int(np.searchsorted(-heights, -(heights[0] - 0.16))))]))
    back[:widest] = back[widest]
    return back


def _hang(back: Float[np.ndarray, "ring"], heights: Float[np.ndarray, "ring"]) -> Float[np.ndarray, "ring"]:
    """Depth of hair that hangs from the rearmost point above, drawn in slowly."""
    hang = back.copy()
    for ring in range(1, len(back)):
        hang[ring] = min(back[ring], hang[ring - 1] + 0.25 * (heights[ring - 1] - heights[ring]))
    return hang


def _slide(values: Float[np.ndarray, "ring"]) -> Float[np.ndarray, "ring"]:
    for _ in range(4):
        padded = np.concatenate([values[:1], values, values[-1:]])
        values = 0.5 * values + 0.25 * (padded[:-2] + padded[2:])
    return values


def _ovals(
    side: Float[np.ndarray, "ring"], back: Float[np.ndarray, "ring"], front: Float[np.ndarray, "ring"]
) -> Float[np.ndarray, "ring angle"]:
    """Polar radii of ovals of different depth in front and behind."""
    angles = angles_of(ANGLES)
    depth = np.where(np.cos(angles) > 0, front[:, None], back[:, None])
    return 1 / np.sqrt((np.sin(angles) / side[:, None]) ** 2 + (np.cos(angles) / depth) ** 2)


def _strands(outfit: Outfit) -> Float[np.ndarray, "angle"]:
    """Fixed waves around the hair, mixed by the outfit's amplitudes."""
    angles = angles_of(ANGLES)
    amplitudes = outfit.folds[GARMENTS.index("hair")]
    waves = [np.sin((7, 10, 13)[k // 2] * angles + 0.5 * np.pi * (k % 2)) for k in range(len(amplitudes))]
    return 0.003 * np.tanh(sum(a * wave for a, wave in zip(amplitudes, waves, strict=True)))
