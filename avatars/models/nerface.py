"""NerFACE: a radiance field about a head, told its expression, in the root joint's frame (arXiv 2012.03065)."""

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from avatars.fields.grid import GridSpec
from avatars.fields.radiance import FIRST_DENSITY, RadianceField
from avatars.models.imavatar_options import HeadSizes
from avatars.render.rays import box_interval
from avatars.render.volume import Composite, composite, even_edges, resampled_edges
from body_models import InputError, Skeleton
from body_models.skeleton import rotation_matrices

FADING = 0.85
"""What is left of the expected density at each renewal, where nothing is found any more."""
NORMAL_REACH = 0.004
"""Densities this far about a point make its normal (metres)."""
NORMAL_LOOKS = 24
"""In how many directions they are looked up; along the axes only, sharp surfaces would seem to be steps."""


@dataclass(frozen=True)
class NerfaceOptions:
    """Sizes of a radiance field and of its sampling, made for processors (lengths in metres)."""

    feature_spacings: tuple[float, ...] = (0.03, 0.012, 0.005, 0.0025)
    """Spacings of the feature grids."""
    feature_channels: int = 4
    """Channels of each of these grids."""
    width: int = 64
    """Hidden units of the decoder's layers."""
    feature_size: int = 16
    """Numbers that the density's part of the decoder tells the colour's."""
    expected_spacing: float = 0.0125
    """Spacing of the grid that remembers where density is expected."""
    looks: int = 48
    """Intervals of a ray in that grid, by which the others are placed."""
    samples: int = 20
    """Points of a ray at which the field is asked."""
    floor: float = 0.1
    """Share of these points that is spread evenly."""

    def __post_init__(self) -> None:
        for option in fields(self):
            values = getattr(self, option.name)
            for value in values if isinstance(values, tuple) else (values,):
                if not value > 0:
                    raise InputError(f"The option {option.name} must be above zero, not {value}.")
        if not self.floor < 1 or not self.feature_spacings:
            raise InputError("The option floor must be below 1, and feature_spacings must name a spacing at least.")


