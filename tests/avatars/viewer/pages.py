"""Pages in a real browser without a window, for tests of the viewer; skipped where there is no browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from tests.tools.browser import ARGUMENTS, browser_program

COUNTS_FRAMES = """(() => {
    let tick = 0, last = -1;
    window.framesDrawn = 0;
    const next = window.requestAnimationFrame.bind(window);
    const count = () => { tick++; next(count); };
    next(count);
    const draw = WebGL2RenderingContext.prototype.drawElements;
    WebGL2RenderingContext.prototype.drawElements = function (...given) {
        if (tick !== last) { last = tick; window.framesDrawn++; }
        return draw.apply(this, given);
    };
})()"""
HARMLESS = ("GPU stall", "THREE.Clock", "KHR_parallel_shader_compile", "GL Driver Message")
"""What software drawing and viser's own page say about themselves."""


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium; skips the test with a reason where it or playwright is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    path = browser_program()
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, "--ignore-gpu-blocklist"])
        yield running
        running.close()


def opened(running: Any, address: str, width: int = 640, height: int = 480) -> tuple[Any, list[str]]:
    """A tab that shows an address, and the errors that its console will hold."""
    errors: list[str] = []
    tab = running.new_page(viewport={"width": width, "height": height})
    tab.set_default_timeout(60_000)
    tab.add_init_script(COUNTS_FRAMES)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    tab.goto(address)
    tab.wait_for_selector("canvas")
    tab.wait_for_function("window.framesDrawn > 2")
    return tab, errors


def real(errors: list[str]) -> list[str]:
    """Errors that are not known to be harmless."""
    return [error for error in errors if not any(known in error for known in HARMLESS)]


def picture(tab: Any) -> np.ndarray:
    """What the scene looks like, without the panel and messages, as bytes."""
    import imageio.v3 as iio

    width, height = tab.viewport_size["width"], tab.viewport_size["height"]
    shot = tab.screenshot(clip={"x": 0, "y": height * 0.3, "width": width * 0.5, "height": height * 0.7})
    return iio.imread(shot)[..., :3].astype(float)


def changes(tab: Any, before: np.ndarray, seconds: float = 20.0, least: float = 0.002) -> bool:
    """Whether a share of the pixels becomes different soon."""
    for _ in range(int(seconds / 0.25)):
        if (np.abs(picture(tab) - before).max(-1) > 20).mean() > least:
            return True
        tab.wait_for_timeout(250)
    return False


def row(tab: Any, label: str) -> Any:
    """The line of the panel with a label."""
    return tab.locator(f'.mantine-Flex-root:has(label:text-is("{label}"))').last


def slide(tab: Any, label: str, share: float) -> None:
    """Press a slider at a share of its length."""
    slider = row(tab, label).locator(".mantine-Slider-root")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    tab.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)


def choose(tab: Any, label: str, option: str) -> None:
    """Take an entry of a drop-down list."""
    row(tab, label).locator("input[role=combobox]").click()
    tab.get_by_role("option", name=option, exact=True).click()


def turn_to(tab: Any, name: str) -> None:
    """Open one of the panel's tabs."""
    tab.get_by_role("tab", name=name, exact=True).click()
