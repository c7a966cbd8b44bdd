"""Colours of a synthetic person's skin, lips, brows, lashes, eyes, hair and clothes, as functions of place."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from data_prep.synthetic_heads.hair import strand_coordinates
from data_prep.synthetic_heads.noise import ramp, waves

IRIS_RADIUS = 0.0117 / 2
"""Of every human eye, nearly (metres)."""
SKINS = ((236, 200, 178), (226, 184, 156), (205, 160, 128), (176, 126, 92), (136, 90, 64), (96, 62, 46))
HAIRS = ((20, 16, 14), (42, 28, 20), (72, 46, 28), (110, 74, 42), (168, 130, 84), (120, 58, 34), (140, 138, 134))
IRISES = ((70, 42, 24), (96, 62, 34), (92, 116, 140), (112, 124, 98), (104, 128, 122), (124, 92, 48))
_BROW = np.array([[0.0095, 0.0565], [0.018, 0.0600], [0.029, 0.0640], [0.038, 0.0625], [0.0475, 0.0545]])
"""Middle line of the left brow seen from the front of the template (metres)."""
_UPPER_LIP = np.array([[0.0, -0.0165], [0.005, -0.0150], [0.010, -0.0165], [0.018, -0.0215], [0.0255, -0.0285]])
_LOWER_LIP = np.array([[0.0, -0.0415], [0.008, -0.0405], [0.016, -0.0360], [0.021, -0.0325], [0.0255, -0.0285]])


@dataclass(frozen=True)
class Palette:
    """Linear colours of one person and how they are spread."""

    skin: Float[np.ndarray, "3"]
    lips: Float[np.ndarray, "3"]
    hair: Float[np.ndarray, "3"]
    iris: Float[np.ndarray, "3"]
    pupil: float
    """Radius (metres)."""
    shirt: Float[np.ndarray, "3"]
    stripes: Float[np.ndarray, "3"]
    stripe_width: float
    """Metres; 0 for a plain shirt."""
    beard: float
    """Shadow of a beard, 0 to 1."""
    freckles: float
    brow_width: float
    """Metres."""
    blush: float


def random_palette(random: np.random.Generator) -> Palette:
    """Skin from light to dark with hair and eyes that go with it, and any shirt."""
    tone = float(random.uniform(0, len(SKINS) - 1))
    skin = _linear(_between(SKINS, tone)) * random.uniform(0.92, 1.08, 3)
    dark = tone > 2.6
    hair = _linear(np.array(HAIRS[int(random.integers(3 if dark else len(HAIRS)))])) * random.uniform(0.8, 1.2)
    iris = _linear(np.array(IRISES[int(random.integers(2 if dark else len(IRISES)))])) * random.uniform(0.8, 1.2)
    lips = skin * (0.82, 0.50, 0.52) + random.uniform(0.0, 0.06) * np.array([1.0, 0.1, 0.2])
    return Palette(
        skin=skin,
        lips=lips,
        hair=hair,
        iris=iris,
        pupil=float(random.uniform(0.0015, 0.0025)),
        shirt=random.uniform(0.03, 0.6) * random.uniform(0.3, 1.3, 3),
        stripes=random.uniform(0.02, 0.7, 3),
        stripe_width=float(random.choice([0.0, random.uniform(0.008, 0.03)], p=[0.65, 0.35])),
        beard=float(random.choice([0.0, random.uniform(0.15, 0.7)], p=[0.65, 0.35])),
        freckles=float(random.choice([0.0, random.uniform(0.3, 1.0)], p=[0.75, 0.25])),
        brow_width=float(random.uniform(0.0055, 0.0085)),
        blush=float(random.uniform(0.3, 1.0)),
    )


def paint_skin(
    at: Float[np.ndarray, "cell 3"],
    eye_rims: Float[np.ndarray, "rim 3"],
    palette: Palette,
    random: np.random.Generator,
) -> Float[np.ndarray, "cell 4"]:
    """Skin of face, ears and neck from places on the template (metres); `eye_rims` run along the lids' edges."""
    x, y, z = at.T
    front = ramp(z, 0.05, 0.075)
    color = palette.skin * (1 + 0.035 * waves(at, 0.03, random) + 0.03 * waves(at, 0.004, random))[:, None]
    color = color * (1 + 0.02 * waves(at, 0.05, random)[:, None] * (1.0, -0.5, -0.5))
    cheeks = np.exp(-((((np.abs(x) - 0.045) / 0.02) ** 2) + ((y + 0.002) / 0.018) ** 2)) * front
    tip = np.exp(-((x / 0.013) ** 2 + ((y - 0.004) / 0.012) ** 2)) * ramp(z, 0.11, 0.12)
    color = _mixed(color, color * (1.06, 0.80, 0.78), palette.blush * np.maximum(cheeks, 0.7 * tip))
    spots = palette.freckles * ramp(waves(at, 0.005, random, 40), 1.3, 2.0) * ramp(-np.abs(y - 0.01), -0.035, -0.01)
    color = _mixed(color, color * (0.75, 0.6, 0.5), 0.7 * spots * front)
    line = -0.012 + 0.65 * np.clip(np.abs(x) - 0.03, 0.0, 0.05)
    jaw = ramp(line - y, -0.004, 0.016) * ramp(z, -0.01, 0.04) * ramp(y, -0.095, -0.075)
    stubble = palette.beard * jaw * (0.75 + 0.25 * ramp(waves(at, 0.0016, random, 40), -0.5, 0.5))
    color = _mixed(color, 0.5 * palette.hair + 0.15 * palette.skin, 0.75 * stubble)
    color = _mixed(color, palette.lips * (1 + 0.08 * waves(at * (1, 0.2, 1), 0.002, random))[:, None], _lips(at))
    gloss = 0.06 + 0.10 * _lips(at)
    brows = _brows(at, palette, random)
    color = _mixed(color, palette.hair * 0.7 + 0.02 * palette.skin, 0.9 * brows)
    for side in (-1, 1):
        nostril = np.sqrt(((x - side * 0.0085) / 0.0045) ** 2 + ((z - 0.1155) / 0.006) ** 2) + ramp(y, -0.003, 0.001)
        color = _mixed(
            color, color * 0.25, ramp(-nostril, -1.1, -0.5) * ramp(z, 0.105, 0.109) * ramp(y, -0.0085, -0.0065)
        )
    lash, line = _lashes(at, eye_rims)
    color = _mixed(color, color * (0.80, 0.70, 0.72), 0.5 * line)
    color = _mixed(color, np.full(3, 0.012), 0.95 * lash)
    return np.concatenate([color, gloss[:, None]], axis=1)


