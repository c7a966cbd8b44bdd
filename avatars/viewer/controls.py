"""The column beside the scene: which avatar is chosen, what is at work, and the tabs that act on it."""

import threading
from typing import Protocol, runtime_checkable

import viser

from avatars.viewer.board import Board
from avatars.viewer.figure import Figure
from avatars.viewer.models import HeadModel
from avatars.viewer.panels import DisplayPanel, ExpressionPanel, FilesPanel, MotionPanel, PosePanel, PriorPanel
from avatars.viewer.panels.handling import on_press, on_user, put
from avatars.viewer.panels.motion import MotionLoader
from avatars.viewer.people import PersonModel
from avatars.viewer.player import Player
from avatars.viewer.stage import Stage


@runtime_checkable
class Panel(Protocol):
    """What a tab holds."""

    def refresh(self, origin: object) -> None:
        """Show how the figure is now, which `origin` changed."""

    def close(self) -> None:
        """Leave nothing behind in the scene."""


class Controls:
    """Builds the tabs anew for every avatar that is chosen, since what can be done differs."""

    def __init__(self, stage: Stage, player: Player, loader: MotionLoader, chooser: "Chooser", board: Board) -> None:
        self._stage, self._player, self._loader, self._chooser = stage, player, loader, chooser
        self._board = board
        self._tabs: viser.GuiTabGroupHandle | None = None
        self._panels: list[Panel] = []
        self._lock = threading.RLock()
        stage.on_choice, stage.on_change, stage.on_pick = self.show, self.refresh, self.pick
        stage.on_roster.append(chooser.refresh)
        player.listener = self.tick

    def show(self, figure: Figure | None) -> None:
        """Tabs for a figure; none without."""
        with self._lock:
            for panel in self._panels:
                panel.close()
            if self._tabs is not None:
                self._tabs.remove()
            self._tabs, self._panels = None, []
            self._chooser.refresh()
            if figure is not None:
                self._build(figure)

    def refresh(self, figure: Figure, origin: object) -> None:
        """Have panels show a figure's change; while motion plays only rings go along, see `tick`."""
        if figure is not self._stage.chosen:
            return
        with self._lock:
            for panel in self._panels:
                if origin is not self._player:
                    panel.refresh(origin)
                elif isinstance(panel, PosePanel):
                    panel.follow()

    def tick(self, origin: object) -> None:
        """Have panels show where the clock is, and what it did to the figure: a few times a second."""
        with self._lock:
            for panel in self._panels:
                panel.refresh(origin)

    def close(self) -> None:
        """End the panels' threads."""
        with self._lock:
            for panel in self._panels:
                panel.close()
            self._panels = []

    def pick(self, figure: Figure, joint: int) -> None:
        """Show a joint that was clicked."""
        with self._lock:
            for panel in self._panels:
                if isinstance(panel, PosePanel):
                    panel.choose(joint)

    def _build(self, figure: Figure) -> None:
        stage = self._stage
        self._tabs = tabs = stage.server.gui.add_tab_group()
        if isinstance(figure.model, HeadModel):
            with tabs.add_tab("Face"):
                self._panels.append(ExpressionPanel(stage, figure, self._player))
        with tabs.add_tab("Pose"):
            self._panels.append(PosePanel(stage, figure, self._player))
        if isinstance(figure.model, PersonModel) and figure.prior is not None:
            with tabs.add_tab("Person"):
                self._panels.append(PriorPanel(stage, figure, figure.prior))
        with tabs.add_tab("Motion"):
            self._panels.append(MotionPanel(stage, self._player, self._loader))
        with tabs.add_tab("View"):
            self._panels.append(DisplayPanel(stage, figure))
        with tabs.add_tab("Save"):
            self._panels.append(FilesPanel(stage, figure))


class Chooser:
    """Which avatar is chosen, and whether the others are shown."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        gui = stage.server.gui
        self._name = gui.add_dropdown("Avatar", ("",), visible=False)
        self._all = gui.add_button("Show all", icon=viser.Icon.USERS, visible=False)
        self._one = gui.add_button("Show this one alone", icon=viser.Icon.USER, visible=False)
        on_user(self._name, stage.board, lambda event: self._choose(event))
        on_press(self._all, stage.board, lambda event: self._show(event, alone=False))
        on_press(self._one, stage.board, lambda event: self._show(event, alone=True))

    def refresh(self) -> None:
        """List the avatars that are there."""
        figures, chosen = self._stage.figures, self._stage.chosen
        listed = tuple(_label(figure) for figure in figures)
        if listed and tuple(self._name.options) != listed:
            self._name.options = listed
        if chosen is not None:
            put(self._name, _label(chosen))
        several = len(figures) > 1
        self._name.visible = several
        self._all.visible, self._one.visible = several and self._stage.alone, several and not self._stage.alone

    def _choose(self, event: viser.GuiEvent) -> None:
        figure = next(figure for figure in self._stage.figures if _label(figure) == self._name.value)
        self._stage.choose(figure, True if self._stage.open_on_click else None)
        self._stage.frame(event.client)

    def _show(self, event: viser.GuiEvent, alone: bool) -> None:
        if self._stage.chosen is not None:
            self._stage.choose(self._stage.chosen, alone)
            self._stage.frame(event.client)


def _label(figure: Figure) -> str:
    """Names need not differ, numbers do."""
    return f"{figure.number + 1}: {figure.name}"
