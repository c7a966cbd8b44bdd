"""Video files, decoded by FFmpeg: upright, square pixels, full-range RGB."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.reformatter import Colorspace, Interpolation
from jaxtyping import Float, Int
from PIL import Image

from body_models.errors import InputError
from data_prep.video.frame_source import FrameOptions, FrameSource, Picture, Rgb

LOCAL_ONLY = {"protocol_whitelist": "file"}  # a playlist must not make FFmpeg go to the network
TURNS = {  # axes swapped, then mirrored left-right, then mirrored top-bottom
    (False, False, False): None,
    (False, True, False): Image.Transpose.FLIP_LEFT_RIGHT,
    (False, False, True): Image.Transpose.FLIP_TOP_BOTTOM,
    (False, True, True): Image.Transpose.ROTATE_180,
    (True, False, False): Image.Transpose.TRANSPOSE,
    (True, True, False): Image.Transpose.ROTATE_270,
    (True, False, True): Image.Transpose.ROTATE_90,
    (True, True, True): Image.Transpose.TRANSVERSE,
}
COLORSPACES = {  # by the number that the stream gives (ITU-T H.273, matrix coefficients)
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
HIGH_DYNAMIC_RANGE = (16, 18)  # transfer functions PQ and HLG
READ_ERRORS = (av.FFmpegError, OSError, ValueError)


@dataclass(frozen=True)
class _Index:
    """What the packets say without decoding: sorted time stamps, or None where they cannot be relied on."""

    stamps: Int[np.ndarray, "frame"] | None
    key_stamps: Int[np.ndarray, "key"]
    times: Float[np.ndarray, "frame"]
    cut_short: bool


class VideoFile(FrameSource):
    """The best video stream of a file; decoding starts near the first frame that is wanted."""

    def __init__(self, path: Path, options: FrameOptions) -> None:
        """Read the packets' time stamps and the first frame; raises InputError when there is nothing to decode."""
        self._path = path
        with _open(path) as container:
            stream = _stream(container, path)
            aspect = _pixel_aspect(stream)
            self._index = _read_index(container, stream, path)
        first = self._first_frame()
        self._turn, self._stored = _display(first, aspect)
        width, height = self._stored
        if self._turn in _SWAPPING:
            width, height = height, width
        super().__init__(path, width, height, self._index.times, options)
        if self._index.cut_short:
            last = len(self._index.times) - 1
            self._note(f"{path.name} ends early, after frame {last}: it was not copied or recorded whole.")
        if int(first.color_trc or 0) in HIGH_DYNAMIC_RANGE:
            self._note("The video has high dynamic range and may look pale; record without HDR where you can.")
        if first.interlaced_frame:
            self._note("The video is interlaced; every second line is drawn from the lines about it.")

    def _first_frame(self) -> av.VideoFrame:
        for _, frame in self._decode(None):
            return frame
        raise InputError(f"No frame of {self._path} can be decoded; it is damaged: copy or record it again.")

    def _pictures(self, first: int) -> Iterator[Picture]:
        started = self._decode(self._key_before(first))
        head = next(started, None)
        if head is None or head[0] > first:  # the seek landed too late, or the first frame is damaged
            head, started = None, self._decode(None)
        for source, frame in chain([head] if head else [], started):
            if frame.is_corrupt:
                self._note(f"Frame {source} is damaged and shown as far as it can be decoded.")
            yield source, partial(self._rgb, frame)

    def _key_before(self, first: int) -> int | None:
        """Time stamp of the key frame to start from: the second last one, as frames may lean on those before a key."""
        if self._index.stamps is None or first == 0:
            return None
        earlier = self._index.key_stamps[self._index.key_stamps <= self._index.stamps[first]]
        return int(earlier[-2]) if len(earlier) > 2 else None

    def _decode(self, key_stamp: int | None) -> Iterator[tuple[int, av.VideoFrame]]:
        """Frames that can be decoded, with their place in the file, from a key frame or from the beginning on."""
        place, stamps = -1, self._index.stamps
        with _open(self._path) as container:
            stream = _stream(container, self._path)
            stream.thread_type = "AUTO"
            if key_stamp is not None:
                container.seek(key_stamp, stream=stream)
            for frame in _surviving_frames(container, stream):
                place += 1
                if stamps is not None and frame.pts is not None:
                    place = int(np.searchsorted(stamps, frame.pts))
                yield place, frame

    def _rgb(self, frame: av.VideoFrame) -> Rgb:
        width, height = self._stored
        default = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
        rgb = frame.reformat(
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=COLORSPACES.get(int(frame.colorspace), default),
            interpolation=Interpolation.BICUBIC,
        ).to_ndarray()
        if frame.interlaced_frame and height > 2:
            rgb = _without_second_field(rgb)
        return rgb if self._turn is None else np.array(Image.fromarray(rgb).transpose(self._turn))


