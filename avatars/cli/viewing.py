"""The verb that shows avatars on a page in the browser. Imports wait until it runs, so that help is quick."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from avatars.cli.notes import collected_notes, with_notes

if TYPE_CHECKING:
    from avatars.viewer.opening import Place
    from avatars.viewer.viewer import Viewer


@dataclass(frozen=True)
class View:
    """Show avatars in the browser: pose and animate them, look at colours and weights, take pictures and files."""

    avatars: tyro.conf.Positional[tuple[Path, ...]]
    """Avatar files, which stand side by side, or a folder of people from `avatars sample`."""
    motion: Path | None = None
    """A motion file of any kind that `avatars motion info` reads, which all of them play."""
    prior: Path | None = None
    """The prior that sampled people are of; the one that is shipped if not given."""
    port: int = 8080
    """Where the page is; the next free port if somebody uses this one."""
    host: str = "127.0.0.1"
    """Who may see it: 127.0.0.1 this computer only, 0.0.0.0 everybody in the network."""

    def run(self) -> str:
        """Serve the page until Ctrl-C."""
        places, gallery = self._places()
        self._check_motion()
        with self._started() as viewer:
            with collected_notes() as notes:
                self._show(viewer, places, gallery)
            print(with_notes(self._said(viewer), notes), flush=True)
            viewer.serve_forever()
        return ""

    def _places(self) -> "tuple[list[Place], bool]":
        """What is shown, and whether as a gallery."""
        from avatars.viewer.opening import places
        from body_models import InputError

        if not self.avatars:
            raise InputError("Name an avatar file or a folder of them: `avatars view alice.avatar`.")
        found = [place for path in self.avatars for place in places(path)]
        return found, any(path.is_dir() for path in self.avatars)

    def _check_motion(self) -> None:
        """Read it once before anything is served, so that what is wrong with it is told at once."""
        from avatars.export.driving.drivers import read_driver
        from body_models import InputError

        if self.motion is None:
            return
        if not self.motion.exists():
            raise InputError(f"No motion file '{self.motion}'. `avatars motion info FILE` tells what can be read.")
        read_driver(self.motion)

    def _started(self) -> "Viewer":
        from body_models import InputError

        try:
            from avatars.viewer import Viewer
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] != "viser":
                raise
            raise InputError("The viewer needs the package viser: type `pip install viser`.") from error
        from avatars.models.prior_file import load_prior

        return Viewer(self.port, self.host, None if self.prior is None else load_prior(self.prior))

    def _show(self, viewer: "Viewer", places: "Sequence[Place]", gallery: bool) -> None:
        if gallery:
            viewer.show_gallery(places, self.motion)
            return
        for place in places:
            viewer.add_place(place)
        if self.motion is not None:
            viewer.play(self.motion)

    def _said(self, viewer: "Viewer") -> str:
        from avatars.viewer.ports import remote_hint

        taken = "" if viewer.port == self.port else f" (port {self.port} is in use, so it is {viewer.port})"
        lines = [f"Open {viewer.address}{taken}. Ctrl-C ends it."]
        hint = remote_hint(self.host, viewer.port)
        return "\n".join(lines if hint is None else [*lines, hint])
