"""IMavatar: canonical surface and colour with learned weights and blendshapes (CVPR 2022, arXiv 2112.07471)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avatars.deform.skinning import DeformationField
from avatars.fields.colour import ColourField
from avatars.fields.geometry import Geometry, GridGeometry, Hint, MlpGeometry
from avatars.fields.grid import GridSpec
from avatars.fields.offsets import GridOffsets, MlpOffsets
from avatars.fields.patches import PatchedGrid, patched_grid
from avatars.fields.weights import GridWeights, MlpWeights
from avatars.models.head_deformation import BlendshapeSkinning, Displaced, Drive, HeadDeformation, RootOnly, WeightsOnly
from avatars.models.imavatar_options import PUBLISHED, HeadSizes, ImavatarOptions
from avatars.models.nearest_vertex import NearestVertex
from avatars.models.posed_surface import PosedSurface, Shade
from body_models import InputError, Skeleton
from body_models.precision import matmul
from body_models.skeleton import invert_rigid, posed_from_rest, rigid, rotation_matrices
from body_models.skinning import pose_feature

__all__ = ["PUBLISHED", "HeadSizes", "Imavatar", "ImavatarOptions", "PosedSurface", "Shade"]

SCALE = 4.0
"""The publication's networks see points in quarters of a metre."""


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
        self.register_buffer("joints", joints)
        self.register_buffer("canonical_pose", canonical_pose)
        self.register_buffer("box", box)
        self.register_buffer("parts", joints.new_zeros(0, 2, 3) if parts is None else parts)
        self.register_buffer("ghost_rotation", joints.new_zeros(3))
        boxes, spacing = list(self.parts), (options.weight_spacing, options.part_weight_spacing)
        self.weight_grid = patched_grid(box[0], box[1], spacing[0], boxes, spacing[1])
        jaw = 3 if "jaw" in skeleton.joint_names else 0
        grids = options.network == "grid"
        middle = tuple(box.mean(0).tolist())
        self.geometry: GridGeometry | MlpGeometry = self._grid_geometry() if grids else self._mlp_geometry()
        self.motion = self._motion(self.weight_grid)
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

    @property
    def weights(self) -> GridWeights | MlpWeights:
        """The field of skinning weights; raises InputError for heads without one."""
        if self.motion.weights is None:
            raise InputError(f"A head of the deformation '{self.options.deformation}' learns no skinning weights.")
        return self.motion.weights

    @property
    def offsets(self) -> GridOffsets | MlpOffsets:
        """The field of blendshapes; raises InputError for heads without one."""
        if self.motion.offsets is None:
            raise InputError(f"A head of the deformation '{self.options.deformation}' learns no blendshapes.")
        return self.motion.offsets

    @property
    def rigged(self) -> bool:
        """Whether one mesh with weights and blendshapes shows the head in every frame."""
        return isinstance(self.motion, BlendshapeSkinning) and not self.options.conditioned

    @property
    def _told(self) -> int:
        """How many numbers networks are told that see expression and pose."""
        return self.sizes.expressions + 3 * (len(self.skeleton) - 1)

    def _motion(self, grid: PatchedGrid) -> HeadDeformation:
        """The kind of deformation that the options name."""
        options, count = self.options, self.sizes.expressions + self.sizes.correctives
        match options.deformation:
            case "none":
                return RootOnly(grid)
            case "displacement":
                return Displaced(grid, self._told, options.displacement_width)
            case "nearest":
                return NearestVertex(grid, self.bones, count)
            case "skinning":
                return WeightsOnly(grid, self.bones)
        if options.network == "grid":
            return BlendshapeSkinning(grid, GridWeights(grid, self.bones), GridOffsets(grid, count))
        width = options.weight_width
        return BlendshapeSkinning(grid, _uniform_weights(self.bones, width), _ScaledOffsets(count, width))

    def _grid_geometry(self) -> GridGeometry:
        options, parts = self.options, self.parts
        face = [torch.stack([parts[:, 0].amin(0), parts[:, 1].amax(0)])] if len(parts) else []
        base = patched_grid(self.box[0], self.box[1], options.base_spacing, face, options.part_base_spacing)
        features = self._feature_grids(options.feature_spacings)
        told = self._told if options.conditioned else 0
        return GridGeometry(base, features, options.geometry_width, options.feature_size, condition=told)

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

    def drive(
        self,
        poses: Float[Tensor, "frame bone 3"],
        translations: Float[Tensor, "frame 3"],
        expressions: Float[Tensor, "frame expression"],
    ) -> Drive:
        """All that moves the head in some frames; raises InputError as `transforms` and `coefficients` do."""
        transforms, coefficients = self.transforms(poses, translations), self.coefficients(poses, expressions)
        turned = (poses - self.canonical_pose)[:, 1:].flatten(1)
        return Drive(transforms, coefficients, torch.cat([expressions, turned], 1), self.condition(poses, expressions))

    def deformation(
        self,
        poses: Float[Tensor, "frame bone 3"],
        translations: Float[Tensor, "frame 3"],
        expressions: Float[Tensor, "frame expression"],
    ) -> DeformationField:
        """The forward deformation in some frames: on the grid for grid fields, else exact.

        Differentiable by fields, poses, translations and expressions. Raises InputError as `drive` does.
        """
        return self.motion.deformation(self.drive(poses, translations, expressions))

    def condition(
        self, poses: Float[Tensor, "frame bone 3"], expressions: Float[Tensor, "frame expression"]
    ) -> Float[Tensor, "frame condition"]:
        """What the colour is told of each frame: expression and jaw."""
        if "jaw" not in self.skeleton.joint_names:
            return expressions
        return torch.cat([expressions, poses[:, self.skeleton.index("jaw")]], 1)

    def sdf(self, points: Float[Tensor, "point 3"], hint: Hint = None) -> Float[Tensor, "point"]:
        """Signed distance at canonical points (metres, negative inside); the box cuts off what would leave it.

        A conditioned geometry without a hint is the one of the canonical pose without expression.
        """
        return torch.maximum(self.geometry.sdf(points, *_given(hint)), self._beyond(points)[0])

    def surface(self, points: Float[Tensor, "point 3"], hint: Hint = None) -> tuple[Geometry, Float[Tensor, "point 3"]]:
        """Signed distance with feature, and the gradient that normals are made of, differentiable."""
        geometry, gradient = self.geometry.with_gradient(points, *_given(hint))
        beyond, outward = self._beyond(points)
        cut = beyond > geometry.sdf
        sdf = torch.where(cut, beyond, geometry.sdf)
        return Geometry(sdf, geometry.feature), torch.where(cut[:, None], outward, gradient)

    def gradient(self, points: Float[Tensor, "point 3"], hint: Hint = None) -> Float[Tensor, "point 3"]:
        """Exact spatial gradient of `sdf`."""
        beyond, outward = self._beyond(points)
        cut = beyond > self.geometry.sdf(points, *_given(hint))
        return torch.where(cut[:, None], outward, self.geometry.gradient(points, *_given(hint)))

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
    ) -> PosedSurface:
        """The surface in some frames, as avatars.render takes it."""
        drive = self.drive(poses, translations, expressions)
        hints = None
        if self.options.conditioned and isinstance(self.geometry, GridGeometry):
            hints = self.geometry.hints(drive.told)
        return self.motion.surface(self, drive, hints)


def _given(hint: Hint) -> tuple[Tensor, ...]:
    """A hint as arguments: fields that are not conditioned take none."""
    return () if hint is None else (hint,)


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
