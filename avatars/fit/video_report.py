"""How like the held-out end of a video a fitted head is."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.fit.video_losses import psnr
from avatars.fit.video_rays import Pictures
from avatars.fit.video_surface import surface_mesh
from avatars.models.imavatar import Imavatar
from avatars.models.nerface import Nerface
from avatars.models.nerface_picture import volume_picture
from avatars.render import Proxy, TraceOptions, trace
from data_prep.camera import Camera

RAYS_AT_ONCE = 16_384


@dataclass(frozen=True)
class HeadView:
    """A head as a camera sees it."""

    rgb: Float[Tensor, "height width 3"]
    """sRGB-coded, 0 to 1; white where the head is not."""
    mask: Float[Tensor, "height width"]
    normal: Float[Tensor, "height width 3"]
    """Unit, world space; zero where the head is not."""


@torch.no_grad()
def head_view(
    model: Imavatar | Nerface,
    pose: Float[Tensor, "bone 3"],
    translation: Float[Tensor, "3"],
    expression: Float[Tensor, "expression"],
    camera: Camera,
    resolution: int = 96,
) -> HeadView:
    """What the rays of all pixels, one each, see of a surface (traced) or of a volume."""
    if isinstance(model, Nerface):
        seen = volume_picture(model, pose, translation, expression, camera)
        return HeadView(seen.rgb, seen.opacity, seen.normal)
    mesh = surface_mesh(model, resolution)
    surface = model.posed(pose[None], translation[None], expression[None])
    own, posed = surface.placed(mesh.vertices)
    proxy = Proxy(own, mesh.faces, posed)
    options = TraceOptions(misses=False)
    origins, directions = (values.reshape(-1, 3).to(pose) for values in camera.rays())
    rgb, normal = torch.ones_like(directions), torch.zeros_like(directions)
    mask = torch.zeros_like(directions[:, 0])
    for some in torch.arange(len(directions), device=pose.device).split(RAYS_AT_ONCE):
        frame = torch.zeros_like(some)
        hits = trace(origins[some], directions[some], frame, surface, proxy, options)
        hit = some[hits.hit]
        shade = surface.shade(hits.canonical[hits.hit], frame[: len(hit)])
        rgb[hit], normal[hit] = shade.colours, shade.normals
        mask[hit] = 1.0
    shape = (camera.height, camera.width)
    return HeadView(rgb.unflatten(0, shape), mask.unflatten(0, shape), normal.unflatten(0, shape))


@dataclass(frozen=True)
class Likeness:
    """How like some frames a head is, on the mean over them."""

    psnr: float
    """Of colours inside the mask (dB); where the head is missing it counts as white."""
    iou: float
    """Overlap of the head with the mask."""


def likeness(
    model: Imavatar | Nerface,
    poses: Float[Tensor, "frame bone 3"],
    translations: Float[Tensor, "frame 3"],
    expressions: Float[Tensor, "frame expression"],
    pictures: Pictures,
) -> Likeness:
    """Render each frame and compare it with its picture."""
    ratios, overlaps = [], []
    for frame in range(len(pictures)):
        view = head_view(model, poses[frame], translations[frame], expressions[frame], pictures.camera(frame))
        shown = pictures.rgb[frame].to(view.rgb) / 255
        person = (pictures.alpha[frame].to(view.rgb) > 127).float()
        ratios.append(psnr(view.rgb, shown, person))
        both, either = (view.mask * person).sum(), torch.maximum(view.mask, person).sum()
        overlaps.append(float(both / either.clamp_min(1)))
    return Likeness(sum(ratios) / len(ratios), sum(overlaps) / len(overlaps))
