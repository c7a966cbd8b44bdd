"""Write pictures and videos, and lay pictures side by side."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from body_models.errors import InputError
from data_prep.atomic import replacing

Frame = UInt8[np.ndarray, "_ _ 3"]
QUALITY = 18
"""Constant rate factor of H.264: 0 is lossless, 18 looks so, 28 is small."""

BT709 = 1
"""Number of the HD colour space in the codec's tables; players guess wrong colours for a file that names none."""


def write_image(image: Frame, path: Path | str) -> Path:
    """Write an sRGB picture as PNG; raises InputError for another ending or a place that cannot be written."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"Cannot write a picture as '{path.name}'; end the name in .png.")
    _check_frame(image, image.shape)
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")
    return path


def write_video(frames: Iterable[Frame], path: Path | str, fps: float | int = 30) -> Path:
    """Write sRGB frames as they come: .mp4 (H.264, plays everywhere), .gif, or a folder of PNGs (no ending).

    MP4 needs even sides, so an odd last row or column is repeated; GIF times frames in hundredths of a second. The
    target appears whole or not at all. Raises InputError for another ending, no frames, frames of different sizes, or
    a place that cannot be written.
    """
    path = Path(path)
    writers = {".mp4": _write_mp4, ".gif": _write_gif, "": _write_folder}
    if path.suffix.lower() not in writers:
        raise InputError(f"Cannot write a video as '{path.name}'; end the name in .mp4 or .gif, or name a folder.")
    if not 0.1 <= fps <= 1000:
        raise InputError(f"{fps} frames a second is not a usable rate; use 1 to 120.")
    if path.suffix == "" and path.is_dir() and not _holds_only_frames(path):
        raise InputError(f"The folder {path} holds other files, which would be lost; name a new folder for the frames.")
    with replacing(path) as temporary:
        writers[path.suffix.lower()](_checked(frames, path), temporary, fps)
    return path


def tile(images: Sequence[Frame], columns: int, labels: Sequence[str] | None = None) -> Frame:
    """Lay pictures in rows on white, each with its label beneath; smaller ones are centred in their cell."""
    if not images or columns < 1:
        raise InputError(f"Cannot lay {len(images)} pictures in {columns} columns; give at least one of each.")
    if labels is not None and len(labels) != len(images):
        raise InputError(f"{len(labels)} labels were given for {len(images)} pictures; give one for each.")
    height, width = max(image.shape[0] for image in images), max(image.shape[1] for image in images)
    strip = 0 if labels is None else max(16, height // 14)
    rows, columns = -(-len(images) // columns), min(columns, len(images))
    sheet = Image.new("RGB", (columns * width, rows * (height + strip)), "white")
    for place, image in enumerate(images):
        left, top = place % columns * width, place // columns * (height + strip)
        corner = (left + (width - image.shape[1]) // 2, top + (height - image.shape[0]) // 2)
        sheet.paste(Image.fromarray(image), corner)
        if labels is not None:
            _write_label(sheet, labels[place], left + width / 2, top + height + strip / 2, width, strip)
    return np.asarray(sheet)


def _write_label(sheet: Image.Image, text: str, x: float, y: float, width: int, strip: int) -> None:
    """Centre a line of text, in smaller letters when it is too long for its picture."""
    draw, size = ImageDraw.Draw(sheet), strip * 0.7
    length = draw.textlength(text, font=ImageFont.load_default(size))
    font = ImageFont.load_default(max(6.0, min(size, size * 0.96 * width / max(length, 1.0))))
    draw.text((x, y), text, fill=(40, 40, 40), font=font, anchor="mm")


def _checked(frames: Iterable[Frame], path: Path) -> Iterator[Frame]:
    shape = None
    for frame in frames:
        shape = shape or frame.shape
        _check_frame(frame, shape)
        yield frame
    if shape is None:
        raise InputError(f"There are no frames to write to {path}; check the motion's length.")


def _check_frame(frame: Frame, shape: tuple[int, ...]) -> None:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise InputError(f"A picture must be bytes of shape height x width x 3, not {frame.dtype} of {frame.shape}.")
    if frame.shape != shape:
        raise InputError(
            f"Frames differ in size: {frame.shape[:2]} after {shape[:2]}; render all with one camera size."
        )


def _write_mp4(frames: Iterator[Frame], path: Path, fps: float | int) -> None:
    rate, even = Fraction(fps).limit_denominator(1001), map(_pad_to_even, frames)
    first = next(even)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(QUALITY), "preset": "medium"})
        stream.height, stream.width, stream.pix_fmt = first.shape[0], first.shape[1], "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        for frame in chain([first], even):
            rgb = av.VideoFrame.from_ndarray(frame, format="rgb24")
            container.mux(stream.encode(rgb.reformat(format="yuv420p", dst_colorspace=BT709)))
        container.mux(stream.encode())


def _pad_to_even(frame: Frame) -> Frame:
    return np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")


def _write_gif(frames: Iterator[Frame], path: Path, fps: float | int) -> None:
    first, *rest = [Image.fromarray(frame).quantize(dither=Image.Dither.NONE) for frame in frames]
    milliseconds = max(20, round(100 / fps) * 10)
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=milliseconds, loop=0)


def _write_folder(frames: Iterator[Frame], path: Path, fps: float | int) -> None:
    path.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"frame_{number:05d}.png")


def _holds_only_frames(folder: Path) -> bool:
    return all(file.name.startswith("frame_") and file.suffix == ".png" for file in folder.iterdir())
