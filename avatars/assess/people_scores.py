"""How well sampled people stand for real ones: distances between two sets of people as point clouds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree
from torch import Tensor

from body_models.errors import InputError
from data_prep.surface import Surface

POINTS = 16_384
"""Points of a cloud; so many leave about 5 mm between neighbours, below which nothing can be told apart."""
ASKED = 2048
"""Points of a cloud, its first, whose distance to another cloud is taken."""

Cloud = Float[Tensor, "_ 3"]


@dataclass(frozen=True)
class SetScores:
    """Two sets of people compared, sampled ones with references; all people in one and the same pose."""

    matching_mm: float
    """Minimum matching distance: from a reference to the sample nearest to it, on average (mm; lower is better)."""
    coverage: float
    """Share of the references that are the nearest to some sample (0 to 1; higher is better)."""
    neighbour_accuracy: float
    """How often a person's nearest neighbour is of their set (0.5: nobody can tell the sets apart; 1: they differ)."""

    def line(self) -> str:
        """The scores in a line."""
        return (
            f"matching {self.matching_mm:.1f} mm, coverage {100 * self.coverage:.0f} %, "
            f"nearest neighbour {100 * self.neighbour_accuracy:.0f} % (50 is best)"
        )


def person_cloud(surface: Surface, seed: int = 0, points: int = POINTS) -> Cloud:
    """Points drawn uniformly on a person's surface (metres)."""
    generator = torch.Generator(device=surface.device).manual_seed(seed)
    return surface.sample(points, generator).points.cpu()


def compare_sets(samples: Sequence[Cloud], references: Sequence[Cloud]) -> SetScores:
    """Minimum matching distance, coverage and accuracy of the nearest neighbour between two sets of people (metres).

    Coverage depends on the numbers of people: compare methods by sets of equal size. Scores as Achlioptas et al. (ICML
    2018) and Yang et al. (PointFlow, ICCV 2019) define them. Raises InputError for sets of fewer than two people, and
    for clouds that are empty or not finite.
    """
    for name, people in (("samples", samples), ("references", references)):
        if len(people) < 2:
            raise InputError(f"{len(people)} people are too few {name} to compare sets; give two or more.")
    across = chamfer_matrix(samples, references)
    accuracy = _neighbour_accuracy(chamfer_matrix(samples), across, chamfer_matrix(references))
    covered = np.unique(across.argmin(1)).size / len(references)
    return SetScores(float(across.min(0).mean()), covered, accuracy)


def chamfer_matrix(first: Sequence[Cloud], second: Sequence[Cloud] | None = None) -> Float[np.ndarray, "first second"]:
    """Chamfer distance of each cloud to each of a second set, or to the others of its own (mm).

    The mean distance of a cloud's first points (they are in random order) to the nearest point of the other cloud,
    averaged over both directions.
    """
    trees = [_tree(cloud) for cloud in first]
    if second is not None:
        others = [_tree(cloud) for cloud in second]
        return np.array([[_chamfer(one, other) for other in others] for one in trees])
    matrix = np.zeros((len(trees), len(trees)))
    for row, column in zip(*np.triu_indices(len(trees), 1), strict=True):
        matrix[row, column] = matrix[column, row] = _chamfer(trees[row], trees[column])
    return matrix


def _neighbour_accuracy(
    within_first: Float[np.ndarray, "first first"],
    across: Float[np.ndarray, "first second"],
    within_second: Float[np.ndarray, "second second"],
) -> float:
    """Share of all people whose nearest other person is of their own set."""
    own = [np.min(matrix + np.diag(np.full(len(matrix), np.inf)), axis=1) for matrix in (within_first, within_second)]
    same = [own[0] < across.min(1), own[1] < across.min(0)]
    return float(np.concatenate(same).mean())


def _chamfer(first: cKDTree, second: cKDTree) -> float:
    there, back = second.query(first.data[:ASKED])[0], first.query(second.data[:ASKED])[0]
    return 1000 * float(there.mean() + back.mean()) / 2


def _tree(cloud: Cloud) -> cKDTree:
    if len(cloud) == 0 or not bool(cloud.isfinite().all()):
        raise InputError(f"A cloud of {len(cloud)} points is empty or not finite; sample the surface again.")
    return cKDTree(cloud.detach().cpu().double().numpy())
