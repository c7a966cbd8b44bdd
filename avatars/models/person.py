"""One person of a prior: codes and build, and the surface, rigged mesh and avatar that can be made of them."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.people import PeopleSkinning
from avatars.deform.sampled import SampledSkinning, SampledWeights
from avatars.deform.skinning import forward_skin
from avatars.meshing import TriangleMesh
from avatars.meshing.detail import displace_by_normals
from avatars.models.avatar import Avatar, AvatarInfo
from avatars.models.coarse_person import POINTS_AT_ONCE, CoarsePerson, of_one_person
from avatars.models.gdna import Gdna
from avatars.models.person_picture import PersonSurface, picture_of_person, view_normals
from avatars.models.rigged import at_rest
from avatars.models.snarf import SnarfOptions
from avatars.models.start import snarf_from_body
from avatars.render import Proxy
from body_models import Body, InputError
from body_models.skeleton import transform_points
from data_prep.camera import Camera
from data_prep.orthographic import OrthographicCamera, orthographic_view
from data_prep.people.views import HALF
from data_prep.pictures import RenderedImage
from data_prep.pictures.mesh import BACKGROUND

PROXY_CELLS = 160
"""Resolution of the mesh from which rays look for the surface."""
BAKED_SPACING = 0.01
"""Spacing of the grid that a personal avatar's surface is stored on (metres)."""


@dataclass(frozen=True)
class CanonicalSurface:
    """A person's surface in the space that all people share (metres)."""

    vertices: Float[Tensor, "vertex 3"]
    faces: Int[Tensor, "face 3"]
    normals: Float[Tensor, "vertex 3"]
    """With wrinkles, as the normal field tells them."""
    weights: Float[Tensor, "vertex bone"]


class Person:
    """Somebody in clothes who can be posed (metres, Y up)."""

    def __init__(
        self,
        model: Gdna,
        shape: Float[Tensor, "shape"],
        detail: Float[Tensor, "detail"],
        betas: Float[Tensor, "betas"],
        body_model: str,
    ) -> None:
        self.model, self.body_model = model, body_model
        self.shape, self.detail, self.betas = shape, detail, betas
        self.coarse = CoarsePerson(model, shape, betas)
        self._surface = lru_cache(maxsize=4)(self._make_surface)

    def surface(self, resolution: int = 256, details: bool = True) -> CanonicalSurface:
        """The surface in the shared space, made once a resolution; `details` moves vertices to meet the normals."""
        return self._surface(resolution, details)

    @torch.no_grad()
    def _make_surface(self, resolution: int, details: bool) -> CanonicalSurface:
        model, mesh = self.model, self.coarse.mesh(resolution)
        subject = of_one_person(mesh.vertices)
        normals = model.detail_normals(mesh.vertices, subject, self.coarse.shape(), self.detail[None])
        tables = model.weights.tables(self.shape[None])
        weights = model.weights.log_weights(mesh.vertices, subject, tables).softmax(1)
        vertices = mesh.vertices
        if details:
            vertices = displace_by_normals(vertices, mesh.faces, normals).vertices
        return CanonicalSurface(vertices, mesh.faces, normals, weights)

    @torch.no_grad()
    def body(self, resolution: int = 256, details: bool = True) -> Body:
        """The surface as a rigged mesh at rest, as any body: wrinkles are geometry unless `details` is false."""
        surface, space = self.surface(resolution, details), self.model.space
        betas = self.betas[None]
        field = self.skinning(space.canonical_pose, space.joints.new_zeros(3))
        shifted = field.shifted(surface.vertices, of_one_person(surface.vertices))
        own = transform_points(space.similarity(betas).expand(len(shifted), -1, -1), shifted)
        rest = at_rest(own, surface.weights, space.canonical_from_rest(betas)[0])
        joints = space.joints_of(betas)[0]
        return Body(space.skeleton, rest, surface.faces, surface.weights, joints, space.canonical_pose)

    def mesh(
        self,
        pose: Float[Tensor, "bone 3"] | None = None,
        translation: Float[Tensor, "3"] | None = None,
        resolution: int = 256,
        details: bool = True,
    ) -> TriangleMesh:
        """The posed surface (radians, metres); in the canonical pose unless one is given."""
        body = self.body(resolution, details)
        pose = body.canonical_pose if pose is None else pose.to(body.joints)
        translation = body.joints.new_zeros(3) if translation is None else translation.to(body.joints)
        return TriangleMesh(body.pose_vertices(pose, translation), body.faces)

    def pose(self, pose: Float[Tensor, "bone 3"], translation: Float[Tensor, "3"] | None = None) -> "PosedPerson":
        """The person in a pose (radians) and place (metres; the origin by default).

        Raises InputError for a pose of another skeleton's size or with values that are not finite.
        """
        joints = self.model.space.joints
        translation = joints.new_zeros(3) if translation is None else translation
        if pose.shape != joints.shape or translation.shape != (3,):
            raise InputError(
                f"A pose of shape {tuple(pose.shape)} with a translation of shape {tuple(translation.shape)} does not "
                f"fit: this person has {len(joints)} joints x 3 angles, and a place is three numbers. "
                "Motion of another skeleton is brought over by `body_models.retarget`."
            )
        if not (torch.isfinite(pose).all() and torch.isfinite(translation).all()):
            raise InputError("The pose or the translation holds values that are not finite.")
        return PosedPerson(self, pose.to(joints), translation.to(joints))

    @torch.no_grad()
    def skinning(self, pose: Float[Tensor, "bone 3"], translation: Float[Tensor, "3"]) -> PeopleSkinning:
        """The deformation by the networks themselves, in a pose."""
        return self.coarse.skinning(pose[None], translation[None])

    @torch.no_grad()
    def field(self, pose: Float[Tensor, "bone 3"], translation: Float[Tensor, "3"]) -> SampledSkinning:
        """The deformation with the person's own weights sampled at the grid's nodes: what `search` and `trace` take.

        The same as `skinning` where the grid of the code's patterns lies on that of the weights.
        """
        exact, own = self.skinning(pose, translation), self._own_weights
        return SampledSkinning(own.grid, own.log_weights, exact.posed_from_canonical, exact.offsets, own)

    @cached_property
    def _own_weights(self) -> SampledWeights:
        weights, grid = self.model.weights, self.model.space.grid
        with torch.no_grad():
            tables, nodes = weights.tables(self.shape[None]), grid.nodes().to(self.shape)
            logs = [weights.log_weights(some, of_one_person(some), tables) for some in nodes.split(POINTS_AT_ONCE)]
        return SampledWeights(grid, torch.cat(logs))

    def avatar(self, name: str = "sampled person", resolution: int = 256) -> Avatar:
        """The person as an avatar of its own, which every other tool takes: wrinkles are in its surface."""
        body = self.body(resolution)
        model = snarf_from_body(body, SnarfOptions(base_spacing=BAKED_SPACING, pose_code=0))
        poses, translations = body.canonical_pose[None], body.joints.new_zeros(1, 3)
        return Avatar(
            model, poses, translations, AvatarInfo((name,), self.body_model, ("Drawn from a prior of people.",))
        )


