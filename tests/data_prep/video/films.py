"""Small films whose frames can be told apart, for tests of decoding."""

from fractions import Fraction

import av
import numpy as np

WIDTH, HEIGHT = 64, 48


def shade(place):
    """A grey that tells frames apart after compression."""
    return 20 + 7 * (place % 30)


def grey(place, width=WIDTH, height=HEIGHT):
    return np.full((height, width, 3), shade(place), dtype=np.uint8)


def corners():
    picture = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    picture[:24, :32], picture[:24, 32:] = (200, 40, 40), (30, 180, 60)
    picture[24:, :32], picture[24:, 32:] = (40, 60, 200), (220, 220, 220)
    return picture


def write(path, pictures, codec="libx264", stamps=None, rate=25, pixels="yuv444p", options=None, change=None):
    """Encode pictures; `stamps` in milliseconds; `change(stream)` may set flags before encoding."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {"crf": "4"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        if stamps is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if change:
            change(stream)
        for place, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if stamps is not None:
                frame.pts, frame.time_base = stamps[place], stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def places(frames):
    """Which picture each frame shows, by its grey."""
    return [round((float(frame.rgb.mean()) - 20) / 7) for frame in frames]
