"""Queries on a triangle mesh: closest point, inside or outside, ray casts and surface samples (CPU or CUDA)."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from body_models.errors import InputError
from data_prep.warp_runtime import on_torch_stream, start_warp

PARALLEL_POINTS = 20_000
"""Queries on the CPU with more points than this are split over the cores."""


@dataclass(frozen=True)
class Closest:
    """Nearest surface point of each query point (metres)."""

    distance: Float[Tensor, "point"]
    face: Int[Tensor, "point"]
    barycentric: Float[Tensor, "point 3"]
    point: Float[Tensor, "point 3"]


@dataclass(frozen=True)
class Hits:
    """First hit of each ray: distance in lengths of the direction, infinite (and face -1) where nothing is hit."""

    distance: Float[Tensor, "ray"]
    face: Int[Tensor, "ray"]
    barycentric: Float[Tensor, "ray 3"]


@dataclass(frozen=True)
class SurfaceSamples:
    """Points drawn uniformly by area, with the unit normal of their face."""

    points: Float[Tensor, "sample 3"]
    normals: Float[Tensor, "sample 3"]
    face: Int[Tensor, "sample"]
    barycentric: Float[Tensor, "sample 3"]


class Surface:
    """A triangle mesh that answers geometric queries on the device of its tensors.

    Keeps its own float32 copy of the vertices. Closed meshes wind outward. Nothing here is differentiable.
    """

    def __init__(self, vertices: Float[Tensor, "vertex 3"], faces: Int[Tensor, "face 3"]) -> None:
        _check_mesh(vertices, faces)
        self.vertices: Float[Tensor, "vertex 3"] = vertices.detach().to(torch.float32, copy=True).contiguous()
        self.faces: Int[Tensor, "face 3"] = faces.detach().to(vertices.device, torch.int64)
        self._warp_faces = self.faces.to(torch.int32).reshape(-1).contiguous()
        self._mesh = self._warp_mesh(solid=False)
        self._solid: Any = None
        """The mesh with what winding numbers take, made when first asked for: ten times as slow to move."""

    @property
    def device(self) -> torch.device:
        """Where the mesh lives and its queries run."""
        return self.vertices.device

    @property
    def face_areas(self) -> Float[Tensor, "face"]:
        """Area of each face (square metres)."""
        return self._face_crosses().norm(dim=-1) / 2

    @property
    def face_normals(self) -> Float[Tensor, "face 3"]:
        """Unit normal of each face by its winding; zero for a face without area."""
        return _normalize(self._face_crosses())

    @property
    def vertex_normals(self) -> Float[Tensor, "vertex 3"]:
        """Unit mean of the adjacent face normals, weighted by area."""
        crosses = self._face_crosses().repeat_interleave(3, dim=0)
        return _normalize(torch.zeros_like(self.vertices).index_add_(0, self.faces.reshape(-1), crosses))

    def update(self, vertices: Float[Tensor, "vertex 3"]) -> None:
        """Move the vertices in place, keeping the faces; much cheaper than a new surface."""
        if vertices.shape != self.vertices.shape:
            raise InputError(
                f"{len(vertices)} vertices were given to a surface of {len(self.vertices)}; "
                "make a new Surface when the mesh itself changes."
            )
        _check_finite(vertices, "vertices")
        self.vertices.copy_(vertices.detach())
        with on_torch_stream(self.device):
            for mesh in (self._mesh, self._solid):
                if mesh is not None:
                    mesh.refit()

    def closest(self, points: Float[Tensor, "point 3"]) -> Closest:
        """Nearest point of the surface to each point (metres)."""
        points = self._prepare(points, "points")
        distance = points.new_empty(len(points))
        face = torch.empty(len(points), dtype=torch.int32, device=self.device)
        barycentric, nearest = torch.empty_like(points), torch.empty_like(points)
        self._launch("closest_kernel", points, distance, face, barycentric, nearest)
        return Closest(distance, face.long(), barycentric, nearest)

    def signed_distance(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point"]:
        """Distance to the surface, negative inside by the generalised winding number (metres)."""
        points = self._prepare(points, "points")
        distance = points.new_empty(len(points))
        if self._solid is None:
            self._solid = self._warp_mesh(solid=True)
        self._launch("signed_distance_kernel", points, distance, mesh=self._solid)
        return distance

    def inside(self, points: Float[Tensor, "point 3"]) -> Bool[Tensor, "point"]:
        """Whether the generalised winding number exceeds one half; sensible for open and overlapping parts too."""
        return self.signed_distance(points).signbit()

    def cast(self, origins: Float[Tensor, "ray 3"], directions: Float[Tensor, "ray 3"]) -> Hits:
        """First hit of each ray, from either side of a face."""
        origins, directions = self._prepare(origins, "ray origins"), self._prepare(directions, "ray directions")
        distance = torch.full((len(origins),), torch.inf, device=self.device)
        face = torch.full((len(origins),), -1, dtype=torch.int32, device=self.device)
        barycentric = torch.zeros_like(origins)
        self._launch("cast_kernel", origins, directions, distance, face, barycentric)
        return Hits(distance, face.long(), barycentric)

    def sample(self, count: int, generator: torch.Generator | None = None) -> SurfaceSamples:
        """Draw points uniformly by area; the generator must live on the surface's device."""
        if count < 0:
            raise InputError(f"Cannot draw {count} surface samples; ask for zero or more.")
        cumulative = self.face_areas.double().cumsum(0)
        random = torch.rand(count, 3, generator=generator, device=self.device, dtype=torch.float64)
        face = torch.searchsorted(cumulative, random[:, 0] * cumulative[-1], right=True)
        face = face.clamp(max=len(self.faces) - 1)
        root = random[:, 1].sqrt()
        barycentric = torch.stack([1 - root, root * (1 - random[:, 2]), root * random[:, 2]], dim=-1).float()
        points = self.interpolate(self.vertices, face, barycentric)
        return SurfaceSamples(points, self.face_normals[face], face, barycentric)

    def interpolate(
        self,
        values: Float[Tensor, "vertex channel"],
        face: Int[Tensor, "point"],
        barycentric: Float[Tensor, "point 3"],
    ) -> Float[Tensor, "point channel"]:
        """Blend values given at the vertices at points given by face and barycentric coordinates."""
        return (values[self.faces[face]] * barycentric[..., None]).sum(dim=-2)

    def _face_crosses(self) -> Float[Tensor, "face 3"]:
        first, second, third = self.vertices[self.faces].unbind(dim=1)
        return torch.linalg.cross(second - first, third - first)

    def _prepare(self, points: Float[Tensor, "point 3"], name: str) -> Float[Tensor, "point 3"]:
        _check_finite(points, name)
        return points.detach().to(self.device, torch.float32).contiguous()

    def _warp_mesh(self, solid: bool) -> Any:
        with on_torch_stream(self.device):
            arrays = (_as_warp(self.vertices), _as_warp(self._warp_faces))
            return start_warp().Mesh(*arrays, support_winding_number=solid)

    def _launch(self, kernel_name: str, *arrays: Tensor, mesh: Any = None) -> None:
        """Run a kernel over rows of the arrays (the mesh is its first argument), on all cores when it pays."""
        warp = start_warp()
        kernel, count = getattr(_kernels(), kernel_name), len(arrays[0])
        mesh = self._mesh if mesh is None else mesh

        def launch_rows(start: int, stop: int) -> None:
            rows = [_as_warp(array[start:stop]) for array in arrays]
            warp.launch(kernel, stop - start, [mesh.id, *rows], device=mesh.device)

        if count == 0:
            return
        if self.device.type == "cpu" and count > PARALLEL_POINTS:
            step = -(-count // _core_count())
            starts = range(0, count, step)
            with ThreadPoolExecutor(len(starts)) as pool:
                list(pool.map(launch_rows, starts, [min(start + step, count) for start in starts]))
            return
        with on_torch_stream(self.device):
            launch_rows(0, count)


@cache
def _kernels() -> ModuleType:
    """The kernels, compiled for the CPU before two threads can ask for them at once."""
    warp = start_warp()
    from data_prep import _surface_kernels

    warp.load_module(_surface_kernels, device="cpu")
    return _surface_kernels


def _core_count() -> int:
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _as_warp(tensor: Tensor) -> Any:
    """View a contiguous tensor as a Warp array without copying."""
    warp = start_warp()
    dtype = warp.int32 if tensor.dtype == torch.int32 else warp.vec3 if tensor.ndim == 2 else warp.float32
    return warp.from_torch(tensor, dtype=dtype)


def _normalize(vectors: Float[Tensor, "row 3"]) -> Float[Tensor, "row 3"]:
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(vectors.dtype).tiny)


def _check_mesh(vertices: Float[Tensor, "vertex 3"], faces: Int[Tensor, "face 3"]) -> None:
    if len(faces) == 0:
        raise InputError("The mesh has no faces; point clouds must be meshed before they can be used here.")
    if int(faces.min()) < 0 or int(faces.max()) >= len(vertices):
        raise InputError(
            f"The faces name vertices {int(faces.min())} to {int(faces.max())}, but the mesh has {len(vertices)}; "
            "the file is damaged, export it again."
        )
    _check_finite(vertices, "vertices")
    first, second, third = vertices.detach()[faces.long()].unbind(dim=1)
    if not bool(torch.linalg.cross(second - first, third - first).any()):
        raise InputError("No face of the mesh has an area; its vertices may have been collapsed or scaled to zero.")


def _check_finite(points: Float[Tensor, "point 3"], name: str) -> None:
    finite = points.isfinite().all(dim=-1)
    if not bool(finite.all()):
        broken = int((~finite).nonzero()[0])
        raise InputError(
            f"{name} are not all finite (row {broken} is {points[broken].tolist()}); remove such rows first."
        )
