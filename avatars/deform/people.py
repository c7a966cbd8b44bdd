"""Forward skinning of several people at once: each frame is a person with weights, offsets and bones of its own."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.broyden import inverse_3x3
from avatars.deform.roots import Roots, SearchOptions
from avatars.deform.sampled import SampledSkinning
from avatars.deform.search import search
from avatars.deform.skinning import blended_jacobian, forward_skin
from avatars.fields.affine import blend_bones
from avatars.fields.coded_weights import CodedWeights
from avatars.fields.patches import PatchedGrid
from avatars.fields.reading import read, read_with_slopes

CHORDS = 2
"""Steps from a root of the mean person's weights to one of a person's own."""
NEARLY = 1e-3
"""Roots that chords leave farther off than this (metres, posed) are given to Newton's method."""
NEWTONS, LONGEST = 8, 0.05
"""Its steps, and the length of one at most (metres)."""
ACCEPTED = 5e-3
"""A root counts when its posed residual is below this (metres)."""


class PeopleSkinning:
    """The deformation of several people, a frame each: `x_posed = T(w(x, code)) (x + offset(x))`.

    `mean` is the same with everybody's weights alike: it is searched by the fused kernel, and its roots are then moved
    to those of each person's own weights. `tables` are the weights' own of each frame's code, offsets are given at the
    nodes of `offset_grid`.
    """

    def __init__(
        self,
        weights: CodedWeights,
        tables: Float[Tensor, "row channel"],
        mean: SampledSkinning,
        posed_from_canonical: Float[Tensor, "frame bone 4 4"],
        offsets: Float[Tensor, "frame node 3"],
        offset_grid: PatchedGrid,
    ) -> None:
        self.weights, self.tables, self.mean = weights, tables, mean
        self.posed_from_canonical = posed_from_canonical
        self.offsets, self.offset_grid = offsets, offset_grid
        self.starts = mean.starts

    def blend(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 4"]:
        """The blended transform at canonical points, each of the person of its frame."""
        weights = torch.softmax(self.weights.log_weights(points, frame, self.tables), dim=1)
        return blend_bones(weights, self.posed_from_canonical, frame)

    def shifted(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        """Canonical points brought from the mean build to that of each person (metres)."""
        return points + read(self.offsets.flatten(0, 1), self.offset_grid, points, frame=frame)

    @torch.no_grad()
    def jacobian(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3 3"]:
        """Exact spatial Jacobian of the deformation, a constant to gradients."""
        logs, rises = self.weights.with_slopes(points, frame, self.tables)
        offset, slopes = read_with_slopes(self.offsets.flatten(0, 1), self.offset_grid, points, frame=frame)
        stretch = torch.eye(3).to(points) + slopes.mT
        bones = self.posed_from_canonical[:, :, :3][frame]
        return blended_jacobian(logs, rises, bones, points + offset, stretch)


@torch.no_grad()
def search_people(
    posed: Float[Tensor, "point 3"], frame: Int[Tensor, "point"], field: PeopleSkinning, options: SearchOptions
) -> Roots:
    """Canonical roots of posed points of several people; those lost on the way to a person's own weights are left out.

    Own weights mostly differ little from the mean ones: then the Jacobians that the search found serve for the way
    (chord method). Where they do not, as in skirts, Newton's method goes on.
    """
    roots = search(posed, frame, field.mean, options)
    target, frame_of = posed[roots.point], frame[roots.point]
    inverse = roots.inverse_jacobian
    if inverse is None:
        inverse = inverse_3x3(field.jacobian(roots.canonical, frame_of))
    canonical = roots.canonical
    for _ in range(CHORDS):
        missed = forward_skin(field, canonical, frame_of) - target
        canonical = canonical - (inverse * missed[:, None]).sum(-1)
    error = (forward_skin(field, canonical, frame_of) - target).norm(dim=1)
    left = (error > NEARLY).nonzero()[:, 0]
    if len(left):
        canonical, inverse = canonical.clone(), inverse.clone()
        found = _newton(field, roots.canonical[left], target[left], frame_of[left])
        canonical[left], inverse[left], error[left] = found
    kept = error < ACCEPTED
    return replace(roots, canonical=canonical[kept], point=roots.point[kept], inverse_jacobian=inverse[kept])


def _newton(
    field: PeopleSkinning, start: Float[Tensor, "root 3"], target: Float[Tensor, "root 3"], frame: Int[Tensor, "root"]
) -> tuple[Float[Tensor, "root 3"], Float[Tensor, "root 3 3"], Float[Tensor, "root"]]:
    """Newton's method in steps of bounded length: places, inverse Jacobians there and what they miss (metres)."""
    canonical = start
    for _ in range(NEWTONS):
        inverse = inverse_3x3(field.jacobian(canonical, frame))
        step = (inverse * (forward_skin(field, canonical, frame) - target)[:, None]).sum(-1).nan_to_num(0.0, 0.0, 0.0)
        length = step.norm(dim=1, keepdim=True)
        canonical = canonical - step * (LONGEST / length.clamp_min(LONGEST))
    inverse = inverse_3x3(field.jacobian(canonical, frame)).nan_to_num(0.0, 0.0, 0.0)
    return canonical, inverse, (forward_skin(field, canonical, frame) - target).norm(dim=1)
