"""Blendshapes and linear blend skinning of surfaces, the arithmetic all body models share."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.precision import full_precision, matmul
from body_models.prepared import CORRECTED_AT_ONCE, SKINNED_AT_ONCE, Prepared, packed_product

_WORTH_PACKING = 32
"""Bodies from which on matrices are brought into a faster layout first."""


def blend_offsets(
    coefficients: Float[Tensor, "*batch coefficient"], basis: Float[Tensor, "coefficient point 3"]
) -> Float[Tensor, "*batch point 3"]:
    """Displacement of each point: the basis weighted by the coefficients."""
    rows = coefficients[None] if coefficients.ndim == 1 else coefficients
    offsets = matmul(rows, basis.flatten(1)).unflatten(-1, (-1, 3))
    return offsets[0] if coefficients.ndim == 1 else offsets


def pose_feature(rotations: Float[Tensor, "*batch bone 3 3"]) -> Float[Tensor, "*batch feature"]:
    """What pose correctives depend on: every joint's rotation but the root's, less the identity (SMPL, equation 9)."""
    identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    return (rotations[..., 1:, :, :] - identity).flatten(-3)


def skin(
    vertices: Float[Tensor, "*#batch vertex 3"],
    weights: Float[Tensor, "vertex bone"],
    transforms: Float[Tensor, "*#batch bone 4 4"],
) -> Float[Tensor, "*batch vertex 3"]:
    """Linear blend skinning: move each vertex by the weighted mean of the bones' transforms."""
    return deform(vertices, [], weights, transforms)


def deform(
    vertices: Float[Tensor, "*#batch vertex 3"],
    blendshapes: Sequence[tuple[Tensor, Tensor]],
    weights: Float[Tensor, "vertex bone"],
    transforms: Float[Tensor, "*#batch bone 4 4"],
    prepared: Prepared | None = None,
) -> Float[Tensor, "*batch vertex 3"]:
    """Add blendshapes to vertices at rest and skin them; `blendshapes` holds pairs as `blend_offsets` takes them.

    On a processor and without gradients the work goes through the batch in pieces that fit its cache. There
    `prepared`, made from the same weights and the basis of one of the blendshapes, saves laying them out anew.
    """
    batch = torch.broadcast_shapes(
        vertices.shape[:-2], transforms.shape[:-3], *(coefficients.shape[:-1] for coefficients, _ in blendshapes)
    )
    if len(batch) == 0 or torch.compiler.is_compiling() or _keeps_gradient(vertices, blendshapes, weights, transforms):
        return _deform_whole(vertices, blendshapes, weights, transforms)
    if vertices.device.type != "cpu":
        return _deform_whole(vertices, blendshapes, weights, transforms)
    with torch.no_grad(), full_precision():
        return _deform_in_pieces(vertices, blendshapes, prepared or Prepared(weights), transforms, batch)


def _keeps_gradient(
    vertices: Tensor, blendshapes: Sequence[tuple[Tensor, Tensor]], weights: Tensor, transforms: Tensor
) -> bool:
    tensors = [vertices, weights, transforms, *(tensor for pair in blendshapes for tensor in pair)]
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def _deform_whole(
    vertices: Tensor, blendshapes: Sequence[tuple[Tensor, Tensor]], weights: Tensor, transforms: Tensor
) -> Tensor:
    for coefficients, basis in blendshapes:
        vertices = vertices + blend_offsets(coefficients, basis)
    if vertices.ndim == 2:
        return _skin_one(_one_body(vertices, weights), transforms)
    blended = _blend(weights, transforms)
    return _apply(blended, vertices.mT[..., None, :, :]).mT.contiguous()


