"""What can be taken home: a picture of the page, or the avatar in a file for other programs."""

import io
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import viser

from avatars.export import export
from avatars.export.coloured_meshes import write_coloured_mesh
from avatars.meshing import TriangleMesh
from avatars.viewer.figure import Figure
from avatars.viewer.panels.handling import on_press
from avatars.viewer.shown import Meshed
from avatars.viewer.stage import Stage
from avatars.viewer.state import NORMALS, OWN
from avatars.viewer.worker import LatestWorker
from body_models import InputError

RIGGED = "GLB, rigged"
FORMATS = {RIGGED: ".glb", "PLY, this pose": ".ply", "OBJ, this pose": ".obj", "STL, this pose": ".stl"}
PATIENCE = 30.0
"""Seconds that a browser may take for a picture."""


class FilesPanel:
    """Pictures and files of one figure, sent to whoever asks."""

    def __init__(self, stage: Stage, figure: Figure) -> None:
        self._stage, self._figure = stage, figure
        self._worker = LatestWorker[Callable[[], None]](
            lambda job: job(), lambda error: stage.board.error("Export", error), "export"
        )
        gui, board = stage.server.gui, stage.board
        on_press(gui.add_button("Screenshot", icon=viser.Icon.CAMERA, hint="A PNG as large as the view"), board,
                 lambda event: self._worker.ask(lambda: self._picture(event.client)))  # fmt: skip
        self._clear = gui.add_checkbox("Clear background", False, hint="A see-through one, for slides")
        self._format = gui.add_dropdown(
            "Format", tuple(FORMATS), hint="Rigged: bones, morphs, textures, and the motion"
        )
        on_press(gui.add_button("Export", icon=viser.Icon.DOWNLOAD), board,
                 lambda event: self._worker.ask(lambda: self._export(event.client)))  # fmt: skip

    def refresh(self, origin: object) -> None:
        """Nothing here follows from how the figure stands."""

    def close(self) -> None:
        """End its thread."""
        self._worker.stop()

    def _picture(self, client: viser.ClientHandle | None) -> None:
        if client is None:
            return
        size = client.camera.image_height, client.camera.image_width
        self._stage.board.clear("Export")
        try:
            with self._stage.bare(client, backdrop=not self._clear.value):
                seen = client.get_render(*size, transport_format="png", timeout=PATIENCE)
        except (RuntimeError, TimeoutError) as error:
            raise InputError("The browser sent no picture; is its tab still open and in front?") from error
        if not self._clear.value:
            cover = seen[..., 3:].astype(float) / 255
            seen = (seen[..., :3] * cover + 255 * (1 - cover)).round().astype("uint8")
        coded = io.BytesIO()
        iio.imwrite(coded, seen, extension=".png")
        client.send_file_download(f"{self._figure.name}.png", coded.getvalue(), save_immediately=True)

    def _export(self, client: viser.ClientHandle | None) -> None:
        figure, board = self._figure, self._stage.board
        board.clear("Export")
        board.busy("Export", f"writing {self._format.value}")
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = write_figure(figure, Path(folder), str(self._format.value))
                if client is not None:
                    client.send_file_download(path.name, path.read_bytes(), save_immediately=True)
        finally:
            board.done("Export")


def write_figure(figure: Figure, folder: Path, kind: str) -> Path:
    """Write a figure into a folder, in one of FORMATS: as a rig with its motion, or as it stands (metres)."""
    path = folder / f"{figure.name}{FORMATS[kind]}"
    if kind == RIGGED:
        return export(figure.model.avatar, path, motion=None if figure.clip is None else figure.clip.motion)
    shown = figure.model.shown(figure.stance, replace(figure.display, colouring=_written(figure)))
    assert isinstance(shown, Meshed)
    colours = shown.colours if figure.model.build.has_colours else None
    return write_coloured_mesh(TriangleMesh(shown.vertices, shown.faces), colours, path)


def _written(figure: Figure) -> str:
    """A colouring with which rigs are posed as meshes."""
    return OWN if figure.model.build.has_colours else NORMALS
