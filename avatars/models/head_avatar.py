"""A head avatar: a fitted IMavatar model with the motion it was fitted to; saved, posed, rendered and exported."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.meshing import TriangleMesh
from avatars.models.avatar import AvatarInfo
from avatars.models.head_picture import mesh_colours, picture_of_mesh, picture_of_surface
from avatars.models.head_proxy import FrameMesh, HeadProxy, frame_mesh, head_proxy
from avatars.models.imavatar import Imavatar, PosedSurface
from body_models import InputError, Skeleton
from body_models.parameters import unknown_name
from data_prep.camera import Camera
from data_prep.pictures import RenderedImage


@dataclass(frozen=True)
class HeadTracks:
    """The motion of a video (world space, metres, radians)."""

    poses: Float[Tensor, "frame bone 3"]
    """Axis-angle, root first; the root carries the head's rotation."""
    translations: Float[Tensor, "frame 3"]
    expressions: Float[Tensor, "frame expression"]
    expression_names: tuple[str, ...] = ()
    """Empty for components without names."""
    frame_rate: float = 25.0
    """Frames a second."""
    camera: Camera | None = None
    """That of the video's first frame, where it is known."""

    def __post_init__(self) -> None:
        counts = (len(self.poses), len(self.translations), len(self.expressions))
        if len(set(counts)) > 1 or counts[0] == 0:
            raise InputError(
                f"{counts[0]} poses, {counts[1]} translations and {counts[2]} expressions: not one a frame."
            )
        if self.expression_names and len(self.expression_names) != self.expressions.shape[1]:
            names, numbers = len(self.expression_names), self.expressions.shape[1]
            raise InputError(f"{names} expression names do not go with {numbers} expression parameters.")

    def __len__(self) -> int:
        return len(self.poses)

    def to(self, device: torch.device | str) -> "HeadTracks":
        """The same motion on a device."""
        return HeadTracks(
            self.poses.to(device),
            self.translations.to(device),
            self.expressions.to(device),
            self.expression_names,
            self.frame_rate,
            None if self.camera is None else self.camera.to(device),
        )


class HeadAvatar:
    """One animatable head (metres, Y up; the neutral head at rest faces +Z)."""

    def __init__(self, model: Imavatar, tracks: HeadTracks, info: AvatarInfo) -> None:
        bones, count = tracks.poses.shape[1], tracks.expressions.shape[1]
        if bones != len(model.skeleton) or count != model.sizes.expressions:
            raise InputError(
                f"Tracks of {bones} joints and {count} expression parameters do not fit a head of "
                f"{len(model.skeleton)} and {model.sizes.expressions}."
            )
        self.model = model.eval().requires_grad_(False)
        self.tracks, self.info = tracks, info
        self._proxies: dict[int, HeadProxy] = {}

    @property
    def skeleton(self) -> Skeleton:
        """The joints by name, without the ghost."""
        return self.model.skeleton

    @property
    def expression_names(self) -> tuple[str, ...]:
        """Names of the expression parameters; empty for components without names."""
        return self.tracks.expression_names

    @property
    def device(self) -> torch.device:
        """Where the avatar computes."""
        return self.model.device

    def to_device(self, device: torch.device | str) -> "HeadAvatar":
        """The same avatar on a device."""
        return HeadAvatar(copy.deepcopy(self.model).to(device), self.tracks.to(device), self.info)

    def proxy(self, resolution: int = 160) -> HeadProxy:
        """The canonical surface as a mesh with weights and blendshapes, extracted once a resolution.

        Raises InputError for heads that one such mesh does not show; ask `PosedHead.mesh` of these.
        """
        if not self.model.rigged:
            raise InputError(
                f"A head of the deformation '{self.model.options.deformation}' has another mesh in every frame; "
                "ask a posed head for its mesh."
            )
        if resolution not in self._proxies:
            self._proxies[resolution] = head_proxy(self.model, resolution)
        return self._proxies[resolution]

    def pose(
        self,
        expression: Float[Tensor, "expression"] | Mapping[str, float] | None = None,
        pose: Float[Tensor, "bone 3"] | None = None,
        translation: Float[Tensor, "3"] | None = None,
    ) -> "PosedHead":
        """The head with an expression (in full, or some by name), a pose (radians) and a place (metres).

        What is not given is neutral, at rest and at the origin. Raises InputError for unknown names, wrong sizes and
        values that are not finite.
        """
        neutral = self.tracks.poses.new_zeros(len(self.skeleton), 3)
        values = {
            "expression": (self._expression(expression), (self.model.sizes.expressions,)),
            "pose": (neutral if pose is None else pose, (len(self.skeleton), 3)),
            "translation": (neutral[0] if translation is None else translation, (3,)),
        }
        for name, (value, shape) in values.items():
            if value.shape != shape:
                raise InputError(f"The {name} has shape {tuple(value.shape)}; this head takes {shape}.")
            if not bool(value.isfinite().all()):
                raise InputError(f"The {name} holds values that are not finite.")
        ready = [value.to(self.model.joints) for value, _ in values.values()]
        return PosedHead(self, *ready)

    def frame(self, index: int) -> "PosedHead":
        """The head as a frame of the video that it was fitted to showed it."""
        if not 0 <= index < len(self.tracks):
            raise InputError(f"No frame {index}: this head was fitted to {len(self.tracks)}, counted from 0.")
        tracks = self.tracks
        return self.pose(tracks.expressions[index], tracks.poses[index], tracks.translations[index])

    def _expression(self, given: Tensor | Mapping[str, float] | None) -> Float[Tensor, "expression"]:
        if isinstance(given, Tensor):
            return given
        values = self.tracks.expressions.new_zeros(self.model.sizes.expressions)
        for name, value in (given or {}).items():
            if name not in self.expression_names:
                raise InputError(unknown_name("Unknown expression", name, self.expression_names))
            values[self.expression_names.index(name)] = value
        return values


