"""Statistics of pictures of normals, independent of any trained network: how real the details of a set look.

The features are our own: responses of fixed random filters at three scales, so no discriminator was trained on them.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d

from body_models.errors import InputError

SCALES = 3
"""Full size, half and quarter."""
FILTERS = 16
SEED = 20220413
AT_ONCE = 64
BACKGROUND = 255
FAINT = 1e-3
"""Responses this small count as none, so that logarithms stay finite."""


def normal_map_features(maps: UInt8[Tensor, "image row column 3"]) -> Float[Tensor, "image feature"]:
    """Features of pictures of normals (n/2 + 1/2 as bytes, background 255), each picture by itself.

    Two layers of fixed random 3 x 3 filters (the first blind to constant colour) run over the picture at three scales;
    the logarithms of the mean and of the standard deviation of each rectified response over the figure, without its
    outline, are the features (192 of them). Raises InputError for pictures that are too small.
    """
    if maps.shape[0] < 1 or min(maps.shape[1:3]) < 2 ** (SCALES + 1):
        raise InputError(f"Pictures of shape {tuple(maps.shape)} are too few or small; give one or more of 64 pixels.")
    first, second = _filters()
    return torch.cat([_features(some, first, second) for some in maps.cpu().split(AT_ONCE)])


def frechet_distance(first: Float[Tensor, "image feature"], second: Float[Tensor, "other feature"]) -> float:
    """Frechet distance between two sets of features taken as Gaussians (Heusel et al., 2017); 0 for equal sets.

    Small sets are farther apart than large ones of the same kind: compare methods by sets of equal size. Raises
    InputError for sets of fewer than two, or features that are not finite.
    """
    for features in (first, second):
        if len(features) < 2 or not bool(features.isfinite().all()):
            raise InputError(f"{len(features)} features are too few, or not finite; give two or more pictures a set.")
    first, second = first.double(), second.double()
    spread_a, spread_b = torch.atleast_2d(torch.cov(first.T)), torch.atleast_2d(torch.cov(second.T))
    root = _root(spread_a)
    # the trace of sqrt(A B) as that of a symmetric matrix: no complex numbers when A or B has no inverse
    shared = torch.linalg.eigvalsh(root @ spread_b @ root).clamp_min(0).sqrt().sum()
    apart = (first.mean(0) - second.mean(0)).square().sum()
    return max(0.0, float(apart + spread_a.trace() + spread_b.trace() - 2 * shared))


def normal_statistic(first: UInt8[Tensor, "image row column 3"], second: UInt8[Tensor, "other row column 3"]) -> float:
    """Frechet distance between the features of two sets of pictures of normals; lower is more alike."""
    return frechet_distance(normal_map_features(first), normal_map_features(second))


def _features(
    maps: UInt8[Tensor, "image row column 3"],
    first: Float[Tensor, "out 3 3 3"],
    second: Float[Tensor, "out within 3 3"],
) -> Float[Tensor, "image feature"]:
    figure = (maps != BACKGROUND).any(-1)[:, None]
    normals = torch.where(figure, maps.permute(0, 3, 1, 2).float() / 127.5 - 1, 0.0)
    found = []
    for _ in range(SCALES):
        inner = _without_outline(figure)
        edges = conv2d(normals, first, padding=1).relu()
        shapes = conv2d(edges, second, padding=1).relu()
        found += [_pooled(edges, inner), _pooled(shapes, inner)]
        normals = avg_pool2d(normals, 2)
        figure = avg_pool2d(figure.float(), 2) == 1
    return torch.cat(found, dim=1)


def _pooled(
    responses: Float[Tensor, "image channel row column"], figure: Bool[Tensor, "image 1 row column"]
) -> Float[Tensor, "image feature"]:
    """Logarithms of mean and standard deviation over the figure."""
    count = figure.sum((2, 3)).clamp_min(1)
    mean = (responses * figure).sum((2, 3)) / count
    variance = ((responses - mean[..., None, None]).square() * figure).sum((2, 3)) / count
    return torch.cat([(mean + FAINT).log(), (variance.sqrt() + FAINT).log()], dim=1)


def _without_outline(figure: Bool[Tensor, "image 1 row column"]) -> Bool[Tensor, "image 1 row column"]:
    """The figure less a pixel all around, beyond which the filters would see its outline."""
    return max_pool2d((~figure).float(), 3, stride=1, padding=1) == 0


def _filters() -> tuple[Float[Tensor, "out 3 3 3"], Float[Tensor, "out within 3 3"]]:
    generator = np.random.default_rng(SEED)  # whose stream, unlike torch's, is promised to stay
    first = generator.standard_normal((FILTERS, 3, 3, 3))
    first -= first.mean((2, 3), keepdims=True)
    second = generator.standard_normal((FILTERS, FILTERS, 3, 3))
    unit = [filters / np.sqrt((filters**2).sum((1, 2, 3), keepdims=True)) for filters in (first, second)]
    return torch.from_numpy(unit[0]).float(), torch.from_numpy(unit[1]).float()


def _root(matrix: Float[Tensor, "feature feature"]) -> Float[Tensor, "feature feature"]:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T