def _deform_in_pieces(
    vertices: Tensor,
    blendshapes: Sequence[tuple[Tensor, Tensor]],
    prepared: Prepared,
    transforms: Tensor,
    batch: torch.Size,
) -> Tensor:
    """As `_deform_whole`, a piece of the batch at a time, written into one result."""
    count, size = batch.numel(), vertices.shape[-2:]
    transforms = transforms.expand(*batch, *transforms.shape[-3:]).reshape(count, *transforms.shape[-3:])
    rest = vertices if vertices.ndim == 2 else vertices.expand(*batch, *size).reshape(count, *size)
    terms = [(values.expand(*batch, -1).reshape(count, values.shape[-1]), basis) for values, basis in blendshapes]
    result = vertices.new_empty(count, *size)
    if rest.ndim == 2 and not terms:
        _skin_one_in_pieces(rest, prepared, transforms, result)
        return result.reshape(*batch, *size)
    for first in range(0, count, CORRECTED_AT_ONCE):
        piece = slice(first, first + CORRECTED_AT_ONCE)
        moved = _added(rest if rest.ndim == 2 else rest[piece], [(v[piece], b) for v, b in terms], prepared, count)
        for start in range(0, len(moved), SKINNED_AT_ONCE):
            part = slice(start, start + SKINNED_AT_ONCE)
            blended = _blended(transforms[piece][part], prepared, count)
            result[piece][part] = _apply(blended, moved[part, None]).mT
    return result.reshape(*batch, *size)


def _skin_one_in_pieces(vertices: Tensor, prepared: Prepared, transforms: Tensor, result: Tensor) -> None:
    one_body = _one_body(vertices, prepared.weights)
    product = packed_product(one_body, 3 * SKINNED_AT_ONCE) if len(result) >= _WORTH_PACKING else None
    for start in range(0, len(result), SKINNED_AT_ONCE):
        part = slice(start, start + SKINNED_AT_ONCE)
        rows = _rows(transforms[part])
        moved = rows @ one_body if product is None else product(rows.flatten(0, 1), None).unflatten(0, (-1, 3))
        result[part] = moved.mT


def _added(rest: Tensor, terms: list[tuple[Tensor, Tensor]], prepared: Prepared, count: int) -> Tensor:
    """Vertices with their blendshapes as `*batch 3 vertex`, the components apart."""
    total, feature = rest.flatten(-2), None
    for values, basis in terms:
        if basis is prepared.basis and prepared.can_correct and count >= _WORTH_PACKING:
            feature = values
        else:
            total = torch.addmm(total, values, basis.flatten(1))
    planes = total.unflatten(-1, (-1, 3)).mT.contiguous()
    if feature is None:
        return planes
    if planes.ndim == 2:
        return prepared.correct(feature, planes.flatten()).unflatten(-1, (3, -1))
    return planes.add_(prepared.correct(feature, None).unflatten(-1, (3, -1)))


def _blended(transforms: Tensor, prepared: Prepared, count: int) -> Tensor:
    """As `_blend`, by the packed product for many bodies."""
    if count < _WORTH_PACKING:
        return _blend(prepared.weights, transforms)
    rows = transforms[:, :, :3].permute(0, 2, 3, 1).flatten(0, 2)
    return prepared.blend(rows, None).unflatten(0, (-1, 3, 4))


def _blend(weights: Tensor, transforms: Tensor) -> Tensor:
    """Each vertex's affine map as `*batch 3 4 vertex`: the components apart, so that sums run along vertices."""
    affine = transforms[..., :3, :].permute(*range(transforms.ndim - 3), -2, -1, -3)
    return matmul(affine.contiguous(), weights.mT)


def _apply(blended: Tensor, points: Tensor) -> Tensor:
    """Affine maps `*batch 3 4 vertex` on points `*batch 1 3 vertex`."""
    moved = torch.addcmul(blended[..., 3, :], blended[..., 0, :], points[..., 0, :])
    moved.addcmul_(blended[..., 1, :], points[..., 1, :])
    return moved.addcmul_(blended[..., 2, :], points[..., 2, :])


def _one_body(vertices: Tensor, weights: Tensor) -> Tensor:
    """What skinning one body's vertices is linear in, as `4*bone vertex`: weight times (x, y, z, 1)."""
    homogeneous = torch.cat([vertices, torch.ones_like(vertices[:, :1])], dim=1)
    return (weights.mT[:, None] * homogeneous.mT).flatten(0, 1)


def _skin_one(one_body: Tensor, transforms: Tensor) -> Tensor:
    """Skin one body in many poses by a single matrix product."""
    return matmul(_rows(transforms), one_body).mT.contiguous()


def _rows(transforms: Tensor) -> Tensor:
    """The rows of all bones' affine maps as `*batch 3 4*bone`, what `_one_body` is weighted by."""
    return transforms[..., :3, :].transpose(-3, -2).flatten(-2)
