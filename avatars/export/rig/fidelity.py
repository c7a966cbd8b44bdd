"""How near a rig is to the implicit avatar that it was made from, over a motion; and what its triangles buy."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from avatars.deform.skinning import forward_skin
from avatars.export.rig.clip import RigMotion
from avatars.export.rig.motion import rig_motion
from avatars.export.rig.poser import RigPoser
from avatars.export.rig.rig import Rig
from avatars.meshing import TriangleMesh
from avatars.models.avatar import Avatar
from avatars.models.head_avatar import HeadAvatar
from body_models import InputError, Motion, Skeleton
from data_prep.surface import Surface, SurfaceSamples

SAMPLES = 20_000
"""Points on each surface in each frame, spread by area."""
GLANCES = 24
"""Directions in which one looks out from a point of the rig before it counts as hidden."""
OFF = 1e-4
"""How far before the surface a look begins (metres)."""
STEPS = 3
"""Newton steps that bring the vertices of a head's mesh onto its zero level."""
PARTS = {
    "head": "head|neck|jaw|eye|tongue|skull|face|brow|lip|cheek",
    "hands": "wrist|hand|palm|metacarpal|finger|thumb|index|middle|ring|pinky|little",
    "feet": "ankle|foot|feet|toe",
    "legs": "hip|knee|thigh|shin|calf|leg",
    "arms": "shoulder|elbow|forearm|arm",
    "torso": "root|pelvis|hips|spine|chest|collar|clavicle|breast|torso|place|ghost",
}
"""Parts of a body by the names of the bones that move them most; other bones belong where their parents do."""


@dataclass(frozen=True)
class Distances:
    """Distances between two surfaces (millimetres)."""

    mean: float
    percentile_95: float
    most: float
    samples: int


@dataclass(frozen=True)
class Fidelity:
    """A rig against the implicit avatar over a motion (millimetres).

    The avatar's surface is the outline of all its parts together: where they overlap (armpits, crossed legs) what lies
    inside is no surface of it, though the rig has triangles there, which nobody sees. So points of the rig from where
    no straight line leads outside (24 are tried) are left out, of the avatar's surface none.
    """

    motion: str
    frames: tuple[int, ...]
    """Which of the motion's frames were compared."""
    vertices: int
    faces: int
    influences: int
    morphs: int
    to_implicit: Distances
    """From the rig's visible surface to the avatar's."""
    to_rig: Distances
    """From the avatar's surface to the rig's."""
    parts: tuple[tuple[str, Distances], ...]
    """Both ways together, by part of the body."""
    hidden: float
    """Share of the rig's surface that is hidden by itself and was left out."""

    @property
    def mean(self) -> float:
        """Mean of both ways (millimetres)."""
        return (self.to_implicit.mean + self.to_rig.mean) / 2

    @property
    def percentile_95(self) -> float:
        """The worse of both ways' (millimetres)."""
        return max(self.to_implicit.percentile_95, self.to_rig.percentile_95)

    def to_dict(self) -> dict[str, object]:
        """All of it, for JSON."""
        numbers = asdict(self)
        return {**numbers, "frames": list(self.frames), "parts": {name: asdict(part) for name, part in self.parts}}

    def table(self) -> str:
        """All of it as a Markdown table."""
        rows = [("rig to avatar", self.to_implicit), ("avatar to rig", self.to_rig), *self.parts]
        lines = ["| distance (mm) | mean | 95 % below | most |", "| --- | --- | --- | --- |"]
        lines += [f"| {name} | {d.mean:.2f} | {d.percentile_95:.2f} | {d.most:.1f} |" for name, d in rows]
        told = (
            f"{self.faces} faces, {self.influences} influences, {self.morphs} morphs; {len(self.frames)} frames of "
            f"'{self.motion}'; {100 * self.hidden:.1f} % of the rig's surface is hidden by itself and left out."
        )
        return "\n".join(lines) + "\n\n" + told + "\n"


@dataclass(frozen=True)
class ImplicitMotion:
    """The avatar's own surface in some frames of a clip: what rigs are compared with."""

    clip: Motion
    frames: tuple[int, ...]
    meshes: tuple[TriangleMesh, ...]


