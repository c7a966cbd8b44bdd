"""A fitted NerFACE with the motion it was fitted to: driven and rendered as other heads are, but without a mesh."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.models.avatar import AvatarInfo
from avatars.models.head_avatar import HeadAvatar, HeadTracks, PosedHead
from avatars.models.head_proxy import HeadProxy
from avatars.models.nerface import Nerface
from avatars.models.nerface_picture import volume_picture
from body_models import InputError
from data_prep.camera import Camera
from data_prep.pictures import RenderedImage
from data_prep.pictures.mesh import linear_to_srgb, srgb_to_linear

NO_SURFACE = (
    "This head is a NerFACE: colour and density in space, without a surface, so there is no mesh to be had of it. "
    "Render it (`avatars animate`), or fit a head with a surface: `avatars fit-video DATA --out bob.avatar`."
)


class NerfaceAvatar(HeadAvatar):
    """One animatable head that is rendered as a volume (metres, Y up; the neutral head at rest faces +Z)."""

    model: Nerface  # type: ignore[assignment]  # driven alike, whatever is driven

    def __init__(self, model: Nerface, tracks: HeadTracks, info: AvatarInfo) -> None:
        model.condition(tracks.poses[:1], tracks.expressions[:1])  # raises where they do not fit
        self.model = model.eval().requires_grad_(False)
        self.tracks, self.info = tracks, info

    def to_device(self, device: torch.device | str) -> "NerfaceAvatar":
        """The same avatar on a device."""
        return NerfaceAvatar(copy.deepcopy(self.model).to(device), self.tracks.to(device), self.info)

    def proxy(self, resolution: int = 160) -> HeadProxy:
        """Refused: raises InputError."""
        raise InputError(NO_SURFACE)

    def pose(
        self,
        expression: Float[Tensor, "expression"] | Mapping[str, float] | None = None,
        pose: Float[Tensor, "bone 3"] | None = None,
        translation: Float[Tensor, "3"] | None = None,
    ) -> "PosedNerface":
        """The head with an expression, a pose and a place, as any head takes them."""
        posed = super().pose(expression, pose, translation)
        return PosedNerface(self, posed.expression, posed.rotation, posed.translation)


@dataclass(frozen=True)
class PosedNerface(PosedHead):
    """A volume with one expression, in one pose and place."""

    avatar: NerfaceAvatar

    def proxy(self, resolution: int = 160) -> HeadProxy:
        """Refused, and every mesh with it: raises InputError."""
        return self.avatar.proxy(resolution)

    def render(
        self, camera: Camera, exact: bool = False, resolution: int = 160, background: float = 1.0
    ) -> RenderedImage:
        """A picture with mask, depth and normals before a grey (linear, 0 to 1).

        A volume is drawn in one way: `exact` and `resolution`, which choose between those of a surface, change nothing.
        """
        model, tracks = self.avatar.model, (self.rotation, self.translation, self.expression)
        coded = float(linear_to_srgb(torch.tensor(background)))
        seen = volume_picture(model, *tracks, camera.to(self.avatar.device), coded)
        return RenderedImage(srgb_to_linear(seen.rgb), seen.opacity, seen.depth, seen.normal)
