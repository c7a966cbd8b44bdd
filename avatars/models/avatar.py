"""An avatar: a fitted SNARF model with the poses it was fitted to; the thing that is saved, posed and exported."""

import copy
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.meshing import TriangleMesh, extract_surface
from avatars.models.rigged import rigged_body
from avatars.models.snarf import Snarf
from body_models import Body, InputError, Skeleton
from data_prep.camera import Camera
from data_prep.pictures import RenderedImage, render_mesh

POINTS_AT_ONCE = 60_000
MARGIN = 0.06
"""How far the posed surface may lie from the skinned mesh's bounds (metres)."""


@dataclass(frozen=True)
class AvatarInfo:
    """Where an avatar comes from."""

    names: tuple[str, ...]
    """The scans it was fitted to, one a training pose."""
    body_model: str = "anny"
    notes: tuple[str, ...] = field(default=())


class Avatar:
    """One animatable person (metres, Y up; poses are axis-angle vectors of the skeleton's joints, root first)."""

    def __init__(
        self,
        model: Snarf,
        poses: Float[Tensor, "scan bone 3"],
        translations: Float[Tensor, "scan 3"],
        info: AvatarInfo,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.poses, self.translations, self.info = poses, translations, info
        self._bodies: dict[int, Body] = {}

    @property
    def skeleton(self) -> Skeleton:
        """The joints by name."""
        return self.model.skeleton

    @property
    def device(self) -> torch.device:
        """Where the avatar computes."""
        return self.model.joints.device

    def to_device(self, device: torch.device | str) -> "Avatar":
        """The same avatar on a device."""
        poses, translations = self.poses.to(device), self.translations.to(device)
        return Avatar(copy.deepcopy(self.model).to(device), poses, translations, self.info)

    def body(self, resolution: int = 192) -> Body:
        """The avatar's canonical surface as a rigged mesh at rest, extracted once a resolution."""
        if resolution not in self._bodies:
            self._bodies[resolution] = rigged_body(self.model, resolution)
        return self._bodies[resolution]

    def pose(self, pose: Float[Tensor, "bone 3"], translation: Float[Tensor, "3"] | None = None) -> "PosedAvatar":
        """The avatar in a pose (radians) and place (metres; the origin by default).

        Raises InputError for a pose of another skeleton's size or with values that are not finite.
        """
        if pose.shape != (len(self.skeleton), 3):
            raise InputError(
                f"The pose has shape {tuple(pose.shape)}, but this avatar has {len(self.skeleton)} joints x 3 angles. "
                "Motion of another skeleton is brought over by `body_models.retarget`."
            )
        translation = pose.new_zeros(3) if translation is None else translation
        if translation.shape != (3,):
            raise InputError(
                f"The translation has shape {tuple(translation.shape)}; expected three numbers, in metres."
            )
        if not (torch.isfinite(pose).all() and torch.isfinite(translation).all()):
            raise InputError("The pose or the translation holds values that are not finite.")
        return PosedAvatar(self, pose.to(self.model.joints), translation.to(self.model.joints))

    def training_pose(self, index: int) -> "PosedAvatar":
        """The avatar as one of the scans it was fitted to showed it."""
        if not 0 <= index < len(self.poses):
            raise InputError(f"No training pose {index}: this avatar has {len(self.poses)}, counted from 0.")
        return self.pose(self.poses[index], self.translations[index])


@dataclass(frozen=True)
class PosedAvatar:
    """An avatar in one pose: a field in posed space and what can be made of it."""

    avatar: Avatar
    rotation: Float[Tensor, "bone 3"]
    translation: Float[Tensor, "3"]

    @torch.no_grad()
    def occupancy(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point"]:
        """Occupancy logits at posed points (metres), positive inside."""
        model = self.avatar.model
        pose, translation = self.rotation[None], self.translation[None]
        code = model.pose_code(pose)
        chunks = [
            model(chunk, torch.zeros(len(chunk), dtype=torch.long, device=chunk.device), pose, translation, code)
            for chunk in points.to(model.joints).split(POINTS_AT_ONCE)
        ]
        return torch.cat(chunks) if chunks else points.new_zeros(0)

    def mesh(self, resolution: int = 256, exact: bool = True) -> TriangleMesh:
        """The posed surface: by root finding at every grid point (exact), else the skinned canonical mesh (faster)."""
        skinned = self.skinned_mesh(192 if exact else resolution)
        if not exact:
            return skinned
        lower = skinned.vertices.min(0).values - MARGIN
        upper = skinned.vertices.max(0).values + MARGIN
        return extract_surface(self.occupancy, lower, upper, resolution=resolution, keep_largest=True)

    def skinned_mesh(self, resolution: int = 192) -> TriangleMesh:
        """The canonical surface carried along by linear blend skinning."""
        body = self.avatar.body(resolution)
        return TriangleMesh(body.pose_vertices(self.rotation, self.translation), body.faces)

    def render(self, camera: Camera, exact: bool = False) -> RenderedImage:
        """A shaded picture with mask, depth and normals."""
        mesh = self.mesh(exact=exact, resolution=256 if exact else 192)
        return render_mesh(mesh.vertices, mesh.faces, camera)