_SWAPPING = tuple(turn for (swapped, _, _), turn in TURNS.items() if swapped)


def _open(path: Path) -> av.container.InputContainer:
    try:
        container = av.open(str(path.resolve()), options=LOCAL_ONLY, metadata_errors="ignore")
    except READ_ERRORS as error:
        if isinstance(error, PermissionError):
            raise InputError(f"{path} may not be read; change its permissions.") from error
        what = "is empty" if path.stat().st_size == 0 else "is no video that can be read, or damaged at its start"
        raise InputError(f"{path} {what}; play it to see whether it is whole, and copy or convert it again.") from error
    if container.format.name == "tty":  # FFmpeg takes plain text for a drawing in letters
        container.close()
        raise InputError(f"{path} is text, not a video; give a video (mp4, mov, webm, ...) or a folder of pictures.")
    if container.format.name == "image2" or container.format.name.endswith("_pipe"):
        container.close()
        raise InputError(f"{path} is one picture; give a video (mp4, mov, webm, ...) or the folder of the pictures.")
    return container


def _stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The largest stream of moving pictures; the cover of a song does not count."""
    cover = av.stream.Disposition.attached_pic
    streams = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition & cover
    ]
    if not streams:
        raise InputError(f"{path} has {'sound but ' if container.streams.audio else ''}no pictures; give a video.")
    return max(streams, key=lambda stream: (stream.width or 0) * (stream.height or 0))


def _read_index(container: av.container.InputContainer, stream: av.VideoStream, path: Path) -> _Index:
    packets = []
    try:
        for packet in container.demux(stream):
            if packet.size > 0:
                packets.append((packet.pts, packet.is_keyframe, packet.is_discard))
    except READ_ERRORS:  # the file ends within a packet
        pass
    shown = [(stamp, key) for stamp, key, cut in packets if not cut]  # an edit list may cut packets off
    if not shown:
        raise InputError(f"{path} holds no frames; it was not recorded to its end: copy or record it again.")
    lost = stream.frames > len(packets)
    stamps = [stamp for stamp, _ in shown if stamp is not None]
    if len(set(stamps)) < len(shown) or stream.time_base is None:
        rate = float(stream.guessed_rate or stream.average_rate or 25)
        return _Index(None, np.zeros(0, dtype=np.int64), np.arange(len(shown)) / rate, lost)
    ordered = np.array(sorted(stamps), dtype=np.int64)
    keys = np.array(sorted(stamp for stamp, key in shown if key and stamp is not None), dtype=np.int64)
    times = (ordered - ordered[0]) * float(stream.time_base)
    if not stream.frames and not container.streams.audio:  # else it may be the sound that lasts longer
        missing = (container.duration or 0) / av.time_base - times[-1]
        lost = bool(missing > max(0.25, 3 * np.diff(times).max(initial=0.0)))
    return _Index(ordered, keys, times, lost)


def _surviving_frames(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    """Every frame that comes out, going on after packets that cannot be decoded."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except READ_ERRORS:  # the file ends within a packet: what the decoder still holds comes out
            packet = None
        try:
            yield from stream.codec_context.decode(packet)
        except READ_ERRORS:
            continue
        if packet is None:
            return


def _display(frame: av.VideoFrame, aspect: Fraction) -> tuple[Image.Transpose | None, tuple[int, int]]:
    """How the picture is to be turned, and its width and height before that, with square pixels."""
    wide, high = max(aspect, Fraction(1)), max(1 / aspect, Fraction(1))
    stored = (max(1, round(frame.width * wide)), max(1, round(frame.height * high)))
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(matrix, SideData):
        return None, stored
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5].tolist()
    swapped = abs(b) > abs(a)
    mirrored = (c < 0, b < 0) if swapped else (a < 0, d < 0)
    return TURNS[(swapped, *mirrored)], stored


def _pixel_aspect(stream: av.VideoStream) -> Fraction:
    """Width of a pixel over its height; 1 where the file gives nothing believable."""
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    return aspect if Fraction(1, 4) <= aspect <= 4 else Fraction(1)


def _without_second_field(rgb: Rgb) -> Rgb:
    """Replace every second line by the mean of its neighbours: the lines between were taken a moment later."""
    above, below = rgb[0:-2:2].astype(np.uint16), rgb[2::2]
    calm = rgb.copy()
    calm[1:-1:2] = ((above + below + 1) // 2).astype(np.uint8)
    return calm
