"""What IMavatar minimises on a tracked video: colours and coverage along rays, through implicit gradients."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from avatars.fields.geometry import GridGeometry
from avatars.fit.video_groups import colour_groups, geometry_groups, motion_groups
from avatars.fit.video_losses import (
    anchor_loss,
    colour_loss,
    eikonal_loss,
    mask_loss,
    normal_loss,
    prior_loss,
    psnr,
    smooth_loss,
)
from avatars.fit.video_options import VideoFitOptions
from avatars.fit.video_rays import Pictures, PixelRays
from avatars.fit.video_surface import Diverged, area, check_rags, note_changes, smoothed_on_grid, surface_mesh
from avatars.fit.video_terms import HeadTerms
from avatars.fit.video_tracks import TrackedFrames
from avatars.meshing import TriangleMesh
from avatars.models.avatar import AvatarInfo
from avatars.models.head_avatar import HeadAvatar, HeadTracks
from avatars.models.head_prior import HeadPrior
from avatars.models.imavatar import Imavatar, PosedSurface
from avatars.render import (
    Proxy,
    RayHits,
    attach_off_surface_gradient,
    attach_surface_gradient,
    trace,
)

BESIDE = 0.003
"""How far apart gradients are compared (metres)."""
PERSON = 0.5
"""Pixels that the person covers by more than this count as the person's."""
LEAST_COVERED = 0.05
"""When less of the person's pixels than this shows a surface, the surface is taken for lost."""
LEAST_PIXELS = 20
ANCHORS = 512
"""Points of the head model's surface that the surface is held to in a step."""
REPORTS = 10
"""How often the likeness to some training pixels is told."""


class TrackedImavatar(TrackedFrames):
    """An IMavatar with the tracks of the frames that it is fitted to, and their corrections."""

    def __init__(
        self,
        imavatar: Imavatar,
        poses: Float[Tensor, "frame bone 3"],
        translations: Float[Tensor, "frame 3"],
        expressions: Float[Tensor, "frame expression"],
    ) -> None:
        super().__init__(poses, translations, expressions)
        self.imavatar = imavatar

    @property
    def model(self) -> Imavatar:
        """The head."""
        return self.imavatar


