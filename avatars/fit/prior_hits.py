"""Where scans and their views meet people's coarse surfaces: found once, before wrinkles are learned.

The coarse surface no longer changes then, so places, coarse normals, features and rotations there are constants.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.people import PeopleSkinning
from avatars.deform.roots import Roots
from avatars.fields.affine import apply_affine
from avatars.fields.people_occupancy import PeopleShape
from avatars.fit.detail_options import DetailStage
from avatars.models.coarse_person import CoarsePerson, of_one_person
from avatars.models.gdna import Gdna, normal_turns
from data_prep.people import Member, view_rays
from data_prep.surface import Surface

AT_ONCE = 8192
"""Points that are evaluated together."""


@dataclass(frozen=True)
class SeenPoints:
    """Points on coarse surfaces with what stays the same while details are learned."""

    canonical: Float[Tensor, "point 3"]
    """Metres."""
    turn: Float[Tensor, "point 3 3"]
    """Takes canonical normals to the pose, but for their length: the inverse transpose of the blended rotation."""
    coarse: Float[Tensor, "point 3"]
    """Unit canonical normals of the coarse surface."""
    feature: Float[Tensor, "point feature"]
    """What the coarse surface tells the details."""

    def __len__(self) -> int:
        """How many points there are."""
        return len(self.canonical)

    def posed(self, normals: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
        """Canonical normals at the points in the pose, of unit length."""
        return torch.nn.functional.normalize((self.turn * normals[:, None]).sum(2), dim=1)


@torch.no_grad()
def see_member(
    person: CoarsePerson, member: Member, yaws: tuple[float, ...], options: DetailStage
) -> dict[str, Tensor]:
    """All that is kept of a member: `hit_*` of the views' pixels, view by view, and `surface_*` of the scans' points.

    `hit_counts` "scan view" and `surface_counts` "scan" tell how many there are; half precision but for places.
    """
    poses, translations = member.poses.to(person.code), member.translations.to(person.code)
    field, shape = person.skinning(poses, translations), person.shape()
    mesh = person.mesh(options.mesh_cells)
    normals = _in_parts(lambda at: person.gdna.coarse_normals(at, of_one_person(at), shape), mesh.vertices)
    centres = person.gdna.space.joints_of(person.betas[None])[0, 0] + translations
    hits, surface = [], []
    for scan, centre in enumerate(centres):
        posed, turn = carried(field, mesh.vertices, torch.full_like(mesh.vertices[:, 0], scan).long())
        seen = _seen_pixels(Surface(posed, mesh.faces), centre, yaws, member.maps.shape[2])
        values = torch.cat([mesh.vertices, normals, turn.flatten(1)], 1)
        hits.append(_hits(person.gdna, shape, mesh.faces, values, seen))
        surface.append(_surface(person.gdna, shape, field, member, scan, options.cached_points))
    return _joined("hit", hits) | _joined("surface", surface)


@torch.no_grad()
def carried(
    field: PeopleSkinning, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]
) -> tuple[Float[Tensor, "point 3"], Float[Tensor, "point 3 3"]]:
    """Posed places of canonical points (metres), and the matrices that turn normals along, of unit size."""
    posed, turns = [points[:0]], [points.new_zeros(0, 3, 3)]
    for some, of in zip(points.split(AT_ONCE), frame.split(AT_ONCE), strict=True):
        affine = field.blend(some, of)
        posed.append(apply_affine(affine, field.shifted(some, of)))
        turns.append(normal_turns(affine[..., :3]))
    return torch.cat(posed), torch.cat(turns)


def fingerprint(person: CoarsePerson, member: Member, yaws: tuple[float, ...], options: DetailStage) -> str:
    """Changes with everything that `see_member` depends on, but for the networks (see `networks_fingerprint`)."""
    sizes = repr((member.maps.shape, yaws, options.cached_points, options.mesh_cells))
    tensors = [person.code, person.betas, member.poses, member.translations, member.surface, member.normals]
    return _digest(sizes, tensors)


def networks_fingerprint(gdna: Gdna) -> str:
    """Changes with the coarse networks."""
    coarse = [*gdna.space.state_dict().values(), *gdna.weights.state_dict().values()]
    return _digest(repr(gdna.options), [*coarse, *gdna.occupancy.state_dict().values()])


def _digest(text: str, tensors: list[Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Pixels:
    """Which pixels of all views of a scan show the surface, and where on it they look."""

    counts: list[int]
    pixel: Int[Tensor, "hit"]
    face: Int[Tensor, "hit"]
    barycentric: Float[Tensor, "hit 3"]


def _seen_pixels(surface: Surface, centre: Float[Tensor, "3"], yaws: tuple[float, ...], size: int) -> _Pixels:
    counts, pixels, faces, places = [], [], [], []
    for yaw in yaws:
        hits = surface.cast(*view_rays(centre, yaw, size))
        pixel = (hits.face >= 0).nonzero()[:, 0]
        counts.append(len(pixel))
        pixels.append(pixel)
        faces.append(hits.face[pixel])
        places.append(hits.barycentric[pixel])
    return _Pixels(counts, torch.cat(pixels), torch.cat(faces), torch.cat(places))


def _hits(
    gdna: Gdna,
    shape: PeopleShape,
    faces: Int[Tensor, "face 3"],
    values: Float[Tensor, "vertex 15"],
    seen: _Pixels,
) -> dict[str, Tensor]:
    """What is kept of the pixels of a scan, blended from canonical place, normal and turn at the vertices."""
    at = (values[faces[seen.face]] * seen.barycentric[..., None]).sum(1)
    points = SeenPoints(
        at[:, :3],
        at[:, 6:].unflatten(1, (3, 3)),
        torch.nn.functional.normalize(at[:, 3:6], dim=1),
        _features(gdna, shape, at[:, :3]),
    )
    return _kept(points) | {"counts": torch.tensor([seen.counts]), "pixel": seen.pixel.int()}


def _surface(
    gdna: Gdna, shape: PeopleShape, field: PeopleSkinning, member: Member, scan: int, count: int
) -> dict[str, Tensor]:
    """What is kept of a scan's own surface points."""
    points, truth = seen_surface(gdna, shape, field, member, scan, count)
    return _kept(points) | {"counts": torch.tensor([len(points)]), "normal": truth.half()}


