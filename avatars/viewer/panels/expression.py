"""The face of the chosen head: a slider for each expression parameter."""

from dataclasses import replace

import torch
import viser

from avatars.viewer.figure import Figure
from avatars.viewer.models import HeadModel
from avatars.viewer.panels.handling import number, on_press, on_user, put
from avatars.viewer.panels.parts import face_parts, spaced
from avatars.viewer.player import Player
from avatars.viewer.stage import Stage

ACTIVE = 7
"""Actions that a random face shows."""
COMPONENTS = 3.0
"""How far components without names go."""


class ExpressionPanel:
    """Moves the face of one figure."""

    def __init__(self, stage: Stage, figure: Figure, player: Player) -> None:
        self._stage, self._figure, self._player = stage, figure, player
        model = figure.model
        assert isinstance(model, HeadModel)
        self._names, self._named = model.build.expression_names, model.build.named_actions
        self._sliders: dict[str, viser.GuiSliderHandle[float]] = {}
        gui, board = stage.server.gui, stage.board
        on_press(gui.add_button("Neutral", icon=viser.Icon.REFRESH), board, lambda event: self._neutral())
        on_press(gui.add_button("Random face", icon=viser.Icon.DICE), board, lambda event: self._random())
        for place, (part, names) in enumerate(face_parts(self._names).items()):
            with gui.add_folder(part, expand_by_default=place in (3, 4)):
                for name in names:
                    self._add(gui, name)
        self.refresh(None)

    def refresh(self, origin: object) -> None:
        """Show the figure's expression, unless this panel itself changed it."""
        if origin is self:
            return
        for name, value in zip(self._names, self._figure.stance.expression.tolist(), strict=True):
            slider = self._sliders[name]
            put(slider, min(max(round(value, 2), slider.min), slider.max))

    def close(self) -> None:
        """Nothing of it is in the scene."""

    def _add(self, gui: viser.GuiApi, name: str) -> None:
        low = 0.0 if self._named else -COMPONENTS
        high = 1.0 if self._named else COMPONENTS
        slider = gui.add_slider(spaced(name), low, high, 0.01, 0.0, hint=name)
        index = self._names.index(name)
        on_user(slider, self._stage.board, lambda event: self._set(index, number(slider)))
        self._sliders[name] = slider

    def _set(self, index: int, value: float) -> None:
        self._player.let_go(self._figure)
        self._figure.stand(self._figure.stance.with_action(index, value), self)

    def _neutral(self) -> None:
        self._show(torch.zeros(len(self._names)))

    def _random(self) -> None:
        """A few actions, at most as strong as faces usually show them; components all a little."""
        count = len(self._names)
        if not self._named:
            self._show(torch.randn(count).clamp(-2, 2))
            return
        face = torch.zeros(count)
        for index in torch.randperm(count)[:ACTIVE].tolist():
            face[index] = 0.15 + 0.6 * torch.rand(())
        self._show(face)

    def _show(self, face: torch.Tensor) -> None:
        self._player.let_go(self._figure)
        self._figure.stand(replace(self._figure.stance, expression=face))
