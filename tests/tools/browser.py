"""three.js in a headless browser: it plays one of our files, and tests ask it where the vertices are."""

import functools
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from jaxtyping import Float, UInt8

from tests.tools.validator import HERE, node_package

ARGUMENTS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
KINDS = {".html": "text/html", ".js": "text/javascript", ".glb": "model/gltf-binary"}


class Player:
    """A page with a file open; `page` is playwright's, `messages` what the console complained of."""

    def __init__(self, page, messages: list[str]) -> None:
        self.page = page
        self.messages = messages

    def ask(self, expression: str):
        """Value of an expression of JavaScript."""
        return self.page.evaluate(expression)

    def set_time(self, seconds: float) -> None:
        """Show the clip at a time."""
        self.page.evaluate("seconds => window.player.setTime(seconds)", seconds)

    def follow(self) -> None:
        """Bring the model, which may have walked out of the picture, back into its middle."""
        self.page.evaluate("window.player.follow()")

    def posed_vertices(self) -> Float[np.ndarray, "vertex 3"]:
        """World positions of all vertices in the order of the file, as morphed and skinned by three.js (metres)."""
        return np.array(self.page.evaluate("window.player.posedVertices()"), np.float64).reshape(-1, 3)

    def picture(self, path: Path | None = None) -> UInt8[np.ndarray, "height width channel"]:
        """What the page shows, also as a PNG file where a path is given."""
        return imageio.imread(self.page.screenshot(path=path), extension=".png")


@contextmanager
def three_player(model: Path, size: tuple[int, int] = (480, 640), as_vrm: bool = False) -> Iterator[Player]:
    """Open a GLB in a page of three.js, or a VRM with pixiv's reader of these in it.

    Skips the calling test where the browser, playwright or the npm packages are missing.
    """
    for package in ("three", *(["@pixiv/three-vrm"] if as_vrm else [])):
        node_package(package)
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install '.[test]' gives playwright")
    program = browser_program()
    with served(model) as address, playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        try:
            page = browser.new_page(viewport={"width": size[0], "height": size[1]})
            messages: list[str] = []
            page.on("console", lambda said: messages.append(said.text) if said.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: messages.append(str(error)))
            page.goto(f"{address}/{'vrm' if as_vrm else 'page'}.html")
            _wait(page, messages)
            yield Player(page, messages)
        finally:
            browser.close()


def browser_program() -> str:
    """Where Chromium is, or skip the calling test when it is not installed."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium on the PATH (and no CHROMIUM=... to say where it is)")
    return program


def _wait(page, messages: list[str]) -> None:
    try:
        page.wait_for_function("window.player !== undefined", timeout=30_000)
    except Exception as error:
        raise AssertionError(f"three.js did not load the file: {messages or error}") from error


class _Handler(SimpleHTTPRequestHandler):
    """Files of the page, npm packages, and the model."""

    def __init__(self, *given, model: Path, **named) -> None:
        self.model = model
        super().__init__(*given, **named)

    def translate_path(self, path: str) -> str:
        path = path.split("?")[0]
        if path == "/model.glb":
            return str(self.model)
        if path.startswith("/node_modules/") and ".." not in path:
            return str(HERE / path.removeprefix("/"))
        return str(HERE / Path(path).name)

    def guess_type(self, path) -> str:
        return KINDS.get(Path(path).suffix, "application/octet-stream")

    def log_message(self, *given) -> None:
        """Nothing: tests are quiet."""


@contextmanager
def served(model: Path) -> Iterator[str]:
    """Address of a local server on a free port for as long as the block runs."""
    handler = functools.partial(_Handler, model=Path(model).resolve())
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
