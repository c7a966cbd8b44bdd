"""Begin a prior at a body model: its mean surface, skinning weights and blendshapes, spread off the surface."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.fields.coded_weights import GridCodedWeights
from avatars.fields.eigen_volumes import active_nodes
from avatars.fields.grid import GridSpec
from avatars.fields.people_occupancy import GridPeopleOccupancy
from avatars.models.gdna import Gdna
from avatars.models.gdna_options import GdnaOptions
from avatars.models.gdna_space import PeopleSpace
from avatars.models.parts import boxes_about, mainly_of
from avatars.models.start import (
    distances_at_nodes,
    segment_tails,
    smoothed_by,
    spread_off_surface,
    weights_off_surface,
)
from body_models import Body, BodyModel
from data_prep.surface import Surface

APRON = 0.03
"""How far the boxes with finer grids reach beyond head and hands (metres)."""
FINE_PARTS = ("head", "left_hand", "right_hand")
"""Joints whose flesh gets finer grids."""
BLUR = 0.0286
"""Spread of the smoothing of blendshapes off the surface (metres)."""
NEAR_SKIN, FAR_SHARE, SWEEPS = 0.045, 0.8, 60
"""Farther from the body than this (metres) weights are averaged with their neighbours', by this share, so often:
between the legs, where skirts hang, they then pass smoothly from one side to the other."""


@dataclass(frozen=True)
class CanonicalModel:
    """A body model in its canonical pose: mean surface, and what one deviation of each beta does to it (metres)."""

    model: BodyModel
    betas: int

    @cached_property
    def body(self) -> Body:
        """The mean build."""
        return self.model.body()

    @cached_property
    def vertices(self) -> Float[Tensor, "vertex 3"]:
        """The mean surface in the canonical pose."""
        return self.body.canonical()

    @cached_property
    def displacements(self) -> Float[Tensor, "betas vertex 3"]:
        """Exactly linear in the betas, since the canonical pose is the same for all builds."""
        each = torch.eye(len(self.model.shape_basis))[: self.betas]
        return torch.stack([self.model.body(beta).canonical() for beta in each]) - self.vertices

    @cached_property
    def surface(self) -> Surface:
        """The mean surface for queries."""
        return Surface(self.vertices, self.body.faces)


def start_prior(model: BodyModel, options: GdnaOptions) -> Gdna:
    """An untrained prior; on grids every code is the naked body, MLPs begin from their own initialisation."""
    canonical = CanonicalModel(model, min(options.betas, len(model.shape_basis)))
    body, vertices = canonical.body, canonical.vertices
    box = torch.stack([vertices.amin(0) - options.margin, vertices.amax(0) + options.margin])
    space = PeopleSpace(
        model.skeleton,
        model.template_joints,
        model.shape_basis_joints[: canonical.betas],
        model.canonical_pose,
        box,
        fine_parts(body, vertices),
        segment_tails(body),
        options.weight_spacing,
    )
    active = (
        near_nodes(canonical, box, options.volume_spacing, options.reach),
        near_nodes(canonical, box, options.detail_spacing, options.reach),
    )
    gdna = Gdna(options, space, active)
    first = space.grid.patches[0]
    basis = spread_off_surface(canonical.surface, canonical.displacements.permute(1, 0, 2).flatten(1), first, BLUR)
    space.start_from(basis.unflatten(1, (-1, 3)))
    if isinstance(gdna.occupancy, GridPeopleOccupancy):
        gdna.occupancy.start_from(distances_at_nodes(canonical.surface, gdna.occupancy.base_grid, options.reach))
    if isinstance(gdna.weights, GridCodedWeights):
        weights = weights_off_surface(canonical.surface, body.skinning_weights, first)
        beyond = canonical.surface.signed_distance(first.nodes()) - NEAR_SKIN
        gdna.weights.start_from(smoothed_by(weights, FAR_SHARE * (beyond / NEAR_SKIN).clamp(0, 1), first, SWEEPS))
    return gdna


def near_nodes(canonical: CanonicalModel, box: Float[Tensor, "2 3"], spacing: float, reach: float) -> Int[Tensor, "a"]:
    """Nodes of a feature volume near enough to the mean body to hold clothes."""
    grid = GridSpec.covering(box[0], box[1], spacing)
    return active_nodes(grid, canonical.surface.signed_distance(grid.nodes()), reach)


def fine_parts(body: Body, canonical: Float[Tensor, "vertex 3"]) -> Float[Tensor, "part 2 3"]:
    """Boxes about head and hands (canonical, metres)."""
    known = [name for name in FINE_PARTS if name in body.skeleton.joint_names]
    return boxes_about(canonical, [mainly_of(body, [body.skeleton.index(name)]) for name in known], APRON)