def paint_mouth(at: Float[np.ndarray, "cell 3"], palette: Palette) -> Float[np.ndarray, "cell 4"]:
    """The inside of the mouth from places on the template: lips at the rim, dark red behind."""
    deep = ramp(-at[:, 2], -0.108, -0.100)
    color = _mixed(palette.lips * (0.85, 0.6, 0.6), np.array([0.05, 0.008, 0.008]), deep)
    return np.concatenate([color, np.full((len(at), 1), 0.08)], axis=1)


def paint_eye(offset: Float[np.ndarray, "cell 3"], palette: Palette, seed: int) -> Float[np.ndarray, "cell 4"]:
    """An eye from places relative to its centre (metres, at rest, looking along +Z)."""
    random = np.random.default_rng(seed)
    x, y, z = offset.T
    radius = np.where(z > 0, np.hypot(x, y), 1.0)
    angle = np.stack([np.cos(np.arctan2(y, x)), np.sin(np.arctan2(y, x))], axis=1)
    veins = ramp(waves(offset, 0.004, random), 0.8, 2.0) * ramp(radius, 0.007, 0.011)
    color = _mixed(
        np.array([0.74, 0.71, 0.67]), np.array([0.62, 0.32, 0.28]), 0.35 * veins + 0.2 * ramp(radius, 0.009, 0.014)
    )
    rays = 1 + 0.22 * waves(6 * angle, 1.0, random) + 0.25 * ramp(-radius, -0.0045, -0.0025)
    iris = palette.iris * np.clip(rays, 0.4, 1.8)[:, None]
    iris = _mixed(iris, iris * 0.25, ramp(radius, IRIS_RADIUS - 0.0012, IRIS_RADIUS - 0.0002))
    color = _mixed(color, iris, (radius < IRIS_RADIUS).astype(float))
    color = _mixed(color, np.full(3, 0.006), ramp(-radius, -palette.pupil - 0.0002, -palette.pupil + 0.0002))
    return np.concatenate([color, np.full((len(offset), 1), 0.9)], axis=1)


def paint_hair(at: Float[np.ndarray, "cell 3"], palette: Palette, random: np.random.Generator) -> np.ndarray:
    """Strands of lighter and darker hair from places of the template's proportions."""
    strands = strand_coordinates(at)
    streaks = 0.28 * waves(strands, 0.22, random, 40) + 0.22 * waves(strands * (1, 1, 0.3), 0.07, random, 40)
    shade = np.exp(np.clip(streaks, -0.9, 0.7)) * (0.75 + 0.25 * ramp(at[:, 1], -0.05, 0.12))
    color = (palette.hair + 0.004) * shade[:, None]
    return np.concatenate([color, (0.03 + 0.05 * np.clip(1 + 2 * streaks, 0, 2))[:, None]], axis=1)


