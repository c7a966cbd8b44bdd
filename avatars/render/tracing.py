"""Rays to the posed surface: from the proxy mesh by Newton's method, marched where that is not certain."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatars.deform.broyden import inverse_3x3
from avatars.deform.skinning import forward_skin
from avatars.render.march import march
from avatars.render.options import TraceOptions
from avatars.render.proxy import Proxy
from avatars.render.rays import RayHits, SurfaceField
from avatars.render.surface import meet_surface
from body_models import InputError

GRAZING = 0.1
"""Rays that meet the proxy's surface flatter than this (cosine) are marched: Newton might find the way out."""
DETOUR = 4.0
"""A ray that runs farther than this many margins inside the shell before it meets the mesh is marched: what it passes
on its way may stand out of the mesh."""
STRETCH = 1.5
"""Points that miss the surface lie at most this many times farther from it in canonical space than in the pose."""


@dataclass(frozen=True)
class _Rays:
    """Some of the rays, with their number among all."""

    number: Int[Tensor, "ray"]
    origins: Float[Tensor, "ray 3"]
    directions: Float[Tensor, "ray 3"]
    frame: Int[Tensor, "ray"]

    def rows(self, some: Bool[Tensor, "ray"]) -> "_Rays":
        return _Rays(self.number[some], self.origins[some], self.directions[some], self.frame[some])


@torch.no_grad()
def trace(
    origins: Float[Tensor, "ray 3"],
    directions: Float[Tensor, "ray 3"],
    frame: Int[Tensor, "ray"],
    field: SurfaceField,
    proxy: Proxy,
    options: TraceOptions | None = None,
) -> RayHits:
    """Where each ray first enters the posed surface of its frame (world, metres; unit directions).

    `options.everywhere` marches through the whole box of the proxy instead. Raises InputError for numbers of rays that
    do not fit together or frames that the proxy has not.
    """
    options = options or TraceOptions()
    _check(origins, directions, frame, proxy)
    if options.everywhere:
        near, far = proxy.intervals(origins, directions, frame)
        return march(origins, directions, frame, field, near, far, options)
    every = _Rays(torch.arange(len(origins), device=origins.device), origins, directions, frame)
    hits = RayHits(
        proxy.canonical.flatten(0, -2).mean(0).to(origins).repeat(len(origins), 1),
        torch.zeros_like(origins[:, 0]),
        torch.zeros_like(origins[:, 0], dtype=torch.bool),
    )
    shell = proxy.cast_shell(origins, directions, frame)
    touched = shell.isfinite()
    _trace_touched(every.rows(touched), shell[touched], field, proxy, options, hits)
    if options.misses:
        _approach(every.rows(~touched), field, proxy, hits)
    return hits


def _trace_touched(
    rays: _Rays, shell: Float[Tensor, "ray"], field: SurfaceField, proxy: Proxy, options: TraceOptions, hits: RayHits
) -> None:
    """Rays that enter the shell: Newton from the mesh, then marches for all that are left; fills in their hits."""
    mesh, start = proxy.cast(rays.origins, rays.directions, rays.frame)
    sure = mesh - shell < DETOUR * proxy.margin
    quick = rays.rows(sure)
    meeting = meet_surface(quick.origins, quick.directions, quick.frame, field, start[sure], options)
    near_mesh = (meeting.distance - mesh[sure]).abs() < options.reach
    accepted = meeting.converged & near_mesh & (meeting.slope < -GRAZING)
    found = RayHits(meeting.canonical, meeting.distance, accepted)
    _write(hits, quick.number[accepted], found.rows(accepted))
    left = torch.ones_like(sure)
    left[sure.nonzero()[:, 0][accepted]] = False
    _march_left(rays.rows(left), shell[left], mesh[left], field, proxy, options, hits)


def _march_left(
    rays: _Rays,
    shell: Float[Tensor, "ray"],
    mesh: Float[Tensor, "ray"],
    field: SurfaceField,
    proxy: Proxy,
    options: TraceOptions,
    hits: RayHits,
) -> None:
    """March from the shell to a little behind the mesh, and on to the shell's far side where nothing was there."""
    if len(mesh) == 0:
        return
    _, beyond = proxy.intervals(rays.origins, rays.directions, rays.frame)
    beyond = torch.maximum(beyond, shell) + proxy.margin
    ends = rays.origins + beyond[:, None] * rays.directions
    back = proxy.cast_shell(ends, -rays.directions, rays.frame)
    last = torch.where(back.isfinite(), beyond - back, shell).maximum(shell) + proxy.margin
    near = (shell - proxy.margin / 4).clamp_min(0)
    far = torch.minimum(mesh + options.reach, last)
    found = _march(rays, field, near, far, options)
    _write(hits, rays.number, found)
    left = ~found.hit & (far < last)
    if bool(left.any()):
        rest = rays.rows(left)
        found = _march(rest, field, far[left] - proxy.margin / 4, last[left], options)
        _write(hits, rest.number[found.hit], found.rows(found.hit))


def _march(
    rays: _Rays, field: SurfaceField, near: Float[Tensor, "ray"], far: Float[Tensor, "ray"], options: TraceOptions
) -> RayHits:
    return march(rays.origins, rays.directions, rays.frame, field, near, far, options, options.short_samples)


def _approach(rays: _Rays, field: SurfaceField, proxy: Proxy, hits: RayHits) -> None:
    """The points at which rays outside the shell pass the mesh, carried back to canonical space in one Newton step."""
    if len(rays.number) == 0:
        return
    distance, start = proxy.approach(rays.origins, rays.directions, rays.frame)
    target = rays.origins + distance[:, None] * rays.directions
    inverse = inverse_3x3(field.deformation.jacobian(start, rays.frame))
    gap = target - forward_skin(field.deformation, start, rays.frame)
    move = (inverse * gap[:, None]).sum(-1)
    stretch = move.norm(dim=1) / gap.norm(dim=1).clamp_min(1e-9)
    canonical = start + move / (stretch / STRETCH).clamp_min(1.0)[:, None]
    _write(hits, rays.number, RayHits(canonical, distance, torch.zeros_like(distance, dtype=torch.bool)))


def _write(hits: RayHits, number: Int[Tensor, "some"], found: RayHits) -> None:
    hits.canonical[number], hits.distance[number], hits.hit[number] = found.canonical, found.distance, found.hit


def _check(origins: Tensor, directions: Tensor, frame: Tensor, proxy: Proxy) -> None:
    if not len(origins) == len(directions) == len(frame):
        raise InputError(
            f"There are {len(origins)} ray origins, {len(directions)} directions and {len(frame)} frame numbers: "
            "give one of each for every ray."
        )
    if len(frame) and not (int(frame.min()) >= 0 and int(frame.max()) < len(proxy.posed)):
        raise InputError(
            f"Frames run from {int(frame.min())} to {int(frame.max())}, but the proxy is posed in {len(proxy.posed)}."
        )
