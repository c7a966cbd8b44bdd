"""SNARF: canonical occupancy and learned skinning weights, posed by forward search (ICCV 2021, arXiv 2104.03953)."""

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avatars.deform.gradient import attach_gradient, polish
from avatars.deform.roots import Roots, SearchOptions
from avatars.deform.sampled import SampledSkinning
from avatars.deform.search import search
from avatars.deform.skinning import DeformationField, Skinning
from avatars.fields.grid import GridSpec
from avatars.fields.occupancy import GridOccupancy, MlpOccupancy
from avatars.fields.patches import patched_grid
from avatars.fields.weights import GridWeights, MlpWeights
from body_models import Skeleton
from body_models.precision import matmul
from body_models.skeleton import invert_rigid, posed_from_rest, rotation_matrices, transform_points

OUTSIDE = -16.0
"""Logit of a point without any root (SNARF: the logit of float's smallest probability)."""
NODES_AT_ONCE = 50_000
ROOT_SHARPNESS = 5.0
"""Factor on probabilities in the softmax over a point's roots (SNARF's soft blend)."""


@dataclass(frozen=True)
class SnarfOptions:
    """Sizes of the networks and of the search."""

    network: str = "grid"
    """"grid" (fast) or "mlp" (the publication's)."""
    width: int = 48
    """Hidden units of the occupancy decoder."""
    depth: int = 8
    """Hidden layers of the MLP occupancy network."""
    octaves: int = 4
    """Octaves of positional encoding of the MLP occupancy network."""
    pose_code: int = 8
    """Numbers that the pose is squeezed to before it conditions the shape; 0 turns the conditioning off."""
    weight_width: int = 128
    """Hidden units of the MLP weight field."""
    weight_spacing: float = 0.035
    """Spacing of the weight grid (metres); for an MLP, of the grid on which it is sampled for the search."""
    hierarchical: bool = False
    """Hand weights down the kinematic tree (SNARF's hierarchical softmax) instead of a plain softmax."""
    part_spacing: float = 0.007
    """Spacing of the weight grid in the parts that need it finer: hands and face (metres)."""
    base_spacing: float = 0.012
    """Spacing of the base occupancy grid (metres)."""
    part_base_spacing: float = 0.003
    """Spacing of the base occupancy grid in those parts (metres)."""
    feature_spacings: tuple[float, ...] = (0.06, 0.024)
    """Spacings of the feature grids (metres)."""
    feature_channels: int = 6
    """Channels of each feature grid."""
    edge: float = 0.003
    """Distance over which occupancy fades at the surface (metres a logit)."""
    margin: float = 0.12
    """How far the canonical box reaches beyond the body (metres)."""
    search: SearchOptions = dataclasses.field(default_factory=SearchOptions)


