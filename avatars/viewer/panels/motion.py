"""Motion of all avatars: files, and a clock to play, scrub and slow down."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import viser

from avatars.viewer.clips import clip_of, own_clip
from avatars.viewer.figure import Figure
from avatars.viewer.panels.handling import on_press, on_user, put
from avatars.viewer.player import Player
from avatars.viewer.stage import Stage
from avatars.viewer.worker import LatestWorker
from body_models import InputError, Motion

KINDS = "BVH, AMASS npz, GLB, ARKit CSV, or the folder of a tracked video"
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
        self._in_place = gui.add_checkbox("In place", player.in_place, hint="Bodies do not walk away")
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
        """Show where the clock is."""
        player, length = self._player, self._player.length
        label = "Pause" if player.playing else "Play"
        if self._play.label != label:
            self._play.label = label
            self._play.icon = viser.Icon.PLAYER_PAUSE if player.playing else viser.Icon.PLAYER_PLAY
        if self._time.max != max(length, 0.01):
            self._time.max = max(length, 0.01)
        self._play.disabled = self._time.disabled = length == 0
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
        self._player.pause()
        self._player.seek(float(self._time.value))

    def _set_speed(self) -> None:
        self._player.speed = float(self._speed.value)

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
            lambda job: job(), lambda error: stage.board.error("Motion", error), "motion"
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
        moved = False
        for figure in figures:
            self._stage.board.busy(figure.name, "bringing the motion over")
            try:
                figure.clip = own_clip(figure.model) if source is None else clip_of(figure.model, source)
                figure.change(canonical=False)
                moved = True
            except InputError as error:
                self._stage.board.error(figure.name, error)
            self._stage.board.done(figure.name)
        if moved:
            self._player.seconds = 0.0
            self._player.play()
