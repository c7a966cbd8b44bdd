"""Coefficients of ARKit's facial actions over time: ordinary talking, and stronger faces that talking never shows."""

import numpy as np
from jaxtyping import Float

from body_models.names import ARKIT_EXPRESSIONS
from data_prep.synthetic_heads.noise import wander

Face = dict[str, float]
"""Coefficients by name; a name without side stands for both sides."""

ORDINARY_LIMIT = 0.6
"""Largest coefficient of ordinary talking, eyelids apart."""
SUM_LIMIT = 3.0
"""Largest sum of an ordinary face's coefficients, eyelids apart."""
SYLLABLES: tuple[Face, ...] = (
    {"jawOpen": 0.5},
    {"jawOpen": 0.3, "mouthLowerDown": 0.25, "mouthUpperUp": 0.15},
    {"jawOpen": 0.14, "mouthStretch": 0.3, "mouthSmile": 0.15},
    {"jawOpen": 0.16, "mouthPucker": 0.45, "mouthFunnel": 0.25},
    {"jawOpen": 0.1, "mouthFunnel": 0.45},
    {"mouthPress": 0.3, "mouthRollLower": 0.2, "mouthRollUpper": 0.15},
    {"jawOpen": 0.06, "mouthRollLower": 0.35, "mouthUpperUp": 0.2},
)
STRONG: tuple[Face, ...] = (
    {"jawOpen": 0.95, "mouthFunnel": 0.3},
    {"mouthSmile": 0.95, "cheekSquint": 0.7, "jawOpen": 0.3},
    {"mouthFrown": 0.9, "browDown": 0.9, "mouthShrugLower": 0.5},
    {"mouthPucker": 0.95, "browInnerUp": 0.4},
    {"mouthLeft": 0.9, "mouthSmileLeft": 0.5},
    {"mouthRight": 0.9, "browDownRight": 0.7},
    {"noseSneer": 0.9, "mouthUpperUp": 0.7, "browDown": 0.6},
    {"browInnerUp": 0.9, "browOuterUp": 0.9, "eyeWide": 0.8, "jawOpen": 0.7},
    {"cheekPuff": 0.95, "mouthPress": 0.4},
    {"jawLeft": 0.9, "jawOpen": 0.4},
    {"jawRight": 0.9, "jawOpen": 0.3},
    {"mouthFunnel": 0.9, "jawOpen": 0.5},
    {"mouthStretch": 0.9, "browInnerUp": 0.7, "mouthLowerDown": 0.6},
    {"mouthRollUpper": 0.8, "mouthRollLower": 0.8},
    {"eyeBlinkLeft": 0.95, "mouthSmileLeft": 0.8, "cheekSquintLeft": 0.8},
    {"jawForward": 0.9, "mouthShrugLower": 0.6},
)


def talking(times: Float[np.ndarray, "frame"], random: np.random.Generator) -> Float[np.ndarray, "frame 52"]:
    """Somebody talks: syllables in phrases, moods that come and go, blinks."""
    values = np.zeros((len(times), len(ARKIT_EXPRESSIONS)))
    liveliness = random.uniform(0.7, 1.15)
    for start, width, face in _phrases(times[-1], random):
        bump = np.exp(-(((times - start) / width) ** 2))
        values = np.maximum(values, bump[:, None] * liveliness * vector(face))
    for face, slowest, often in (
        ({"mouthSmile": 0.45, "cheekSquint": 0.2}, 8.0, 0.1),
        ({"browInnerUp": 0.45, "browOuterUp": 0.3}, 4.0, 0.15),
        ({"browDown": 0.4, "eyeSquint": 0.15}, 6.0, 0.25),
        ({"mouthFrown": 0.25}, 9.0, 0.3),
        ({"eyeSquint": 0.25}, 7.0, 0.2),
        ({"mouthLeft": 0.15}, 6.0, 0.3),
        ({"mouthRight": 0.15}, 6.0, 0.3),
    ):
        mood = np.clip((1.4 * wander(times, slowest, 0.7, random) - often) / (1 - often), 0, 1)
        sides = random.uniform(0.75, 1.0, len(ARKIT_EXPRESSIONS))  # faces are never quite even
        values += mood[:, None] * vector(face) * sides
    values = np.minimum(values, ORDINARY_LIMIT)
    values *= np.minimum(1.0, SUM_LIMIT / np.maximum(values.sum(1, keepdims=True), 1e-9))
    return np.clip(np.maximum(values, _blinks(times, random)), 0, 1)


def strong_faces(times: Float[np.ndarray, "frame"], random: np.random.Generator) -> Float[np.ndarray, "frame 52"]:
    """One strong face after the other, a second each, straight from face to face; blinks in between."""
    hold = 1.0
    faces = [STRONG[index] for _ in range(int(times[-1] // hold // len(STRONG)) + 2) for index in _shuffled(random)]
    strengths = random.uniform(0.9, 1.0, len(faces))
    keys = np.stack([strength * vector(face) for strength, face in zip(strengths, faces, strict=True)])
    place = times / hold
    first = place.astype(int)
    share = np.clip((place - first - 0.6) / 0.4, 0, 1)[:, None]
    share = share * share * (3 - 2 * share)
    values = (1 - share) * keys[first] + share * keys[first + 1]
    return np.clip(np.maximum(values, _blinks(times, random)), 0, 1)


def vector(face: Face) -> Float[np.ndarray, "52"]:
    """The 52 coefficients of a face."""
    values = np.zeros(len(ARKIT_EXPRESSIONS))
    for name, value in face.items():
        names = [name] if name in ARKIT_EXPRESSIONS else [f"{name}Left", f"{name}Right"]
        values[[ARKIT_EXPRESSIONS.index(each) for each in names]] = value
    return values


def _shuffled(random: np.random.Generator) -> list[int]:
    return [int(index) for index in random.permutation(len(STRONG))]


def _phrases(end: float, random: np.random.Generator) -> list[tuple[float, float, Face]]:
    """Middle (s), width (s) and face of each syllable; phrases of one to three seconds with pauses between."""
    syllables, time = [], float(random.uniform(0.0, 0.4))
    while time < end + 0.5:
        stop = time + random.uniform(1.0, 3.0)
        while time < stop:
            face = SYLLABLES[int(random.integers(len(SYLLABLES)))]
            strength = random.uniform(0.6, 1.15)
            syllables.append((time, random.uniform(0.07, 0.11), {k: v * strength for k, v in face.items()}))
            time += random.uniform(0.15, 0.3)
        time += random.uniform(0.3, 1.0)
    return syllables


def _blinks(times: Float[np.ndarray, "frame"], random: np.random.Generator) -> Float[np.ndarray, "frame 52"]:
    closed = np.zeros(len(times))
    time = float(random.uniform(0.3, 2.0))
    while time < times[-1] + 0.3:
        away = np.abs(times - time)
        closed = np.maximum(closed, np.clip(1.6 - away / 0.085, 0, 1))
        time += random.uniform(1.5, 4.5)
    return closed[:, None] * vector({"eyeBlink": float(random.uniform(0.9, 1.0))})
