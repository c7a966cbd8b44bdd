"""Where baked models are kept: safetensors files that are written whole, and replaced when damaged."""

import logging
import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

BAKE_VERSION = 2

_logger = logging.getLogger(__name__)
Tensors = dict[str, Tensor]
_Result = TypeVar("_Result")


def cache_folder() -> Path:
    """Where baked models are kept: `$AVATARS_CACHE`, else `~/.cache/avatars`."""
    return Path(os.environ.get("AVATARS_CACHE", Path.home() / ".cache" / "avatars"))


def from_cache(name: str, bake: Callable[[], Tensors], assemble: Callable[[Tensors], _Result]) -> _Result:
    """What `assemble` makes of a baked file; the first call bakes it (up to a minute), later ones read it.

    A damaged file is replaced; without a folder that can be written the model is baked anew each time.
    """
    path = cache_folder() / f"{name}_v{BAKE_VERSION}.safetensors"
    if path.exists():
        try:
            return assemble(load_file(path))
        except (SafetensorError, OSError, KeyError) as error:  # truncated or foreign: the cache is ours to rebuild
            _logger.info("The baked model %s is damaged (%s) and is replaced.", path, error)
    _logger.info("Baking the free model, once: up to a minute. It is kept at %s.", path)
    tensors = bake()
    _keep(tensors, path)
    return assemble(tensors)


def _keep(tensors: Tensors, path: Path) -> None:
    """Write the cache file whole or not at all; processes that bake at once replace each other's equal files."""
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, temporary)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        _logger.warning(
            "The baked model cannot be kept at %s (%s), so every start bakes it again. "
            "Set AVATARS_CACHE to a folder that can be written.",
            path,
            error,
        )
        if temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)


def encode_names(names: Sequence[str]) -> UInt8[Tensor, "byte"]:
    """Names as a tensor, so that they travel in the same file as the numbers."""
    return torch.tensor(list("\n".join(names).encode()), dtype=torch.uint8)


def decode_names(encoded: UInt8[Tensor, "byte"]) -> tuple[str, ...]:
    """The names in a tensor that `encode_names` made."""
    return tuple(bytes(encoded.tolist()).decode().split("\n"))
