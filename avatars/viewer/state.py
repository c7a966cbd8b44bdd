"""What the page shows of an avatar: how it stands, and in which way it is drawn."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from body_models import InputError

Rgb = tuple[int, int, int]

RIG, EXACT = "rig", "exact"
"""The skinned mesh that engines get, or the implicit surface itself, found anew in every pose."""
PLAIN, OWN, BONE, BONES, NORMALS = "plain", "own colours", "weights of a bone", "weights of all bones", "normals"
SURFACES = (RIG, EXACT)
COLOURINGS = (PLAIN, OWN, BONE, BONES, NORMALS)
LEAST_CELLS, MOST_CELLS = 32, 512
CLAY: Rgb = (186, 168, 152)
SIGHT = 100.0
"""How far cameras see (metres)."""


@dataclass(frozen=True)
class Stance:
    """How an avatar stands and looks (metres, radians)."""

    rotations: Float[Tensor, "bone 3"]
    """Axis-angle of each joint relative to its parent."""
    translation: Float[Tensor, "3"]
    expression: Float[Tensor, "expression"]
    """Empty for bodies."""

    def turned(self, joint: int, rotation: Float[Tensor, "3"]) -> "Stance":
        """The same with another rotation at a joint."""
        rotations = self.rotations.clone()
        rotations[joint] = rotation
        return replace(self, rotations=rotations)

    def moved(self, translation: Float[Tensor, "3"]) -> "Stance":
        """The same in another place."""
        return replace(self, translation=translation)

    def with_action(self, index: int, value: float) -> "Stance":
        """The same with another value of an expression parameter."""
        expression = self.expression.clone()
        expression[index] = value
        return replace(self, expression=expression)

    def equals(self, other: "Stance") -> bool:
        """Whether nothing differs."""
        pairs = ((self.rotations, other.rotations), (self.translation, other.translation))
        return all(torch.equal(*pair) for pair in (*pairs, (self.expression, other.expression)))


@dataclass(frozen=True)
class Stances:
    """How an avatar stands and looks at several times (metres, radians)."""

    rotations: Float[Tensor, "time bone 3"]
    translations: Float[Tensor, "time 3"]
    expressions: Float[Tensor, "time expression"]

    def __len__(self) -> int:
        return len(self.rotations)

    def __getitem__(self, index: int) -> Stance:
        return Stance(self.rotations[index], self.translations[index], self.expressions[index])


@dataclass(frozen=True)
class Display:
    """How an avatar is drawn."""

    surface: str = RIG
    """rig or exact."""
    colouring: str = PLAIN
    """One of COLOURINGS."""
    bone: str = ""
    """Whose weights are shown; the first one's if empty."""
    resolution: int = 128
    """Cells along the longest side."""
    canonical: bool = False
    """In the pose in which the avatar is stored, whatever its stance."""
    colour: Rgb = CLAY
    """Of a plain surface (sRGB bytes)."""
    wireframe: bool = False

    def __post_init__(self) -> None:
        if self.surface not in SURFACES:
            raise InputError(f"Unknown surface '{self.surface}'; use {' or '.join(SURFACES)}.")
        if self.colouring not in COLOURINGS:
            raise InputError(f"Unknown colouring '{self.colouring}'; use one of {', '.join(COLOURINGS)}.")
        if not LEAST_CELLS <= self.resolution <= MOST_CELLS:
            raise InputError(
                f"A resolution of {self.resolution} cells is not in {LEAST_CELLS} to {MOST_CELLS}; 128 is quick."
            )
