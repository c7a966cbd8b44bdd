"""Motion of all avatars: files, and a clock to play, scrub and slow down."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import viser

from avatars.viewer.clips import clip_of, own_clip
from avatars.viewer.figure import Figure
from avatars.viewer.panels.handling import number, on_press, on_user, put
from avatars.viewer.player import Player
from avatars.viewer.stage import Stage
from avatars.viewer.worker import LatestWorker
from body_models import InputError, Motion

KINDS = "BVH, AMASS npz, GLB, ARKit CSV, or the folder of a tracked video"
TOPIC, HEADS = "Motion", "Motion of heads"
FAR = 1.5
"""Motions that go further over the ground are played in place at first (metres)."""
CHOSEN, EVERYBODY = "chosen avatar", "all avatars"


class MotionPanel:
    """Loads motion and rules the clock."""

    def __init__(self, stage: Stage, player: Player, loader: "MotionLoader") -> None:
        self._stage, self._player, self._loader = stage, player, loader
        gui, board = stage.server.gui, stage.board
        self._play = gui.add_button("Play", icon=viser.Icon.PLAYER_PLAY, color="teal")
        on_press(self._play, board, lambda event: player.pause() if player.playing else player.play())
        self._time = gui.add_slider("Time (s)", 0.0, 1.0, 0.01, 0.0)
        on_user(self._time, board, lambda event: self._scrub())
        self._speed = gui.add_slider("Speed", 0.1, 2.0, 0.05, player.speed)
        on_user(self._speed, board, lambda event: self._set_speed())
        self._loop = gui.add_checkbox("Loop", player.loop)
        on_user(self._loop, board, lambda event: self._set_loop())
        self._in_place = gui.add_checkbox(
            "In place", player.in_place, hint="Bodies do not walk away; ticked for motions that go far"
        )
        on_user(self._in_place, board, lambda event: self._set_in_place())
        with gui.add_folder("Take motion from"):
            self._path = gui.add_text("File", loader.last, hint=f"On the computer that shows this page: {KINDS}")
            self._for = gui.add_dropdown("For", (EVERYBODY, CHOSEN))
            on_press(gui.add_button("Open file", icon=viser.Icon.FOLDER_OPEN), board, lambda event: self._open())
            upload = gui.add_upload_button("Upload a file", icon=viser.Icon.UPLOAD, hint="From your own computer")
            upload.on_upload(lambda event: self._upload(upload.value))
            own = gui.add_button("What it was fitted to", icon=viser.Icon.HISTORY, hint="Scans or video, as motion")
            on_press(own, board, lambda event: loader.load_own(self._figures()))
        self.refresh(None)

    def refresh(self, origin: object) -> None:
        """Show where the clock is; this panel's own slider knows when it was it that moved the clock."""
        player, length = self._player, self._player.length
        label = "Pause" if player.playing else "Play"
        if self._play.label != label:
            self._play.label = label
            self._play.icon = viser.Icon.PLAYER_PAUSE if player.playing else viser.Icon.PLAYER_PLAY
        if self._time.max != max(length, 0.01):
            self._time.max = max(length, 0.01)
        self._play.disabled = self._time.disabled = length == 0
        put(self._in_place, player.in_place)
        if origin is not self:
            put(self._time, min(round(player.seconds, 2), self._time.max))

    def close(self) -> None:
        """Nothing of it is in the scene."""

    def _figures(self) -> list[Figure]:
        one = self._stage.chosen
        return self._stage.figures if self._for.value == EVERYBODY or one is None else [one]

    def _open(self) -> None:
        text = self._path.value.strip()
        if not text:
            raise InputError(f"Type the path of a motion file: {KINDS}.")
        self._loader.load(Path(text).expanduser(), self._figures())

    def _upload(self, given: viser.UploadedFile) -> None:
        """The file under its own name in a folder that is gone once it is read."""
        self._loader.load_upload(given.name, given.content, self._figures())

    def _scrub(self) -> None:
        self._player.scrub(number(self._time), self)

    def _set_speed(self) -> None:
        self._player.speed = number(self._speed)

    def _set_loop(self) -> None:
        self._player.loop = bool(self._loop.value)

    def _set_in_place(self) -> None:
        self._player.in_place = bool(self._in_place.value)
        self._player.show()


class MotionLoader:
    """Brings motion onto figures in a thread of its own, and then plays it."""

    def __init__(self, stage: Stage, player: Player) -> None:
        self._stage, self._player = stage, player
        self.last = ""
        """The path that was read last."""
        self._worker = LatestWorker[Callable[[], None]](
            lambda job: job(), lambda error: stage.board.error(TOPIC, error), "motion"
        )

    def load(self, source: Motion | Path, figures: list[Figure]) -> None:
        """Have figures play a motion; those that it does not fit say so, the others move."""
        self._worker.ask(lambda: self._load(source, figures))

    def load_own(self, figures: list[Figure]) -> None:
        """Have figures play what they were fitted to."""
        self._worker.ask(lambda: self._give(figures, None))

    def load_upload(self, name: str, content: bytes, figures: list[Figure]) -> None:
        """Have figures play a file that was sent by a browser."""
        self._worker.ask(lambda: self._load_upload(name, content, figures))

    def wait(self, seconds: float | int) -> bool:
        """Wait until what was asked for is loaded; returns whether it was in that time."""
        return self._worker.wait(seconds)

    def stop(self) -> None:
        """End the thread."""
        self._worker.stop()

    def _load(self, source: Motion | Path, figures: list[Figure]) -> None:
        self._give(figures, source)
        if isinstance(source, Path):
            self.last = str(source)

    def _load_upload(self, name: str, content: bytes, figures: list[Figure]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / (Path(name.replace("\\", "/")).name or "motion")
            path.write_bytes(content)
            self._give(figures, path)

    def _give(self, figures: list[Figure], source: Motion | Path | None) -> None:
        board, moving = self._stage.board, []
        refused: dict[str, list[str]] = {}
        for figure in figures:
            board.busy(figure.name, "bringing the motion over")
            try:
                figure.clip = own_clip(figure.model) if source is None else clip_of(figure.model, source)
                figure.change(canonical=False)
                moving.append(figure)
            except InputError as error:
                refused.setdefault(str(error), []).append(figure.name)
            finally:
                board.done(figure.name)
        board.clear(TOPIC)
        board.clear(HEADS)
        if moving:
            self._begin(moving, source is None)
        if refused:  # one message, though many avatars may say the same
            lines = [f"{', '.join(names)}: {said}" for said, names in refused.items()]
            board.error(TOPIC, InputError("  \n".join(lines)))

    def _begin(self, figures: list[Figure], own: bool) -> None:
        """Play from the start, in place where somebody would leave the picture."""
        clips = [figure.clip for figure in figures if figure.clip is not None]
        self._player.in_place = any(clip.travel > FAR for clip in clips)
        still = [figure.name for figure in figures if figure.clip is not None and figure.clip.faceless and not own]
        if still:
            who = ", ".join(still)
            self._stage.board.note(HEADS, f"{who}: a head cannot play a body's motion but for turns of its neck.")
        self._player.seconds = 0.0
        self._player.play()
