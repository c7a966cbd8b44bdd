"""The free body as a deformation field, on few and on many bones, for the tests of the search."""

from dataclasses import dataclass
from functools import cache

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.roots import Roots, SearchOptions
from avatars.deform.sampled import SampledSkinning
from avatars.deform.skinning import DeformationField, forward_skin
from avatars.fields.offsets import GridOffsets
from avatars.fields.patches import PatchedGrid, patched_grid
from avatars.fields.weights import GridWeights
from avatars.models.start import weights_on_patches
from body_models import Body, load_anny
from data_prep.surface import Surface

TIGHT = SearchOptions(steps=200, tolerance=1e-9)
"""Roots as exact as doubles can have them, for finite differences."""
FULL_RIG = {
    "hip": "upperleg01", "knee": "lowerleg01", "ankle": "foot", "shoulder": "upperarm01", "elbow": "lowerarm01",
    "wrist": "wrist",
}  # fmt: skip
"""The bones of the full rig that turn where the joints of the compact one do."""


def devices() -> list[object]:
    """Every device that tests of the kernel run on; CUDA is skipped where there is none."""
    missing = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
    return ["cpu", pytest.param("cuda", marks=missing)]


@dataclass(frozen=True)
class Person:
    """A body, its surface in the canonical pose and its skinning weights on a grid with finer hands."""

    body: Body
    surface: Surface
    grid: PatchedGrid
    log_weights: Float[Tensor, "node bone"]

    def transforms(self, poses: Float[Tensor, "frame bone 3"]) -> Float[Tensor, "frame bone 4 4"]:
        """Bone transforms of poses, with no translation."""
        return self.body.posed_from_canonical(poses, torch.zeros(len(poses), 3))

    def field(
        self, turns: Float[Tensor, "frame bone 3"], offsets: bool = False, device: str = "cpu"
    ) -> SampledSkinning:
        """The deformation in poses; `offsets` adds blendshapes of up to a centimetre."""
        shifts = offsets_on(self.grid, len(turns)).to(device) if offsets else None
        return SampledSkinning(self.grid, self.log_weights.to(device), self.transforms(turns).to(device), shifts)


@cache
def person(rig: str = "compact") -> Person:
    """The body of average shape on a rig ("compact" has 24 bones, "full" 104)."""
    body = load_anny(rig).body()  # type: ignore[arg-type]
    surface = Surface(body.canonical(), body.faces)
    low, high = surface.vertices.amin(0), surface.vertices.amax(0)
    grid = patched_grid(low - 0.1, high + 0.1, 0.035, list(hand_boxes()), 0.01)
    field = GridWeights(grid, len(body.skeleton))
    field.start_from(weights_on_patches(surface, body.skinning_weights, grid))
    return Person(body, surface, grid, field.at_nodes().detach())


@cache
def hand_boxes() -> Float[Tensor, "part 2 3"]:
    """Boxes about both hands in the canonical pose (metres)."""
    body = load_anny().body()
    boxes = []
    for side in ("left", "right"):
        bones = [body.skeleton.index(f"{side}_{part}") for part in ("wrist", "hand")]
        hand = body.canonical()[body.skinning_weights[:, bones].sum(1) > 0.5]
        boxes.append(torch.stack([hand.amin(0) - 0.02, hand.amax(0) + 0.02]))
    return torch.stack(boxes)


def poses(rig: str, count: int, scale: float = 0.25, seed: int = 0) -> Float[Tensor, "pose bone 3"]:
    """Random poses: limbs turned up to `scale` radians about each axis, knees and elbows bent up to a radian more."""
    generator = torch.Generator().manual_seed(seed)
    skeleton = person(rig).body.skeleton
    turns = person(rig).body.canonical_pose.repeat(count, 1, 1)
    for name in FULL_RIG:
        for side, sign in (("left", -1), ("right", 1)):
            joint = skeleton.index(f"{side}_{name}" if rig == "compact" else f"{FULL_RIG[name]}.{side[0].upper()}")
            turn = scale * (2 * torch.rand(count, 3, generator=generator) - 1)
            bend = torch.rand(count, generator=generator)
            if name in ("knee", "elbow"):
                turn[:, 0 if name == "knee" else 1] += bend if name == "knee" else sign * bend
            turns[:, joint] += turn
    return turns


def offsets_on(grid: PatchedGrid, frames: int, seed: int = 0) -> Float[Tensor, "frame node 3"]:
    """Smooth displacements of up to a centimetre at a grid's nodes, others each frame, continuous across patches."""
    generator = torch.Generator().manual_seed(seed)
    phase = 6 * torch.rand(frames, 3, generator=generator)
    waves = 0.01 * torch.sin(9 * grid.nodes()[:, None].flip(2) + phase)
    field = GridOffsets(grid, frames)
    field.start_from(waves)
    return field.at_nodes().detach().unflatten(1, (-1, 3)).transpose(0, 1).contiguous()


def surface_points(
    count: int, frames: int, seed: int = 0, rig: str = "compact"
) -> tuple[Float[Tensor, "point 3"], Int[Tensor, "point"]]:
    """Random canonical points of the surface and a frame for each."""
    generator = torch.Generator().manual_seed(seed)
    points = person(rig).surface.sample(count, generator).points
    return points, torch.randint(frames, (count,), generator=generator)


def queries(
    field: DeformationField, count: int, seed: int = 0, rig: str = "compact"
) -> tuple[Float[Tensor, "point 3"], Int[Tensor, "point"]]:
    """Posed points to search for: half near the surface, half anywhere about the body, and a frame for each."""
    frames = len(field.posed_from_canonical)
    points, frame = surface_points(count, frames, seed, rig)
    generator = torch.Generator().manual_seed(seed + 1)
    points, frame = points.to(field.posed_from_canonical), frame.to(field.posed_from_canonical.device)
    posed = forward_skin(field, points, frame).detach().cpu()
    posed += 0.02 * torch.randn(count, 3, generator=generator)
    low, high = posed.amin(0), posed.amax(0)
    posed[count // 2 :] = low + torch.rand(count - count // 2, 3, generator=generator) * (high - low)
    return posed.to(points), frame


def gap_to_roots(
    wanted: Float[Tensor, "wanted 3"], point: Int[Tensor, "wanted"], roots: Roots
) -> Float[Tensor, "wanted"]:
    """Distance of canonical points to the nearest root of their posed points; infinite where there is none (metres)."""
    counts = torch.bincount(roots.point, minlength=roots.point_count)
    first = counts.cumsum(0) - counts
    gaps = torch.full((len(wanted),), torch.inf, dtype=wanted.dtype, device=wanted.device)
    for number in range(int(counts.max()) if len(roots.point) else 0):
        there = number < counts[point]
        index = (first[point] + number).clamp_max(len(roots.point) - 1)
        gap = (roots.canonical[index] - wanted).norm(dim=1)
        gaps = torch.where(there, torch.minimum(gaps, gap), gaps)
    return gaps
