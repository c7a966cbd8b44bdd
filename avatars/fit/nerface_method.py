"""What NerFACE minimises on a tracked video: colours and coverage of volume-rendered rays, as in arXiv 2012.03065."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.fit.video_losses import prior_loss, psnr
from avatars.fit.video_options import VideoFitOptions
from avatars.fit.video_rays import Pictures, PixelRays
from avatars.fit.video_surface import Diverged
from avatars.fit.video_tracks import TrackedFrames
from avatars.models.avatar import AvatarInfo
from avatars.models.head_avatar import HeadTracks
from avatars.models.head_start import head_box
from avatars.models.imavatar_options import HeadSizes, ImavatarOptions
from avatars.models.nerface import Nerface, NerfaceOptions
from avatars.models.nerface_avatar import NerfaceAvatar
from avatars.render.volume import Composite, opacity_loss
from body_models import Body

WHITE = 1.0
PERSON = 0.5
"""Pixels that the person covers by more than this count as the person's."""
LEAST_COVERED = 0.05
"""When less of the person's pixels than this is covered by then, the head is taken for lost."""
LEAST_PIXELS = 20
GROWN = 200
"""Steps after which a head must be there; before, the fog may be thin."""
REPORTS = 10
"""How often the likeness to some training pixels is told."""


class TrackedNerface(TrackedFrames):
    """A NerFACE with the tracks of the frames that it is fitted to, and their corrections."""

    def __init__(
        self,
        nerface: Nerface,
        poses: Float[Tensor, "frame bone 3"],
        translations: Float[Tensor, "frame 3"],
        expressions: Float[Tensor, "frame expression"],
    ) -> None:
        super().__init__(poses, translations, expressions)
        self.nerface = nerface

    @property
    def model(self) -> Nerface:
        """The head."""
        return self.nerface


def nerface_from_head(body: Body, options: NerfaceOptions, space: ImavatarOptions) -> Nerface:
    """An untrained NerFACE in the box about a tracked head that the other methods' canonical space has, too."""
    count = 0 if body.expression_basis is None else len(body.expression_basis)
    box = head_box(body.canonical(), space)
    return Nerface(options, body.skeleton, HeadSizes(count), body.joints, box)


class NerfaceMethod:
    """NerFACE on the frames of one video (metres, Y up; OpenCV cameras)."""

    def __init__(
        self,
        module: TrackedNerface,
        pictures: Pictures,
        options: VideoFitOptions,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.module, self.pictures, self.options = module, pictures, options
        self.say, self.rate_factor = say, 1.0
        self.psnr, self.covered = float("nan"), 1.0
        for parameter in (module.pose_shift, module.translation_shift, module.expression_shift):
            parameter.requires_grad_(options.refine)

    def restart(self, rate_factor: float) -> None:
        """Begin anew from the module as it is, with all step sizes multiplied."""
        self.rate_factor = rate_factor

    def check(self) -> None:
        """Raise Diverged when the fitted head is nowhere."""
        self._check_covered()

    def avatar(self, tracks: HeadTracks, info: AvatarInfo) -> NerfaceAvatar:
        """The fitted head."""
        return NerfaceAvatar(self.module.nerface, tracks, info)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Each kind of parameter with its own step size."""
        module, rates = self.module, self.options.rates
        field = module.nerface.field
        tables = list(field.grids.parameters())
        own = [one for one in field.parameters() if all(one is not table for table in tables)]
        groups: list[dict[str, Any]] = [
            {"params": tables, "lr": rates.features},
            {"params": own, "lr": rates.network},
        ]
        if self.options.refine:
            groups += [
                {"params": [module.pose_shift], "lr": rates.pose},
                {"params": [module.translation_shift], "lr": rates.translation},
                {"params": [module.expression_shift], "lr": rates.expression},
            ]
        return [{**group, "lr": self.rate_factor * group["lr"]} for group in groups]

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """All terms on random rays of random frames; raises Diverged when the numbers or the head are lost."""
        options, module = self.options, self.module
        chosen = torch.randperm(len(self.pictures), generator=generator)[: options.frames_per_step]
        rays = self.pictures.draw(chosen, options.rays, options.face_share, generator).to(module.poses.device)
        chosen = chosen.to(module.poses.device)
        volume = module.nerface.posed(*module.corrected(chosen))
        if step % options.refresh == 0:
            module.nerface.renew_expected(volume.told.detach(), generator)
        seen = volume.see(rays.origins, rays.directions, rays.frame, generator=generator)
        terms = self._likeness(rays, seen)
        if options.refine:
            shifts = (module.pose_shift[chosen], module.translation_shift[chosen], module.expression_shift[chosen])
            terms["prior"] = options.losses.prior * prior_loss(*shifts)
        if self.say is not None and step % max(1, options.steps // REPORTS) == 0:
            self.say(f"  step {step}: {self.psnr:.1f} dB on {len(rays.frame)} rays, {self.covered:.0%} of the person")
        lost = [name for name, term in terms.items() if not bool(torch.isfinite(term))]
        if lost:
            raise Diverged(f"the loss is no longer finite ({', '.join(lost)})")
        if step >= GROWN:
            self._check_covered()
        return terms

    def _likeness(self, rays: PixelRays, seen: Composite) -> dict[str, Tensor]:
        """Colours before white, and coverage."""
        factors, alpha = self.options.losses, rays.alpha[:, None]
        rgb, shown = seen.before(WHITE), rays.rgb * alpha + WHITE * (1 - alpha)
        person = rays.alpha > PERSON
        if int(person.sum()) >= LEAST_PIXELS:
            self.covered = float(seen.opacity.detach()[person].mean())
            self.psnr = psnr(rgb.detach(), shown, rays.alpha)
        return {
            "colour": factors.colour * (rgb - shown).abs().mean(),
            "mask": factors.mask * opacity_loss(seen.depth, rays.alpha),
        }

    def _check_covered(self) -> None:
        if self.covered < LEAST_COVERED:
            raise Diverged(f"the head covers {self.covered:.0%} of the person")
