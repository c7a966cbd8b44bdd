"""The README's pictures of exported files in other people's programs.

python -m tests.tools.pictures WALK.glb HEAD.glb FOLDER   writes FOLDER/rig.jpg and FOLDER/rig_head.jpg
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from avatars.export.formats.blender import run_in_blender
from tests.tools.browser import three_player

Picture = UInt8[np.ndarray, "height width 3"]
BLENDER_SCRIPT = Path(__file__).with_name("blender_picture.py")
BACKGROUND = (233, 237, 241)
BODY_VIEW = {"height": 2.02, "side": 32, "above": 5, "up": 0.86}
"""Metres in the picture's height, degrees to the side and from above, and the height of the middle."""
WALK = ((0.42, ""), (0.86, ""), (1.3, "triangles"), (1.72, "bones"))
"""Seconds, and what is drawn over the surface."""
BLENDER_TIME = 2.2
LABEL = 28
"""Pixels for the words below a picture."""
FAINT = 0.12
"""Shadow below this share is the ground's, which should not be seen."""
FACES: dict[str, dict[str, float]] = {
    "at rest": {},
    "jawOpen": {"jawOpen": 1.0},
    "mouthSmileLeft, Right": {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0},
    "eyeBlinkLeft, Right": {"eyeBlinkLeft": 0.9, "eyeBlinkRight": 0.9},
    "browInnerUp": {"browInnerUp": 1.0},
}


def main(walk: Path, head: Path, folder: Path) -> None:
    """Write both pictures."""
    size = (320, 500)
    shots = [labelled(walking(walk, time, lines, size), f"three.js, {lines or 'textured'}") for time, lines in WALK]
    strip([*shots, labelled(in_cycles(walk, size), "Blender, Cycles")], folder / "rig.jpg")
    strip([labelled(shot, name) for name, shot in faces(head, (300, 350)).items()], folder / "rig_head.jpg")


def walking(path: Path, time: float, lines: str, size: tuple[int, int]) -> Picture:
    """A time of a clip in three.js."""
    with three_player(path, (2 * size[0], 2 * size[1])) as player:
        player.ask("window.player.addGround()")
        if lines:
            player.ask(f"window.player.addLines('{lines}')")
        player.set_time(time)
        view = BODY_VIEW
        player.ask(f"window.player.look({view['height']}, {view['side']}, {view['above']}, {view['up']})")
        assert player.messages == []
        return halved(player.picture()[..., :3])


def in_cycles(path: Path, size: tuple[int, int]) -> Picture:
    """The same in Blender."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.png"
        wish = {**BODY_VIEW, "time": BLENDER_TIME, "samples": 128, "size": list(size)}
        run_in_blender(BLENDER_SCRIPT, str(path.resolve()), str(out), json.dumps(wish))
        shown = np.asarray(Image.open(out).convert("RGBA")) / 255
    opaque = np.clip((shown[..., 3:] - FAINT) / (1 - FAINT), 0, 1)
    return np.round(255 * shown[..., :3] * opaque + np.array(BACKGROUND) * (1 - opaque)).astype(np.uint8)


def faces(path: Path, size: tuple[int, int]) -> dict[str, Picture]:
    """A head without clip, driven by its morph targets."""
    shots = {}
    with three_player(path, (2 * size[0], 2 * size[1])) as player:
        player.ask("window.player.choose(-1)")
        player.follow()
        top = player.posed_vertices()[:, 1].max()
        player.ask(f"window.player.look(0.3, 8, 0, {top - 0.142})")
        for name, weights in FACES.items():
            player.ask(f"window.player.setMorphs({json.dumps(weights)})")
            shots[name] = halved(player.picture()[..., :3])
        assert player.messages == []
    return shots


def halved(picture: Picture) -> Picture:
    """Four pixels to one, for smooth edges."""
    return np.asarray(
        Image.fromarray(picture).resize((picture.shape[1] // 2, picture.shape[0] // 2), Image.Resampling.BOX)
    )


def labelled(picture: Picture, words: str) -> Picture:
    """A picture with some words below it."""
    image = Image.fromarray(np.concatenate([picture, np.full((LABEL, picture.shape[1], 3), BACKGROUND, np.uint8)]))
    place = (image.width / 2, image.height - LABEL / 2 - 3)
    ImageDraw.Draw(image).text(place, words, fill=(70, 78, 88), font=ImageFont.load_default(15), anchor="mm")
    return np.asarray(image)


def strip(pictures: Sequence[Picture], path: Path) -> None:
    """Pictures side by side as a JPEG file."""
    imageio.imwrite(path, np.concatenate(pictures, axis=1), quality=88)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
