"""Many poses of one body pulled towards one scan at once: symmetric point-to-plane ICP, one Gauss-Newton step each.

Tensors put the component first (`3 start point`), so that each operation runs over long rows. Two properties keep a
step cheap. Linear blend skinning is linear in the bones' transforms, so points are posed by one matrix product. And if
a point is taken to move with its blended transform, turning joint j moves it as a rigid twist times the weight W_j of
the bones below j; then the normal equations need, per pair of joints, only a sum over points of W_i W_j times 6x6
matrices.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from body_models.body import Body
from data_prep.registration.kinematics import PoseState, bone_transforms, descendants
from data_prep.registration.solve import PosePrior, add_to_joints, damped_step, geman_mcclure

NORMAL_SCALE = 0.12
"""Metres that a unit of normal disagreement counts for when points are matched."""
TOLERANCE = 0.02
"""Expected distance between scan and body, metres; weighs the data against the prior."""
FARTHEST = 0.2
"""Metres beyond which a point without a counterpart costs no more."""
_CHUNK = 500_000
"""Distances held at a time: as many as stay in the processor's cache."""
_UPPER = torch.triu_indices(6, 6)


@dataclass(frozen=True)
class ScanPoints:
    """Points on a scan with outward unit normals (metres)."""

    points: Float[Tensor, "point 3"]
    normals: Float[Tensor, "point 3"]

    def parts(self, count: int) -> "list[ScanPoints]":
        """All points in sets of a size; samples are in random order."""
        starts = range(0, len(self.points) - count + 1, count)
        return [ScanPoints(self.points[k : k + count], self.normals[k : k + count]) for k in starts]

    def first(self, count: int) -> "ScanPoints":
        """The first points only; samples are in random order."""
        return ScanPoints(self.points[:count], self.normals[:count])


@dataclass(frozen=True)
class Probes:
    """Points of a body's surface, prepared for posing and for normal equations."""

    body: Body
    prior: PosePrior
    carriers: Float[Tensor, "carrier point"]
    """Each point's rest position (homogeneous) times its weight, for each bone."""
    normal_carriers: Float[Tensor, "carrier_of_normals point"]
    below: Float[Tensor, "point block"]
    """Share of each point that turns with each joint; 1 for the translation, last."""
    pairs: Int[Tensor, "2 pair"]
    """Pairs of joints (first <= second) that move a point in common."""
    shared: Float[Tensor, "point pair"]

    @staticmethod
    def of(body: Body, prior: PosePrior, normals: Float[Tensor, "vertex 3"], subset: Int[Tensor, "point"]) -> "Probes":
        """Prepare some of a body's vertices."""
        weights, rest = body.skinning_weights[subset], body.vertices[subset]
        homogeneous = torch.cat([rest, torch.ones_like(rest[:, :1])], 1)
        below = torch.cat([weights @ descendants(body.skeleton.parents).T, torch.ones_like(rest[:, :1])], 1)
        products = (below.T @ below).triu()
        first, second = (products > 1e-3).nonzero().T
        return Probes(
            body,
            prior,
            (weights[:, :, None] * homogeneous[:, None]).flatten(1).T.contiguous(),
            (weights[:, :, None] * normals[subset][:, None]).flatten(1).T.contiguous(),
            below,
            torch.stack([first, second]),
            (below[:, first] * below[:, second]).contiguous(),
        )

    def transforms(self, state: PoseState) -> Float[Tensor, "start bone 4 4"]:
        """Rest-to-posed transforms of the body's bones."""
        return bone_transforms(state, self.body.joints[None], self.body.skeleton.parents)

    def pose(
        self, transforms: Float[Tensor, "start bone 4 4"]
    ) -> tuple[Float[Tensor, "3 start point"], Float[Tensor, "3 start point"]]:
        """Posed points and unit normals."""
        rows = transforms[:, :, :3].permute(2, 0, 1, 3)  # xyz start bone column
        points = rows.flatten(2) @ self.carriers
        normals = rows[..., :3].flatten(2) @ self.normal_carriers
        return points, normals * (normals**2).sum(0).clamp_min(1e-18).rsqrt()


def icp_step(probes: Probes, scan: ScanPoints, state: PoseState, scale: float) -> PoseState:
    """Match in both directions, then one damped Gauss-Newton step of every start."""
    transforms = probes.transforms(state)
    metric, pull, points = _matched(probes, scan, transforms, scale)
    matrix, gradient = _normal_equations(probes, transforms, points, metric, pull)
    prior = probes.prior.terms(state)
    step = damped_step(add_to_joints(matrix, prior.blocks), gradient + prior.padded_pull(), damping=0.01)
    return state.moved(torch.nan_to_num(step))


