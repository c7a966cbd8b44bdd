"""Non-rigid ray marching: samples along rays, their canonical roots, the first way in. The meaning of `trace`."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatars.deform.roots import SearchOptions
from avatars.deform.search import inverse_affine, search
from avatars.fields.affine import apply_affine
from avatars.render.options import TraceOptions
from avatars.render.rays import RayHits, SurfaceField
from avatars.render.surface import meet_surface

SECTIONS = 8
"""A crossing is narrowed down by this factor at a time."""


@torch.no_grad()
def march(
    origins: Float[Tensor, "ray 3"],
    directions: Float[Tensor, "ray 3"],
    frame: Int[Tensor, "ray"],
    field: SurfaceField,
    near: Float[Tensor, "ray"],
    far: Float[Tensor, "ray"],
    options: TraceOptions,
    samples: int | None = None,
) -> RayHits:
    """First crossing from outside to inside between `near` and `far`, or the sample of least signed distance.

    Every sample counts as its deepest canonical root; samples without a root are outside (IMavatar, section 3.3).
    """
    count = options.samples if samples is None else samples
    rays = max(1, options.points_at_once // count)
    chunks = zip(*(value.split(rays) for value in (origins, directions, frame, near, far)), strict=True)
    parts = [_march_chunk(o, d, f, field, first, last, count, options) for o, d, f, first, last in chunks]
    if not parts:
        return RayHits(origins, near, torch.zeros_like(near, dtype=torch.bool))
    return RayHits(
        torch.cat([part.canonical for part in parts]),
        torch.cat([part.distance for part in parts]),
        torch.cat([part.hit for part in parts]),
    )


def _march_chunk(
    origins: Float[Tensor, "ray 3"],
    directions: Float[Tensor, "ray 3"],
    frame: Int[Tensor, "ray"],
    field: SurfaceField,
    near: Float[Tensor, "ray"],
    far: Float[Tensor, "ray"],
    samples: int,
    options: TraceOptions,
) -> RayHits:
    found, before = _sampled(origins, directions, frame, field, near, far, samples, options)
    ray = found.hit.nonzero()[:, 0]
    some, inner = (origins[ray], directions[ray], frame[ray]), found.rows(ray)
    meeting = meet_surface(*some, field, inner.canonical, options)
    between = (meeting.distance >= before[ray]) & (meeting.distance <= inner.distance)
    met = meeting.converged & between
    found.canonical[ray[met]], found.distance[ray[met]] = meeting.canonical[met], meeting.distance[met]
    ray = ray[~met]
    if len(ray):
        some, ends = (origins[ray], directions[ray], frame[ray]), (before[ray], found.distance[ray])
        found.canonical[ray], found.distance[ray] = _narrowed(*some, field, *ends, found.canonical[ray], options)
    return found


def _sampled(
    origins: Float[Tensor, "ray 3"],
    directions: Float[Tensor, "ray 3"],
    frame: Int[Tensor, "ray"],
    field: SurfaceField,
    near: Float[Tensor, "ray"],
    far: Float[Tensor, "ray"],
    samples: int,
    options: TraceOptions,
) -> tuple[RayHits, Float[Tensor, "ray"]]:
    """The first samples inside that follow one outside, with the distance of that one; else the least samples."""
    steps = torch.linspace(0.0, 1.0, samples).to(near)
    distances = near[:, None] + (far - near)[:, None] * steps
    posed = (origins[:, None] + distances[..., None] * directions[:, None]).flatten(0, 1)
    roots, values = deepest_roots(posed, frame.repeat_interleave(samples), field, options.search)
    roots, values = roots.unflatten(0, (-1, samples)), values.unflatten(0, (-1, samples))
    inside = values < 0
    entering = inside[:, 1:] & ~inside[:, :-1]
    hit = entering.any(1)
    row = torch.arange(len(near), device=near.device)
    place = torch.where(hit, entering.int().argmax(1) + 1, values.argmin(1))
    return RayHits(roots[row, place], distances[row, place], hit), distances[row, (place - 1).clamp_min(0)]


def _narrowed(
    origins: Float[Tensor, "ray 3"],
    directions: Float[Tensor, "ray 3"],
    frame: Int[Tensor, "ray"],
    field: SurfaceField,
    outer: Float[Tensor, "ray"],
    inner: Float[Tensor, "ray"],
    canonical: Float[Tensor, "ray 3"],
    options: TraceOptions,
) -> tuple[Float[Tensor, "ray 3"], Float[Tensor, "ray"]]:
    """The crossing between an outer and an inner distance, cut into sections again and again.

    Where the deepest root jumps from outside to inside, this closes on the jump.
    """
    for _ in range(options.refinements):
        found, before = _sampled(origins, directions, frame, field, outer, inner, SECTIONS + 1, options)
        outer = torch.where(found.hit, before, outer)
        inner = torch.where(found.hit, found.distance, inner)
        canonical = torch.where(found.hit[:, None], found.canonical, canonical)
    return canonical, inner


def deepest_roots(
    posed: Float[Tensor, "point 3"], frame: Int[Tensor, "point"], field: SurfaceField, options: SearchOptions
) -> tuple[Float[Tensor, "point 3"], Float[Tensor, "point"]]:
    """The canonical root of least signed distance of each posed point, and that distance.

    A point without a root has an infinite distance and the place where the first bone alone would have it from.
    """
    roots = search(posed, frame, field.deformation, options)
    values = field.sdf(roots.canonical, frame[roots.point]).detach()
    least = posed.new_full((len(posed),), torch.inf).scatter_reduce(0, roots.point, values, "amin")
    best: Bool[Tensor, "root"] = values == least[roots.point]
    canonical = apply_affine(inverse_affine(field.deformation.posed_from_canonical.detach()[:, 0])[frame], posed)
    canonical[roots.point[best]] = roots.canonical[best]
    return canonical, least
