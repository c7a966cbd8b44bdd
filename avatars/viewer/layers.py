"""An avatar's node in the scene of the page, drawn in whichever way is lightest for what it shows."""

import threading
from collections.abc import Callable

import numpy as np
import viser

from avatars.export.rig import Rig
from avatars.viewer.colouring import dense_weights
from avatars.viewer.glb import coloured_glb
from avatars.viewer.moving_glb import moving_glb
from avatars.viewer.shown import Boned, Meshed, Rolled, Shown
from avatars.viewer.state import Display

Node = viser.MeshSkinnedHandle | viser.MeshHandle | viser.GlbHandle
Click = Callable[[viser.SceneNodePointerEvent], None]

SKIN = "skin"
"""The name of skinned meshes."""
NAMES = 16
OVERLAP = 0.06
"""Seconds for which a coloured mesh stays until the browser has read the one that follows it."""
LONG_OVERLAP = 0.25
"""The same for one that moves by itself: it takes longer to read."""


class Layers:
    """Draws what is shown below one path of the scene tree.

    Of a rig only its bones travel, of a plain mesh its vertices; a mesh with colours is sent anew, as a small GLB,
    since viser has no other meshes with colours at vertices, but in motion once, with the motion in it. Shadows fall
    on the ground only: on skin they are coarse.
    """

    def __init__(self, server: viser.ViserServer, path: str, click: Click) -> None:
        self._server, self._path, self._click = server, path, click
        self._lock = threading.Lock()
        self._node: Node | None = None
        self._rig: Rig | None = None
        self._faces: object = None
        self._number = 0
        self._rolls = False
        self._leaving: list[Node] = []
        self._closed = False

    def draw(self, shown: Shown, display: Display) -> None:
        """Show this instead of what was shown."""
        glb = _glb(shown)
        with self._lock, self._server.atomic():
            if isinstance(shown, Boned):
                self._draw_bones(shown, display)
            elif glb is not None:
                self._draw_glb(glb, rolls=isinstance(shown, Rolled))
            elif isinstance(shown, Meshed):
                self._draw_plain(shown, display)

    def remove(self) -> None:
        """Take everything away."""
        self.close()
        with self._lock:
            self._replace(None)

    def close(self) -> None:
        """Take away at once what is to go soon, from now on."""
        with self._lock:
            self._closed, leaving = True, list(self._leaving)
        for node in leaving:
            self._drop(node)

    def _draw_bones(self, shown: Boned, display: Display) -> None:
        node = self._node
        if not isinstance(node, viser.MeshSkinnedHandle) or self._rig is not shown.rig:
            former, self._node = self._node, None
            node = self._add_rig(shown.rig, display)
            if not isinstance(former, viser.MeshSkinnedHandle):  # another one was replaced, as it had the same name
                _remove(self._server, former)
            self._take(node)
            self._rig = shown.rig
        _dress(node, display)
        wxyzs, positions = shown.wxyzs().numpy(), shown.positions().numpy()
        for bone, wxyz, position in zip(node.bones, wxyzs, positions, strict=True):
            bone.wxyz, bone.position = wxyz, position

    def _add_rig(self, rig: Rig, display: Display) -> viser.MeshSkinnedHandle:
        """The rig's mesh in its bind pose, where all bones are at the origin."""
        count = len(rig.skeleton)
        return self._server.scene.add_mesh_skinned(
            f"{self._path}/{SKIN}",
            rig.vertices.numpy(),
            rig.faces.numpy(),
            bone_wxyzs=np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
            bone_positions=np.zeros((count, 3)),
            skin_weights=dense_weights(rig.bones, rig.weights, count).numpy(),
            color=display.colour,
            wireframe=display.wireframe,
            receive_shadow=False,
        )

    def _draw_plain(self, shown: Meshed, display: Display) -> None:
        node = self._node
        if isinstance(node, viser.MeshHandle) and self._faces is shown.faces:
            node.vertices = shown.vertices.numpy()
            _dress(node, display)
            return
        node = self._server.scene.add_mesh_simple(
            self._name(),
            shown.vertices.numpy(),
            shown.faces.numpy(),
            color=display.colour,
            wireframe=display.wireframe,
            receive_shadow=False,
        )
        self._replace(node)
        self._faces = shown.faces

    def _draw_glb(self, glb: bytes, *, rolls: bool) -> None:
        former, rolled = self._node, self._rolls
        self._node = None
        self._take(self._server.scene.add_glb(self._name(), glb, receive_shadow=False))
        self._rolls = rolls
        if self._closed:
            _remove(self._server, former)
        elif former is not None:
            short = OVERLAP if isinstance(former, viser.GlbHandle) and not rolled else 3 * OVERLAP
            stays = LONG_OVERLAP if rolls else short
            self._leaving.append(former)
            threading.Timer(stays, self._drop, (former,)).start()

    def _drop(self, node: Node) -> None:
        """Take away what another one has followed, once."""
        with self._lock:
            known = any(one is node for one in self._leaving)
            self._leaving = [one for one in self._leaving if one is not node]
        if known:
            _remove(self._server, node)

    def _name(self) -> str:
        """A name that no node on the page has, taken from few: the server remembers every name it ever removed."""
        self._number = (self._number + 1) % NAMES
        return f"{self._path}/mesh_{self._number}"

    def _replace(self, node: Node | None) -> None:
        former, self._node = self._node, None
        self._take(node)
        _remove(self._server, former)

    def _take(self, node: Node | None) -> None:
        if node is not None:
            node.on_click(self._click)
        self._node, self._rig, self._faces, self._rolls = node, None, None, False


def _glb(shown: Shown) -> bytes | None:
    """What has colours, as a file."""
    if isinstance(shown, Rolled):
        return moving_glb(shown)
    if isinstance(shown, Boned) or shown.colours is None:
        return None
    return coloured_glb(shown.vertices.numpy(), shown.faces.numpy(), shown.colours.numpy(), shown.unlit)


def _remove(server: viser.ViserServer, node: Node | None) -> None:
    """Take a node from the scene; a skinned one leaves an empty frame of its name.

    The page of viser 1.1 breaks down where a skinned mesh goes and nothing of its name follows.
    """
    if isinstance(node, viser.MeshSkinnedHandle):
        server.scene.add_frame(node.name, show_axes=False)
    elif node is not None:
        node.remove()


def _dress(node: viser.MeshSkinnedHandle | viser.MeshHandle, display: Display) -> None:
    """The colour of a plain surface, sent only where it changed."""
    if tuple(node.color) != display.colour:
        node.color = display.colour
    if node.wireframe != display.wireframe:
        node.wireframe = display.wireframe
