"""What a synthetic person wears: continuous numbers, so that outfits can be mixed."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

PATTERNS = 6
"""Fixed fold patterns of each garment."""
WIDEST = 0.19
"""Flare times length that no skirt exceeds, so that hems stay within reach of the legs (see `Outfit`)."""
GARMENTS = ("top", "bottom", "skirt", "hair")


@dataclass(frozen=True)
class Outfit:
    """Clothes and hair; lengths in metres on a body 1.7 m tall, shares from 0 to 1."""

    style: str = "casual"
    """In a word, for people to read: nothing depends on it."""
    top: bool = True
    sleeve: float = 0.35
    """Share of the arm from shoulder to wrist that the sleeves cover; below 0.05 there are none."""
    top_hem: float = -0.04
    """Height of the top's hem above the pelvis joint."""
    neckline: float = 0.0
    """How far the neckline lies below the neck's root at the front; negative for a collar."""
    top_ease: float = 0.014
    """How far the top stands off the body where it hangs."""
    top_thickness: float = 0.006
    opening: float = 0.0
    """Half the gap in front at the hem of an open top, over a shirt; 0 for a closed one."""
    collar: float = 0.0
    """How much thicker the top is on its collar and lapels."""
    trousers: bool = True
    trouser_length: float = 0.95
    """Share of the leg from hip to ankle."""
    trouser_ease: float = 0.012
    skirt_length: float = 0.0
    """Share of the leg from hip to ankle that a skirt covers; 0 without a skirt."""
    skirt_flare: float = 0.1
    """Growth of the skirt's radius per metre down."""
    skirt_waist: float = 0.1
    """Height of the skirt's waist above the pelvis joint."""
    skirt_ease: float = 0.008
    shoes: bool = True
    hair: bool = True
    hairline: float = 0.0
    """How much lower than usual the hairline runs."""
    hair_volume: float = 0.012
    hair_length: float = 0.0
    """How far hair falls below the crown; 0 for short hair."""
    hair_width: float = 1.0
    """Width of long hair, in widths of the head."""
    bun: float = 0.0
    """Radius of a bun."""
    folds: Float[np.ndarray, "garment pattern"] = field(default_factory=lambda: np.zeros((len(GARMENTS), PATTERNS)))
    """Amplitude of each fixed fold pattern (about 1 at most in sum)."""


def random_outfit(random: np.random.Generator, child: bool = False) -> Outfit:
    """An outfit of one of several kinds, with random measures; children get no long coats."""
    outfit = _top(Outfit(), random)
    outfit = _bottom(outfit, random, child)
    outfit = _hair(outfit, random)
    normal = random.normal(size=(len(GARMENTS), PATTERNS))
    folds = 0.7 * np.sign(normal) * np.abs(normal) ** 1.5 * random.uniform(0.4, 1.0, (len(GARMENTS), 1))
    return replace(outfit, shoes=bool(random.uniform() < 0.9), folds=folds)


def _top(outfit: Outfit, random: np.random.Generator) -> Outfit:
    style = random.choice(["t-shirt", "long sleeves", "tank", "jacket", "bare"], p=[0.36, 0.27, 0.15, 0.18, 0.04])
    ease = float(random.uniform(0.007, 0.028))
    hem = float(random.uniform(-0.08, 0.03))
    neckline = float(random.uniform(-0.01, 0.05))
    common: dict[str, Any] = {"style": str(style), "top_ease": ease, "top_hem": hem, "neckline": neckline}
    if style == "t-shirt":
        return replace(outfit, sleeve=float(random.uniform(0.22, 0.5)), **common)
    if style == "long sleeves":
        return replace(outfit, sleeve=float(random.uniform(0.65, 0.97)), **common)
    if style == "tank":
        return replace(outfit, sleeve=float(random.uniform(-0.05, 0.05)), **common | {"top_ease": 0.7 * ease})
    if style == "jacket":
        measures: dict[str, Any] = {
            "top_ease": 0.014 + 0.7 * ease,
            "top_hem": max(hem - 0.05, -0.075),
            "neckline": float(random.uniform(-0.03, 0.0)),
        }
        thickness = float(random.uniform(0.009, 0.014))
        measures["opening"] = float(random.uniform(0.012, 0.055)) if random.uniform() < 0.75 else 0.0
        measures["collar"] = float(random.uniform(0.003, 0.007))
        return replace(outfit, sleeve=float(random.uniform(0.88, 0.97)), top_thickness=thickness, **common | measures)
    return replace(outfit, style="bare", top=False)


def _bottom(outfit: Outfit, random: np.random.Generator, child: bool) -> Outfit:
    style = "trousers" if outfit.style == "bare" else None
    style = style or str(random.choice(["trousers", "shorts", "skirt", "dress"], p=[0.5, 0.16, 0.18, 0.16]))
    ease = float(random.uniform(0.003, 0.022))
    if outfit.style == "jacket" and not child and random.uniform() < 0.35:
        coat: dict[str, Any] = {
            "skirt_length": float(random.uniform(0.2, 0.75)),
            "skirt_flare": float(random.uniform(0.0, 0.12)),
        }
        return replace(outfit, style="coat and trousers", skirt_ease=0.016, skirt_waist=0.14, trouser_ease=ease, **coat)
    named = replace(outfit, style=f"{outfit.style} and {style}", trouser_ease=ease)
    if style == "trousers":
        return replace(named, trouser_length=float(random.uniform(0.9, 0.99)))
    if style == "shorts":
        return replace(named, trouser_length=float(random.uniform(0.25, 0.62)), trouser_ease=ease + 0.004)
    length = float(random.uniform(0.25, 0.92))
    flare = float(random.choice([random.uniform(-0.06, 0.06), random.uniform(0.06, 0.45)]))
    skirt: dict[str, Any] = {
        "trousers": False,
        "skirt_length": length,
        "skirt_flare": min(flare, WIDEST / length),
        "skirt_waist": float(random.uniform(0.06, 0.14)),
    }
    if style == "dress":
        skirt["skirt_ease"] = 0.004
        return replace(named, top_ease=min(outfit.top_ease, 0.012), **skirt)
    return replace(named, **skirt)


def _hair(outfit: Outfit, random: np.random.Generator) -> Outfit:
    style = random.choice(["bald", "short", "bob", "long", "bun"], p=[0.1, 0.4, 0.18, 0.22, 0.1])
    volume = float(random.uniform(0.004, 0.03))
    line = float(random.uniform(-0.012, 0.015))
    if style == "bald":
        return replace(outfit, hair=False)
    short = replace(outfit, hair_volume=volume, hairline=line)
    if style == "bob":
        return replace(short, hair_length=float(random.uniform(0.2, 0.3)), hair_width=float(random.uniform(1.0, 1.25)))
    if style == "long":
        return replace(short, hair_length=float(random.uniform(0.3, 0.6)), hair_width=float(random.uniform(0.9, 1.3)))
    if style == "bun":
        return replace(short, hair_volume=0.6 * volume, bun=float(random.uniform(0.03, 0.055)))
    return short
