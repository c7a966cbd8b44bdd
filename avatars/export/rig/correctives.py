"""Correctives: morph targets, driven by the pose, that bring plain skinning nearer to an implicit body."""

import logging
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.deform.skinning import forward_skin
from avatars.export.rig.rig import Correctives, Rig
from avatars.models.avatar import Avatar
from avatars.models.head_avatar import HeadAvatar
from avatars.models.snarf import Snarf
from body_models import InputError
from body_models.precision import matmul
from body_models.skeleton import rotation_matrices
from body_models.skinning import pose_feature
from data_prep.surface import Surface

_log = logging.getLogger(__name__)

MOST_POSES = 96
"""Of more poses evenly spread ones are taken."""
FEWEST_POSES = 4
"""Of fewer nothing is learned that holds elsewhere."""
STEPS = 4
"""Newton steps along a vertex's normal onto the surface of a pose."""
LONGEST = 0.005
"""No such step is longer than this (metres)."""
FARTHEST = 0.03
"""The surface of a pose is looked for within this distance of the neutral one; what would take more than that is no
matter of correctives but of folds (metres)."""
NEAR = 0.001
"""A search that ends farther from the surface than this has failed (metres)."""
FOLDED = 0.1
"""Vertices whose blended transform shrinks volumes by more than this are not corrected."""
FOLDS = 6
"""Runs of poses that are held out in turn."""
RIDGES = (1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Strengths of the regression's penalty that are tried, in the mean square of a pose's features."""


@torch.no_grad()
def with_correctives(avatar: Avatar | HeadAvatar, rig: Rig, poses: Float[Tensor, "frame bone 3"], count: int) -> Rig:
    """The rig with at most `count` more morphs that follow from the pose, learned from the avatar in some poses.

    In every pose it is measured by how much each vertex would have to move in the bind pose for the skinned one to lie
    on the avatar's surface there. The principal components of these displacements are the morphs; their weights are a
    ridge regression on the pose's feature. The penalty is the one under which poses that were held out come out best;
    where none is better than no correctives, the rig comes back as it was, and the log says so. Heads bring theirs
    from the avatar and get no more. Raises InputError for poses of another skeleton.
    """
    if isinstance(avatar, HeadAvatar):
        _log.info("A head's pose correctives are its own; no more are learned.")
        return rig
    if poses.shape[1:] != (len(rig.skeleton), 3):
        raise InputError(
            f"Poses of shape {tuple(poses.shape)} given; rig '{rig.name}' takes (poses, {len(rig.skeleton)}, 3)."
        )
    if count <= 0:
        return rig
    poses = _spread(poses.to(rig.joints))
    if len(poses) < FEWEST_POSES:
        _log.info("No correctives: %d poses are too few to learn from (at least %d).", len(poses), FEWEST_POSES)
        return rig
    fields = needed_displacements(avatar, rig, poses)
    areas = _vertex_areas(rig).sqrt()[:, None]
    product = _gram((fields * areas).flatten(1))
    feature = pose_feature(rotation_matrices(poses)).double()
    ridge, share = _best_ridge(feature, product, count)
    if ridge is None:
        _log.info("No correctives: in poses that were held out, none were better than any.")
        return rig
    _log.info("Correctives leave %.0f %% of the squared distance in poses that were held out.", 100 * share)
    return _extended(rig, _regressed(feature, product, count, ridge), fields)


@torch.no_grad()
def needed_displacements(
    avatar: Avatar, rig: Rig, poses: Float[Tensor, "frame bone 3"]
) -> Float[Tensor, "frame vertex 3"]:
    """How each vertex of a rig would have to move in its bind pose to lie on the avatar's surface in every pose.

    Metres; zero where the surface is not found or the rig is folded too tightly to be corrected.
    """
    model, still = avatar.model, poses.new_zeros(len(poses), 3)
    canonical = rig.rebound(model.canonical_pose)
    normals = torch.nn.functional.normalize(canonical.normals, dim=1)
    slopes = _slopes(model, canonical.vertices, normals)
    codes = model.pose_code(poses)
    deformation = model.deformation(model.posed_from_canonical(poses, still))
    transforms = rig.posed_from_bind(poses, still)
    found = []
    for number in range(len(poses)):
        code = None if codes is None else codes[number : number + 1]
        points, right = _onto_surface(model, canonical.vertices, normals, slopes, code)
        frame = torch.full_like(points[:, 0], number, dtype=torch.long)
        posed = forward_skin(deformation, points, frame)
        own = rig.blended(transforms[number : number + 1])[0]
        found.append(_unposed(own, posed, rig.vertices) * right[:, None])
    return torch.stack(found)


def _slopes(
    model: Snarf, points: Float[Tensor, "vertex 3"], normals: Float[Tensor, "vertex 3"]
) -> Float[Tensor, "vertex"]:
    """How fast the occupancy's logit falls along each normal, near the neutral surface (per metre)."""
    code = model.joints.new_zeros(1, model.options.pose_code) if model.options.pose_code else None
    inner, outer = (_logits(model, points + side * NEAR * normals, code) for side in (-1, 1))
    slopes = (inner - outer) / (2 * NEAR)
    usual = slopes.median().clamp_min(1.0)
    return slopes.clamp_min(float(0.2 * usual))


def _onto_surface(
    model: Snarf,
    points: Float[Tensor, "vertex 3"],
    normals: Float[Tensor, "vertex 3"],
    slopes: Float[Tensor, "vertex"],
    code: Float[Tensor, "1 code"] | None,
) -> tuple[Float[Tensor, "vertex 3"], Tensor]:
    """Canonical points moved along normals onto the surface that a pose's code gives; whether they got there."""
    height = torch.zeros_like(slopes)
    for _ in range(STEPS):
        step = _logits(model, points + height[:, None] * normals, code) / slopes
        height = (height + step.clamp(-LONGEST, LONGEST)).clamp(-FARTHEST, FARTHEST)
    found = points + height[:, None] * normals
    return found, (_logits(model, found, code).abs() / slopes) < NEAR


def _logits(
    model: Snarf, points: Float[Tensor, "point 3"], code: Float[Tensor, "1 code"] | None
) -> Float[Tensor, "point"]:
    return model.canonical_logits(points, None if code is None else code.expand(len(points), -1))


def _unposed(
    transforms: Float[Tensor, "vertex 4 4"], posed: Float[Tensor, "vertex 3"], bind: Float[Tensor, "vertex 3"]
) -> Float[Tensor, "vertex 3"]:
    """Displacements in the bind pose that skinning carries to posed points; none where the skin is folded."""
    turn = transforms[:, :3, :3]
    solid = torch.linalg.det(turn) > FOLDED
    turn = torch.where(solid[:, None, None], turn, torch.eye(3).to(turn))
    back = torch.linalg.solve(turn, (posed - transforms[:, :3, 3])[..., None])[..., 0]
    move = back - bind
    return torch.where((solid & (move.norm(dim=1) < FARTHEST))[:, None], move, torch.zeros_like(move))


@dataclass(frozen=True)
class _Regression:
    """Components as sums of the fields of poses, and how their weights follow from the pose's feature."""

    mixture: Float[Tensor, "corrective frame"]
    matrix: Float[Tensor, "feature corrective"]
    bias: Float[Tensor, "corrective"]


def _regressed(
    feature: Float[Tensor, "frame feature"], product: Float[Tensor, "frame frame"], count: int, ridge: float
) -> _Regression:
    """Principal components (about zero) from the fields' inner products, and a ridge regression of their weights.

    Components are scaled so that none weighs more than 1 in any of the poses.
    """
    values, vectors = torch.linalg.eigh(product)
    count = min(count, int((values > 1e-9 * values[-1].clamp_min(1e-30)).sum()))
    lengths, vectors = values[-count:].flip(0).sqrt(), vectors[:, -count:].flip(1)
    weights = vectors * lengths
    scale = weights.abs().amax(0)
    weights = weights / scale
    middle = feature.mean(0)
    centred = feature - middle
    kernel = centred @ centred.T
    penalty = ridge * kernel.diagonal().mean().clamp_min(1e-12)
    eye = torch.eye(len(kernel)).to(kernel)
    matrix = centred.T @ torch.linalg.solve(kernel + penalty * eye, weights - weights.mean(0))
    return _Regression((vectors / lengths * scale).T, matrix, weights.mean(0) - middle @ matrix)


def _best_ridge(
    feature: Float[Tensor, "frame feature"], product: Float[Tensor, "frame frame"], count: int
) -> tuple[float | None, float]:
    """The penalty that leaves least of the squared displacements in held-out poses, and that share; or None and 1."""
    folds = torch.arange(len(feature)).to(feature.device) * min(FOLDS, len(feature)) // len(feature)
    best: tuple[float | None, float] = (None, 1.0)
    total = float(product.diagonal().sum())
    for ridge in RIDGES:
        left = 0.0
        for fold in folds.unique():
            held, kept = (folds == fold).nonzero()[:, 0], (folds != fold).nonzero()[:, 0]
            model = _regressed(feature[kept], product[kept][:, kept], count, ridge)
            weights = (feature[held] @ model.matrix + model.bias) @ model.mixture
            cross = (weights * product[held][:, kept]).sum()
            left += float(
                product.diagonal()[held].sum() - 2 * cross + (weights @ product[kept][:, kept] * weights).sum()
            )
        if left < best[1] * total:
            best = ridge, left / total
    return best


def _extended(rig: Rig, model: _Regression, fields: Float[Tensor, "frame vertex 3"]) -> Rig:
    """The rig with the regression's components as morphs."""
    morphs = torch.einsum("cf,fvx->cvx", model.mixture.to(fields), fields)
    matrix, bias = model.matrix.to(fields), model.bias.to(fields)
    known = rig.correctives
    first = 0 if known is None else len(known.bias)
    names = tuple(f"corrective_{first + number:03d}" for number in range(len(morphs)))
    if known is not None:
        matrix, bias = torch.cat([known.matrix, matrix], 1), torch.cat([known.bias, bias])
    return replace(
        rig,
        morphs=torch.cat([rig.morphs, morphs]),
        morph_names=rig.morph_names + names,
        correctives=Correctives(matrix, bias),
    )


def _gram(rows: Float[Tensor, "frame number"]) -> Float[Tensor, "frame frame"]:
    return matmul(rows, rows.mT.contiguous()).double()


def _vertex_areas(rig: Rig) -> Float[Tensor, "vertex"]:
    """A third of the area of the triangles about each vertex (square metres)."""
    areas = Surface(rig.vertices, rig.faces).face_areas.repeat_interleave(3) / 3
    return torch.zeros_like(rig.vertices[:, 0]).index_add_(0, rig.faces.reshape(-1), areas)


def _spread(poses: Float[Tensor, "frame bone 3"]) -> Float[Tensor, "some bone 3"]:
    """At most so many poses as are learned from, evenly spread."""
    if len(poses) <= MOST_POSES:
        return poses
    return poses[torch.linspace(0, len(poses) - 1, MOST_POSES).round().long().to(poses.device)]