class Snarf(nn.Module):
    """One person: fields in canonical space and the joints that pose them (metres, Y up)."""

    joints: Tensor
    canonical_pose: Tensor
    box: Tensor
    segment_tails: Tensor
    parts: Tensor
    """Boxes in canonical space with finer grids (hands, face)."""

    def __init__(
        self,
        options: SnarfOptions,
        skeleton: Skeleton,
        joints: Float[Tensor, "bone 3"],
        canonical_pose: Float[Tensor, "bone 3"],
        box: Float[Tensor, "2 3"],
        segment_tails: Float[Tensor, "bone 3"],
        parts: Float[Tensor, "part 2 3"] | None = None,
    ) -> None:
        super().__init__()
        self.options, self.skeleton = options, skeleton
        self._kept: tuple[tuple[int, int], SampledSkinning] | None = None
        self.register_buffer("joints", joints)
        self.register_buffer("canonical_pose", canonical_pose)
        self.register_buffer("box", box)
        self.register_buffer("segment_tails", segment_tails)
        parts = joints.new_zeros(0, 2, 3) if parts is None else parts
        self.register_buffer("parts", parts)
        self.joint_shift = nn.Parameter(torch.zeros_like(joints))
        bones, tree = len(skeleton), skeleton.parents if options.hierarchical else None
        lower, upper = box[0], box[1]
        boxes = list(parts)
        grid = patched_grid(lower, upper, options.weight_spacing, boxes, options.part_spacing)
        self.weight_grid = grid
        if options.network == "grid":
            spacings, channels = options.feature_spacings, options.feature_channels
            features = [(GridSpec.covering(lower, upper, spacing), channels) for spacing in spacings]
            base = patched_grid(lower, upper, options.base_spacing, boxes, options.part_base_spacing)
            self.occupancy: GridOccupancy | MlpOccupancy = GridOccupancy(
                base, features, bones, options.width, options.pose_code
            )
            self.weights: GridWeights | MlpWeights = GridWeights(grid, bones, tree)
        else:
            self.occupancy = MlpOccupancy(bones, options.width, options.depth, options.octaves, options.pose_code)
            self.weights = MlpWeights(bones, options.weight_width, parents=tree)

    def posed_from_canonical(
        self, pose: Float[Tensor, "frame bone 3"], translation: Float[Tensor, "frame 3"]
    ) -> Float[Tensor, "frame bone 4 4"]:
        """Bone transforms relative to the canonical pose, with the joints as learned."""
        joints = self.joints + self.joint_shift
        posed = posed_from_rest(rotation_matrices(pose), translation, joints, self.skeleton.parents)
        return matmul(posed, invert_rigid(self.canonical_from_rest()))

    def canonical_from_rest(self) -> Float[Tensor, "bone 4 4"]:
        """Bone transforms from rest to the canonical pose, with the joints as learned."""
        joints = self.joints + self.joint_shift
        rotations = rotation_matrices(self.canonical_pose)
        return posed_from_rest(rotations, joints.new_zeros(3), joints, self.skeleton.parents)

    def deformation(self, posed_from_canonical: Float[Tensor, "frame bone 4 4"]) -> DeformationField:
        """The forward deformation in some poses: on the grid for grid weights, else exact."""
        if isinstance(self.weights, GridWeights):
            if torch.is_grad_enabled():
                return SampledSkinning(self.weight_grid, self.weights.at_nodes(), posed_from_canonical)
            return self._unchanging().in_poses(posed_from_canonical)
        return Skinning(self.weights, posed_from_canonical, self._sampled(posed_from_canonical).starts)

    def train(self, mode: bool = True) -> "Snarf":
        """As for every module; what was prepared is forgotten, since fused optimisers change weights unnoticed."""
        self._kept = None
        super().train(mode)
        return self

    def _unchanging(self) -> SampledSkinning:
        """The deformation as it was prepared last, unless the weights have changed since."""
        assert isinstance(self.weights, GridWeights)
        logits = self.weights.logits
        version = (logits.data_ptr(), logits._version)
        if self._kept is None or self._kept[0] != version:
            identity = torch.eye(4).to(logits).expand(1, len(self.skeleton), 4, 4)
            self._kept = version, SampledSkinning(self.weight_grid, self.weights.at_nodes(), identity)
        return self._kept[1]

    def _sampled(self, posed_from_canonical: Float[Tensor, "frame bone 4 4"]) -> SampledSkinning:
        """The deformation with an MLP's weights sampled on a grid, constant to gradients."""
        with torch.no_grad():
            nodes = self.weight_grid.nodes().to(self.joints)
            values = torch.cat([self.weights.log_weights(some) for some in nodes.split(NODES_AT_ONCE)])
        return SampledSkinning(self.weight_grid, values, posed_from_canonical.detach())

    def bone_segments(self) -> tuple[Float[Tensor, "bone 3"], Float[Tensor, "bone 3"]]:
        """Where each bone begins and ends in the canonical pose (metres)."""
        joints = (self.joints + self.joint_shift).detach()
        canonical = self.canonical_from_rest().detach()
        return transform_points(canonical, joints), transform_points(canonical, self.segment_tails)

    def find_roots(
        self, posed: Float[Tensor, "point 3"], frame: Int[Tensor, "point"], field: DeformationField
    ) -> Roots:
        """Canonical roots of posed points; those of an MLP are found on the grid that samples it, then polished."""
        if isinstance(field, SampledSkinning):
            return search(posed, frame, field, self.options.search)
        sampled = self._sampled(field.posed_from_canonical)
        return polish(search(posed, frame, sampled, self.options.search), posed, frame, field)

    def canonical_logits(
        self, canonical: Float[Tensor, "point 3"], code: Float[Tensor, "point code"] | None
    ) -> Float[Tensor, "point"]:
        """Occupancy logits in canonical space; beyond the box everything is outside."""
        beyond = ((canonical - self.box[1]).clamp_min(0) + (self.box[0] - canonical).clamp_min(0)).norm(dim=1)
        return self.occupancy(canonical, code) - beyond / self.options.edge

    def pose_code(self, pose: Float[Tensor, "frame bone 3"]) -> Float[Tensor, "frame code"] | None:
        """What the occupancy network is told of each pose."""
        code = self.occupancy.pose_code
        return None if code is None else code(pose)

    def forward(
        self,
        posed: Float[Tensor, "point 3"],
        frame: Int[Tensor, "point"],
        pose: Float[Tensor, "frame bone 3"],
        translation: Float[Tensor, "frame 3"],
        code: Float[Tensor, "frame code"] | None = None,
    ) -> Float[Tensor, "point"]:
        """Occupancy logits at posed points; differentiable by fields, joints, poses and points.

        While training, roots are mixed by a softmax of their probabilities; otherwise the largest logit counts.
        """
        field = self.deformation(self.posed_from_canonical(pose, translation))
        roots = self.find_roots(posed, frame, field)
        root_frame = frame[roots.point]
        canonical = roots.canonical
        if torch.is_grad_enabled():
            canonical = attach_gradient(roots, posed, frame, field)
        logits = self.canonical_logits(canonical, None if code is None else code[root_frame])
        return soft_maximum(logits, roots) if self.training else hard_maximum(logits, roots)


def soft_maximum(logits: Float[Tensor, "root"], roots: Roots) -> Float[Tensor, "point"]:
    """Mean probability of each point's roots, the likeliest weighing most, as a logit; OUTSIDE without a root."""
    probability = torch.sigmoid(logits)
    weight = torch.exp(ROOT_SHARPNESS * probability)
    zeros = logits.new_zeros(roots.point_count)
    total = zeros.index_add(0, roots.point, weight)
    mixed = zeros.index_add(0, roots.point, weight * probability) / total.clamp_min(1e-9)
    mixed = mixed.clamp(1e-7, 1 - 1e-7)
    return torch.where(total > 0, torch.logit(mixed), mixed.new_tensor(OUTSIDE))


def hard_maximum(logits: Float[Tensor, "root"], roots: Roots) -> Float[Tensor, "point"]:
    """Largest logit of each point's roots; OUTSIDE where there is no root."""
    outside = logits.new_full((roots.point_count,), OUTSIDE)
    return outside.scatter_reduce(0, roots.point, logits, "amax", include_self=False)