@torch.no_grad()
def seen_surface(
    gdna: Gdna, shape: PeopleShape, field: PeopleSkinning, member: Member, scan: int, count: int
) -> tuple[SeenPoints, Float[Tensor, "point 3"]]:
    """A scan's own surface points, at most `count`, with its posed normals there; points without a root are left out.

    Shuffled, so that any run of them is a fair draw. Frames of the field are the member's scans.
    """
    device = shape.codes.device
    order = torch.randperm(len(member.surface[scan]), generator=torch.Generator().manual_seed(scan))[:count]
    posed = member.surface[scan][order].to(device)
    roots = gdna.find_roots(posed, torch.full_like(posed[:, 0], scan).long(), field)
    logits = _in_parts(lambda at: gdna.logits(at, of_one_person(at), shape)[:, None], roots.canonical)[:, 0]
    best = likeliest(roots, logits)
    canonical, point = roots.canonical[best], roots.point[best]
    coarse = _in_parts(lambda at: gdna.coarse_normals(at, of_one_person(at), shape), canonical)
    turn = carried(field, canonical, torch.full_like(canonical[:, 0], scan).long())[1]
    points = SeenPoints(canonical, turn, coarse, _features(gdna, shape, canonical))
    return points, member.normals[scan][order].to(device)[point]


def likeliest(roots: Roots, logits: Float[Tensor, "root"]) -> Int[Tensor, "some"]:
    """The root of the largest logit of each point that has one."""
    order = logits.argsort(descending=True, stable=True)
    order = order[roots.point[order].argsort(stable=True)]
    point = roots.point[order]
    first = torch.ones_like(point, dtype=torch.bool)
    first[1:] = point[1:] != point[:-1]
    return order[first]


def _features(gdna: Gdna, shape: PeopleShape, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point feature"]:
    return _in_parts(lambda at: gdna.occupancy(at, of_one_person(at), shape).feature, points)


def _in_parts(
    field: Callable[[Float[Tensor, "some 3"]], Float[Tensor, "some channel"]], points: Float[Tensor, "point 3"]
) -> Float[Tensor, "point channel"]:
    """A field at many points, some at a time; at least one call, which tells the number of channels."""
    return torch.cat([field(some) for some in points.split(AT_ONCE)] or [field(points)])


def _kept(points: SeenPoints) -> dict[str, Tensor]:
    halves = {"turn": points.turn, "coarse": points.coarse, "feature": points.feature}
    return {"canonical": points.canonical} | {name: value.half() for name, value in halves.items()}


def _joined(kind: str, scans: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {f"{kind}_{name}": torch.cat([scan[name] for scan in scans]) for name in scans[0]}
