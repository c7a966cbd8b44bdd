"""The ground, the light and the avatars that stand there; which of them is chosen, and how cameras see them."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
import viser
from jaxtyping import Float, UInt8
from torch import Tensor

from avatars.viewer.board import Board
from avatars.viewer.figure import Figure
from avatars.viewer.models import Model
from avatars.viewer.people import KnownPrior
from avatars.viewer.state import SIGHT, Display

FIELD_OF_VIEW = math.radians(32)
BESIDE, ABOVE = math.radians(18), math.radians(6)
"""From where cameras look at first."""
GAP = 0.24
"""Between neighbours, of the height of the tallest."""
IN_A_ROW = 6
KEY = (1.9, 4.4, 3.2)
"""Where the light that casts shadows hangs (metres)."""
PANEL, PHONE = 335, 576
"""Pixels that the column of controls covers, and below which it lies under the view instead."""
FIRST_VIEW = 1.4, 0.22
"""Width by height of views that are not known yet, and the share of these that the controls cover."""
GROUND = "/ground"


class Stage:
    """All figures of the page; panels and player act on these."""

    def __init__(self, server: viser.ViserServer, board: Board) -> None:
        self.server, self.board = server, board
        self.figures: list[Figure] = []
        self.chosen: Figure | None = None
        self.alone = False
        """Whether only the chosen figure is shown."""
        self.open_on_click = False
        """Whether a click on one of several shows that one alone."""
        self.on_choice: Callable[[Figure | None], None] = lambda figure: None
        self.on_roster: list[Callable[[], None]] = []
        """Told when somebody came, or others are shown or hidden."""
        self.on_change: Callable[[Figure, object], None] = lambda figure, origin: None
        self.on_pick: Callable[[Figure, int], None] = lambda figure, joint: None
        self._lock = threading.RLock()
        self._count = 0
        self._key = _furnish(server)

    @property
    def shadows(self) -> bool:
        """Whether there are shadows on the ground; a third of a frame's time where the browser draws by software."""
        return bool(self._key.cast_shadow)

    @shadows.setter
    def shadows(self, shadows: bool) -> None:
        self._key.cast_shadow = shadows

    def add(self, model: Model, known: KnownPrior | None = None, display: Display | None = None) -> Figure:
        """Put somebody on the stage, perhaps of a prior; the first one is chosen."""
        with self._lock:
            figure = Figure(self.server, self._count, model, self.board, self._told, self._clicked, display)
            figure.prior = known
            self._count += 1
            self.figures.append(figure)
            self.arrange()
        figure.redraw()
        if self.chosen is None:
            self.choose(figure)
        self._roster_changed()
        return figure

    def clear(self) -> None:
        """Take all away."""
        with self._lock:
            figures, self.figures, self.chosen, self.alone = self.figures, [], None, False
        for figure in figures:
            figure.remove()
        self.on_choice(None)

    def choose(self, figure: Figure, alone: bool | None = None) -> None:
        """Make a figure the one that panels act on; `alone` hides the others, or shows them again."""
        with self._lock:
            changed, self.chosen, before = figure is not self.chosen, figure, self.alone
            self.alone = self.alone if alone is None else alone
            for other in self.figures:
                other.visible = other is figure or not self.alone
            self.arrange()
        if changed:
            self.on_choice(figure)
        if self.alone != before:
            self._roster_changed()

    def arrange(self) -> None:
        """Put figures beside each other, in rows where they are many."""
        boxes = [figure.box() - _place(figure) for figure in self.figures]
        if not boxes:
            return
        sizes = torch.stack([box[1] - box[0] for box in boxes])
        gap = GAP * float(sizes[:, 1].max())
        width, depth = float(sizes[:, 0].max()) + gap / 2, float(sizes[:, 2].max()) + 2 * gap
        columns = -(-len(boxes) // -(-len(boxes) // IN_A_ROW))
        for number, figure in enumerate(self.figures):
            row, column = divmod(number, columns)
            across = 0.0 if self.alone else (column - (columns - 1) / 2 + row % 2 / 2) * width
            figure.place(across, 0.0 if self.alone else -row * depth)
            figure.labelled = len(boxes) > 1 and not self.alone

    def frame(self, client: viser.ClientHandle | None = None) -> None:
        """Have a camera see all that is shown; without a client, those of the clients to come."""
        camera = self.server.initial_camera if client is None else client.camera
        aspect, covered = FIRST_VIEW
        if client is not None:
            aspect, covered = max(client.camera.aspect, 0.2), covered_share(client.camera.image_width)
        boxes = [figure.box() for figure in self.figures if figure.visible]
        if not boxes:
            return
        position, middle = framing(torch.stack(boxes), aspect, covered)
        camera.fov, camera.far = FIELD_OF_VIEW, SIGHT
        camera.position, camera.look_at = tuple(position.tolist()), tuple(middle.tolist())

    @contextmanager
    def bare(self, client: viser.ClientHandle, backdrop: bool) -> Iterator[None]:
        """For one browser only, and as long as the block runs, no rings, nor ground and backdrop unless wished."""
        hidden = [figure.gizmo_path for figure in self.figures] + ([] if backdrop else [GROUND])
        with client.atomic():
            covers = [client.scene.add_frame(path, show_axes=False) for path in hidden]
            if not backdrop:
                client.scene.set_background_image(None)
        try:
            yield
        finally:
            for cover in covers:
                cover.remove()
            if not backdrop:
                client.scene.set_background_image(_backdrop(), format="png")

    def _roster_changed(self) -> None:
        for told in self.on_roster:
            told()

    def _told(self, figure: Figure, origin: object) -> None:
        self.on_change(figure, origin)

    def _clicked(self, figure: Figure, event: viser.SceneNodePointerEvent) -> None:
        opens = self.open_on_click and not self.alone and len(self.figures) > 1
        self.choose(figure, True if opens else None)
        if opens:
            self.frame(event.client)
            return
        origin, direction = (torch.tensor(values) for values in (event.ray_origin, event.ray_direction))
        self.on_pick(figure, picked_joint(figure, origin.float(), direction.float()))


def picked_joint(figure: Figure, origin: Float[Tensor, "3"], direction: Float[Tensor, "3"]) -> int:
    """The joint that a ray passes most closely (metres)."""
    stance = figure.model.build.canonical if figure.display.canonical else figure.stance
    towards = figure.model.frames(stance)[1] + _place(figure) - origin
    unit = direction / direction.norm()
    along = towards @ unit
    return int((towards - along[:, None] * unit).norm(dim=1).argmin())


def covered_share(width: int | float) -> float:
    """How much of a view so many pixels wide is behind the controls."""
    return 0.0 if width < PHONE else min(PANEL / width, 0.5)


def framing(
    boxes: Float[Tensor, "box 2 3"], aspect: float, covered: float
) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
    """Where a camera stands and what it looks at, so that it sees all boxes (metres).

    `aspect` is the view's width by its height, of which a share is `covered` on the right.
    """
    low, high = boxes[:, 0].amin(0), boxes[:, 1].amax(0)
    middle, size = (low + high) / 2, high - low
    half = math.tan(FIELD_OF_VIEW / 2)
    across, up = float(size[0]) / (aspect * (1 - covered)), float(size[1])
    nearest = max(across * 1.1, up * 1.15) / 2 / half
    distance = nearest + float(size[2]) / 2
    beside = BESIDE if len(boxes) == 1 else 0.0
    above = ABOVE if len(boxes) == 1 else 2 * ABOVE
    towards = [math.cos(above) * math.sin(beside), math.sin(above), math.cos(above) * math.cos(beside)]
    shift = covered / 2 * 2 * half * aspect * nearest
    middle = middle + shift * middle.new_tensor([math.cos(beside), 0.0, -math.sin(beside)])
    return middle + distance * middle.new_tensor(towards), middle


def _place(figure: Figure) -> Float[Tensor, "3"]:
    return torch.tensor([float(value) for value in figure.frame.position])


def _furnish(server: viser.ViserServer) -> viser.SpotLightHandle:
    """Light from the front, a pale backdrop, and a ground with a grid; returns the light that casts shadows."""
    scene = server.scene
    scene.set_up_direction("+y")
    scene.set_background_image(_backdrop(), format="png")
    scene.configure_default_lights(False)
    scene.configure_environment_map(None)  # half of a frame's time where the browser draws by software
    scene.add_light_hemisphere("/lights/sky", sky_color=(240, 244, 252), ground_color=(190, 178, 168), intensity=1.3)
    key = scene.add_light_spot(
        "/lights/key", color=(255, 244, 232), position=KEY, direction=(-KEY[0], 0.8 - KEY[1], -KEY[2]), intensity=95.0,
        angle=0.7, penumbra=1.0, cast_shadow=True,
    )  # fmt: skip
    scene.add_light_directional("/lights/front", color=(255, 250, 244), intensity=0.9, position=(1.0, 1.6, 2.6))
    scene.add_light_directional("/lights/rim", color=(214, 228, 255), intensity=1.2, position=(-2.0, 2.5, -3.0))
    scene.add_grid(
        GROUND, plane="xz", infinite_grid=True, cell_size=0.25, section_size=1.0, cell_color=(214, 216, 222),
        section_color=(186, 189, 198), fade_distance=9.0, fade_from="origin", shadow_opacity=0.25,
    )  # fmt: skip
    return key


def _backdrop() -> UInt8[np.ndarray, "height width 3"]:
    """From a pale grey above to a lighter one below."""
    share = np.linspace(0, 1, 64)[:, None, None]
    top, bottom = np.array([222.0, 226.0, 232.0]), np.array([246.0, 246.0, 247.0])
    return np.repeat(np.round(top + share * (bottom - top)).astype(np.uint8), 4, axis=1)
