"""What IMavatar minimises on a tracked video: colours and coverage along rays, through implicit gradients."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from avatars.deform.skinning import DeformationField, forward_skin
from avatars.fields.colour import ColourField
from avatars.fields.geometry import GridGeometry, MlpGeometry
from avatars.fields.patches import PatchedGrid
from avatars.fields.weights import GridWeights
from avatars.fit.video_losses import (
    anchor_loss,
    colour_loss,
    eikonal_loss,
    mask_loss,
    offset_loss,
    prior_loss,
    psnr,
    skinning_loss,
    smooth_loss,
)
from avatars.fit.video_options import VideoFitOptions, VideoRates
from avatars.fit.video_rays import Pictures, PixelRays
from avatars.fit.video_tracks import TrackedFrames
from avatars.meshing import TriangleMesh, extract_surface
from avatars.models.avatar import AvatarInfo
from avatars.models.head_avatar import HeadAvatar, HeadTracks
from avatars.models.head_deformation import HeadDeformation
from avatars.models.head_prior import HeadPrior
from avatars.models.imavatar import Imavatar, PosedSurface
from avatars.render import (
    Proxy,
    RayHits,
    attach_off_surface_gradient,
    attach_surface_gradient,
    trace,
)
from body_models import InputError

NEAR_PRIOR = 0.008
"""Points this near the head model's surface are held to its weights and blendshapes (metres)."""
BESIDE = 0.003
"""How far apart gradients are compared (metres)."""
PERSON = 0.5
"""Pixels that the person covers by more than this count as the person's."""
LEAST_COVERED = 0.05
"""When less of the person's pixels than this shows a surface, the surface is taken for lost."""
LEAST_PIXELS = 20
SMOOTHINGS = 2
"""How often the base grid's gradient is averaged over neighbouring nodes."""
ANCHORS = 512
"""Points of the head model's surface that the surface is held to in a step."""
DISPLACED = 0.1
"""Feature grids of a displacement field move this much slower than those of colours: faster they only grow rough."""
REPORTS = 10
"""How often the likeness to some training pixels is told."""


class Diverged(InputError):
    """The fit has lost its numbers or its surface."""


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


@torch.no_grad()
def note_changes(model: nn.Module) -> None:
    """Raise the version counters of all parameters, by which models know that what they keep is out of date.

    Fused optimisers change parameters without counting.
    """
    for parameter in model.parameters():
        parameter[:0].zero_()


@torch.no_grad()
def surface_mesh(model: Imavatar, resolution: int) -> TriangleMesh:
    """The canonical surface, floating pieces and all; raises Diverged when there is none."""

    def inside(points: Float[Tensor, "point 3"]) -> Float[Tensor, "point"]:
        return -model.sdf(points)

    try:
        return extract_surface(inside, model.box[0], model.box[1], resolution=resolution)
    except InputError as error:
        raise Diverged(f"the surface is gone ({error})") from error


@torch.no_grad()
def posed_vertices(mesh: TriangleMesh, deformation: DeformationField) -> Float[Tensor, "frame vertex 3"]:
    """The vertices of a canonical mesh in all poses of a deformation."""
    count, vertices = len(deformation.posed_from_canonical), mesh.vertices
    frame = torch.arange(count, device=vertices.device).repeat_interleave(len(vertices))
    return forward_skin(deformation, vertices.repeat(count, 1), frame).unflatten(0, (count, -1))


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
        self.say, self.rate_factor = say, 1.0
        self.psnr, self.covered = float("nan"), 1.0
        self._mesh: TriangleMesh | None = None
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
        surface_mesh(self.module.imavatar, self.options.proxy_resolution)

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
            self._mesh, self._proxy = surface_mesh(module.imavatar, options.proxy_resolution), None
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
        on, off = rays_of(rays, shown), rays_of(rays, unmet)
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
        return terms | (self._supervision(fixed, count) if self.options.supervised else {})

    def _roughness(self, surface: PosedSurface, generator: torch.Generator) -> Float[Tensor, ""]:
        """How much the gradient changes along the surface as it was last meshed, where no ray looks too."""
        assert self._mesh is not None
        vertices = self._mesh.vertices
        some = torch.randint(len(vertices), (ANCHORS,), generator=generator)
        points = vertices[some.to(vertices.device)]
        gradient = surface.model.gradient(points)
        return smooth_loss(gradient, surface.model.gradient(_stepped_aside(points, gradient, generator)))

    def _supervision(self, canonical: Float[Tensor, "hit 3"], rays: int) -> dict[str, Tensor]:
        """The head model's weights and blendshapes on surface points that are near its own."""
        motion, factors = self.module.imavatar.motion, self.options.losses
        terms: dict[str, Tensor] = {}
        if motion.weights is None and motion.offsets is None:
            return terms
        truth = self.prior.at(canonical)
        near = truth.distance < NEAR_PRIOR
        if factors.skinning > 0 and motion.weights is not None:
            weights = motion.weights(canonical)
            wanted = truth.weights[:, : weights.shape[1]]
            terms["skinning"] = factors.skinning * skinning_loss(weights, wanted, near, rays)
        if factors.offsets > 0 and motion.offsets is not None:
            terms["offsets"] = factors.offsets * offset_loss(motion.offsets(canonical), truth.basis, near, rays)
        return terms

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


