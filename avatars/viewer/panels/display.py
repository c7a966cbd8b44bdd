"""How the chosen avatar is drawn: surface, colours, resolution, canonical or posed."""

import viser

from avatars.viewer.figure import Figure
from avatars.viewer.panels.handling import on_press, on_user, put
from avatars.viewer.panels.parts import spaced
from avatars.viewer.stage import Stage
from avatars.viewer.state import BONE, BONES, EXACT, NORMALS, OWN, PLAIN, RIG

FAST_LABEL, EXACT_LABEL = "fast: the rig", "exact: the fields"
POSED, CANONICAL = "posed", "canonical"
CELLS = (64, 96, 128, 160, 192, 256, 320)
_LABELS = {PLAIN: "plain", OWN: "its own", BONE: "weights of one bone", BONES: "weights of all bones",
           NORMALS: "normals"}  # fmt: skip


class DisplayPanel:
    """Chooses how one figure is drawn."""

    def __init__(self, stage: Stage, figure: Figure) -> None:
        self._stage, self._figure = stage, figure
        self._labels = {_LABELS[name]: name for name in _LABELS if name != OWN or figure.model.build.has_colours}
        self._bones = {spaced(name): name for name in figure.model.build.skeleton.joint_names}
        gui = stage.server.gui
        self._pose = gui.add_dropdown("Pose", (POSED, CANONICAL), hint="Canonical: as the avatar is stored")
        self._surface = gui.add_dropdown("Surface", (FAST_LABEL, EXACT_LABEL),
                                         hint="Skinned in the browser, or found anew in every pose")  # fmt: skip
        self._colours = gui.add_dropdown("Colours", tuple(self._labels))
        self._bone = gui.add_dropdown("Bone", tuple(self._bones))
        self._colour = gui.add_rgb("Colour", figure.display.colour)
        self._cells = gui.add_dropdown("Resolution", tuple(str(cells) for cells in CELLS),
                                       hint="Cells along the longest side")  # fmt: skip
        self._wireframe = gui.add_checkbox("Wireframe", figure.display.wireframe)
        for handle in (self._pose, self._surface, self._colours, self._bone, self._colour, self._cells,
                       self._wireframe):  # fmt: skip
            on_user(handle, stage.board, lambda event: self._apply())
        self._shadows = gui.add_checkbox("Shadows", stage.shadows, hint="Without them slow browsers draw faster")
        on_user(self._shadows, stage.board, lambda event: self._set_shadows())
        look = gui.add_button(
            "Look at it", icon=viser.Icon.FOCUS_CENTERED, hint="Have the camera see all that is shown"
        )
        on_press(look, stage.board, lambda event: stage.frame(event.client))
        self.refresh(None)

    def refresh(self, origin: object) -> None:
        """Show the figure's display, unless this panel itself changed it."""
        display = self._figure.display
        self._bone.visible = display.colouring == BONE
        self._colour.visible = display.colouring == PLAIN
        self._wireframe.visible = display.colouring == PLAIN
        if origin is self:
            return
        put(self._pose, CANONICAL if display.canonical else POSED)
        put(self._surface, EXACT_LABEL if display.surface == EXACT else FAST_LABEL)
        put(self._colours, next(label for label, name in self._labels.items() if name == display.colouring))
        put(self._bone, spaced(display.bone) if display.bone else next(iter(self._bones)))
        put(self._cells, str(min(CELLS, key=lambda cells: abs(cells - display.resolution))))
        put(self._wireframe, display.wireframe)
        put(self._colour, display.colour)

    def close(self) -> None:
        """Nothing of it is in the scene."""

    def _set_shadows(self) -> None:
        self._stage.shadows = bool(self._shadows.value)

    def _apply(self) -> None:
        red, green, blue = self._colour.value
        self._figure.change(
            self,
            canonical=self._pose.value == CANONICAL,
            surface=EXACT if self._surface.value == EXACT_LABEL else RIG,
            colouring=self._labels[self._colours.value],
            bone=self._bones[self._bone.value],
            resolution=int(self._cells.value),
            colour=(int(red), int(green), int(blue)),
            wireframe=bool(self._wireframe.value),
        )
