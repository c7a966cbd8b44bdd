"""Matrices of skinning in the layout in which a processor multiplies them fastest, made once and used often.

oneDNN (inside torch) repacks a matrix at every product unless it is handed over packed, and torch's own product is slow
on processors that its library is not tuned for. Packed once, the products of skinning take a third of the time.
"""

from collections.abc import Callable
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

Product = Callable[[Tensor, Tensor | None], Tensor]
"""`product(values, bias)` is `values @ matrix + bias` for rows of values; for tensors without gradients."""

CORRECTED_AT_ONCE = 128
"""Bodies whose pose correctives go through one matrix product."""
SKINNED_AT_ONCE = 16
"""Bodies whose blended transforms (12 numbers a vertex) are alive at once; about what a processor caches."""


class Prepared:
    """One body's skinning weights and pose correctives, laid out at the first need."""

    def __init__(
        self, weights: Float[Tensor, "vertex bone"], basis: Float[Tensor, "corrective vertex 3"] | None = None
    ) -> None:
        self.weights, self.basis = weights, basis

    def __reduce__(self) -> tuple[type["Prepared"], tuple[Tensor, Tensor | None]]:
        return Prepared, (self.weights, self.basis)  # layouts cannot be copied or stored; they are made anew

    @property
    def can_correct(self) -> bool:
        """Whether there are correctives and a faster layout for them."""
        return self.basis is not None and can_pack(self.basis)

    @cached_property
    def correct(self) -> Product:
        """Product with the correctives: features of bodies to offsets `3*vertex`, the components apart."""
        assert self.basis is not None
        return packed_product(self.basis.permute(0, 2, 1).flatten(1), CORRECTED_AT_ONCE)

    @cached_property
    def blend(self) -> Product:
        """Product with the weights: rows of one number for each bone to one for each vertex."""
        return packed_product(self.weights.mT, 12 * SKINNED_AT_ONCE)


def packed_product(matrix: Float[Tensor, "inner column"], rows: int) -> Product:
    """Multiply by a matrix, packed for products of about so many rows where that is possible."""
    if not can_pack(matrix):
        return lambda values, bias: values @ matrix if bias is None else torch.addmm(bias, values, matrix)
    packed = torch.ops.mkldnn._reorder_linear_weight(matrix.mT.contiguous(), rows)

    def product(values: Tensor, bias: Tensor | None) -> Tensor:
        result: Tensor = torch.ops.mkldnn._linear_pointwise(values, packed, bias, "none", [], "")
        return result

    return product


def can_pack(matrix: Tensor) -> bool:
    """Whether torch has oneDNN's packed layout for a matrix on this processor."""
    return (
        matrix.device.type == "cpu"
        and matrix.dtype == torch.float32
        and not matrix.requires_grad
        and matrix.numel() > 0
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability().startswith("AVX")
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )
