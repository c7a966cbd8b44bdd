"""Matrix products in full float32, whatever precision the program has asked torch for.

Training loops set `torch.set_float32_matmul_precision("high")` or "medium" for their networks; on recent graphics cards
float32 products then keep about 10 bits of the mantissa (TF32). For bone transforms that is too few: a millimetre per
metre of error in the skinned point, enough for the search for its canonical point to diverge. So transforms and
skinning weights are multiplied by `matmul` of this module. Its gradient is computed at full precision too, though the
backward pass runs later, when the surrounding code is done.

Inside `torch.compile` the setting cannot be changed and `matmul` is the plain product; compile such code with the
setting at "highest".
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def matmul(
    a: Float[Tensor, "*#batch row inner"], b: Float[Tensor, "*#batch inner column"]
) -> Float[Tensor, "*#batch row column"]:
    """`a @ b` with the product and its gradients (of any order) in full precision; batches are broadcast."""
    if torch.compiler.is_compiling() or a.dtype != torch.float32 or _is_full():
        return a @ b
    product: Tensor = _FullProduct.apply(a, b)
    return product


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 matrix products exactly inside the block; the setting returns to what it was, also on errors.

    For code that keeps no gradient: a backward pass started later runs under the setting of that time. The setting is
    the process's, so products in other threads are exact during the block too. Not for compiled code.
    """
    if _is_full():
        yield
        return
    legacy = _legacy_setting()
    candidates: tuple[Any, Any] = (torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None))
    backends = [backend for backend in candidates if hasattr(backend, "fp32_precision")]  # not before torch 2.9
    previous = [backend.fp32_precision for backend in backends]
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        if legacy is not None:
            torch.set_float32_matmul_precision(legacy)
        for backend, setting in zip(backends, previous, strict=True):
            backend.fp32_precision = setting


def _is_full() -> bool:
    return _legacy_setting() == "highest"


def _legacy_setting() -> str | None:
    """What torch's older interface to the setting says; None where the backends were set apart from it."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None


class _FullProduct(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor, b: Tensor) -> Tensor:
        with full_precision():
            return a @ b

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        of_a = matmul(gradient, b.mT).sum_to_size(a.shape) if ctx.needs_input_grad[0] else None
        of_b = matmul(a.mT, gradient).sum_to_size(b.shape) if ctx.needs_input_grad[1] else None
        return of_a, of_b
