"""gDNA: many people in clothes, told apart by codes, in one canonical space (CVPR 2022, arXiv 2201.04123).

Canonical space is that of the mean build, clothes on. A person's own build is a blendshape offset of the shared
forward deformation, `x_posed = T(w(x, z); pose, betas) (x + offset(x, betas))`, so the search that inverts poses also
inverts builds: the publication's separate warp network is not needed, and skinning weights are read in one space only.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from avatars.deform.gradient import attach_gradient
from avatars.deform.people import PeopleSkinning, search_people
from avatars.deform.roots import Roots
from avatars.deform.sampled import SampledSkinning, SampledWeights
from avatars.fields.coded_weights import GridCodedWeights, MlpCodedWeights
from avatars.fields.eigen_volumes import EigenVolumes
from avatars.fields.encoding import FeatureGrids
from avatars.fields.generator import VolumeGenerator
from avatars.fields.grid import GridSpec
from avatars.fields.normals import GridNormals, MlpNormals
from avatars.fields.patches import patched_grid
from avatars.fields.people_occupancy import GridPeopleOccupancy, MlpPeopleOccupancy, PeopleShape, coarse_normals
from avatars.models.gdna_options import GdnaOptions
from avatars.models.gdna_space import PeopleSpace
from avatars.models.snarf import hard_maximum

__all__ = ["Gdna", "GdnaOptions"]

PUBLISHED_OCTAVES, PUBLISHED_DEPTH = 4, 4
SEARCHES = 50
"""While training, a table of mean weights serves this many searches."""
SHAPE_SPREAD, DETAIL_SPREAD = 0.02, 0.1
"""Of the feature volumes' bases before they are trained."""


