"""The space of people: random identities of Anny's package and their principal directions, the `betas`."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

SHAPE_SAMPLES = 600


def sample_identities(
    model: Any, spread: float, left_out: frozenset[str] = frozenset()
) -> Float[Tensor, "sample coefficient"]:
    """Blendshape coefficients of random people from school age on, their left and right sides alike.

    Local changes are drawn from -spread to spread, those left out are zero; facial actions are at rest.
    """
    generator = torch.Generator().manual_seed(0)
    labels = list(model.phenotype_labels)
    phenotypes = torch.rand(SHAPE_SAMPLES, len(labels), generator=generator, dtype=torch.float64)
    age = labels.index("age")
    phenotypes[:, age] = 0.35 + 0.65 * phenotypes[:, age]
    names = [label[2:] if label[:2] in ("l-", "r-") else label for label in model.local_change_labels]
    unique = sorted(set(names))
    drawn = 2 * spread * torch.rand(SHAPE_SAMPLES, len(unique), generator=generator, dtype=torch.float64) - spread
    local_changes = drawn[:, torch.tensor([unique.index(name) for name in names])]
    local_changes[:, torch.tensor([name in left_out for name in names])] = 0.0
    actions = phenotypes.new_zeros(SHAPE_SAMPLES, len(model.facial_action_labels))
    return model._get_phenotype_blendshape_coefficients(phenotypes, local_changes, actions)


def principal_directions(
    centred: Float[Tensor, "sample coefficient"], blendshapes: Float[Tensor, "coefficient vertex 3"], count: int
) -> Float[Tensor, "shape coefficient"]:
    """Coefficient directions of the largest vertex variance, each one standard deviation long."""
    vertices = (centred.float() @ blendshapes.flatten(1).float()).double()
    _, vectors = torch.linalg.eigh(vertices @ vertices.T / len(centred))
    top = vectors[:, -count:].flip(1)
    # X = U S Vt; one standard deviation along component k is S V_k / sqrt(n), that is u_k^T X / sqrt(n)
    directions = top.T @ centred / len(centred) ** 0.5
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))[:, 0]
    total = directions.sum(1)
    sign = torch.where(total.abs() > 1e-3 * largest.abs(), total, largest).sign()  # eigenvectors come with either sign
    return directions * sign[:, None]


def variance_explained(
    centred: Float[Tensor, "sample coefficient"],
    directions: Float[Tensor, "shape coefficient"],
    blendshapes: Float[Tensor, "coefficient vertex 3"],
) -> float:
    """Share of the sampled people's vertex variance that principal directions carry."""
    flat = blendshapes.flatten(1).float()
    total = (centred.float() @ flat).square().sum() / len(centred)
    return float((directions.float() @ flat).square().sum() / total)
