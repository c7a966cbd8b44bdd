"""Blendshapes and linear blend skinning of surfaces, the arithmetic all body models share."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

_CORRECTED_AT_ONCE = 128
"""Bodies whose blendshapes go through one matrix product, where no gradient is kept."""
_SKINNED_AT_ONCE = 32
"""Bodies whose blended transforms (12 numbers a vertex) are alive at once; about what a processor caches."""


def blend_offsets(
    coefficients: Float[Tensor, "*batch coefficient"], basis: Float[Tensor, "coefficient point 3"]
) -> Float[Tensor, "*batch point 3"]:
    """Displacement of each point: the basis weighted by the coefficients."""
    return (coefficients @ basis.flatten(1)).unflatten(-1, (-1, 3))


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
) -> Float[Tensor, "*batch vertex 3"]:
    """Add blendshapes to vertices at rest and skin them; `blendshapes` holds pairs as `blend_offsets` takes them.

    On a processor and without gradients the work goes through the batch in pieces that fit its cache.
    """
    batch = torch.broadcast_shapes(
        vertices.shape[:-2], transforms.shape[:-3], *(coefficients.shape[:-1] for coefficients, _ in blendshapes)
    )
    if len(batch) == 0 or torch.compiler.is_compiling() or _keeps_gradient(vertices, blendshapes, weights, transforms):
        return _deform_whole(vertices, blendshapes, weights, transforms)
    if vertices.device.type != "cpu":
        return _deform_whole(vertices, blendshapes, weights, transforms)
    return _deform_in_pieces(vertices, blendshapes, weights, transforms, batch)


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
    weights: Tensor,
    transforms: Tensor,
    batch: torch.Size,
) -> Tensor:
    """As `_deform_whole`, a piece of the batch at a time, written into one result."""
    count, size = batch.numel(), vertices.shape[-2:]
    transforms = transforms.expand(*batch, *transforms.shape[-3:]).reshape(count, *transforms.shape[-3:])
    shared = vertices.ndim == 2
    rest = vertices if shared else vertices.expand(*batch, *size).reshape(count, *size)
    coefficients = [values.expand(*batch, -1).reshape(count, values.shape[-1]) for values, _ in blendshapes]
    bases = [basis.flatten(1) for _, basis in blendshapes]
    one_body = _one_body(vertices, weights) if shared and not bases else None
    fast = _fast_product(bases, count)
    result = vertices.new_empty(count, *size)
    for first in range(0, count, _CORRECTED_AT_ONCE):
        last = min(first + _CORRECTED_AT_ONCE, count)
        if one_body is None:
            moved = rest if shared else rest[first:last]
            terms = [values[first:last] for values in coefficients]
            moved = (fast or _added)(moved, terms, bases).expand(last - first, 3, -1)
        for start in range(first, last, _SKINNED_AT_ONCE):
            part = slice(start, min(start + _SKINNED_AT_ONCE, last))
            if one_body is None:
                points = moved[part.start - first : part.stop - first, None]
                result[part] = _apply(_blend(weights, transforms[part]), points).mT
            else:
                result[part] = _skin_one(one_body, transforms[part])
    return result.reshape(*batch, *size)


def _added(rest: Tensor, coefficients: list[Tensor], bases: list[Tensor]) -> Tensor:
    """Vertices with their blendshapes as `*batch 3 vertex`, the components apart."""
    total = rest.flatten(-2)
    for values, basis in zip(coefficients, bases, strict=True):
        total = torch.addmm(total, values, basis)
    return total.unflatten(-1, (-1, 3)).mT.contiguous()


def _fast_product(bases: list[Tensor], count: int) -> Callable[[Tensor, list[Tensor], list[Tensor]], Tensor] | None:
    """`_added` by oneDNN, twice as fast on processors for which torch's own product is not tuned; None if not worth it.

    It wants all bases transposed side by side, a copy that pays off for many bodies.
    """
    rows = sum(len(basis) for basis in bases)
    if count < _CORRECTED_AT_ONCE or rows < 32 or not torch.backends.mkldnn.is_available():
        return None
    if any(basis.dtype != torch.float32 for basis in bases):
        return None
    planes = [basis.unflatten(1, (-1, 3)).permute(2, 1, 0).flatten(0, 1) for basis in bases]
    together = torch.cat(planes, dim=1).to_mkldnn()

    def added(rest: Tensor, coefficients: list[Tensor], _: list[Tensor]) -> Tensor:
        values = torch.cat(coefficients, dim=-1).to_mkldnn()
        bias = rest.mT.flatten().to_mkldnn() if rest.ndim == 2 else None
        total = linear(values, together, bias).to_dense().unflatten(-1, (3, -1))
        return total if rest.ndim == 2 else total.add_(rest.mT)

    return added


def _blend(weights: Tensor, transforms: Tensor) -> Tensor:
    """Each vertex's affine map as `*batch 3 4 vertex`: the components apart, so that sums run along vertices."""
    affine = transforms[..., :3, :].permute(*range(transforms.ndim - 3), -2, -1, -3)
    return affine.contiguous() @ weights.mT


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
    rows = transforms[..., :3, :].transpose(-3, -2).flatten(-2)
    return (rows @ one_body).mT.contiguous()