def matching_cost(probes: Probes, scan: ScanPoints, state: PoseState) -> Float[Tensor, "start"]:
    """How badly each pose explains the scan: squared distances with normals, both ways, over tolerance squared.

    Joints beyond their limits add a little. A well fitted person scores 5 to 8.
    """
    posed, normals = probes.pose(probes.transforms(state))
    to_scan, to_body = _nearest(posed, normals, scan, NORMAL_SCALE / 2)
    far = FARTHEST**2
    matched = to_scan.squared.clamp_max(far).mean(1) + to_body.squared.clamp_max(far).mean(0)
    return matched / TOLERANCE**2 + 0.004 * probes.prior.terms(state).energy


@dataclass(frozen=True)
class _Nearest:
    """Index of the counterpart and squared distance in the space of positions and scaled normals."""

    index: Tensor
    squared: Tensor


def _nearest(
    posed: Float[Tensor, "3 start point"],
    normals: Float[Tensor, "3 start point"],
    scan: ScanPoints,
    normal_scale: float,
) -> tuple[_Nearest, _Nearest]:
    """Nearest scan point of each body point (start x point) and body point of each scan point (sample x start)."""
    _, starts, count = posed.shape
    features = torch.cat([posed, normal_scale * normals])
    target = torch.cat([scan.points, normal_scale * scan.normals], 1)
    ones = torch.ones_like(features[:1])
    margin = 1e-5  # keeps rounding from making a squared distance negative
    left = torch.cat([-2 * target, (target**2).sum(1, keepdim=True) + margin, torch.ones_like(target[:, :1])], 1)
    right = torch.cat([features, ones, (features**2).sum(0, keepdim=True)])
    step = min(starts, max(1, _CHUNK // (count * len(target))))
    scratch = left.new_empty(2, len(target) * step * count)
    parts = [_smallest(left, right[:, begin : begin + step], scratch) for begin in range(0, starts, step)]
    out, back = zip(*parts, strict=True)
    return _unpack(torch.cat(out, 0)), _unpack(torch.cat(back, 1))


_INDEX_BITS = 10
_INDEX_MASK = (1 << _INDEX_BITS) - 1


def _smallest(
    left: Float[Tensor, "sample feature"], right: Float[Tensor, "feature start point"], scratch: Float[Tensor, "2 _"]
) -> tuple[Int[Tensor, "start point"], Int[Tensor, "sample start"]]:
    """Smallest product over samples and over points, with its index in the low bits.

    Non-negative floats sort like their bit patterns, and a minimum of integers is ten times faster than an argmin.
    """
    samples, (_, starts, points) = len(left), right.shape
    flat = scratch[:, : samples * starts * points].view(2, samples, starts * points)
    torch.mm(left, right.flatten(1), out=flat[0])
    bits, packed = flat.view(torch.int32).view(2, samples, starts, points)
    bits.bitwise_and_(~_INDEX_MASK)
    torch.bitwise_or(bits, _indices(samples, bits)[:, None, None], out=packed)
    return packed.amin(0), bits.bitwise_or_(_indices(points, bits)).amin(2)


def _indices(count: int, like: Tensor) -> Int[Tensor, "index"]:
    return torch.arange(count, dtype=like.dtype, device=like.device)


def _unpack(packed: Int[Tensor, "row column"]) -> _Nearest:
    return _Nearest((packed & _INDEX_MASK).long(), (packed & ~_INDEX_MASK).view(torch.float32))


def _matched(
    probes: Probes, scan: ScanPoints, transforms: Float[Tensor, "start bone 4 4"], scale: float
) -> tuple[Float[Tensor, "6 start point"], Float[Tensor, "3 start point"], Float[Tensor, "3 start point"]]:
    """Metric (upper triangle) and pull of each body point, summed over its matches both ways, and the posed points."""
    posed, normals = probes.pose(transforms)
    to_scan, to_body = _nearest(posed, normals, scan, NORMAL_SCALE)
    points, directions = scan.points.T.contiguous(), scan.normals.T.contiguous()
    out = _pulls(posed, normals, points[:, to_scan.index], directions[:, to_scan.index], scale)
    index = to_body.index.T.expand(3, -1, -1)
    back = _pulls(posed.gather(2, index), normals.gather(2, index), points[:, None], directions[:, None], scale)
    out.scatter_add_(2, index[:1].expand(9, -1, -1), back)
    return out[:6], out[6:], posed


def _pulls(
    points: Float[Tensor, "3 start point"],
    normals: Float[Tensor, "3 start point"],
    targets: Float[Tensor, "3 #start point"],
    target_normals: Float[Tensor, "3 #start point"],
    scale: float,
) -> Float[Tensor, "9 start point"]:
    """Metric (xx xy xz yy yz zz) and pull of each match: point-to-plane with a little point-to-point, robust."""
    gap = targets - points
    agreement = 0.1 + 0.9 * (normals * target_normals).sum(0).clamp_min(0)
    weight = geman_mcclure((gap**2).sum(0), scale) * agreement * (100.0 / (TOLERANCE**2 * points.shape[2]))
    plane, spread = (0.7 * weight) * target_normals, 0.3 * weight
    x, y, z = target_normals.unbind(0)
    px, py, pz = plane.unbind(0)
    along = (target_normals * gap).sum(0)
    pull = plane * along + spread * gap
    return torch.stack([px * x + spread, px * y, px * z, py * y + spread, py * z, pz * z + spread, *pull.unbind(0)])


def _normal_equations(
    probes: Probes,
    transforms: Float[Tensor, "start bone 4 4"],
    points: Float[Tensor, "3 start point"],
    metric: Float[Tensor, "6 start point"],
    pull: Float[Tensor, "3 start point"],
) -> tuple[Float[Tensor, "start parameter parameter"], Float[Tensor, "start parameter"]]:
    """Gauss-Newton matrix and negative gradient for `PoseState.moved`'s step, summed over points as twists."""
    axes = _twists(probes, transforms)
    starts, blocks = axes.shape[:2]
    sums = _twist_metric(points, metric) @ probes.shared  # 21 start pair
    square = sums.new_empty(6, 6, starts, sums.shape[2])
    square[_UPPER[0], _UPPER[1]] = sums
    square[_UPPER[1], _UPPER[0]] = sums
    first, second = probes.pairs
    pair = axes[:, first].mT @ (square.permute(2, 3, 0, 1) @ axes[:, second])
    matrix = sums.new_zeros(starts, blocks, blocks, 3, 3)
    matrix[:, second, first] = pair.mT
    matrix[:, first, second] = pair
    torque = torch.cat([_cross(points, pull), pull]) @ probes.below  # 6 start block
    gradient = (axes.mT @ torque.permute(1, 2, 0)[..., None])[..., 0]
    return matrix.transpose(2, 3).reshape(starts, 3 * blocks, 3 * blocks), gradient.flatten(1)


def _twists(probes: Probes, transforms: Float[Tensor, "start bone 4 4"]) -> Float[Tensor, "start block 6 3"]:
    """Twist about the world's origin of a unit turn of each joint about each axis of its parent, and of a shift."""
    rotation, shift = transforms[..., :3, :3], transforms[..., :3, 3]
    centres = (rotation @ probes.body.joints[..., None])[..., 0] + shift
    unit = torch.eye(3).to(rotation).expand(len(rotation), 1, 3, 3)
    axes = torch.cat([unit, rotation[:, list(probes.body.skeleton.parents[1:])]], 1)
    moments = torch.linalg.cross(centres[..., None].expand_as(axes), axes, dim=2)
    turns = torch.cat([axes, moments], 2)
    return torch.cat([turns, torch.cat([torch.zeros_like(unit), unit], 2)], 1)


def _twist_metric(
    points: Float[Tensor, "3 start point"], metric: Float[Tensor, "6 start point"]
) -> Float[Tensor, "21 start point"]:
    """Upper triangle of `G^T M G` for G = [-[x]x, 1], the velocity of a point x by a twist (turn, shift)."""
    xx, xy, xz, yy, yz, zz = metric.unbind(0)
    columns = [torch.stack(column) for column in ((xx, xy, xz), (xy, yy, yz), (xz, yz, zz))]
    mixed = torch.stack([_cross(points, column) for column in columns], 1)  # turn shift
    turn = [_cross(points, row) for row in mixed]
    return torch.stack([
        *turn[0], *mixed[0], turn[1][1], turn[1][2], *mixed[1], turn[2][2], *mixed[2], *metric
    ])  # fmt: skip


def _cross(a: Float[Tensor, "3 *batch"], b: Float[Tensor, "3 *batch"]) -> Float[Tensor, "3 *batch"]:
    (ax, ay, az), (bx, by, bz) = a.unbind(0), b.unbind(0)
    return torch.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])
