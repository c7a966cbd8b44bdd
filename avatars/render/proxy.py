"""A posed mesh near the surface, which knows its canonical points: where rays begin to look."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatars.render.rays import box_interval, nearest_approach
from body_models import InputError
from data_prep.surface import Surface

FEW = 400
"""Vertices that a ray's nearest approach is first sought among."""


class Proxy:
    """A closed mesh that follows the surface to within `margin` (metres), posed in several frames.

    The nearer it is to the surface the more rays take the fast way. About it lies a shell, `margin` farther out: what
    passes outside the shell misses. Meshes for queries are made when a frame is first asked for. Canonical points may
    differ from frame to frame.
    """

    def __init__(
        self,
        canonical: Float[Tensor, "vertex 3"] | Float[Tensor, "frame vertex 3"],
        faces: Int[Tensor, "face 3"],
        posed: Float[Tensor, "frame vertex 3"],
        margin: float = 4e-3,
    ) -> None:
        if not margin > 0:
            raise InputError(f"A proxy's margin must be a length above zero (metres), not {margin}.")
        self.canonical, self.faces = canonical.detach(), faces
        self.posed, self.margin = posed.detach(), margin
        self._surfaces: dict[int, _Posed] = {}
        self._shells: dict[int, _Posed] = {}

    def move(
        self,
        posed: Float[Tensor, "frame vertex 3"],
        canonical: Float[Tensor, "vertex 3"] | Float[Tensor, "frame vertex 3"] | None = None,
    ) -> None:
        """Take other poses, and canonical points, in place of the present ones: three times as fast as a new proxy.

        Raises InputError for another number of frames or vertices.
        """
        if posed.shape != self.posed.shape:
            raise InputError(
                f"Posed vertices of shape {tuple(posed.shape)} were given to a proxy of {tuple(self.posed.shape)}; "
                "make a new Proxy when the mesh or the number of frames changes."
            )
        self.posed = posed.detach()
        if canonical is not None:
            self.canonical = canonical.detach()
        for known in (*self._surfaces.values(), *self._shells.values()):
            known.stale = True

    def surface(self, frame: int) -> Surface:
        """The posed mesh of a frame, for queries."""
        return _current(self._surfaces, frame, lambda: self.posed[frame], self.faces)

    def shell(self, frame: int) -> Surface:
        """The posed mesh of a frame, `margin` farther out."""

        def grown() -> Float[Tensor, "vertex 3"]:
            surface = self.surface(frame)
            return surface.vertices + self.margin * surface.vertex_normals

        return _current(self._shells, frame, grown, self.faces)

    @property
    def boxes(self) -> Float[Tensor, "frame 2 3"]:
        """Lowest and highest corner of each frame's shell (metres)."""
        low, high = self.posed.amin(1) - 2 * self.margin, self.posed.amax(1) + 2 * self.margin
        return torch.stack([low, high], 1)

    def intervals(
        self, origins: Float[Tensor, "ray 3"], directions: Float[Tensor, "ray 3"], frame: Int[Tensor, "ray"]
    ) -> tuple[Float[Tensor, "ray"], Float[Tensor, "ray"]]:
        """Distances at which rays enter and leave the box of their frame."""
        box = self.boxes.to(origins)[frame]
        return box_interval(origins, directions, box[:, 0], box[:, 1])

    def cast_shell(
        self, origins: Float[Tensor, "ray 3"], directions: Float[Tensor, "ray 3"], frame: Int[Tensor, "ray"]
    ) -> Float[Tensor, "ray"]:
        """Distance at which each ray first meets the shell of its frame; infinite where it passes outside."""
        distance = torch.full_like(origins[:, 0], torch.inf)
        for number, rows in _by_frame(frame):
            distance[rows] = self.shell(number).cast(origins[rows], directions[rows]).distance.to(distance)
        return distance

    def cast(
        self, origins: Float[Tensor, "ray 3"], directions: Float[Tensor, "ray 3"], frame: Int[Tensor, "ray"]
    ) -> tuple[Float[Tensor, "ray"], Float[Tensor, "ray 3"]]:
        """Distance at which each ray first meets the mesh, infinite where it does not, and its canonical point."""
        distance, canonical = torch.full_like(origins[:, 0], torch.inf), torch.zeros_like(origins)
        for number, rows in _by_frame(frame):
            hits = self.surface(number).cast(origins[rows], directions[rows])
            distance[rows] = hits.distance.to(distance)
            canonical[rows] = self._at(hits.face.clamp_min(0), hits.barycentric, number)
        return distance, canonical

    def approach(
        self, origins: Float[Tensor, "ray 3"], directions: Float[Tensor, "ray 3"], frame: Int[Tensor, "ray"]
    ) -> tuple[Float[Tensor, "ray"], Float[Tensor, "ray 3"]]:
        """Distance at which each ray is nearest to the mesh, about, and the canonical point of the mesh nearest there.

        From the nearest of a few vertices to the mesh, and back to the ray.
        """
        distance, canonical = torch.zeros_like(origins[:, 0]), torch.zeros_like(origins)
        for number, rows in _by_frame(frame):
            o, d, surface = origins[rows], directions[rows], self.surface(number)
            along = nearest_approach(o, d, _nearest_of_few(o, d, self.posed[number].to(o)))
            closest = surface.closest(o + along[:, None] * d)
            distance[rows] = nearest_approach(o, d, closest.point.to(o))
            canonical[rows] = self._at(closest.face, closest.barycentric, number)
        return distance, canonical

    def _at(
        self, face: Int[Tensor, "point"], barycentric: Float[Tensor, "point 3"], frame: int
    ) -> Float[Tensor, "point 3"]:
        canonical = self.canonical if self.canonical.ndim == 2 else self.canonical[frame]
        return (canonical[self.faces[face]] * barycentric.to(canonical)[..., None]).sum(1)


@dataclass
class _Posed:
    """A surface and whether its vertices have yet to be moved."""

    surface: Surface
    stale: bool = False


def _current(
    known: dict[int, _Posed],
    frame: int,
    vertices: Callable[[], Float[Tensor, "vertex 3"]],
    faces: Int[Tensor, "face 3"],
) -> Surface:
    """The surface of a frame, made or moved where it must be."""
    if frame not in known:
        known[frame] = _Posed(Surface(vertices(), faces))
    elif known[frame].stale:
        known[frame].surface.update(vertices())
        known[frame].stale = False
    return known[frame].surface


def _by_frame(frame: Int[Tensor, "ray"]) -> list[tuple[int, Bool[Tensor, "ray"]]]:
    return [(int(number), frame == number) for number in frame.unique()]


def _nearest_of_few(
    origins: Float[Tensor, "ray 3"], directions: Float[Tensor, "ray 3"], vertices: Float[Tensor, "vertex 3"]
) -> Float[Tensor, "ray 3"]:
    """Of vertices picked evenly, the one that each ray passes most closely."""
    few = vertices[:: max(1, len(vertices) // FEW)]
    middle = few.mean(0)
    few, start = few - middle, origins - middle  # small numbers, for single precision
    unit = torch.nn.functional.normalize(directions, dim=1)
    start = start - (start * unit).sum(1, keepdim=True) * unit  # the ray's own nearest point to the middle
    along = unit @ few.T
    squared = few.square().sum(1) - 2 * start @ few.T - along.square()
    return few[squared.argmin(1)] + middle
