"""How like the held-out end of a video a fitted head is."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.fit.video_losses import psnr
from avatars.fit.video_rays import Pictures
from avatars.models.head_avatar import HeadAvatar
from avatars.models.nerface_avatar import NerfaceAvatar
from data_prep.camera import Camera
from data_prep.pictures.mesh import linear_to_srgb


@dataclass(frozen=True)
class HeadView:
    """A head as a camera sees it."""

    rgb: Float[Tensor, "height width 3"]
    """sRGB-coded, 0 to 1; white where the head is not."""
    mask: Float[Tensor, "height width"]
    normal: Float[Tensor, "height width 3"]
    """Unit, world space; zero where the head is not."""


Render = Callable[[Float[Tensor, "bone 3"], Float[Tensor, "3"], Float[Tensor, "expression"], Camera], HeadView]
"""Draws a head in a pose (radians), at a place (metres), with an expression, as a camera sees it."""


def view_of(avatar: HeadAvatar, exact: bool = True) -> Render:
    """How a head is drawn to be compared: its surface traced, or its mesh; a volume with as many samples as usual."""
    exact = exact and not isinstance(avatar, NerfaceAvatar)

    def render(
        pose: Float[Tensor, "bone 3"],
        translation: Float[Tensor, "3"],
        expression: Float[Tensor, "expression"],
        camera: Camera,
    ) -> HeadView:
        image = avatar.pose(expression, pose, translation).render(camera, exact=exact)
        return HeadView(linear_to_srgb(image.rgb), image.mask, image.normal)

    return torch.no_grad()(render)


@dataclass(frozen=True)
class Likeness:
    """How like some frames a head is, on the mean over them."""

    psnr: float
    """Of colours inside the mask (dB); where the head is missing it counts as white."""
    iou: float
    """Overlap of the head with the mask."""


def likeness(
    render: Render,
    poses: Float[Tensor, "frame bone 3"],
    translations: Float[Tensor, "frame 3"],
    expressions: Float[Tensor, "frame expression"],
    pictures: Pictures,
) -> Likeness:
    """Render each frame and compare it with its picture."""
    ratios, overlaps = [], []
    for frame in range(len(pictures)):
        view = render(poses[frame], translations[frame], expressions[frame], pictures.camera(frame))
        shown = pictures.rgb[frame].to(view.rgb) / 255
        person = (pictures.alpha[frame].to(view.rgb) > 127).float()
        ratios.append(psnr(view.rgb, shown, person))
        both, either = (view.mask * person).sum(), torch.maximum(view.mask, person).sum()
        overlaps.append(float(both / either.clamp_min(1)))
    return Likeness(sum(ratios) / len(ratios), sum(overlaps) / len(overlaps))
