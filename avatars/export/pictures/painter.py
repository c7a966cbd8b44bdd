"""Pictures of an avatar of any kind, without what is behind it."""

from dataclasses import replace

import torch

from avatars.export.films.crop import crop_around
from avatars.export.pictures.render_options import RGB, RenderOptions
from avatars.meshing import TriangleMesh
from avatars.models.avatar import PosedAvatar
from avatars.models.head_avatar import PosedHead
from avatars.models.nerface_avatar import PosedNerface
from body_models import InputError
from data_prep.camera import Camera
from data_prep.pictures import RenderedImage, render_surface
from data_prep.pictures.face_colours import FaceColours
from data_prep.pictures.mesh import BACKGROUND, linear_to_srgb, merged, srgb_to_linear
from data_prep.surface import Surface


class Painter:
    """Draws one avatar in pose after pose, and keeps what does not change from each to the next."""

    def __init__(self, options: RenderOptions) -> None:
        self.options = options
        self._posed: PosedAvatar | None = None
        self._surface: Surface | None = None
        self._colours: torch.Tensor | FaceColours | None = None

    def picture(self, posed: PosedAvatar | PosedHead, camera: Camera) -> RenderedImage:
        """What a camera sees; colours are the figure's alone (linear), zero where it is not."""
        return self._head(posed, camera) if isinstance(posed, PosedHead) else self._body(posed, camera)

    def _head(self, posed: PosedHead, camera: Camera) -> RenderedImage:
        rays = self.options.supersampling
        fine = camera.resized(rays * camera.width, rays * camera.height)
        image = posed.render(fine, self.options.exact, self.options.resolution, background=0.0)
        if isinstance(posed, PosedNerface):
            image = _light_of_volume(image)
        return _alone(merged(image, rays), 0.0)

    def _body(self, posed: PosedAvatar, camera: Camera) -> RenderedImage:
        surface = self._surface_of(posed)
        camera = camera.to(surface.device)
        image = _nothing(camera)
        crop = crop_around(surface.vertices, camera)
        if crop is not None:
            rays, light = self.options.supersampling, self.options.light
            part = render_surface(surface, crop.camera, self._colours, supersampling=rays, light=light)
            part = _alone(part, BACKGROUND)
            for whole, cut in zip(vars(image).values(), vars(part).values(), strict=True):
                whole[crop.rows, crop.columns] = cut
        return image

    def _surface_of(self, posed: PosedAvatar) -> Surface:
        resolution, exact = self.options.resolution, self.options.exact
        if self._surface is None or (exact and posed is not self._posed):
            mesh = posed.mesh(resolution, exact)
            self._surface, self._colours = Surface(mesh.vertices, mesh.faces), self._colours_of(posed, mesh)
        elif posed is not self._posed:
            self._surface.update(posed.mesh(resolution, exact=False).vertices)
        self._posed = posed
        return self._surface

    def _colours_of(self, posed: PosedAvatar, mesh: TriangleMesh) -> torch.Tensor | FaceColours | None:
        """Of the vertices of an exact surface; within the faces of a skinned one, which is finer."""
        options = self.options
        if options.light == "none" and posed.avatar.colour is None:
            raise InputError("This avatar has no colours, so without light nothing is seen; leave --light away.")
        if not options.colours or RGB not in options.maps:
            return None
        return posed.colours(mesh.vertices) if options.exact else posed.avatar.face_colours(options.resolution)


def _alone(image: RenderedImage, background: float) -> RenderedImage:
    """The picture without the linear grey that is mixed into the colours of its edges."""
    share = image.mask[..., None]
    rgb = (image.rgb - (1 - share) * background) / share.clamp_min(1e-6)
    return replace(image, rgb=torch.where(share > 0, rgb.clamp(0, 1), 0.0))


def _light_of_volume(image: RenderedImage) -> RenderedImage:
    """A volume's picture before black, which it mixes coded, mixed linearly as those of surfaces are."""
    share = image.mask[..., None]
    coded = linear_to_srgb(image.rgb) / share.clamp_min(1e-6)
    return replace(image, rgb=torch.where(share > 0, srgb_to_linear(coded.clamp(0, 1)) * share, 0.0))


def _nothing(camera: Camera) -> RenderedImage:
    rgb = torch.zeros(camera.height, camera.width, 3, device=camera.intrinsics.device)
    return RenderedImage(rgb, rgb[..., 0].clone(), torch.full_like(rgb[..., 0], torch.inf), rgb.clone())
