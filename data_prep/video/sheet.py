"""One picture of frames spread over a video: as filmed, with the mesh, and cut out."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from data_prep.video.overlay import LEFT_OUT, Overlay, fitted, framed_red, label_font, left_out_words
from data_prep.video_dataset import VideoDataset

COLUMNS = 3
CELL = 144
"""Rows of the pictures in a contact sheet at most."""
GAP = 10
GREY = 128
"""What stands behind the person in the cut-out pictures (sRGB)."""
INK = (50, 54, 60)


def spread_frames(count: int, shown: int) -> list[int]:
    """At most `shown` frames of `count`, evenly spread from the first to the last."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(shown, count))})


def contact_sheet(overlay: Overlay, shown: int = 24) -> UInt8[np.ndarray, "height width 3"]:
    """Frames in rows of three; each as filmed, with the mesh, and on grey where its mask is. Red: left out."""
    dataset = overlay.dataset
    cells = [_cell(overlay, index) for index in spread_frames(len(dataset.frames), shown)]
    height, width = cells[0].shape[:2]
    columns = min(COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    sheet = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), 250, np.uint8)
    for place, cell in enumerate(cells):
        top, left = (GAP + place // columns * (height + GAP), GAP + place % columns * (width + GAP))
        sheet[top : top + height, left : left + width] = cell
    return sheet


def _cell(overlay: Overlay, index: int) -> UInt8[np.ndarray, "height width 3"]:
    """One frame: three pictures above a line of text, framed red when it is left out."""
    dataset, frame = overlay.dataset, overlay.dataset.frames[index]
    full = fitted(dataset.image(index), 2 * CELL)
    pictures = [full, overlay.draw(index, full, landmarks=False)]
    if any(other.mask is not None for other in dataset.frames):
        pictures.append(_cut_out(dataset, index, full))
    row = np.concatenate([fitted(picture, CELL) for picture in pictures], axis=1)
    if not frame.use:
        row = framed_red(row, 3)
    strip = Image.new("RGB", (row.shape[1], 20), (250, 250, 250))
    text, color = f"{index}   {frame.time:.1f} s   {left_out_words(frame)}", INK if frame.use else LEFT_OUT
    ImageDraw.Draw(strip).text((2, 10), text, fill=color, font=label_font(13.0), anchor="lm")
    return np.concatenate([row, np.asarray(strip)])


def _cut_out(
    dataset: VideoDataset, index: int, picture: UInt8[np.ndarray, "height width 3"]
) -> UInt8[np.ndarray, "height width 3"]:
    """The person on grey, or plain grey that says so for a frame without a mask."""
    if dataset.frames[index].mask is None:
        empty = Image.new("RGB", (picture.shape[1], picture.shape[0]), (GREY, GREY, GREY))
        center, font = (picture.shape[1] / 2, picture.shape[0] / 2), label_font(picture.shape[0] * 0.08)
        ImageDraw.Draw(empty).text(center, "no mask", fill=(235, 235, 235), font=font, anchor="mm")
        return np.asarray(empty)
    alpha = Image.fromarray((dataset.alpha(index) * 255).round().astype(np.uint8))
    if alpha.size != (picture.shape[1], picture.shape[0]):
        alpha = alpha.resize((picture.shape[1], picture.shape[0]), Image.Resampling.BOX)
    cover = np.asarray(alpha)[:, :, None].astype(np.float32) / 255
    return (picture * cover + GREY * (1 - cover)).round().astype(np.uint8)
