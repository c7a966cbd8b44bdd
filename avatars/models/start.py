"""Begin an avatar at a body: its surface as the occupancy, its skinning weights spread off the surface."""

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.fields.grid import GridSpec
from avatars.fields.occupancy import GridOccupancy
from avatars.fields.weights import GridWeights
from avatars.models.snarf import Snarf, SnarfOptions
from body_models import Body
from data_prep.surface import Surface

SMOOTHING_SWEEPS = 4
FARTHEST_LOGIT = 10.0


def snarf_from_body(body: Body, options: SnarfOptions) -> Snarf:
    """An untrained avatar whose grids already describe the body; an MLP avatar starts from its own initialisation."""
    canonical = body.canonical()
    box = torch.stack([canonical.min(0).values - options.margin, canonical.max(0).values + options.margin])
    model = Snarf(options, body.skeleton, body.joints, body.canonical_pose, box, segment_tails(body))
    surface = Surface(canonical, body.faces)
    if isinstance(model.occupancy, GridOccupancy):
        distance = surface.signed_distance(model.occupancy.base_spec.nodes())
        model.occupancy.start_from((-distance / options.edge).clamp(-FARTHEST_LOGIT, FARTHEST_LOGIT))
    if isinstance(model.weights, GridWeights):
        patches = [weights_off_surface(surface, body.skinning_weights, spec) for spec in model.weight_grid.patches]
        model.weights.start_from(torch.cat(patches))
    return model


def segment_tails(body: Body) -> Float[Tensor, "bone 3"]:
    """Where each bone ends at rest: the mean of its children's joints, or the far end of the flesh of the last ones."""
    tails = []
    for bone in range(len(body.skeleton)):
        children = body.skeleton.children(bone)
        if children:
            tails.append(body.joints[list(children)].mean(0))
        else:
            own = body.skinning_weights[:, bone]
            centre = (own[:, None] * body.vertices).sum(0) / own.sum().clamp_min(1e-6)
            tails.append(body.joints[bone] + 1.6 * (centre - body.joints[bone]))
    return torch.stack(tails)


def weights_off_surface(
    surface: Surface, weights: Float[Tensor, "vertex bone"], spec: GridSpec
) -> Float[Tensor, "node bone"]:
    """Weights at grid nodes from the nearest surface point, then smoothed by averaging with the six neighbours."""
    closest = surface.closest(spec.nodes())
    values = (weights[surface.faces[closest.face]] * closest.barycentric[..., None]).sum(1)
    grid = values.reshape(*spec.shape, -1).permute(3, 0, 1, 2)[None]
    for _ in range(SMOOTHING_SWEEPS):
        padded = torch.nn.functional.pad(grid, (1,) * 6, mode="replicate")
        neighbours = (
            padded[:, :, 2:, 1:-1, 1:-1] + padded[:, :, :-2, 1:-1, 1:-1] + padded[:, :, 1:-1, 2:, 1:-1]
            + padded[:, :, 1:-1, :-2, 1:-1] + padded[:, :, 1:-1, 1:-1, 2:] + padded[:, :, 1:-1, 1:-1, :-2]
        )  # fmt: skip
        grid = 0.5 * grid + 0.5 * neighbours / 6
    smooth = grid[0].permute(1, 2, 3, 0).flatten(0, 2)
    return smooth / smooth.sum(1, keepdim=True)