class Gdna(nn.Module):
    """The networks of a prior of people (metres, Y up, facing +Z).

    `space` holds what is known of the body model, `active` the nodes of the two codes' feature volumes that have
    values (shape code's, detail code's).
    """

    def __init__(
        self, options: GdnaOptions, space: PeopleSpace, active: tuple[Int[Tensor, "shape"], Int[Tensor, "detail"]]
    ) -> None:
        super().__init__()
        self.options, self.space = options, space
        self._mean: SampledWeights | None = None
        self._searches = 0
        lower, upper = space.box[0], space.box[1]
        bones, codes = len(space.skeleton), options.shape_code
        if options.network == "grid":
            base = patched_grid(lower, upper, options.base_spacing, list(space.parts), options.part_base_spacing)
            volumes = EigenVolumes(
                volume_grid(space, options.volume_spacing), active[0], codes, options.volume_channels, SHAPE_SPREAD
            )
            self.occupancy: GridPeopleOccupancy | MlpPeopleOccupancy = GridPeopleOccupancy(
                base, volumes, FeatureGrids(self._shared_grids()), options.reach, options.width, options.feature_size
            )
            patterns = patched_grid(lower, upper, options.pattern_spacing)
            self.weights: GridCodedWeights | MlpCodedWeights = GridCodedWeights(
                space.grid, patterns, bones, codes, options.weight_rank
            )
        else:
            generator = VolumeGenerator(lower, upper, codes)
            sizes = (options.mlp_width, PUBLISHED_DEPTH, PUBLISHED_OCTAVES)
            self.occupancy = MlpPeopleOccupancy(generator, (lower + upper) / 2, options.edge, *sizes)
            self.weights = MlpCodedWeights(space.grid, bones, codes)
        self.normals = self._normal_field(active[1])

    def _shared_grids(self) -> list[tuple[GridSpec, int]]:
        """Feature grids that are the same for all people, with their channels."""
        options, box = self.options, self.space.box
        specs = [GridSpec.covering(box[0], box[1], spacing) for spacing in options.feature_spacings]
        return [(spec, options.feature_channels) for spec in specs]

    def _normal_field(self, active: Int[Tensor, "detail"]) -> GridNormals | MlpNormals:
        options, size = self.options, self.occupancy.feature_size
        if options.network == "grid":
            grid = volume_grid(self.space, options.detail_spacing)
            volume = EigenVolumes(grid, active, options.detail_code, options.detail_channels, DETAIL_SPREAD)
            return GridNormals(volume, self._shared_grids(), size, options.width)
        x, y, z = ((self.space.box[0] + self.space.box[1]) / 2).tolist()
        return MlpNormals(options.detail_code, size, options.mlp_width, centre=(x, y, z))

    def skinning(
        self,
        codes: Float[Tensor, "frame code"],
        betas: Float[Tensor, "frame betas"],
        pose: Float[Tensor, "frame bone 3"],
        translation: Float[Tensor, "frame 3"],
    ) -> PeopleSkinning:
        """The deformation of people in poses, a frame each; differentiable by all of it."""
        bones = self.space.posed_from_canonical(pose, translation, betas)
        offsets = self.space.offsets(betas)
        prepared = self._mean_weights()
        mean = SampledSkinning(self.space.grid, prepared.log_weights, bones.detach(), offsets.detach(), prepared)
        return PeopleSkinning(self.weights, self.weights.tables(codes), mean, bones, offsets, self.space.grid)

    def _mean_weights(self) -> SampledWeights:
        """Everybody's mean weights as searches take them; while training made anew after some steps only.

        Searches go on from them to each person's own, as they are now, so that they need not be the latest.
        """
        if self._mean is None or (self.training and self._searches >= SEARCHES):
            with torch.no_grad():
                log_weights = self.weights.mean_at_nodes().clone()
            self._mean, self._searches = SampledWeights(self.space.grid, log_weights), 0
        self._searches += 1
        return self._mean

    def train(self, mode: bool = True) -> "Gdna":
        """Switch between training and use; the search's table of weights is made anew."""
        self._mean = None
        super().train(mode)
        return self

    def find_roots(self, posed: Float[Tensor, "point 3"], frame: Int[Tensor, "point"], field: PeopleSkinning) -> Roots:
        """Canonical roots of posed points, each of the person of its frame (no gradients)."""
        return search_people(posed, frame, field, self.options.search)

    def shape(self, codes: Float[Tensor, "subject code"]) -> PeopleShape:
        """What shape codes say of surfaces, computed once for many points."""
        return self.occupancy.shape(codes)

    def logits(
        self, canonical: Float[Tensor, "point 3"], subject: Int[Tensor, "point"], shape: PeopleShape
    ) -> Float[Tensor, "point"]:
        """Occupancy logits at canonical points, positive inside; beyond the box everything is outside."""
        box = self.space.box
        beyond = ((canonical - box[1]).clamp_min(0) + (box[0] - canonical).clamp_min(0)).norm(dim=1)
        return -(self.occupancy(canonical, subject, shape).sdf + beyond) / self.options.edge

    def forward(
        self,
        posed: Float[Tensor, "point 3"],
        frame: Int[Tensor, "point"],
        shape: PeopleShape,
        field: PeopleSkinning,
    ) -> Float[Tensor, "point"]:
        """Occupancy logits at posed points: the largest of all roots, while training too (gDNA, section 3.3)."""
        roots = self.find_roots(posed, frame, field)
        canonical = roots.canonical
        if torch.is_grad_enabled():
            canonical = attach_gradient(roots, posed, frame, field)
        return hard_maximum(self.logits(canonical, frame[roots.point], shape), roots)

    def coarse_normals(
        self, canonical: Float[Tensor, "point 3"], subject: Int[Tensor, "point"], shape: PeopleShape
    ) -> Float[Tensor, "point 3"]:
        """Unit normals of the coarse surface in canonical space, constant to gradients."""
        return coarse_normals(lambda at, of: self.occupancy(at, of, shape).sdf, canonical, subject)

    def detail_normals(
        self,
        canonical: Float[Tensor, "point 3"],
        subject: Int[Tensor, "point"],
        shape: PeopleShape,
        detail: Float[Tensor, "subject code"],
    ) -> Float[Tensor, "point 3"]:
        """Unit normals with wrinkles in canonical space."""
        with torch.no_grad():
            feature = self.occupancy(canonical, subject, shape).feature
            coarse = self.coarse_normals(canonical, subject, shape)
        normals: Tensor = self.normals(canonical, subject, detail, coarse, feature)
        return normals


def posed_normals(
    normals: Float[Tensor, "point 3"],
    canonical: Float[Tensor, "point 3"],
    frame: Int[Tensor, "point"],
    field: PeopleSkinning,
) -> Float[Tensor, "point 3"]:
    """Canonical unit normals in the pose, by the inverse transpose of the blended rotation (gDNA, section 3.4)."""
    linear = field.blend(canonical, frame)[..., :3]
    return functional.normalize((normal_turns(linear) * normals[:, None]).sum(2), dim=1)


def normal_turns(linear: Float[Tensor, "point 3 3"]) -> Float[Tensor, "point 3 3"]:
    """Inverse transposes but for a positive factor: cofactors, which degenerate maps have too."""
    x, y, z = linear.unbind(1)
    crosses = torch.stack([torch.linalg.cross(y, z), torch.linalg.cross(z, x), torch.linalg.cross(x, y)], 1)
    sign = torch.where((x * crosses[:, 0]).sum(1) < 0, -1.0, 1.0)
    size = crosses.norm(dim=(1, 2)).clamp_min(1e-12)
    return crosses * (sign / size)[:, None, None]


def volume_grid(space: PeopleSpace, spacing: float) -> GridSpec:
    """Where the feature volumes' nodes lie."""
    return GridSpec.covering(space.box[0], space.box[1], spacing)
