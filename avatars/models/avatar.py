"""An avatar: a fitted SNARF model with the poses it was fitted to; the thing that is saved, posed and exported."""

import copy
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.fields.surface_colour import SurfaceColour
from avatars.meshing import TriangleMesh, extract_surface
from avatars.models.rigged import rigged_body
from avatars.models.snarf import Snarf
from avatars.models.surface_roots import surface_roots
from body_models import Body, InputError, Skeleton
from data_prep.camera import Camera
from data_prep.pictures import RenderedImage, render_mesh
from data_prep.pictures.face_colours import FaceColours, face_colours
from data_prep.surface import Surface

POINTS_AT_ONCE = 60_000
MARGIN = 0.06
"""How far the posed surface may lie from the skinned mesh's bounds (metres)."""
LOST = 0.02
"""A posed point whose root lies farther than this from the canonical surface is taken to have none (metres)."""

FACE_SPACING = 0.0025
"""How far apart a body's colours are looked up for pictures of it (metres)."""


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
        colour: SurfaceColour | None = None,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.colour = colour
        self.poses, self.translations, self.info = poses, translations, info
        self._bodies: dict[int, Body] = {}
        self._face_colours: dict[int, FaceColours] = {}

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
        colour = None if self.colour is None else copy.deepcopy(self.colour).to(device)
        return Avatar(copy.deepcopy(self.model).to(device), poses, translations, self.info, colour)

    def body(self, resolution: int = 192) -> Body:
        """The avatar's canonical surface as a rigged mesh at rest, extracted once a resolution."""
        if resolution not in self._bodies:
            self._bodies[resolution] = rigged_body(self.model, resolution)
        return self._bodies[resolution]

    def colours(self, canonical: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"] | None:
        """Linear colours of canonical points (metres); None for an avatar that was fitted to scans without colours."""
        if self.colour is None:
            return None
        return _in_chunks(self.colour, canonical.to(self.model.joints))

    def face_colours(self, resolution: int = 192) -> FaceColours | None:
        """Linear colours within the faces of the body of a resolution, in more detail than its vertices have."""
        if self.colour is None:
            return None
        if resolution not in self._face_colours:
            body, colour = self.body(resolution), self.colour
            found = face_colours(body.canonical(), body.faces, lambda some: _in_chunks(colour, some), FACE_SPACING)
            self._face_colours[resolution] = found
        return self._face_colours[resolution]

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

    def vertex_colours(self, resolution: int = 192) -> Float[Tensor, "vertex 3"] | None:
        """Linear colours of the vertices of the skinned mesh; None for an avatar without colours."""
        return self.avatar.colours(self.avatar.body(resolution).canonical()) if self.avatar.colour else None

    @torch.no_grad()
    def colours(self, posed: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"] | None:
        """Linear colours at posed points on the surface (metres); None for an avatar without colours.

        A point takes the colour of its canonical root, and where it has none on the surface, that of the nearest point
        of the skinned mesh.
        """
        if self.avatar.colour is None:
            return None
        posed = posed.to(self.avatar.model.joints)
        roots = surface_roots(self.avatar.model, posed, self.rotation, self.translation)
        canonical, lost = roots.canonical, ~(roots.depth.abs() < LOST)
        if bool(lost.any()):
            skinned, body = self.skinned_mesh(), self.avatar.body()
            closest = Surface(skinned.vertices, skinned.faces).closest(posed[lost])
            corners = body.canonical()[body.faces[closest.face]]
            canonical[lost] = (corners * closest.barycentric[..., None]).sum(1)
        return self.avatar.colours(canonical)

    def render(self, camera: Camera, exact: bool = False) -> RenderedImage:
        """A shaded picture with mask, depth and normals, in colour where the avatar has them."""
        mesh = self.mesh(exact=exact, resolution=256 if exact else 192)
        colours = self.colours(mesh.vertices) if exact else self.avatar.face_colours()
        return render_mesh(mesh.vertices, mesh.faces, camera, colours)


@torch.no_grad()
def _in_chunks(colour: SurfaceColour, points: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
    chunks = [colour.linear(some) for some in points.split(POINTS_AT_ONCE)]
    return torch.cat(chunks) if chunks else points.new_zeros(0, 3)
