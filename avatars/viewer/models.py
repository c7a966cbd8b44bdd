"""An avatar as the page needs one: its rig at any resolution, its exact surface, and poses to choose from."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.export import motion_on, training_motion
from avatars.export.driving.head_neutral import resting_head
from avatars.export.rig import Rig
from avatars.export.rig.bake import rig_of
from avatars.export.rig.motion import rig_rotations
from avatars.export.rig.source import source_of
from avatars.models.avatar import Avatar
from avatars.models.head_avatar import HeadAvatar
from avatars.viewer.shown import Boned, Meshed, OwnColours, Rolled, rolled_rig, shown_mesh, shown_rig
from avatars.viewer.stances import body_poses, grounded, grounded_head, standing
from avatars.viewer.state import BONE, BONES, EXACT, NORMALS, OWN, RIG, Display, Stance, Stances
from body_models import Motion, Skeleton
from body_models.skeleton import posed_from_rest, rotation_matrices, transform_points

COARSE = 64
"""Cells of the surface by which an avatar is set on the ground."""


@dataclass(frozen=True)
class Build:
    """What never changes about somebody."""

    skeleton: Skeleton
    """The joints that are posed."""
    joints: Float[Tensor, "bone 3"]
    """Where they are at rest (metres)."""
    neutral: Stance
    """Standing on the ground at the origin."""
    canonical: Stance
    """In the pose in which the avatar is stored."""
    poses: Callable[[], dict[str, Stance]]
    """Stances to choose from, by name."""
    has_colours: bool = False
    expression_names: tuple[str, ...] = ()
    named_actions: bool = False
    """Whether expression parameters are actions from 0 to 1."""


class Model(ABC):
    """What can be shown of somebody; knows no page."""

    def __init__(self, name: str, build: Build) -> None:
        self.name, self.build = name, build
        self._rigs: dict[int, Rig] = {}
        self._colours: dict[int, OwnColours] = {}

    @property
    def head(self) -> bool:
        """Whether it is only a head."""
        return bool(self.build.expression_names)

    @property
    @abstractmethod
    def avatar(self) -> Avatar | HeadAvatar:
        """What other tools take; it may take a while to make."""

    @cached_property
    def box(self) -> Float[Tensor, "2 3"]:
        """Lowest and highest corner of the neutral stance (metres)."""
        shown = self.shown(self.build.neutral, Display(colouring=NORMALS, resolution=COARSE))
        assert isinstance(shown, Meshed)
        return torch.stack(list(shown.vertices.aminmax(dim=0)))

    def rig(self, resolution: int) -> Rig:
        """The skinned mesh, made once a resolution."""
        if resolution not in self._rigs:
            self._rigs[resolution] = self._make_rig(resolution)
        return self._rigs[resolution]

    @torch.no_grad()
    def shown(self, stance: Stance, display: Display) -> Boned | Meshed:
        """What to draw; raises InputError where there is no surface."""
        stance = self.build.canonical if display.canonical else stance
        if display.surface == EXACT:
            return shown_mesh(self._exact(stance, display), display)
        rig, own = self.rig(display.resolution), self._known_colours(display)
        rotations = self._rig_rotations(stance.rotations[None])[0]
        return shown_rig(rig, rotations, stance.translation, stance.expression, display, own)

    def rolls(self, display: Display) -> bool:
        """Whether a browser can play motion of it by itself: a rig in colours that do not follow from the pose."""
        coloured = display.colouring in (BONE, BONES) or (display.colouring == OWN and self.build.has_colours)
        return display.surface == RIG and coloured and not display.canonical

    @torch.no_grad()
    def rolled(self, times: Float[Tensor, "key"], stances: Stances, display: Display) -> Rolled:
        """What a browser plays by itself: the stances at times from now on (seconds)."""
        rotations = self._rig_rotations(stances.rotations)
        rig, own = self.rig(display.resolution), self._known_colours(display)
        return rolled_rig(rig, times, rotations, stances.translations, stances.expressions, display, own)

    def motion(self, source: Motion | Path | str) -> Motion:
        """Anybody's motion on this one; raises InputError as `avatars.export.motion_on` does."""
        return motion_on(self.avatar, source)

    def own_motion(self) -> Motion:
        """What it was fitted to: a video, or poses one after another; raises InputError without any."""
        return training_motion(self.avatar)

    def slow(self, display: Display) -> str:
        """What will take a while when it is shown so; empty where all is at hand."""
        if display.surface == EXACT:
            return f"finding the exact surface ({display.resolution} cells)"
        return "" if display.resolution in self._rigs else f"meshing ({display.resolution} cells)"

    @torch.no_grad()
    def frames(self, stance: Stance) -> tuple[Float[Tensor, "bone 3 3"], Float[Tensor, "bone 3"]]:
        """How the joints are turned in the world, and where they are (metres)."""
        matrices, joints = rotation_matrices(stance.rotations), self.build.joints
        posed = posed_from_rest(matrices, stance.translation, joints, self.build.skeleton.parents)
        return posed[:, :3, :3], transform_points(posed, joints)

    @abstractmethod
    def _exact(self, stance: Stance, display: Display) -> Meshed:
        """The surface of the fields themselves in a stance."""

    @abstractmethod
    def _make_rig(self, resolution: int) -> Rig:
        """The rig, made anew."""

    def _rig_rotations(self, rotations: Float[Tensor, "frame bone 3"]) -> Float[Tensor, "frame rig_bone 3"]:
        return rotations

    def _known_colours(self, display: Display) -> OwnColours | None:
        """The own colours, where they are wished and there are any."""
        wished = display.colouring == OWN and self.build.has_colours
        return self._own_colours(display.resolution) if wished else None

    def _own_colours(self, resolution: int) -> OwnColours:
        """The colours of the rig's vertices, asked for once a resolution."""
        if resolution not in self._colours:
            source = source_of(self.avatar, resolution)
            assert source.colour is not None
            self._colours[resolution] = OwnColours(source.colour(source.vertices), source.unlit)
        return self._colours[resolution]