def paint_trunk(
    below: Float[np.ndarray, "cell"],
    at: Float[np.ndarray, "cell 3"],
    skin: Float[np.ndarray, "cell 4"],
    palette: Palette,
    random: np.random.Generator,
) -> Float[np.ndarray, "cell 4"]:
    """Skin above the neckline, a plain or striped shirt with a hem below it (`below`: metres below the neckline)."""
    weave = 1 + 0.05 * waves(at, 0.003, random) + 0.05 * waves(at, 0.05, random)
    shirt = palette.shirt * weave[:, None]
    if palette.stripe_width > 0:
        wave = np.sin(2 * np.pi * at[:, 1] / (2 * palette.stripe_width))
        shirt = _mixed(shirt, palette.stripes * weave[:, None], ramp(wave, -0.1, 0.1))
    shirt = _mixed(shirt, shirt * 0.65, ramp(-np.abs(below - 0.012), -0.0025, -0.0012))
    shadow = np.concatenate([skin[:, :3] * (1 - 0.45 * ramp(below, -0.008, 0.0))[:, None], skin[:, 3:]], axis=1)
    cloth = np.concatenate([shirt, np.full((len(at), 1), 0.01)], axis=1)
    return _mixed(shadow, cloth, ramp(below, -0.0004, 0.0004))


def paint_teeth(at: Float[np.ndarray, "cell 3"]) -> Float[np.ndarray, "cell 4"]:
    """Off-white with a dark line between tooth and tooth."""
    tooth = np.abs(((at[:, 0] / 0.0078) % 1.0) - 0.5)
    color = np.array([0.66, 0.62, 0.53]) * (1 - 0.5 * ramp(tooth, 0.44, 0.5))[:, None]
    return np.concatenate([color, np.full((len(at), 1), 0.3)], axis=1)


def _lips(at: Float[np.ndarray, "cell 3"]) -> Float[np.ndarray, "cell"]:
    """1 on the red of the lips, fading over a millimetre."""
    x, y, z = np.abs(at[:, 0]), at[:, 1], at[:, 2]
    top, bottom = np.interp(x, *_UPPER_LIP.T), np.interp(x, *_LOWER_LIP.T)
    inside = np.minimum(np.minimum(top - y, y - bottom), 0.0262 - x)
    return ramp(inside, -0.0006, 0.0008) * (z > 0.085)


def _brows(at: Float[np.ndarray, "cell 3"], palette: Palette, random: np.random.Generator) -> np.ndarray:
    """1 on hairs of the brows, thinner towards the temples."""
    x, y = np.abs(at[:, 0]), at[:, 1]
    middle = np.interp(x, *_BROW.T)
    inside = ramp(x, _BROW[0, 0] - 0.003, _BROW[0, 0] + 0.004) * ramp(-x, -_BROW[-1, 0] - 0.002, -_BROW[-1, 0] + 0.004)
    half = 0.5 * palette.brow_width * (1 - 0.55 * ramp(x, 0.028, 0.048))
    hairs = waves(np.stack([at[:, 0] - 0.5 * y * np.sign(at[:, 0]), 0.35 * y], axis=1), 0.0022, random, 40)
    edge = half * (1 + 0.15 * hairs) - np.abs(y - middle)
    return inside * ramp(edge, -0.0010, 0.0016) * np.clip(0.85 + 0.2 * hairs, 0.3, 1) * (at[:, 2] > 0.07)


def _lashes(at: Float[np.ndarray, "cell 3"], rims: Float[np.ndarray, "rim 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Darkness of the lashes along the lids' edges, stronger above, and the reddish skin round them."""
    lash, line = np.zeros(len(at)), np.zeros(len(at))
    near = np.flatnonzero((at[:, 2] > 0.06) & (np.abs(at[:, 1] - 0.041) < 0.025))
    distance, nearest = cKDTree(rims).query(at[near])
    upper = ramp(rims[nearest, 1], 0.0405, 0.0425)
    width = 0.0007 + 0.0010 * upper
    lash[near] = ramp(-distance, -width - 0.0005, -width + 0.0003) * (0.55 + 0.45 * upper)
    line[near] = ramp(-distance, -0.007, -0.002)
    return lash, line


def _mixed(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    return first + (second - first) * share[:, None]


def _between(colors: tuple[tuple[int, int, int], ...], place: float) -> Float[np.ndarray, "3"]:
    table = np.array(colors, dtype=float)
    return np.array([np.interp(place, np.arange(len(table)), column) for column in table.T])


def _linear(srgb: np.ndarray) -> np.ndarray:
    return (srgb / 255.0) ** 2.2