class VideoMethod:
    """IMavatar on the frames of one video (metres, Y up; OpenCV cameras)."""

    def __init__(
        self,
        module: TrackedImavatar,
        prior: HeadPrior,
        pictures: Pictures,
        options: VideoFitOptions,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.module, self.prior, self.pictures, self.options = module, prior, pictures, options
        self.supervision = HeadTerms(prior, module.imavatar.options.ghost)
        self.say, self.rate_factor = say, 1.0
        self.psnr, self.covered = float("nan"), 1.0
        self._mesh: TriangleMesh | None = None
        self._first_area = torch.inf
        self._proxy: Proxy | None = None
        geometry = module.imavatar.geometry
        if isinstance(geometry, GridGeometry):
            grid = geometry.base_grid
            geometry.base.register_hook(lambda gradient: smoothed_on_grid(gradient, grid))
        for parameter in (module.pose_shift, module.translation_shift, module.expression_shift):
            parameter.requires_grad_(options.refine)

    def restart(self, rate_factor: float) -> None:
        """Begin anew from the module as it is, with all step sizes multiplied."""
        self.rate_factor, self._mesh, self._proxy = rate_factor, None, None

    def check(self) -> None:
        """Raise Diverged when the fitted head has no surface."""
        note_changes(self.module)
        self._mesh_anew()

    def avatar(self, tracks: HeadTracks, info: AvatarInfo) -> HeadAvatar:
        """The fitted head."""
        return HeadAvatar(self.module.imavatar, tracks, info)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Each kind of parameter with its own step size."""
        model, rates = self.module.imavatar, self.options.rates
        groups = [*geometry_groups(model.geometry, rates), *colour_groups(model.colour, rates)]
        groups += motion_groups(model.motion, rates)
        if self.options.refine:
            module = self.module
            groups += [
                {"params": [module.pose_shift], "lr": rates.pose},
                {"params": [module.translation_shift], "lr": rates.translation},
                {"params": [module.expression_shift], "lr": rates.expression},
            ]
        return [{**group, "lr": self.rate_factor * group["lr"]} for group in groups if group["params"]]

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """All terms on random rays of random frames; raises Diverged when the numbers or the surface are lost."""
        options, module = self.options, self.module
        if self._mesh is None or step % options.refresh == 0:
            note_changes(module.imavatar)
            self._mesh_anew()
        chosen = torch.randperm(len(self.pictures), generator=generator)[: options.frames_per_step]
        rays = self.pictures.draw(chosen, options.rays, options.face_share, generator)
        rays = rays.to(module.poses.device)
        chosen = chosen.to(module.poses.device)
        poses, translations, expressions = module.corrected(chosen)
        surface = module.imavatar.posed(poses, translations, expressions)
        proxy = self._posed(surface)
        hits = trace(rays.origins, rays.directions, rays.frame, surface, proxy, options.trace)
        terms = self._rendering(rays, hits, surface, generator)
        if options.refine:
            shifts = (module.pose_shift[chosen], module.translation_shift[chosen], module.expression_shift[chosen])
            terms["prior"] = options.losses.prior * prior_loss(*shifts)
        if self.say is not None and step % max(1, options.steps // REPORTS) == 0:
            self.say(
                f"  step {step}: {self.psnr:.1f} dB on {len(rays.frame)} rays, {self.covered:.0%} of the person met"
            )
        lost = [name for name, term in terms.items() if not bool(torch.isfinite(term))]
        if lost:
            raise Diverged(f"the loss is no longer finite ({', '.join(lost)})")
        return terms

    def _rendering(
        self,
        rays: PixelRays,
        hits: RayHits,
        surface: PosedSurface,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Terms of what the rays meet; the rows with a hit on the person show colour, all others coverage."""
        factors, count = self.options.losses, len(rays.frame)
        person = rays.alpha > PERSON
        shown = hits.hit & person
        self._check_covered(person, shown)
        # What lies beyond the box cannot be modelled, and would pull at poses and blendshapes.
        unmet = ~shown & ~self._beyond(surface.canonical(hits.canonical, rays.frame))
        on, off = rays.rows(shown), rays.rows(unmet)
        canonical = attach_surface_gradient(hits.rows(shown), on.origins, on.directions, on.frame, surface)
        beside = attach_off_surface_gradient(hits.rows(unmet), off.origins, off.directions, off.frame, surface)
        shade = surface.shade(canonical, on.frame)
        rgb, gradient = shade.colours, shade.gradient
        self.psnr = psnr(rgb.detach(), on.rgb, on.alpha)
        terms = {
            "colour": factors.colour * colour_loss(rgb, on.rgb, on.alpha, count),
            "mask": factors.mask * mask_loss(surface.sdf(beside, off.frame), off.alpha, factors.sharpness, count),
        }
        fixed = canonical.detach()
        if factors.smooth > 0:
            near = surface.sdf_gradient(_stepped_aside(fixed, gradient, generator), on.frame)
            terms["smooth"] = factors.smooth * (smooth_loss(gradient, near) + self._roughness(surface, generator))
            gradient = near
        if factors.eikonal > 0:
            terms["eikonal"] = factors.eikonal * eikonal_loss(gradient)
        if factors.anchor > 0:
            anchors = self.prior.surface.sample(ANCHORS, _on_device(generator, fixed.device)).points
            terms["anchor"] = factors.anchor * anchor_loss(surface.model.sdf(anchors))
        if factors.normal > 0 and on.normal is not None:
            terms["normal"] = factors.normal * normal_loss(shade.normals, on.normal, count)
        if self.options.supervised:
            terms |= self.supervision(self.module.imavatar.motion, fixed, on.label, factors, count)
        return terms

    def _mesh_anew(self) -> None:
        """Mesh the surface as it is; a resumed fit takes its first sight of it for the beginning."""
        self._mesh, self._proxy = surface_mesh(self.module.imavatar, self.options.proxy_resolution), None
        if self._first_area == torch.inf and isinstance(self.module.imavatar.geometry, GridGeometry):
            self._first_area = area(self._mesh)
        check_rags(self._mesh, self._first_area)

    def _roughness(self, surface: PosedSurface, generator: torch.Generator) -> Float[Tensor, ""]:
        """How much the gradient changes along the surface as it was last meshed, where no ray looks too."""
        assert self._mesh is not None
        vertices = self._mesh.vertices
        some = torch.randint(len(vertices), (ANCHORS,), generator=generator)
        points = vertices[some.to(vertices.device)]
        gradient = surface.model.gradient(points)
        return smooth_loss(gradient, surface.model.gradient(_stepped_aside(points, gradient, generator)))

    def _beyond(self, canonical: Float[Tensor, "ray 3"]) -> Bool[Tensor, "ray"]:
        box = self.module.imavatar.box
        return ((canonical < box[0]) | (canonical > box[1])).any(1)

    def _posed(self, surface: PosedSurface) -> Proxy:
        """The proxy mesh in this step's poses."""
        assert self._mesh is not None
        own, posed = surface.placed(self._mesh.vertices)
        if not bool(posed.isfinite().all()):
            raise Diverged("the deformation is no longer finite")
        if self._proxy is None:
            self._proxy = Proxy(own, self._mesh.faces, posed)
        else:
            self._proxy.move(posed, own)
        return self._proxy

    def _check_covered(self, person: Bool[Tensor, "ray"], shown: Bool[Tensor, "ray"]) -> None:
        pixels = int(person.sum())
        if pixels >= LEAST_PIXELS:
            self.covered = int(shown.sum()) / pixels
            if self.covered < LEAST_COVERED:
                raise Diverged(f"the surface covers {self.covered:.0%} of the person")


def _stepped_aside(
    points: Float[Tensor, "point 3"], gradient: Float[Tensor, "point 3"], generator: torch.Generator
) -> Float[Tensor, "point 3"]:
    """Points a little aside along the surface; across it one would compare the two sides of lips and nostrils."""
    step = BESIDE * torch.randn(points.shape, generator=generator).to(points)
    normal = normalize(gradient.detach(), dim=1)
    return points + step - (step * normal).sum(1, keepdim=True) * normal


def _on_device(generator: torch.Generator, device: torch.device) -> torch.Generator:
    """A generator for a device, seeded by the given one."""
    seed = int(torch.randint(2**31, (1,), generator=generator))
    return torch.Generator(device).manual_seed(seed)
