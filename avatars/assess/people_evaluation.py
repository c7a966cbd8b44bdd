"""How well a prior says who people are that it was not trained on, and what it draws: figures, clouds and pictures."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from avatars.assess.people_features import BACKGROUND
from avatars.assess.people_scores import POINTS, Cloud, person_cloud
from avatars.fit.detail_options import DetailStage
from avatars.fit.held_out import HeldOutOptions, Surfaces, fit_codes, posed_details
from avatars.fit.people_pools import NEAR, PeoplePools
from avatars.fit.prior_hits import AT_ONCE, SeenPoints, see_member
from avatars.fit.prior_seen import PARTS
from avatars.fit.progress import Progress
from avatars.metrics import iou
from avatars.models.coarse_person import CoarsePerson
from avatars.models.person import Person
from avatars.models.prior import Prior
from body_models import BodyModel, InputError
from body_models.parameters import unknown_name
from data_prep.people import Member, PeopleDataset, to_view
from data_prep.people.synthetic import ClothedPerson, make_clothed_person
from data_prep.people.synthetic.recipe import RECIPE, member_number, member_seed, read_recipe
from data_prep.sampling import sample_outer_surface
from data_prep.surface import Surface

KINDS = ("mixture", "diagonal", "noise")
UNKNOWN = 90.0
"""Error of normals where nothing of a person's surface was found (degrees)."""
SAME = 0.002
"""A person made again lies within this of the dataset's surface points (metres)."""


@dataclass(frozen=True)
class Reconstruction:
    """People in known poses and of known builds, as a prior reproduces them by its codes alone."""

    shape: Float[Tensor, "person shape"]
    detail: Float[Tensor, "person detail"]
    iou: Float[Tensor, "person"]
    """Over the points that are spread uniformly over the box of each scan."""
    found: Float[Tensor, "person"]
    """Share of the scans' surface points that have a canonical place."""
    coarse: Float[Tensor, "person"]
    """Mean error of the coarse surface's normals at the points found (degrees)."""
    detailed: Float[Tensor, "person"]
    """The same of the normals with wrinkles."""


@dataclass(frozen=True)
class NormalPictures:
    """A person's normals in views all around, as a dataset's maps are drawn."""

    coarse: UInt8[Tensor, "picture row column 3"]
    detailed: UInt8[Tensor, "picture row column 3"]