class Nerface(nn.Module):
    """One head as density and colour in the root joint's frame (metres, Y up, facing +Z).

    The expected density is no parameter: it is renewed now and then, and only decides where rays look closely.
    """

    joints: Tensor
    box: Tensor
    """Lowest and highest corner of the space about the head; nothing lies beyond."""
    expected: Tensor

    def __init__(
        self,
        options: NerfaceOptions,
        skeleton: Skeleton,
        sizes: HeadSizes,
        joints: Float[Tensor, "bone 3"],
        box: Float[Tensor, "2 3"],
    ) -> None:
        super().__init__()
        self.options, self.skeleton, self.sizes = options, skeleton, sizes
        self.register_buffer("joints", joints)
        self.register_buffer("box", box)
        self.expected_grid = GridSpec.covering(box[0], box[1], options.expected_spacing)
        self.register_buffer("expected", torch.full((self.expected_grid.count,), FIRST_DENSITY).to(joints))
        levels = [
            (GridSpec.covering(box[0], box[1], spacing), options.feature_channels)
            for spacing in options.feature_spacings
        ]
        jaw = 3 if "jaw" in skeleton.joint_names else 0
        x, y, z = box.mean(0).tolist()
        self.field = RadianceField(levels, sizes.expressions + jaw, options.width, options.feature_size, (x, y, z))

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.joints.device

    def condition(
        self, poses: Float[Tensor, "frame bone 3"], expressions: Float[Tensor, "frame expression"]
    ) -> Float[Tensor, "frame condition"]:
        """What the field is told of each frame: expression and jaw.

        Raises InputError for poses or expressions of another head model.
        """
        if poses.shape[1] != len(self.skeleton) or expressions.shape[1] != self.sizes.expressions:
            raise InputError(
                f"Poses of {poses.shape[1]} joints and {expressions.shape[1]} expression parameters do not fit this "
                f"head, which has {len(self.skeleton)} and {self.sizes.expressions}. Motion of another head model is "
                "brought over by the names of its expressions."
            )
        if "jaw" not in self.skeleton.joint_names:
            return expressions
        return torch.cat([expressions, poses[:, self.skeleton.index("jaw")]], 1)

    def posed(
        self,
        poses: Float[Tensor, "frame bone 3"],
        translations: Float[Tensor, "frame 3"],
        expressions: Float[Tensor, "frame expression"],
    ) -> "PosedRadiance":
        """The volume in some frames; differentiable by the field, poses, translations and expressions."""
        told = self.field.tell(self.condition(poses, expressions))
        return PosedRadiance(self, rotation_matrices(poses[:, 0]), translations + self.joints[0], told)

    @torch.no_grad()
    def renew_expected(self, told: Float[Tensor, "frame told"], generator: torch.Generator) -> None:
        """Look up the density near every node in one of the frames, and keep the most that was seen of late."""
        grid = self.expected_grid
        shift = grid.spacing * (torch.rand(grid.count, 3, generator=generator) - 0.5)
        frame = torch.randint(len(told), (grid.count,), generator=generator).to(told.device)
        points = (grid.nodes() + shift).to(self.box)
        density = self.field.density_at(points[:, None], told[frame])[:, 0]
        self.expected.copy_(torch.maximum(FADING * self.expected, density))

    def expected_at(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
        """What is expected at the nearest node (per metre)."""
        spec = self.expected_grid
        most = points.new_tensor(spec.shape) - 1
        nearest = ((points - points.new_tensor(spec.lower)) / spec.spacing).round()
        x, y, z = nearest.clamp(torch.zeros_like(most), most).long().unbind(-1)
        return self.expected[(x * spec.shape[1] + y) * spec.shape[2] + z]


@dataclass(frozen=True)
class PosedRadiance:
    """A head's volume in several frames."""

    model: Nerface
    rotations: Float[Tensor, "frame 3 3"]
    """The head's, to the world."""
    places: Float[Tensor, "frame 3"]
    """The root joint's, in the world (metres)."""
    told: Float[Tensor, "frame told"]

    def see(
        self,
        origins: Float[Tensor, "ray 3"],
        directions: Float[Tensor, "ray 3"],
        frame: Int[Tensor, "ray"],
        samples: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Composite:
        """What rays with unit directions (world) see; a generator places the samples at random.

        Differentiable by the field and by the frames' poses, places and expressions.
        """
        model, options = self.model, self.model.options
        local, toward = self._in_head(origins, directions, frame)
        edges = self._edges(local.detach(), toward.detach(), samples or options.samples, generator)
        middles = 0.5 * (edges[:, 1:] + edges[:, :-1])
        points = local[:, None] + middles[..., None] * toward[:, None]
        density, colour = model.field(points, toward, self.told[frame])
        return composite(density, colour, edges)

    @torch.no_grad()
    def expects(
        self, origins: Float[Tensor, "ray 3"], directions: Float[Tensor, "ray 3"], frame: Int[Tensor, "ray"]
    ) -> Float[Tensor, "ray"]:
        """The optical depth that rays are expected to have, at little cost; more rather than less."""
        edges, density = self._expected(*self._in_head(origins, directions, frame), None)
        return (density * edges.diff(dim=1)).sum(1)

    @torch.no_grad()
    def normals(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        """Unit normals (world) at points in the world: where the density falls fastest over a few millimetres."""
        local, told = self._to_head(points, frame), self.told[frame]
        about = _all_around(NORMAL_LOOKS).to(points)
        density = self.model.field.density_at(local[:, None] + NORMAL_REACH * about, told)
        clear = torch.exp(-NORMAL_REACH * density)  # what is opaque anyway differs no more
        falls = (clear - clear.mean(1, keepdim=True)) @ about
        return normalize((self.rotations[frame] @ falls[..., None])[..., 0], dim=1)

    def _edges(
        self,
        origins: Float[Tensor, "ray 3"],
        directions: Float[Tensor, "ray 3"],
        samples: int,
        generator: torch.Generator | None,
    ) -> Float[Tensor, "ray edge"]:
        """Where the field is asked: evenly first, then by what the expected density lets be seen."""
        edges, density = self._expected(origins, directions, generator)
        seen = composite(density, density.new_zeros(*density.shape, 3), edges).weights
        return resampled_edges(edges, seen, samples, self.model.options.floor, generator)

    def _expected(
        self, origins: Float[Tensor, "ray 3"], directions: Float[Tensor, "ray 3"], generator: torch.Generator | None
    ) -> tuple[Float[Tensor, "ray edge"], Float[Tensor, "ray look"]]:
        """Even intervals in the box, and the density that is expected there."""
        model = self.model
        near, far = box_interval(origins, directions, *(side.expand_as(origins) for side in model.box))
        edges = even_edges(near, far, model.options.looks, generator)
        middles = 0.5 * (edges[:, 1:] + edges[:, :-1])
        return edges, model.expected_at(origins[:, None] + middles[..., None] * directions[:, None])

    def _in_head(
        self, origins: Float[Tensor, "ray 3"], directions: Float[Tensor, "ray 3"], frame: Int[Tensor, "ray"]
    ) -> tuple[Float[Tensor, "ray 3"], Float[Tensor, "ray 3"]]:
        turned = (self.rotations[frame].mT @ directions[..., None])[..., 0]
        return self._to_head(origins, frame), turned

    def _to_head(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        moved = points - self.places[frame]
        return (self.rotations[frame].mT @ moved[..., None])[..., 0] + self.model.joints[0]


def _all_around(count: int) -> Float[Tensor, "count 3"]:
    """Unit vectors evenly spread over all directions, on a spiral with the golden angle."""
    step = torch.arange(count)
    height = 1 - (2 * step + 1) / count
    turn = math.pi * (3 - math.sqrt(5)) * step
    wide = (1 - height.square()).sqrt()
    return torch.stack([wide * turn.cos(), height, wide * turn.sin()], 1)
