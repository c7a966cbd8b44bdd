"""Turn a field into triangles: marching cubes on a grid that is only evaluated near the surface."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from skimage.measure import marching_cubes
from torch import Tensor

from body_models.errors import InputError

MARGIN = 1.1
"""Edge of the meshed cube in longest edges of the box."""
SPECK = 0.01
"""Components below this share of the largest one's area count as specks."""


@dataclass(frozen=True)
class TriangleMesh:
    """Triangles wound outward (metres, in the frame of the field they came from)."""

    vertices: Float[Tensor, "vertex 3"]
    faces: Int[Tensor, "face 3"]

    def to_trimesh(self) -> trimesh.Trimesh:
        """The same mesh for trimesh, vertex order untouched."""
        vertices, faces = self.vertices.detach().cpu().numpy(), self.faces.cpu().numpy()
        return trimesh.Trimesh(vertices, faces, process=False)


def extract_surface(
    field: Callable[[Float[Tensor, "point 3"]], Float[Tensor, "point"]],
    lower: Float[Tensor, "3"],
    upper: Float[Tensor, "3"],
    resolution: int = 256,
    level: float = 0.0,
    coarse: int = 32,
    chunk: int = 2**17,
    keep_largest: bool = False,
) -> TriangleMesh:
    """Mesh the surface `field = level`, the field being larger inside.

    The grid has at least `resolution` cells along each edge of a cube that is centred on the box `lower` to `upper`
    and 1.1 times as long as its longest edge; a surface that leaves the cube is cut there. Multiresolution surface
    extraction (Mescheder et al., Occupancy Networks, 2019): a coarse grid is halved where it straddles the level, and
    the surface is then followed cell by cell, so that parts thinner than a coarse cell survive where they join
    thicker ones. The field sees at most `chunk` points a call. `keep_largest` drops components smaller than a
    hundredth of the largest. Raises InputError for an unusable box or a field without a surface in it.
    """
    size = _check_box(lower, upper, resolution, coarse)
    halvings = max(0, int(np.ceil(np.log2(resolution / coarse))))
    grid = _Grid(field, (lower + upper) / 2 - size / 2, size, -(-resolution // 2**halvings), level, chunk)
    grid.evaluate_all()
    for halving in range(halvings):
        grid.halve(ring=halving == 0)
    with torch.no_grad():
        mesh = grid.triangles()
    return _without_specks(mesh) if keep_largest else mesh


class _Grid:
    """Field values at the corners of cubic cells; values not yet known are interpolated and have the right sign."""

    def __init__(
        self,
        field: Callable[[Float[Tensor, "point 3"]], Float[Tensor, "point"]],
        origin: Float[Tensor, "3"],
        size: float,
        cells: int,
        level: float,
        chunk: int,
    ) -> None:
        self.field, self.origin, self.size, self.level, self.chunk = field, origin, size, level, chunk
        shape = (cells + 1,) * 3
        self.values: Float[Tensor, "x y z"] = torch.full(shape, -1.0, device=origin.device)
        self.known: Bool[Tensor, "x y z"] = torch.zeros(shape, dtype=torch.bool, device=origin.device)

    @property
    def cells(self) -> int:
        return len(self.values) - 1

    def evaluate_all(self) -> None:
        """Ask the field at every corner, then refuse a grid that the surface does not cross."""
        self._evaluate((~self.known).nonzero())
        if not bool(_straddling(self.values > 0).any()):
            where = "inside" if bool(self.values[0, 0, 0] > 0) else "outside"
            end = (self.origin + self.size).tolist()
            raise InputError(
                f"The field has no surface between {_rounded(self.origin.tolist())} and {_rounded(end)} metres: all "
                f"{self.cells + 1}³ points are {where}. Check the box and its units, or whether the model is fitted."
            )

    def halve(self, ring: bool) -> None:
        """Halve the cells and evaluate those that the surface crosses, with their neighbours if `ring`."""
        active = _straddling(self.values > 0)
        if ring:
            active = torch.nn.functional.max_pool3d(active[None].float(), 3, stride=1, padding=1)[0] > 0
        doubled = 2 * self.cells + 1
        known = torch.zeros((doubled,) * 3, dtype=torch.bool, device=self.known.device)
        known[::2, ::2, ::2] = self.known
        fine = torch.nn.functional.interpolate(
            self.values[None, None], size=(doubled,) * 3, mode="trilinear", align_corners=True
        )[0, 0]
        fine[::2, ::2, ::2] = self.values  # exactly: interpolation may round
        self.values, self.known = fine, known
        for axis in range(3):
            active = active.repeat_interleave(2, dim=axis)
        self._evaluate((_corners(active) & ~known).nonzero())
        self._follow()

    def _follow(self) -> None:
        """Evaluate corners of crossed cells until all are known; reaches what the coarser grid did not see."""
        start, stop = [0, 0, 0], [self.cells + 1] * 3
        while True:
            block = tuple(slice(low, high) for low, high in zip(start, stop, strict=True))
            unknown = (_corners(_straddling(self.values[block] > 0)) & ~self.known[block]).nonzero()
            if len(unknown) == 0:
                return
            unknown = unknown + torch.tensor(start, device=unknown.device)
            self._evaluate(unknown)  # only their neighbours can be new
            start = (unknown.amin(dim=0) - 1).clamp(min=0).tolist()
            stop = (unknown.amax(dim=0) + 2).clamp(max=self.cells + 1).tolist()

    def _evaluate(self, wanted: Int[Tensor, "point 3"]) -> None:
        with torch.no_grad():
            for index in wanted.split(self.chunk):
                points = self.origin + index * (self.size / self.cells)
                values = self.field(points.float()).to(self.values) - self.level
                if not bool(values.isfinite().all()):
                    raise InputError("The field gave values that are not finite: the model is damaged. Fit it again.")
                at = index.unbind(dim=-1)
                self.values[at], self.known[at] = values, torch.tensor(True, device=values.device)

    def triangles(self) -> TriangleMesh:
        """Marching cubes (Lewiner et al., 2003) over the smallest block that holds the surface."""
        crossed = _straddling(self.values > 0).nonzero()
        start, stop = crossed.amin(dim=0), crossed.amax(dim=0) + 2
        block = self.values[tuple(slice(int(low), int(high)) for low, high in zip(start, stop, strict=True))]
        vertices, faces, _, _ = marching_cubes(block.cpu().numpy(), 0.0, gradient_direction="ascent")
        steps = torch.from_numpy(vertices.astype(np.float64)).to(self.origin.device) + start
        return TriangleMesh(
            (self.origin.double() + steps * (self.size / self.cells)).float(),
            torch.from_numpy(faces.astype(np.int64)).to(self.origin.device),
        )


def _straddling(inside: Bool[Tensor, "x y z"]) -> Bool[Tensor, "cell_x cell_y cell_z"]:
    """Cells whose corners are not all on one side."""
    some, every = inside, inside
    for axis in range(3):
        count = inside.shape[axis] - 1
        some = some.narrow(axis, 0, count) | some.narrow(axis, 1, count)
        every = every.narrow(axis, 0, count) & every.narrow(axis, 1, count)
    return some & ~every


def _corners(cells: Bool[Tensor, "cell_x cell_y cell_z"]) -> Bool[Tensor, "x y z"]:
    """Grid points that are a corner of a marked cell."""
    marked = torch.nn.functional.pad(cells, (1, 1, 1, 1, 1, 1))
    for axis in range(3):
        count = marked.shape[axis] - 1
        marked = marked.narrow(axis, 0, count) | marked.narrow(axis, 1, count)
    return marked


def _without_specks(mesh: TriangleMesh) -> TriangleMesh:
    faces = mesh.faces.cpu().numpy()
    edges = np.concatenate([faces[:, :2], faces[:, 1:]])
    count = len(mesh.vertices)
    graph = coo_matrix((np.ones(len(edges), dtype=np.int8), (edges[:, 0], edges[:, 1])), shape=(count, count))
    component = torch.from_numpy(connected_components(graph, directed=False)[1]).to(mesh.faces.device).long()
    first, second, third = mesh.vertices[mesh.faces].unbind(dim=1)
    area = torch.linalg.cross(second - first, third - first).norm(dim=-1)
    areas = torch.zeros(int(component.max()) + 1, device=area.device).index_add_(0, component[mesh.faces[:, 0]], area)
    kept = (areas >= SPECK * areas.max())[component]
    renumbered = kept.cumsum(0) - 1
    return TriangleMesh(mesh.vertices[kept], renumbered[mesh.faces[kept[mesh.faces[:, 0]]]])


def _check_box(lower: Float[Tensor, "3"], upper: Float[Tensor, "3"], resolution: int, coarse: int) -> float:
    """Edge of the cube around the box (metres)."""
    if not bool((lower.isfinite() & upper.isfinite() & (upper > lower)).all()):
        raise InputError(
            f"Cannot mesh between {lower.tolist()} and {upper.tolist()}: the box must be finite and its upper corner "
            "larger in each coordinate."
        )
    if not 4 <= resolution <= 1024:
        raise InputError(
            f"Mesh resolution {resolution} is not in 4 to 1024; use 64 for a preview and 256 for a result."
        )
    if coarse < 2:
        raise InputError(f"The coarse grid cannot have {coarse} cells along an edge; use 32.")
    return MARGIN * float((upper - lower).max())


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 3) for value in values]