@dataclass(frozen=True)
class PosedPerson:
    """Somebody in one pose and place, and what can be made of it."""

    person: Person
    rotation: Float[Tensor, "bone 3"]
    translation: Float[Tensor, "3"]

    def mesh(self, resolution: int = 256, details: bool = True) -> TriangleMesh:
        """The posed surface as a mesh, wrinkles in its geometry unless `details` is false."""
        return self.person.mesh(self.rotation, self.translation, resolution, details)

    def render(
        self, camera: Camera | OrthographicCamera, details: bool = True, background: float = BACKGROUND
    ) -> RenderedImage:
        """The surface itself, traced: mask, depth, normals as gDNA shows them, and a grey that these shade.

        Without `details` the normals are those of the coarse surface. The background is a linear grey, 0 to 1.
        """
        return picture_of_person(self._surface, self._proxy, camera, details, background)

    def normal_map(self, camera: Camera | OrthographicCamera, details: bool = True) -> Float[Tensor, "height width 3"]:
        """Unit normals in the camera's frame (x right, y up, z towards the viewer), zero where nobody is seen."""
        return view_normals(self.render(camera, details).normal, camera)

    def view(self, yaw: float = 0.0, size: int = 256) -> OrthographicCamera:
        """As the normal maps of datasets look: yaw 0 from +Z, a growing one turns the camera towards +X (radians)."""
        pelvis = self.person.model.space.joints_of(self.person.betas[None])[0, 0] + self.translation
        return orthographic_view(pelvis, yaw, HALF, size, size)

    @cached_property
    def _surface(self) -> PersonSurface:
        person, posed = self.person, (self.rotation, self.translation)
        return PersonSurface(
            person.model, person.coarse.shape(), person.detail[None], person.skinning(*posed), person.field(*posed)
        )

    @cached_property
    def _proxy(self) -> Proxy:
        mesh = self.person.coarse.mesh(PROXY_CELLS)
        with torch.no_grad():
            posed = forward_skin(self._surface.deformation, mesh.vertices, of_one_person(mesh.vertices))
        return Proxy(mesh.vertices, mesh.faces, posed[None])