class BodyModel(Model):
    """A body that was fitted or sampled."""

    def __init__(self, name: str, avatar: Avatar) -> None:
        self._avatar = avatar if avatar.device.type == "cpu" else avatar.to_device("cpu")
        body = self._avatar.body(COARSE)

        def poses() -> dict[str, Stance]:
            scans = zip(avatar.info.names, self._avatar.poses, strict=False)
            return body_poses(body) | {f"scan {scan}": grounded(body, pose) for scan, pose in scans}

        coloured = self._avatar.colours(body.joints[:1]) is not None
        canonical = grounded(body, body.canonical_pose)
        super().__init__(name, Build(body.skeleton, body.joints, standing(body), canonical, poses, coloured))

    @property
    def avatar(self) -> Avatar:
        """The avatar itself."""
        return self._avatar

    def _exact(self, stance: Stance, display: Display) -> Meshed:
        posed = self._avatar.pose(stance.rotations, stance.translation)
        mesh = posed.mesh(display.resolution, exact=True)
        colours = posed.colours(mesh.vertices) if display.colouring == OWN else None
        return Meshed(mesh.vertices, mesh.faces, colours)

    def _make_rig(self, resolution: int) -> Rig:
        return rig_of(source_of(self._avatar, resolution))


class HeadModel(Model):
    """A head that was fitted to a video; raises InputError for those without one mesh."""

    def __init__(self, name: str, avatar: HeadAvatar) -> None:
        self._avatar = avatar if avatar.device.type == "cpu" else avatar.to_device("cpu")
        model, count = self._avatar.model, avatar.model.sizes.expressions
        place = grounded_head(self._make_rig(COARSE).vertices)
        still = Stance(torch.zeros_like(model.joints), place, place.new_zeros(count))
        canonical = Stance(model.canonical_pose, place, still.expression)

        def poses() -> dict[str, Stance]:
            rest = Stance(still.rotations, place, resting_head(self._avatar).expression)
            return {"neutral": still, "at rest, as in the video": rest, "canonical": canonical}

        names = avatar.expression_names or tuple(f"component {number}" for number in range(count))
        named = bool(avatar.expression_names)
        build = Build(avatar.skeleton, model.joints, still, canonical, poses, True, names, named)
        super().__init__(name, build)

    @property
    def avatar(self) -> HeadAvatar:
        """The avatar itself."""
        return self._avatar

    def _exact(self, stance: Stance, display: Display) -> Meshed:
        posed = self._avatar.pose(stance.expression, stance.rotations, stance.translation)
        mesh = posed.mesh(display.resolution)
        colours = posed.vertex_colours(display.resolution) if display.colouring == OWN else None
        return Meshed(mesh.vertices, mesh.faces, colours, unlit=True)

    def _make_rig(self, resolution: int) -> Rig:
        return rig_of(source_of(self._avatar, resolution))

    def _rig_rotations(self, rotations: Float[Tensor, "frame bone 3"]) -> Float[Tensor, "frame rig_bone 3"]:
        return rig_rotations(self._avatar, rotations)
