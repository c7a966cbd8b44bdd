"""Nearest-vertex skinning: a posed point takes the weights of the closest point of the posed body, learning none."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.models.baselines.inverse import InverseSkinning
from avatars.models.snarf import OUTSIDE, Snarf
from body_models import Body
from data_prep.surface import Surface

REACH = 0.1
"""After training, points farther outside the posed body than this count as empty (metres).

Without it a bone's own frame, continued far away, meets the canonical torso and shows a ghost of it.
"""


class NearestVertexSkinning(InverseSkinning):
    """Inverse skinning by a fixed body model; only the canonical shape is learned.

    The weights jump where two parts of the body are equally near, and touching parts take each other's.
    """

    def __init__(self, snarf: Snarf, body: Body) -> None:
        super().__init__(snarf)
        self.body = body
        self._surface: Surface | None = None

    def weights(
        self,
        posed: Float[Tensor, "point 3"],
        frame: Int[Tensor, "point"],
        pose: Float[Tensor, "frame bone 3"],
        translation: Float[Tensor, "frame 3"],
    ) -> Float[Tensor, "point bone"]:
        """Weights at posed points (metres), blended over the closest face; constant to gradients."""
        return self._nearest(posed, frame, pose, translation)[0]

    def forward(
        self,
        posed: Float[Tensor, "point 3"],
        frame: Int[Tensor, "point"],
        pose: Float[Tensor, "frame bone 3"],
        translation: Float[Tensor, "frame 3"],
        code: Float[Tensor, "frame code"] | None = None,
    ) -> Float[Tensor, "point"]:
        """Occupancy logits at posed points (metres), positive inside."""
        weights, distance = self._nearest(posed, frame, pose, translation)
        canonical = self.carry_back(posed, frame, pose, translation, weights)
        logits = self.snarf.canonical_logits(canonical, None if code is None else code[frame])
        if self.training:  # empty space must be learned too
            return logits
        return torch.where(distance < REACH, logits, logits.new_tensor(OUTSIDE))

    @torch.no_grad()
    def _nearest(
        self,
        posed: Float[Tensor, "point 3"],
        frame: Int[Tensor, "point"],
        pose: Float[Tensor, "frame bone 3"],
        translation: Float[Tensor, "frame 3"],
    ) -> tuple[Float[Tensor, "point bone"], Float[Tensor, "point"]]:
        """The closest surface point's weights, and the signed distance to it (metres, negative inside)."""
        body = self.body if self.body.vertices.device == posed.device else self.body.to(posed.device)
        weights, distance = posed.new_zeros(len(posed), len(body.skeleton)), posed.new_zeros(len(posed))
        for number in frame.unique().tolist():
            surface = self._posed(body, body.pose_vertices(pose[number], translation[number]))
            own = frame == number
            closest = surface.closest(posed[own])
            weights[own] = surface.interpolate(body.skinning_weights, closest.face, closest.barycentric)
            distance[own] = surface.signed_distance(posed[own])
        return weights, distance

    def _posed(self, body: Body, vertices: Float[Tensor, "vertex 3"]) -> Surface:
        """The body's surface at these vertices; one surface is moved about, which costs half of making new ones."""
        if self._surface is None or self._surface.device != vertices.device:
            self._surface = Surface(vertices, body.faces)
        else:
            self._surface.update(vertices)
        return self._surface