def smoothed_on_grid(values: Float[Tensor, "node channel"], grid: PatchedGrid) -> Float[Tensor, "node channel"]:
    """Values averaged over neighbouring nodes, a few spacings wide.

    As gradients they move the surface in smooth dents instead of node by node (Nicolet et al., Large Steps, 2021).
    """
    parts = []
    for patch, start in zip(grid.patches, grid.offsets, strict=True):
        channels = values[start : start + patch.count].T.reshape(1, -1, *patch.shape)
        for axis in (2, 3, 4) * SMOOTHINGS:
            channels = _mean_of_three(channels, axis)
        parts.append(channels.flatten(2)[0].T)
    return torch.cat(parts)


def _mean_of_three(values: Float[Tensor, "*shape"], axis: int) -> Float[Tensor, "*shape"]:
    """Each value's mean with its neighbours along an axis, zeros beyond the ends."""
    total, count = values.clone(), values.shape[axis] - 1
    total.narrow(axis, 1, count).add_(values.narrow(axis, 0, count))
    total.narrow(axis, 0, count).add_(values.narrow(axis, 1, count))
    return total.div_(3)


def rays_of(rays: PixelRays, some: Bool[Tensor, "ray"]) -> PixelRays:
    """Some of the rays."""
    return PixelRays(rays.frame[some], rays.origins[some], rays.directions[some], rays.rgb[some], rays.alpha[some])


def _on_device(generator: torch.Generator, device: torch.device) -> torch.Generator:
    """A generator for a device, seeded by the given one."""
    seed = int(torch.randint(2**31, (1,), generator=generator))
    return torch.Generator(device).manual_seed(seed)


def geometry_groups(geometry: GridGeometry | MlpGeometry, rates: VideoRates) -> list[dict[str, Any]]:
    """A geometry field's base, feature grids and networks, each with its own step size."""
    own = list(geometry.parameters())
    if not isinstance(geometry, GridGeometry):
        return [{"params": own, "lr": rates.network}]
    tables = list(geometry.grids.parameters())
    return [
        {"params": [geometry.base], "lr": rates.base, "uniform": True},
        {"params": tables, "lr": rates.features},
        {"params": _without(own, [geometry.base, *tables]), "lr": rates.network},
    ]


def motion_groups(motion: HeadDeformation, rates: VideoRates) -> list[dict[str, Any]]:
    """The fields that deform a head, those that it has, each with its own step size."""
    own = list(motion.parameters())
    weights = [] if motion.weights is None else list(motion.weights.parameters())
    offsets = [] if motion.offsets is None else list(motion.offsets.parameters())
    tables = [table for name, table in motion.named_parameters() if "tables" in name.split(".")]
    on_grids = isinstance(motion.weights, GridWeights)
    return [
        {"params": weights, "lr": rates.weights, "uniform": on_grids},
        {"params": offsets, "lr": rates.offsets if on_grids else rates.network, "uniform": on_grids},
        {"params": tables, "lr": DISPLACED * rates.features},
        {"params": _without(own, [*weights, *offsets, *tables]), "lr": rates.network},
    ]


def colour_groups(colour: ColourField, rates: VideoRates) -> list[dict[str, Any]]:
    """A colour field's feature grids and network, each with its own step size."""
    tables = list(colour.grids.parameters())
    return [
        {"params": tables, "lr": rates.features},
        {"params": _without(list(colour.parameters()), tables), "lr": rates.network},
    ]


def _without(parameters: list[nn.Parameter], others: list[nn.Parameter]) -> list[nn.Parameter]:
    return [parameter for parameter in parameters if all(parameter is not other for other in others)]