@dataclass(frozen=True)
class PosedHead:
    """A head with one expression, in one pose and place, and what can be made of it."""

    avatar: HeadAvatar
    expression: Float[Tensor, "expression"]
    rotation: Float[Tensor, "bone 3"]
    translation: Float[Tensor, "3"]
    _meshes: dict[int, FrameMesh] = field(default_factory=dict, init=False, repr=False, compare=False)

    def proxy(self, resolution: int = 160) -> HeadProxy | FrameMesh:
        """The avatar's own proxy, or, where its surface changes with every frame, this frame's; made once."""
        if self.avatar.model.rigged:
            return self.avatar.proxy(resolution)
        if resolution not in self._meshes:
            self._meshes[resolution] = frame_mesh(self.avatar.model, self._surface(), resolution)
        return self._meshes[resolution]

    @torch.no_grad()
    def vertices(self, proxy: HeadProxy | FrameMesh) -> Float[Tensor, "vertex 3"]:
        """The proxy's vertices as this head carries them (metres)."""
        if isinstance(proxy, FrameMesh):
            return proxy.posed
        model, pose = self.avatar.model, self.rotation[None]
        transforms = model.transforms(pose, self.translation[None])
        return proxy.posed(transforms, model.coefficients(pose, self.expression[None]))[0]

    def mesh(self, resolution: int = 160) -> TriangleMesh:
        """The canonical surface, meshed and carried along by weights and blendshapes; or this frame's own surface."""
        proxy = self.proxy(resolution)
        return TriangleMesh(self.vertices(proxy), proxy.faces)

    def vertex_colours(self, resolution: int = 160) -> Float[Tensor, "vertex 3"]:
        """Colours of the mesh's vertices (linear, 0 to 1)."""
        proxy = self.proxy(resolution)
        return mesh_colours(self.avatar.model, proxy, self.vertices(proxy), self._condition())

    def render(
        self, camera: Camera, exact: bool = False, resolution: int = 160, background: float = 1.0
    ) -> RenderedImage:
        """A picture with mask, depth and normals before a grey: of the posed mesh, or of the surface itself (exact).

        Colours are the ones that were seen, with the light of the video in them. The background is linear, 0 to 1.
        """
        model, proxy = self.avatar.model, self.proxy(resolution)
        vertices, camera = self.vertices(proxy), camera.to(self.avatar.device)
        if not exact:
            return picture_of_mesh(model, proxy, vertices, self._condition(), camera, background)
        return picture_of_surface(self._surface(), proxy, vertices, camera, background)

    @torch.no_grad()
    def _surface(self) -> PosedSurface:
        return self.avatar.model.posed(self.rotation[None], self.translation[None], self.expression[None])

    def _condition(self) -> Float[Tensor, "condition"]:
        return self.avatar.model.condition(self.rotation[None], self.expression[None])[0]
