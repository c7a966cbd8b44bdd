"""Large tensors in one byte a number, for files that travel in packages."""

import torch
from jaxtyping import Float
from torch import Tensor

BLOCK = 128
"""Numbers that share a range; neighbouring nodes of a smooth grid differ little."""
PACKED_ABOVE = 20_000
"""Tensors with more numbers than this are packed."""
_PARTS = (".low", ".step", ".steps")


def pack(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors; large ones as steps (0 to 255) from each block's lowest number to its highest."""
    packed: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if value.is_floating_point() and value.numel() > PACKED_ABOVE:
            packed |= {name + end: part for end, part in zip(_PARTS, _pack(value.detach().cpu().float()), strict=True)}
            packed[name + ".shape"] = torch.tensor(value.shape)
        else:
            packed[name] = value.detach().cpu().contiguous().clone()
    return packed


def unpack(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `pack` was given, to half a step; raises ValueError for parts that do not go together."""
    tensors = {}
    for name, value in packed.items():
        stem = name.rpartition(".")[0]
        if not name.endswith((*_PARTS, ".shape")):
            tensors[name] = value
        elif name.endswith(".shape"):
            low, step, steps = (packed[stem + end] for end in _PARTS)
            tensors[stem] = _unpack(low, step, steps, value)
    return tensors


def _pack(value: Float[Tensor, "*shape"]) -> tuple[Tensor, Tensor, Tensor]:
    rows = value.reshape(-1, value.shape[-1]).T.reshape(-1)  # a channel's nodes on end
    rows = torch.nn.functional.pad(rows, (0, -len(rows) % BLOCK)).reshape(-1, BLOCK)
    low, high = rows.amin(1), rows.amax(1)
    step = (high - low) / 255
    safe = step.clamp_min(1e-12)[:, None]
    steps = ((rows - low[:, None]) / safe).round().clamp(0, 255).to(torch.uint8)
    return low, step, steps


def _unpack(low: Tensor, step: Tensor, steps: Tensor, shape: Tensor) -> Tensor:
    sizes = [int(size) for size in shape]
    rows = (low[:, None] + step[:, None] * steps.float()).reshape(-1)
    count = int(shape.prod())
    if len(rows) < count or min(sizes) < 1:
        raise ValueError(f"{len(rows)} numbers do not fill a tensor of {sizes}")
    return rows[:count].reshape(sizes[-1], -1).T.reshape(sizes).contiguous()
