"""Nearest-vertex skinning: a posed point takes the weights of the closest point of the posed body, learning none."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.models.baselines.inverse import InverseSkinning
from avatars.models.snarf import Snarf
from body_models import Body
from data_prep.surface import Surface


class NearestVertexSkinning(InverseSkinning):
    """Inverse skinning by a fixed body model; only the canonical shape is learned.

    The weights jump where two parts of the body are equally near, and touching parts take each other's.
    """

    def __init__(self, snarf: Snarf, body: Body) -> None:
        super().__init__(snarf)
        self.body = body
        self._surface: Surface | None = None

    @torch.no_grad()
    def weights(
        self,
        posed: Float[Tensor, "point 3"],
        frame: Int[Tensor, "point"],
        pose: Float[Tensor, "frame bone 3"],
        translation: Float[Tensor, "frame 3"],
    ) -> Float[Tensor, "point bone"]:
        """Weights at posed points (metres), blended over the closest face; constant to gradients."""
        body = self.body if self.body.vertices.device == posed.device else self.body.to(posed.device)
        weights = posed.new_zeros(len(posed), len(body.skeleton))
        for number in frame.unique().tolist():
            surface = self._posed(body, body.pose_vertices(pose[number], translation[number]))
            own = frame == number
            closest = surface.closest(posed[own])
            weights[own] = surface.interpolate(body.skinning_weights, closest.face, closest.barycentric)
        return weights

    def _posed(self, body: Body, vertices: Float[Tensor, "vertex 3"]) -> Surface:
        """The body's surface at these vertices; one surface is moved about, which costs half of making new ones."""
        if self._surface is None or self._surface.device != vertices.device:
            self._surface = Surface(vertices, body.faces)
        else:
            self._surface.update(vertices)
        return self._surface
