"""Pictures of a person of a prior: the coarse surface traced in its pose, with the normals that the details tell."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from avatars.deform.people import PeopleSkinning
from avatars.deform.sampled import SampledSkinning
from avatars.fields.normals import fuse_normals
from avatars.fields.people_occupancy import PeopleShape
from avatars.models.gdna import Gdna, posed_normals
from avatars.render import Proxy, TraceOptions, trace
from data_prep.camera import Camera
from data_prep.orthographic import OrthographicCamera
from data_prep.pictures import RenderedImage
from data_prep.pictures.mesh import LIGHTS

RAYS_AT_ONCE = 65_536
"""Rays that are traced at a time, to bound the memory."""
POINTS_AT_ONCE = 16_384
"""Points whose normals are told at a time."""
GREY, AMBIENT = 0.5, 0.22
"""Linear grey of a person, and light from everywhere."""


@dataclass(frozen=True)
class PersonSurface:
    """One person's coarse surface in a pose: an `avatars.render.SurfaceField` of a single frame.

    `deformation` is what rays are traced through, `skinning` the same by the networks themselves, which turns normals.
    """

    model: Gdna
    shape: PeopleShape
    detail: Float[Tensor, "1 code"]
    skinning: PeopleSkinning
    deformation: SampledSkinning

    def sdf(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point"]:
        """Signed distance at canonical points (metres)."""
        return -self.model.options.edge * self.model.logits(points, frame, self.shape)

    def sdf_gradient(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        """Its spatial gradient, a constant."""
        with torch.enable_grad():
            at = points.detach().requires_grad_()
            return torch.autograd.grad(self.sdf(at, frame).sum(), at)[0]

    @torch.no_grad()
    def normals(self, points: Float[Tensor, "point 3"], details: bool = True) -> Float[Tensor, "point 3"]:
        """Unit normals to show, in the world, at canonical points: the fused ones, or the coarse ones only."""
        parts = [self._posed_normals(some, details) for some in points.split(POINTS_AT_ONCE)]
        return torch.cat(parts)

    def _posed_normals(self, points: Float[Tensor, "point 3"], details: bool) -> Float[Tensor, "point 3"]:
        if len(points) == 0:
            return points
        model, frame = self.model, torch.zeros_like(points[:, 0], dtype=torch.long)
        shown = model.coarse_normals(points, frame, self.shape)
        if details:
            feature = model.occupancy(points, frame, self.shape).feature
            shown = fuse_normals(shown, model.normals(points, frame, self.detail, shown, feature))
        return posed_normals(shown, points, frame, self.skinning)


@torch.no_grad()
def picture_of_person(
    surface: PersonSurface,
    proxy: Proxy,
    camera: Camera | OrthographicCamera,
    details: bool,
    background: float,
) -> RenderedImage:
    """The implicit surface, traced from the proxy, in a grey that its normals shade, before a linear grey."""
    origins, directions, skipped = _rays(camera, proxy)
    options = TraceOptions(misses=False, search=surface.model.options.search)
    seen, distances, normals = [], [], []
    for o, d in zip(origins.split(RAYS_AT_ONCE), directions.split(RAYS_AT_ONCE), strict=True):
        frame = torch.zeros(len(o), dtype=torch.long, device=o.device)
        hits = trace(o, d, frame, surface, proxy, options)
        seen.append(hits.hit)
        distances.append(hits.distance)
        normals.append(surface.normals(hits.canonical[hits.hit], details))
    hit, normal = torch.cat(seen), torch.zeros_like(directions)
    normal[hit] = torch.cat(normals)
    rgb = torch.full_like(directions, background)
    rgb[hit] = _shaded(normal[hit], camera)[:, None]
    along = (torch.cat(distances) + skipped) * (directions @ camera.camera_from_world[2, :3].to(directions))
    depth, shape = torch.where(hit, along, torch.inf), (camera.height, camera.width)
    return RenderedImage(
        rgb.reshape(*shape, 3), hit.float().reshape(shape), depth.reshape(shape), normal.reshape(*shape, 3)
    )


def view_normals(normals: Float[Tensor, "*pixel 3"], camera: Camera | OrthographicCamera) -> Float[Tensor, "*pixel 3"]:
    """World-space directions in the camera's frame turned upright: x right, y up, z towards the viewer."""
    return normals @ _upright(normals, camera).T


def _rays(
    camera: Camera | OrthographicCamera, proxy: Proxy
) -> tuple[Float[Tensor, "ray 3"], Float[Tensor, "ray 3"], Float[Tensor, "ray"]]:
    """Origins, directions and what was left out before the origins: rays start where they enter the proxy's box.

    From far away single precision would not tell where they meet a surface.
    """
    origins, directions = (rays.reshape(-1, 3).to(proxy.posed.device).double() for rays in camera.rays())
    near, _ = proxy.intervals(origins, directions, torch.zeros_like(origins[:, 0], dtype=torch.long))
    return (origins + near[:, None] * directions).float(), directions.float(), near.float()


def _shaded(normals: Float[Tensor, "point 3"], camera: Camera | OrthographicCamera) -> Float[Tensor, "point"]:
    """Diffuse light of the lamps that shine on meshes, but colourless."""
    lamps = torch.tensor([direction for direction, _, _ in LIGHTS]).to(normals)
    strengths = torch.tensor([strength for _, strength, _ in LIGHTS]).to(normals)
    facing = normals @ (normalize(lamps, dim=1) @ _upright(normals, camera)).T
    return (GREY * (AMBIENT + facing.clamp_min(0) @ strengths)).clamp(0, 1)


def _upright(like: Float[Tensor, "*pixel 3"], camera: Camera | OrthographicCamera) -> Float[Tensor, "3 3"]:
    return camera.camera_from_world[:3, :3].to(like) * torch.tensor([[1.0], [-1.0], [-1.0]]).to(like)
