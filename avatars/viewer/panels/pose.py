"""Joints of the chosen avatar: three sliders and a gizmo for one of them at a time, and poses to start from."""

import math
from dataclasses import replace

import roma
import torch
import viser
from jaxtyping import Float
from torch import Tensor

from avatars.viewer.figure import Figure
from avatars.viewer.panels.handling import number, on_press, on_user, put
from avatars.viewer.panels.parts import body_parts, spaced
from avatars.viewer.player import Player
from avatars.viewer.stage import Stage
from avatars.viewer.state import Stance

AXES = (("Turn about x", "about the axis to the person's left at rest"), ("Turn about y", "about the upright axis"),
        ("Turn about z", "about the axis that points forward at rest"))  # fmt: skip
NOW = "as it is now"
"""The entry beside the poses to start from."""
RESET, COPY = "reset", "copy to the other side"
RANDOM_TURN = 0.35
"""How far joints of a random pose are turned (radians, standard deviation)."""


class PosePanel:
    """Poses one figure."""

    def __init__(self, stage: Stage, figure: Figure, player: Player) -> None:
        self._stage, self._figure, self._player = stage, figure, player
        self._parts = body_parts(figure.model.build.skeleton.joint_names)
        self._joint = (
            0 if len(figure.model.build.skeleton) < 2 else min(_elbow(figure), len(figure.model.build.skeleton) - 1)
        )
        self._build(stage.server.gui)
        self._gizmo = self._add_gizmo()
        self.refresh(None)

    def choose(self, joint: int) -> None:
        """Show another joint."""
        self._joint = joint
        self._gizmo.remove()
        self._gizmo = self._add_gizmo()
        self.refresh(None)

    def refresh(self, origin: object) -> None:
        """Show the figure's stance, unless this panel itself changed it."""
        names = self._figure.model.build.skeleton.joint_names
        part = next(part for part, joints in self._parts.items() if names[self._joint] in joints)
        if self._part.value != part:
            put(self._part, part)
        self._list_joints()
        start = self._poses.get(self._start.value)
        if start is not None and not start.equals(self._figure.stance):
            put(self._start, NOW)  # so that the same pose can be chosen again
        if origin is not self:
            for slider, radians in zip(self._sliders, self._figure.stance.rotations[self._joint].tolist(), strict=True):
                put(slider, min(max(round(math.degrees(radians), 1), -180.0), 180.0))
        if origin is not self._gizmo:
            self.follow()

    def follow(self) -> None:
        """Put the gizmo where the joint is; there is none while motion plays, as browsers draw bodies later."""
        figure = self._figure
        if self._player.playing:
            self._gizmo.visible = False
            return
        turns, places = figure.model.frames(figure.stance)
        self._gizmo.visible = bool(self._show_gizmo.value) and not figure.display.canonical
        self._gizmo.position = places[self._joint].numpy()
        self._gizmo.wxyz = roma.rotmat_to_unitquat(turns[self._joint])[[3, 0, 1, 2]].numpy()

    def close(self) -> None:
        """Take the gizmo from the scene."""
        self._gizmo.remove()

    def _build(self, gui: viser.GuiApi) -> None:
        board, names = self._stage.board, self._figure.model.build.skeleton.joint_names
        self._model = self._figure.model
        self._poses = self._model.build.poses()
        first = next((name for name, pose in self._poses.items() if pose.equals(self._figure.stance)), NOW)
        listed = (NOW, *self._poses)
        self._start = gui.add_dropdown("Start from", listed, initial_value=first, hint="A pose to start from")
        on_user(self._start, board, lambda event: self._begin(self._start.value))
        self._part = gui.add_dropdown("Part", tuple(self._parts))
        on_user(self._part, board, lambda event: self.choose(names.index(self._parts[self._part.value][0])))
        self._name = gui.add_dropdown("Joint", ("",), hint="A click on the avatar chooses the nearest joint")
        on_user(self._name, board, lambda event: self._choose_name(self._name.value))
        self._sliders = []
        for label, hint in AXES:
            slider = gui.add_slider(label, -180.0, 180.0, 0.5, 0.0, hint=f"Degrees {hint}")
            on_user(slider, board, lambda event: self._turn())
            self._sliders.append(slider)
        self._show_gizmo = gui.add_checkbox(
            "Gizmo", _wants_gizmo(self._stage, self._figure), hint="Rings in the scene that turn the joint"
        )
        on_user(self._show_gizmo, board, lambda event: self.follow())
        buttons = gui.add_button_group(
            "This joint", (RESET, COPY), hint="Back to neutral, or have the other side's turned as this one is"
        )
        on_user(buttons, board, lambda event: self._reset() if buttons.value == RESET else self._mirror())
        on_press(gui.add_button("Reset all", icon=viser.Icon.REFRESH, hint="The whole pose and its place"), board,
                 lambda event: self._reset_all())  # fmt: skip
        on_press(gui.add_button("Random pose", icon=viser.Icon.DICE), board, lambda event: self._random())

    def _list_joints(self) -> None:
        """Joints of the part, the one that is shown first in mind."""
        names = self._figure.model.build.skeleton.joint_names
        listed = tuple(spaced(name) for name in self._parts[self._part.value])
        if tuple(self._name.options) != listed:
            self._name.options = listed
        if self._name.value != spaced(names[self._joint]):
            put(self._name, spaced(names[self._joint]))

    def _choose_name(self, shown: str) -> None:
        names = self._figure.model.build.skeleton.joint_names
        self.choose(next(number for number, name in enumerate(names) if spaced(name) == shown))

    def _turn(self) -> None:
        degrees = torch.tensor([number(slider) for slider in self._sliders])
        self._posed()
        self._figure.stand(self._figure.stance.turned(self._joint, torch.deg2rad(degrees)), self)

    def _reset(self) -> None:
        self._stand(self._figure.stance.turned(self._joint, self._figure.model.build.neutral.rotations[self._joint]))

    def _reset_all(self) -> None:
        """The neutral pose, with the face as it is."""
        self._stand(replace(self._figure.model.build.neutral, expression=self._figure.stance.expression))

    def _begin(self, pose: str) -> None:
        if pose == NOW:
            return
        if self._model is not self._figure.model:  # somebody else by now, who touches the ground elsewhere
            self._model = self._figure.model
            self._poses = self._model.build.poses()
        self._stand(self._poses[pose])

    def _mirror(self) -> None:
        """The other side's joint as this one, seen in a mirror."""
        other = self._figure.model.build.skeleton.mirror[self._joint]
        turn = self._figure.stance.rotations[self._joint] * torch.tensor([1.0, -1.0, -1.0])
        self._stand(self._figure.stance.turned(other, turn))

    def _random(self) -> None:
        neutral = self._figure.model.build.neutral
        turns = RANDOM_TURN * torch.randn_like(neutral.rotations)
        turns[0] = 0.0
        self._stand(replace(neutral, rotations=neutral.rotations + turns, expression=self._figure.stance.expression))

    def _stand(self, stance: Stance) -> None:
        self._posed()
        self._figure.stand(stance)

    def _posed(self) -> None:
        """Leave motion and the canonical pose: who poses wants to see it."""
        self._player.let_go(self._figure)
        if self._figure.display.canonical:
            self._figure.change(canonical=False)

    def _add_gizmo(self) -> viser.TransformControlsHandle:
        root = self._joint == 0
        gizmo = self._stage.server.scene.add_transform_controls(
            self._figure.gizmo_path, scale=0.09 if self._figure.model.head else 0.22, disable_axes=not root,
            disable_sliders=True, depth_test=False, line_width=2.0,
        )  # fmt: skip
        gizmo.on_update(lambda event: self._dragged(gizmo))
        return gizmo

    def _dragged(self, gizmo: viser.TransformControlsHandle) -> None:
        """The joint as the gizmo stands: its turn in the world, taken back by its parent's."""
        self._player.let_go(self._figure)
        stance, model = self._figure.stance, self._figure.model
        turns, places = model.frames(stance)
        wanted = roma.unitquat_to_rotmat(torch.tensor(gizmo.wxyz[[1, 2, 3, 0]]).float())
        stance = stance.turned(self._joint, own_turn(turns, model.build.skeleton.parents[self._joint], wanted))
        if self._joint == 0:
            shift = torch.tensor(gizmo.position).float() - places[0]
            stance = stance.moved(stance.translation + shift)
        self._figure.stand(stance, gizmo)


def own_turn(turns: Float[Tensor, "bone 3 3"], parent: int, wanted: Float[Tensor, "3 3"]) -> Float[Tensor, "3"]:
    """The rotation of a joint (axis-angle) that turns it so in the world, where its parent is turned as it is."""
    return roma.rotmat_to_rotvec(wanted if parent < 0 else turns[parent].mT @ wanted)


def _elbow(figure: Figure) -> int:
    """The joint to begin with."""
    names = figure.model.build.skeleton.joint_names
    return next((names.index(name) for name in ("left_elbow", "jaw") if name in names), 1)


def _wants_gizmo(stage: Stage, figure: Figure) -> bool:
    """Rings would hide a face, and in a gallery nobody poses yet."""
    return not figure.model.head and (stage.alone or not stage.open_on_click)