@dataclass(frozen=True)
class SweepRow:
    """What a rig of some make comes to."""

    faces: int
    influences: int
    correctives: int
    fidelity: Fidelity


def measure_fidelity(
    avatar: Avatar | HeadAvatar, rig: Rig, clip: Motion, frames: int = 8, resolution: int = 256
) -> Fidelity:
    """Distances between a rig and its avatar in evenly spread frames of a clip that was brought onto the avatar.

    A body's surface is meshed from its posed occupancy by root finding at `resolution` cells along its longest side;
    a head's is its canonical zero level, carried by the exact fields. Raises InputError for a clip of another skeleton
    and for less than one frame.
    """
    return compared(rig, avatar, implicit_motion(avatar, clip, frames, resolution))


def implicit_motion(
    avatar: Avatar | HeadAvatar, clip: Motion, frames: int = 8, resolution: int = 256
) -> ImplicitMotion:
    """The avatar's surface in evenly spread frames of a clip; raises InputError as `measure_fidelity` does."""
    if frames < 1:
        raise InputError(f"{frames} frames cannot be compared; ask for at least one.")
    if clip.skeleton != avatar.skeleton:
        raise InputError(
            f"Motion '{clip.name}' is of another skeleton than the avatar. Bring it over first: "
            "avatars.export.motion_on(avatar, motion)."
        )
    middle = (torch.arange(min(frames, len(clip))) + 0.5) * len(clip) / min(frames, len(clip))
    chosen = tuple(int(number) for number in middle)
    if isinstance(avatar, HeadAvatar):
        return ImplicitMotion(clip, chosen, _head_meshes(avatar, clip, chosen, resolution))
    posed = (avatar.pose(clip.rotations[number], clip.translations[number]) for number in chosen)
    return ImplicitMotion(clip, chosen, tuple(one.mesh(resolution, exact=True) for one in posed))


@torch.no_grad()
def compared(
    rig: Rig, avatar: Avatar | HeadAvatar, implicit: ImplicitMotion, samples: int = SAMPLES, seed: int = 0
) -> Fidelity:
    """Distances between a rig and the avatar's surface where that is known already."""
    motion, generator = rig_motion(avatar, rig, implicit.clip), torch.Generator(rig.vertices.device).manual_seed(seed)
    names, part_of_face = _parts_of_faces(rig)
    moving = Surface(rig.vertices, rig.faces)
    gathered: list[tuple[Tensor, ...]] = []
    hidden = 0.0
    for vertices, mesh in zip(_posed(rig, motion, implicit.frames), implicit.meshes, strict=True):
        moving.update(vertices)
        truth = Surface(mesh.vertices, mesh.faces)
        own, theirs = moving.sample(samples, generator), truth.sample(samples, generator)
        seen = _is_seen(moving, own, generator)
        hidden += float((~seen).float().mean()) / len(implicit.frames)
        back = moving.closest(theirs.points)
        forth = truth.closest(own.points[seen]).distance
        gathered.append((forth, part_of_face[own.face[seen]], back.distance, part_of_face[back.face]))
    forth, forth_part, back_distance, back_part = (torch.cat(column) for column in zip(*gathered, strict=True))
    both, part = torch.cat([forth, back_distance]), torch.cat([forth_part, back_part])
    parts = tuple((name, _distances(both[part == number])) for number, name in enumerate(names))
    return Fidelity(
        implicit.clip.name, implicit.frames, len(rig.vertices), len(rig.faces), rig.bones.shape[1], len(rig.morphs),
        _distances(forth), _distances(back_distance), parts, hidden,
    )  # fmt: skip


def sweep(
    avatar: Avatar | HeadAvatar,
    make: Callable[[int, int, int], Rig],
    implicit: ImplicitMotion,
    makes: Sequence[tuple[int, int, int]],
) -> tuple[SweepRow, ...]:
    """What faces, influences and correctives buy: `make` builds the rig of each such triple, which is then compared."""
    return tuple(SweepRow(*numbers, compared(make(*numbers), avatar, implicit)) for numbers in makes)


