"""From logits to skinning weights: the plain softmax, and one along the kinematic tree."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

SHARPNESS = 20.0
"""Factor on logits before either softmax (SNARF's soft blend)."""


def logit_count(parents: tuple[int, ...]) -> int:
    """Logits that the hierarchical softmax of a tree needs: one a bone and one more a fork below the root."""
    return len(parents) + sum(len(c) > 1 for c in _children(parents)[1:])


def hierarchical_log_weights(
    logits: Float[Tensor, "point logit"], parents: tuple[int, ...]
) -> Float[Tensor, "point bone"]:
    """Logarithms of weights that are handed down the tree: each bone keeps a share and passes the rest to its children.

    Where a bone has several children, one gate decides how much is passed on and a softmax who gets it; the rows'
    exponentials sum to one. `logits` are already sharpened. Source: SNARF, supplementary, hierarchical softmax.
    """
    children = _children(parents)
    gates = iter(range(len(parents), logits.shape[1]))
    share: list[Tensor | None] = [None] * len(parents)
    share[0] = torch.zeros_like(logits[:, 0])
    for bone, below in enumerate(children):
        received = share[bone]
        if not below or received is None:
            continue
        gate = logits[:, 0 if bone == 0 else below[0] if len(below) == 1 else next(gates)]
        passed = received + functional.logsigmoid(gate)
        split = torch.log_softmax(logits[:, below], dim=1)
        for column, child in enumerate(below):
            share[child] = passed + split[:, column]
        share[bone] = received + functional.logsigmoid(-gate)
    return torch.stack([value for value in share if value is not None], dim=1)


def hierarchical_logits(weights: Float[Tensor, "point bone"], parents: tuple[int, ...]) -> Float[Tensor, "point logit"]:
    """Sharpened logits from which `hierarchical_log_weights` makes these weights again."""
    children = _children(parents)
    below = [weights[:, bone] for bone in range(len(parents))]  # what a bone and all after it hold
    for bone in reversed(range(1, len(parents))):
        below[parents[bone]] = below[parents[bone]] + below[bone]
    columns = [torch.zeros_like(below[0]) for _ in range(logit_count(parents))]
    extra = iter(range(len(parents), len(columns)))
    for bone, offspring in enumerate(children):
        if not offspring:
            continue
        gate = torch.logit(1 - weights[:, bone] / below[bone], eps=1e-7)
        if len(offspring) > 1:
            for child in offspring:
                columns[child] = below[child].log()
        columns[0 if bone == 0 else offspring[0] if len(offspring) == 1 else next(extra)] = gate
    return torch.stack(columns, dim=1)


def _children(parents: tuple[int, ...]) -> list[list[int]]:
    return [[child for child, parent in enumerate(parents) if parent == bone] for bone in range(len(parents))]
