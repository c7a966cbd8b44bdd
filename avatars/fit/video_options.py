"""Options of fitting a head to a video, and the presets that set them."""

import math
from dataclasses import dataclass, field, fields

from avatars.fit.options import check_range
from avatars.fit.presets import read_preset
from avatars.models.imavatar import ImavatarOptions
from avatars.models.nerface import NerfaceOptions
from avatars.render import TraceOptions
from body_models import InputError

PREFIX = "imavatar_"
"""Presets of this method are the files of `configs` whose names begin so."""
SMALLEST, LARGEST = 32, 1024
METHODS = ("imavatar", "nerface")


@dataclass(frozen=True)
class VideoRates:
    """Adam's step sizes, by what they move."""

    base: float = 3e-4
    """Base grid of signed distances (metres)."""
    features: float = 5e-3
    """Feature grids of geometry and colour."""
    network: float = 2e-3
    """Decoders, or all networks of the paper preset."""
    weights: float = 1e-3
    """Skinning-weight field."""
    offsets: float = 5e-5
    """Blendshape field on a grid (metres)."""
    pose: float = 3e-4
    """Corrections of tracked joint angles (radians)."""
    translation: float = 1e-4
    """Corrections of tracked places (metres): those of the camera, seen from the head."""
    expression: float = 1e-3
    """Corrections of tracked expressions."""
    final: float = 0.05
    """Share of every rate that is left at the end of the cosine schedule; 1 keeps them constant."""

    def __post_init__(self) -> None:
        for rate in fields(self):
            check_range(rate.name, getattr(self, rate.name), 0.0, 1.0 if rate.name == "final" else math.inf)


@dataclass(frozen=True)
class VideoLosses:
    """Factors of the terms of the loss; 0 turns a term off."""

    colour: float = 1.0
    """Absolute difference of colours (sRGB-coded, 0 to 1)."""
    mask: float = 2.0
    """Cross-entropy of the person's coverage."""
    sharpness: float = 200.0
    """Coverage is the sigmoid of minus this times the signed distance (per metre)."""
    skinning: float = 0.1
    """Squared distance from the tracked model's skinning weights."""
    offsets: float = 16_000.0
    """Squared distance from the tracked model's blendshapes and pose correctives (square metres)."""
    semantic: float = 0.1
    """Squared distance of skinning weights from the bone that carries hair, or cloth, where the data has classes."""
    normal: float = 0.05
    """One minus the cosine between normals and the data's, where it has normals."""
    eikonal: float = 0.02
    """Squared departure of the signed distance's slope from one."""
    smooth: float = 0.05
    """Change of the signed distance's gradient over a few millimetres."""
    anchor: float = 0.1
    """Distance of the surface from the tracked model's, where it is about there."""
    prior: float = 1e-3
    """Squared corrections of the tracks, in their usual sizes."""

    def __post_init__(self) -> None:
        for factor in fields(self):
            check_range(factor.name, getattr(self, factor.name), 0.0)


@dataclass(frozen=True)
class VideoFitOptions:
    """How a head is fitted to a video."""

    method: str = "imavatar"
    """"imavatar", or "nerface" (a volume, for comparison)."""
    steps: int = 2000
    """Optimiser steps."""
    size: int = 128
    """Longer side of the pictures that are fitted to (pixels)."""
    frames: int = 600
    """Most frames that are fitted to, evenly chosen."""
    frames_per_step: int = 4
    """Frames in a step."""
    rays: int = 1024
    """Rays in a step, over all its frames."""
    face_share: float = 0.5
    """Share of rays in the box about the face; the others go near the mask's edge and over the picture, half each."""
    supervised: bool = True
    """Hold the three deformation fields to the tracked model's, and start from them where the network can."""
    refine: bool = True
    """Improve the tracked poses, places and expressions together with the head."""
    refresh: int = 25
    """Steps after which the mesh about the surface, where rays begin to look, is made anew."""
    proxy_resolution: int = 64
    """Cells along the longest edge of that mesh."""
    hold_out: float = 0.2
    """Share of the video, its end, that is left for the evaluation when one is asked for."""
    clip: float = 0.0
    """Largest gradient norm; 0 leaves gradients alone."""
    rates: VideoRates = field(default_factory=VideoRates)
    losses: VideoLosses = field(default_factory=VideoLosses)
    trace: TraceOptions = field(default_factory=lambda: TraceOptions(short_samples=12, refinements=2))
    imavatar: ImavatarOptions = field(default_factory=ImavatarOptions)
    """Of a NerFACE, the space about the head only."""
    nerface: NerfaceOptions = field(default_factory=NerfaceOptions)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"Unknown method '{self.method}' of fitting heads; use {' or '.join(METHODS)}.")
        for name in ("steps", "frames_per_step", "rays", "refresh"):
            check_range(name, getattr(self, name), 1)
        check_range("frames", self.frames, 2)
        check_range("size", self.size, SMALLEST, LARGEST)
        check_range("proxy_resolution", self.proxy_resolution, 16, 512)
        check_range("face_share", self.face_share, 0.0, 1.0)
        check_range("hold_out", self.hold_out, 0.0, 0.9)
        check_range("clip", self.clip, 0.0)


def load_video_preset(name: str) -> VideoFitOptions:
    """A preset by its name ("fast", "paper") or by the path of a YAML file with the same keys.

    Raises InputError for an unknown preset or key, and for values of another type or beyond what is possible.
    """
    options: VideoFitOptions = read_preset(VideoFitOptions, name, PREFIX)
    return options