def sweep_table(rows: Sequence[SweepRow]) -> str:
    """A sweep as a Markdown table (millimetres)."""
    lines = ["| faces | influences | correctives | mean | 95 % below | most |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        told, most = row.fidelity, max(row.fidelity.to_implicit.most, row.fidelity.to_rig.most)
        numbers = f"{told.mean:.2f} | {told.percentile_95:.2f} | {most:.1f}"
        lines.append(f"| {row.faces} | {row.influences} | {row.correctives} | {numbers} |")
    return "\n".join(lines) + "\n"


def parts_of(skeleton: Skeleton) -> tuple[str, ...]:
    """The part of the body that each bone belongs to, by its name or else its parent's."""
    parts: list[str] = []
    for name, parent in zip(skeleton.joint_names, skeleton.parents, strict=True):
        own = next((part for part, words in PARTS.items() if re.search(words, name.lower())), None)
        parts.append(own or (parts[parent] if parent >= 0 else "torso"))
    return tuple(parts)


def _parts_of_faces(rig: Rig) -> tuple[tuple[str, ...], Int[Tensor, "face"]]:
    """Names of the parts that a rig has, and which each triangle belongs to: that of most of its corners' weight."""
    of_bone = parts_of(rig.skeleton)
    names = tuple(name for name in PARTS if name in of_bone)
    number = torch.tensor([names.index(part) for part in of_bone], device=rig.faces.device)
    shares = rig.weights.new_zeros(len(rig.vertices), len(names)).scatter_add_(1, number[rig.bones], rig.weights)
    return names, shares[rig.faces].sum(1).argmax(1)


def _posed(rig: Rig, motion: RigMotion, frames: tuple[int, ...]) -> Float[Tensor, "frame vertex 3"]:
    chosen = torch.tensor(frames, device=rig.vertices.device)
    poser = RigPoser(rig)
    return poser.pose(motion.rotations[chosen], motion.translations[chosen], motion.morph_weights[chosen])


def _is_seen(surface: Surface, samples: SurfaceSamples, generator: torch.Generator) -> Bool[Tensor, "sample"]:
    """Whether a straight line leads from each sample to the outside: along its normal, or one of some about it."""
    seen = torch.zeros(len(samples.points), dtype=torch.bool, device=samples.points.device)
    origins = samples.points + OFF * samples.normals
    for glance in range(GLANCES):
        left = (~seen).nonzero()[:, 0]
        directions = samples.normals[left]
        if glance:
            around = torch.randn(directions.shape, generator=generator, device=directions.device)
            directions = directions + 0.999 * normalize(around, dim=1)
        seen[left] = surface.cast(origins[left], directions).face < 0
    return seen


def _distances(metres: Float[Tensor, "sample"]) -> Distances:
    if len(metres) == 0:
        return Distances(0.0, 0.0, 0.0, 0)
    millimetres = 1000 * metres.double()
    ordered = millimetres.sort().values
    high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return Distances(float(millimetres.mean()), float(high), float(ordered[-1]), len(ordered))


@torch.no_grad()
def _head_meshes(
    avatar: HeadAvatar, clip: Motion, frames: tuple[int, ...], resolution: int
) -> tuple[TriangleMesh, ...]:
    """A head's zero level, meshed finely, brought onto it by Newton's method and carried by the exact fields."""
    model, proxy = avatar.model, avatar.proxy(resolution)
    points = proxy.vertices
    for _ in range(STEPS):
        gradient = model.gradient(points)
        points = points - model.sdf(points)[:, None] * gradient / gradient.square().sum(1, keepdim=True).clamp_min(0.25)
    meshes = []
    for number in frames:
        pose, place = clip.rotations[number : number + 1], clip.translations[number : number + 1]
        expression = model.joints.new_zeros(1, model.sizes.expressions)
        if clip.expression is not None:
            expression = clip.expression[number : number + 1].to(expression)
        field = model.deformation(pose.to(points), place.to(points), expression)
        posed = forward_skin(field, points, torch.zeros_like(points[:, 0], dtype=torch.long))
        meshes.append(TriangleMesh(posed, proxy.faces))
    return tuple(meshes)
