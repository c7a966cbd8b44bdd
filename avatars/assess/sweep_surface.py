"""What can be wrong with a posed surface: pieces that float, triangles torn long, backs and holes that are seen."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import binary_dilation, binary_erosion, binary_fill_holes, grey_opening
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from data_prep.camera import Camera
from data_prep.surface import Surface

LONG = 6.0
"""A triangle drawn out to this many times its canonical length may be a tear."""
BEYOND_MODEL = 2.0
"""It is one where the tracked head's own surface near it is drawn out less than this fraction of that."""
ABOUT = 0.008
"""How far around a point the tracked head's stretch counts (metres)."""

GASH_WIDTH, GASH_DEPTH = 0.012, 0.004
"""A gash is narrower than the one and deeper than the other (metres)."""
BESIDE_MODEL = 0.012
"""As near as this to a gash of the head model's own, such as its mouth, there may be one (metres)."""


@dataclass(frozen=True)
class TornPicture:
    """What a camera sees of a posed surface; all shares are of the pixels that the head covers."""

    covered: Bool[Tensor, "height width"]
    torn: Bool[Tensor, "height width"]
    """Pixels that show a long triangle, a surface from behind, the background through a hole, or a gash."""
    stretched: float
    backs: float
    holes: float
    gashes: float

    @property
    def share(self) -> float:
        """Of torn pixels."""
        return self.stretched + self.backs + self.holes + self.gashes


def floating_share(vertices: Float[Tensor, "vertex 3"], faces: Int[Tensor, "face 3"]) -> float:
    """Area of the largest piece beside the main one, as a share of all area; hollows inside the head do not count."""
    pieces, count = face_pieces(faces, len(vertices))
    first, second, third = vertices.double()[faces].unbind(1)
    cross = torch.linalg.cross(second - first, third - first)
    areas = torch.zeros(count, dtype=torch.double).to(cross.device).index_add_(0, pieces, cross.norm(dim=1) / 2)
    volumes = torch.zeros_like(areas).index_add_(0, pieces, (cross * first).sum(1) / 6)
    floating = areas.clone()
    floating[areas.argmax()] = 0
    floating[volumes < 0] = 0
    return float(floating.amax() / areas.sum())


def face_pieces(faces: Int[Tensor, "face 3"], vertices: int) -> tuple[Int[Tensor, "face"], int]:
    """The connected piece that each face belongs to, and how many there are."""
    own = faces.cpu()
    ends = torch.cat([own[:, [0, 1]], own[:, [1, 2]]]).numpy()
    graph = coo_matrix((torch.ones(len(ends)).numpy(), (ends[:, 0], ends[:, 1])), shape=(vertices, vertices))
    labels = torch.from_numpy(connected_components(graph, directed=False)[1]).long()
    found, pieces = labels[own[:, 0]].unique(return_inverse=True)
    return pieces.to(faces.device), len(found)


def face_stretch(
    before: Float[Tensor, "vertex 3"], after: Float[Tensor, "vertex 3"], faces: Int[Tensor, "face 3"]
) -> Float[Tensor, "face"]:
    """By how much each triangle is drawn out where it is drawn out most; one for triangles without area."""
    first = before.double()[faces]
    edges, moved = first[:, 1:] - first[:, :1], after.double()[faces[:, 1:]] - after.double()[faces[:, :1]]
    known, wanted = edges @ edges.transpose(1, 2), moved @ moved.transpose(1, 2)
    sound = torch.linalg.det(known) > 1e-4 * known.diagonal(dim1=1, dim2=2).amax(1).square()
    known = torch.where(sound[:, None, None], known, torch.eye(2).to(known))
    product = torch.linalg.solve(known, wanted)
    half = product.diagonal(dim1=1, dim2=2).sum(1) / 2
    largest = half + (half.square() - torch.linalg.det(product)).clamp_min(0).sqrt()
    return torch.where(sound, largest.clamp_min(0).sqrt(), torch.ones_like(largest)).to(before)


def stretch_around(
    points: Float[Tensor, "point 3"], stretch: Float[Tensor, "face"], centres: Float[Tensor, "face 3"]
) -> Float[Tensor, "point"]:
    """The largest stretch of faces about points, or that of the nearest one where none is near."""
    found = []
    for some in points.split(2000):
        distance = torch.cdist(some, centres)
        near = torch.where(distance < ABOUT, stretch, torch.zeros_like(stretch)).amax(1)
        found.append(torch.maximum(near, stretch[distance.argmin(1)]))
    return torch.cat(found)


def torn_picture(surface: Surface, torn: Bool[Tensor, "face"], camera: Camera, model: Surface) -> TornPicture:
    """What is seen of torn faces, of backs of faces, through the surface, and of gashes that the model has not."""
    origins, directions = (rays.reshape(-1, 3).float() for rays in camera.rays())
    hits = surface.cast(origins, directions)
    covered, shape = hits.face >= 0, (camera.height, camera.width)
    face = hits.face.clamp_min(0)
    backs = covered & ((surface.face_normals[face] * directions).sum(1) > 0)
    stretched = covered & torn[face] & ~backs
    filled = torch.from_numpy(binary_fill_holes(covered.reshape(shape).cpu().numpy())).to(covered.device).flatten()
    depths = [hits.distance.reshape(shape), model.cast(origins, directions).distance.reshape(shape)]
    own, allowed = (gashes(depth, camera) for depth in depths)
    near = binary_dilation(allowed.numpy(), iterations=_pixels(BESIDE_MODEL, depths[1], camera))
    gashed = (own & ~torch.from_numpy(near)).to(covered.device).flatten() & ~backs & ~stretched
    holes, pixels = filled & ~covered, max(1, int(filled.sum()))
    shares = [int(some.sum()) / pixels for some in (stretched, backs, holes, gashed)]
    return TornPicture(covered.reshape(shape), (stretched | backs | holes | gashed).reshape(shape), *shares)


def gashes(depth: Float[Tensor, "height width"], camera: Camera) -> Bool[Tensor, "height width"]:
    """Where a depth picture (metres, infinite for the background) is narrow and deep, away from the outline."""
    inside = depth.isfinite()
    if not bool(inside.any()):
        return inside.cpu()
    width = 2 * (_pixels(GASH_WIDTH, depth, camera) // 2) + 1
    known = torch.where(inside, depth, depth[inside].amax()).cpu().numpy()
    deep = known - grey_opening(known, size=(width, width)) > GASH_DEPTH
    core = binary_erosion(binary_fill_holes(inside.cpu().numpy()), iterations=width)
    return torch.from_numpy(deep & core)


def _pixels(length: float, depth: Float[Tensor, "height width"], camera: Camera) -> int:
    """How many pixels a length covers on what is seen."""
    seen = depth[depth.isfinite()]
    return max(1, round(length * float(camera.intrinsics[1, 1]) / float(seen.median()))) if len(seen) else 1