def reconstruct_people(
    prior: Prior,
    dataset: PeopleDataset,
    numbers: list[int],
    options: HeldOutOptions | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Reconstruction:
    """Find the codes of people of a dataset, and measure how far the prior's people are from them."""
    options = options or HeldOutOptions()
    shape, detail, surfaces = fit_codes(prior, dataset, numbers, options, seed, progress)
    betas = PeoplePools.of(dataset, numbers, prior.model.space.betas).betas.to(prior.device)
    rows = []
    for row, number in enumerate(numbers):
        member = dataset.member(number)
        found = len(surfaces.points[row]) / (len(member) * min(options.detail.cached_points, member.surface.shape[1]))
        overlap = _overlap(CoarsePerson(prior.model, shape[row], betas[row]), member)
        rows.append((overlap, found, *_tilts(prior, surfaces, row, detail[row])))
    return Reconstruction(shape, detail, *torch.tensor(rows).unbind(1))


@torch.no_grad()
def normal_pictures(person: Person, member: Member, yaws: tuple[float, ...], cells: int = 192) -> NormalPictures:
    """A person in the poses of a dataset's member, scan by scan, seen as the member's own maps were.

    Codes and build are the person's. The coarse surface is met as in training, by rays at its mesh of some cells.
    """
    options = DetailStage(cached_points=1, mesh_cells=cells)
    seen = see_member(person.coarse, member, yaws, options)
    points = SeenPoints(*(seen[f"hit_{name}"].float() for name in PARTS))
    subject = torch.zeros(len(points), dtype=torch.long, device=points.canonical.device)
    normals = person.model.normals(points.canonical, subject, person.detail[None], points.coarse, points.feature)
    return NormalPictures(*(_drawn(points.posed(some), seen, member, yaws) for some in (points.coarse, normals)))


def drawn_people(prior: Prior, count: int, seed: int = 0, kind: str = "mixture") -> list[Person]:
    """New people of the same builds with codes from different distributions.

    "mixture" is what the prior samples; "diagonal" takes each number by itself (gDNA, section 3.4); "noise" knows but
    the mean of the training codes and one deviation for all numbers. Raises InputError for another kind.
    """
    if kind not in KINDS:
        raise InputError(unknown_name("Unknown kind of codes", kind, KINDS))
    people = prior.sample(count, seed)
    if kind == "mixture":
        return people
    codes = []
    for number, statistics in enumerate((prior.shape, prior.detail)):
        generator = torch.Generator().manual_seed(3 * seed + number)
        if kind == "diagonal":
            codes.append(statistics.sample(count, generator, kind=kind))
        else:
            noise = torch.randn(count, statistics.length, generator=generator).to(statistics.mean)
            codes.append(statistics.mean + statistics.deviation.square().mean().sqrt() * noise)
    own = zip(codes[0], codes[1], people, strict=True)
    return [prior.person(shape, detail, person.betas) for shape, detail, person in own]


def prior_cloud(person: Person, seed: int = 0, resolution: int = 128) -> Cloud:
    """Points on a person of a prior in the canonical pose (metres); raises InputError when there is no surface."""
    mesh = person.mesh(resolution=resolution)
    return person_cloud(Surface(mesh.vertices, mesh.faces), seed)


def naked_cloud(model: BodyModel, betas: Float[Tensor, "betas"], seed: int = 0) -> Cloud:
    """Points on the outer surface of a body without clothes in the canonical pose (metres)."""
    body = model.body(betas.cpu())
    return _outer_cloud(Surface(body.canonical(), body.faces), seed)


def is_synthetic(dataset: PeopleDataset) -> bool:
    """Whether the people of a dataset can be made again, to be seen in any pose."""
    return (dataset.folder / RECIPE).is_file()


def true_cloud(model: BodyModel, dataset: PeopleDataset, number: int, assets: Path | None = None) -> Cloud:
    """Points on the outer surface of a member of a synthetic dataset, made again in the canonical pose (metres).

    Raises InputError when that is another person than the dataset's: made by another version, or from other clothes.
    """
    person = remade_person(model, dataset, number, assets)
    vertices = person.pose_vertices(person.body.canonical_pose, torch.zeros(3))
    return _outer_cloud(Surface(vertices, person.clothed.faces), number)


def remade_person(model: BodyModel, dataset: PeopleDataset, number: int, assets: Path | None = None) -> ClothedPerson:
    """A member of a synthetic dataset as it was made, from the dataset's seed; raises InputError when it differs."""
    member, recipe = dataset.member(number), read_recipe(dataset.folder)
    if recipe.clothes and assets is None:
        raise InputError(f"Some people of {dataset.folder} wear clothes from '{recipe.clothes}'; give that folder.")
    seed = member_seed(recipe.seed, member_number(member.name))
    person = make_clothed_person(model, seed, recipe.betas, assets if recipe.clothes else None)
    there = Surface(person.pose_vertices(member.poses[0], member.translations[0]), person.clothed.faces)
    distance = there.closest(member.surface[0, :: max(1, member.surface.shape[1] // 256)]).distance
    if not torch.allclose(person.betas, member.betas, atol=1e-4) or float(distance.quantile(0.95)) > SAME:
        raise InputError(
            f"'{member.name}' of {dataset.folder} comes out as somebody else when made again: another version made the "
            "dataset, or other clothes were at hand. Make the dataset again with `avatars dataset make-people`."
        )
    return person


def _outer_cloud(surface: Surface, seed: int) -> Cloud:
    return sample_outer_surface(surface, POINTS, torch.Generator().manual_seed(seed)).points


@torch.no_grad()
def _overlap(person: CoarsePerson, member: Member) -> float:
    """Of all scans together."""
    model, count = person.gdna, len(member)
    near = round(NEAR * member.points.shape[1])
    points, true_inside = member.points[:, near:].to(person.code), member.distances[:, near:].signbit().flatten()
    field = person.skinning(member.poses.to(person.code), member.translations.to(person.code))
    frame = torch.arange(count, device=points.device).repeat_interleave(points.shape[1])
    shape = model.shape(person.code.expand(count, -1))
    parts = zip(points.flatten(0, 1).split(AT_ONCE), frame.split(AT_ONCE), strict=True)
    inside = torch.cat([model(some, of, shape, field) > 0 for some, of in parts])
    return iou(inside.cpu(), true_inside)


@torch.no_grad()
def _tilts(prior: Prior, surfaces: Surfaces, row: int, detail: Float[Tensor, "detail"]) -> tuple[float, float]:
    """Mean errors of coarse and detailed normals (degrees)."""
    points, truth = surfaces.points[row], functional.normalize(surfaces.normals[row], dim=1)
    if len(points) == 0:
        return UNKNOWN, UNKNOWN
    subject = torch.zeros(len(points), dtype=torch.long, device=truth.device)
    detailed = posed_details(prior, points, subject, detail[None])
    cosines = [(some * truth).sum(1).clamp(-1, 1) for some in (points.posed(points.coarse), detailed)]
    coarse_error, detailed_error = (float(torch.rad2deg(torch.acos(cosine)).mean()) for cosine in cosines)
    return coarse_error, detailed_error


def _drawn(
    normals: Float[Tensor, "hit 3"], seen: dict[str, Tensor], member: Member, yaws: tuple[float, ...]
) -> UInt8[Tensor, "picture row column 3"]:
    size, counts = member.maps.shape[2], seen["hit_counts"].flatten()
    own = zip(normals.cpu().split(counts.tolist()), yaws * len(member), strict=True)
    colours = torch.cat([to_view(some, yaw) * 127.5 + 127.5 for some, yaw in own])
    picture = torch.arange(len(counts)).repeat_interleave(counts.cpu())
    drawn = torch.full((len(counts), size * size, 3), BACKGROUND, dtype=torch.uint8)
    drawn[picture, seen["hit_pixel"].cpu().long()] = colours.round().clamp(0, 255).to(torch.uint8)
    return drawn.unflatten(1, (size, size))
