"""IMavatar: canonical surface and colour with learned weights and blendshapes (CVPR 2022, arXiv 2112.07471)."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avatars.deform.sampled import SampledSkinning, SampledWeights
from avatars.deform.skinning import DeformationField, Skinning
from avatars.fields.colour import ColourField
from avatars.fields.geometry import Geometry, GridGeometry, MlpGeometry
from avatars.fields.grid import GridSpec, interpolate
from avatars.fields.offsets import GridOffsets, MlpOffsets
from avatars.fields.patches import patched_grid
from avatars.fields.weights import GridWeights, MlpWeights
from avatars.models.imavatar_options import PUBLISHED, HeadSizes, ImavatarOptions
from avatars.render import posed_normals
from body_models import InputError, Skeleton
from body_models.precision import matmul
from body_models.skeleton import invert_rigid, posed_from_rest, rigid, rotation_matrices
from body_models.skinning import pose_feature

__all__ = ["PUBLISHED", "HeadSizes", "Imavatar", "ImavatarOptions", "PosedSurface", "Shade", "mixed_offsets"]

SCALE = 4.0
"""The publication's networks see points in quarters of a metre."""
NODES_AT_ONCE = 50_000


class Imavatar(nn.Module):
    """One head: fields in canonical space and the joints that pose them (metres, Y up, facing +Z)."""

    joints: Tensor
    canonical_pose: Tensor
    box: Tensor
    """Lowest and highest corner of canonical space; nothing lies beyond."""
    parts: Tensor
    """Boxes in canonical space with finer grids (eyes, mouth)."""
    ghost_rotation: Tensor
    """Axis-angle of the ghost bone in every pose: the mean rotation of the head (radians)."""

    def __init__(
        self,
        options: ImavatarOptions,
        skeleton: Skeleton,
        sizes: HeadSizes,
        joints: Float[Tensor, "bone 3"],
        canonical_pose: Float[Tensor, "bone 3"],
        box: Float[Tensor, "2 3"],
        parts: Float[Tensor, "part 2 3"] | None = None,
    ) -> None:
        super().__init__()
        self.options, self.skeleton, self.sizes = options, skeleton, sizes
        self._kept: tuple[tuple[int, int], SampledWeights] | None = None
        self.register_buffer("joints", joints)
        self.register_buffer("canonical_pose", canonical_pose)
        self.register_buffer("box", box)
        self.register_buffer("parts", joints.new_zeros(0, 2, 3) if parts is None else parts)
        self.register_buffer("ghost_rotation", joints.new_zeros(3))
        boxes, spacing = list(self.parts), (options.weight_spacing, options.part_weight_spacing)
        self.weight_grid = patched_grid(box[0], box[1], spacing[0], boxes, spacing[1])
        count = sizes.expressions + sizes.correctives
        jaw = 3 if "jaw" in skeleton.joint_names else 0
        grids = options.network == "grid"
        middle = tuple(box.mean(0).tolist())
        self.geometry: GridGeometry | MlpGeometry = self._grid_geometry() if grids else self._mlp_geometry()
        self.weights: GridWeights | MlpWeights = (
            GridWeights(self.weight_grid, self.bones) if grids else _uniform_weights(self.bones, options.weight_width)
        )
        self.offsets: GridOffsets | MlpOffsets = (
            GridOffsets(self.weight_grid, count) if grids else _ScaledOffsets(count, options.weight_width)
        )
        self.colour = ColourField(
            options.feature_size, sizes.expressions + jaw, options.colour_width, options.colour_depth,
            options.colour_octaves, self._feature_grids(options.colour_spacings) if grids else None, middle, SCALE,
        )  # fmt: skip

    @property
    def bones(self) -> int:
        """Number of bones: the skeleton's and, last, the ghost."""
        return len(self.skeleton) + int(self.options.ghost)

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.joints.device

    def _grid_geometry(self) -> GridGeometry:
        options, parts = self.options, self.parts
        face = [torch.stack([parts[:, 0].amin(0), parts[:, 1].amax(0)])] if len(parts) else []
        base = patched_grid(self.box[0], self.box[1], options.base_spacing, face, options.part_base_spacing)
        features = self._feature_grids(options.feature_spacings)
        return GridGeometry(base, features, options.geometry_width, options.feature_size)

    def _mlp_geometry(self) -> MlpGeometry:
        options, (x, y, z) = self.options, self.box.mean(0).tolist()
        sizes = (options.geometry_width, options.geometry_depth, options.geometry_octaves, options.feature_size)
        return MlpGeometry((x, y, z), SCALE, *sizes)

    def _feature_grids(self, spacings: tuple[float, ...]) -> list[tuple[GridSpec, int]]:
        channels = self.options.feature_channels
        return [(GridSpec.covering(self.box[0], self.box[1], spacing), channels) for spacing in spacings]

    def transforms(
        self, poses: Float[Tensor, "frame bone 3"], translations: Float[Tensor, "frame 3"]
    ) -> Float[Tensor, "frame all_bones 4 4"]:
        """Bone transforms from the canonical pose to poses (axis-angle, radians); the ghost's last.

        The ghost goes where the root joint goes and keeps its own rotation. Raises InputError for poses of another
        skeleton.
        """
        if poses.shape[1] != len(self.skeleton):
            raise InputError(
                f"Poses of {poses.shape[1]} joints do not fit this head, which has {len(self.skeleton)}: "
                f"{', '.join(self.skeleton.joint_names)}."
            )
        parents = self.skeleton.parents
        rest = posed_from_rest(rotation_matrices(poses), translations, self.joints, parents)
        canonical = posed_from_rest(
            rotation_matrices(self.canonical_pose), torch.zeros_like(self.joints[0]), self.joints, parents
        )
        bones = matmul(rest, invert_rigid(canonical))
        if not self.options.ghost:
            return bones
        turn = rotation_matrices(self.ghost_rotation[None])[0]
        places = translations + self.joints[0] - turn @ self.joints[0]
        ghost = rigid(turn.expand(len(poses), 3, 3), places)
        return torch.cat([bones, ghost[:, None]], 1)

    def coefficients(
        self, poses: Float[Tensor, "frame bone 3"], expressions: Float[Tensor, "frame expression"]
    ) -> Float[Tensor, "frame coefficient"]:
        """What blendshapes are weighted by: expressions, then pose features less the canonical pose's.

        Raises InputError for another number of expressions than the head has.
        """
        if expressions.shape[1] != self.sizes.expressions:
            raise InputError(
                f"{expressions.shape[1]} expression parameters given, but this head has {self.sizes.expressions}. "
                "Expressions of another head model are brought over by their names."
            )
        if self.sizes.correctives == 0:
            return expressions
        canonical = pose_feature(rotation_matrices(self.canonical_pose))
        return torch.cat([expressions, pose_feature(rotation_matrices(poses)) - canonical], 1)

    def deformation(
        self,
        poses: Float[Tensor, "frame bone 3"],
        translations: Float[Tensor, "frame 3"],
        expressions: Float[Tensor, "frame expression"],
    ) -> DeformationField:
        """The forward deformation in some frames: on the grid for grid fields, else exact.

        Differentiable by fields, poses, translations and expressions. Raises InputError as `transforms` and
        `coefficients` do.
        """
        transforms, coefficients = self.transforms(poses, translations), self.coefficients(poses, expressions)
        if isinstance(self.weights, GridWeights) and isinstance(self.offsets, GridOffsets):
            logs, offsets = self.weights.at_nodes(), mixed_offsets(self.offsets, coefficients)
            return SampledSkinning(self.weight_grid, logs, transforms, offsets, self._prepared(logs))
        starts = self.sampled(transforms, None).starts
        return Skinning(self.weights, transforms, starts, self.offsets, coefficients)

    def sampled(
        self, transforms: Float[Tensor, "frame bone 4 4"], coefficients: Float[Tensor, "frame coefficient"] | None
    ) -> SampledSkinning:
        """The deformation on the grid of weights, for searches; constant to gradients. Without offsets if None."""
        with torch.no_grad():
            nodes = self.weight_grid.nodes().to(self.joints).split(NODES_AT_ONCE)
            logs = torch.cat([self.weights.log_weights(some) for some in nodes])
            offsets = None
            if coefficients is not None:
                mixed = [torch.einsum("fk,nkc->fnc", coefficients, self.offsets(some)) for some in nodes]
                offsets = torch.cat(mixed, 1)
        return SampledSkinning(self.weight_grid, logs, transforms.detach(), offsets)

    def _prepared(self, logs: Float[Tensor, "node bone"]) -> SampledWeights:
        """What searches need of the weights, made anew only when they have changed."""
        assert isinstance(self.weights, GridWeights)
        version = (self.weights.logits.data_ptr(), self.weights.logits._version)
        if self._kept is None or self._kept[0] != version:
            self._kept = version, SampledWeights(self.weight_grid, logs.detach())
        return self._kept[1]

    def condition(
        self, poses: Float[Tensor, "frame bone 3"], expressions: Float[Tensor, "frame expression"]
    ) -> Float[Tensor, "frame condition"]:
        """What the colour is told of each frame: expression and jaw."""
        if "jaw" not in self.skeleton.joint_names:
            return expressions
        return torch.cat([expressions, poses[:, self.skeleton.index("jaw")]], 1)

    def sdf(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point"]:
        """Signed distance at canonical points (metres, negative inside); the box cuts off what would leave it."""
        return torch.maximum(self.geometry.sdf(points), self._beyond(points)[0])

    def surface(self, points: Float[Tensor, "point 3"]) -> tuple[Geometry, Float[Tensor, "point 3"]]:
        """Signed distance with feature, and the gradient that normals are made of, differentiable."""
        geometry, gradient = self.geometry.with_gradient(points)
        beyond, outward = self._beyond(points)
        cut = beyond > geometry.sdf
        sdf = torch.where(cut, beyond, geometry.sdf)
        return Geometry(sdf, geometry.feature), torch.where(cut[:, None], outward, gradient)

    def gradient(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
        """Exact spatial gradient of `sdf`."""
        beyond, outward = self._beyond(points)
        return torch.where((beyond > self.geometry.sdf(points))[:, None], outward, self.geometry.gradient(points))

    def _beyond(self, points: Float[Tensor, "point 3"]) -> tuple[Float[Tensor, "point"], Float[Tensor, "point 3"]]:
        """How far points lie beyond the box's nearest wall (negative within), and that wall's outward normal."""
        walls = torch.cat([self.box[0] - points, points - self.box[1]], 1)
        most = walls.max(1)
        normals = torch.cat([-torch.eye(3), torch.eye(3)]).to(points)
        return most.values, normals[most.indices]

    def posed(
        self,
        poses: Float[Tensor, "frame bone 3"],
        translations: Float[Tensor, "frame 3"],
        expressions: Float[Tensor, "frame expression"],
    ) -> "PosedSurface":
        """The surface in some frames, as avatars.render takes it."""
        deformation = self.deformation(poses, translations, expressions)
        return PosedSurface(self, deformation, self.condition(poses, expressions))


@dataclass(frozen=True)
class PosedSurface:
    """A head's surface in several frames: an `avatars.render.SurfaceField` with colours."""

    model: Imavatar
    deformation: DeformationField
    condition: Float[Tensor, "frame condition"]

    def sdf(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point"]:
        """Signed distance at canonical points (metres)."""
        return self.model.sdf(points)

    def sdf_gradient(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        """Its spatial gradient."""
        return self.model.gradient(points)

    def colours(
        self,
        points: Float[Tensor, "point 3"],
        normals: Float[Tensor, "point 3"],
        frame: Int[Tensor, "point"],
        feature: Float[Tensor, "point feature"],
    ) -> Float[Tensor, "point 3"]:
        """Colours (sRGB-coded, 0 to 1) at canonical points with posed unit normals and the geometry's features."""
        return self.model.colour(points, normals, self.condition[frame], feature)

    def shade(self, canonical: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> "Shade":
        """Normals and colours of canonical points on the surface, differentiable by points, fields and condition."""
        geometry, gradient = self.model.surface(canonical)
        normals = posed_normals(_Known(self.model, self.deformation, self.condition, gradient), canonical, frame)
        return Shade(gradient, normals, self.colours(canonical, normals, frame, geometry.feature))


@dataclass(frozen=True)
class _Known(PosedSurface):
    """The surface at points where its gradient is known already."""

    known: Float[Tensor, "point 3"]

    def sdf_gradient(self, points: Float[Tensor, "point 3"], frame: Int[Tensor, "point"]) -> Float[Tensor, "point 3"]:
        return self.known


@dataclass(frozen=True)
class Shade:
    """What a picture shows of canonical points."""

    gradient: Float[Tensor, "point 3"]
    """That of the signed distance in canonical space, smoothed over a cell on grids."""
    normals: Float[Tensor, "point 3"]
    """Unit, outward, in the world."""
    colours: Float[Tensor, "point 3"]
    """sRGB-coded, 0 to 1."""


def mixed_offsets(
    field: GridOffsets, coefficients: Float[Tensor, "frame coefficient"]
) -> Float[Tensor, "frame node 3"]:
    """Displacement of every node in each frame, continuous across the rims of patches.

    The basis is mixed first and the rims mended after, which is the same and spares copies of the whole basis.
    """
    frames, count = coefficients.shape
    identity = torch.eye(3).to(coefficients)
    mixer = (coefficients.T[:, None, :, None] * identity[None, :, None]).reshape(3 * count, 3 * frames)
    mixed = matmul(field.basis, mixer)
    if len(field.rim):
        rim = interpolate(mixed, field.rim_corners, field.rim_weights.to(mixed))
        mixed = mixed.index_copy(0, field.rim, rim)
    return mixed.unflatten(1, (frames, 3)).transpose(0, 1).contiguous()


class _ScaledWeights(MlpWeights):
    """MlpWeights that see points as the publication's network does."""

    def log_weights(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point bone"]:
        return super().log_weights(SCALE * points)


class _ScaledOffsets(MlpOffsets):
    """MlpOffsets that see points as the publication's network does; metres out."""

    def forward(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point coefficient 3"]:
        return super().forward(SCALE * points)


def _uniform_weights(bones: int, width: int) -> MlpWeights:
    """A network of weights that starts with all bones weighing alike."""
    weights = _ScaledWeights(bones, width)
    last: Any = weights.mlp.layers[-1]
    with torch.no_grad():
        last.parametrizations.weight.original0.zero_()
        last.bias.zero_()
    return weights
