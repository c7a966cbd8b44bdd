"""What was tracked over time, as curves and coloured bands in SVG."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import roma
import torch
from jaxtyping import Bool, Float

from data_prep.video.overlay import CHUNK, Overlay, flag_words
from data_prep.video_dataset import VideoDataset

WIDTH, HEIGHT, MARGIN = 860, 130, 54
"""Of a drawing, and of its left rim that holds the numbers (units of the drawing)."""
MOST_POINTS = 800
"""A longer curve is thinned, keeping its highest and lowest points."""
SHOWN_EXPRESSIONS = ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight")


@dataclass(frozen=True)
class Chart:
    """Curves in one drawing, each a value for every frame (NaN: none)."""

    title: str
    curves: Mapping[str, Float[np.ndarray, "frame"]]
    lowest: float | None = None
    """Lowest value drawn; the data's own when None."""


def head_motion(overlay: Overlay) -> tuple[Float[np.ndarray, "frame 3"], Float[np.ndarray, "frame 3"]]:
    """Yaw, pitch and roll of the head (degrees, 0 towards +Z, left, up and left ear up positive) and where it is.

    The place is the head joint's in the camera's frame (metres). A model without a joint named head (FLAME, the Anny
    head) turns its head at the neck.
    """
    dataset, names = overlay.dataset, overlay.body.skeleton.joint_names
    joint = next(names.index(name) for name in ("head", "neck", names[0]) if name in names)
    angles, places = [], []
    for start in range(0, len(dataset.frames), CHUNK):
        part = slice(start, start + CHUNK)
        pose, translation = dataset.poses[part].float(), dataset.translations[part].float()
        transforms = overlay.body.posed_from_rest(pose, translation)[:, joint]
        yaw, pitch, roll = roma.rotmat_to_euler("YXZ", transforms[:, :3, :3], degrees=True).unbind(dim=-1)
        angles.append(torch.stack([yaw, -pitch, roll], dim=-1))
        joints = transforms[:, :3, :3] @ overlay.body.joints[joint] + transforms[:, :3, 3]
        camera = dataset.camera_from_world[part].float()
        places.append((camera[:, :3, :3] @ joints[..., None])[..., 0] + camera[:, :3, 3])
    return torch.cat(angles).double().numpy(), torch.cat(places).double().numpy()


def motion_charts(
    overlay: Overlay, landmark_errors: Float[np.ndarray, "frame"] | None
) -> tuple[list[Chart], Float[np.ndarray, "frame 3"]]:
    """The curves of a dataset's summary, and where the head is in the camera's frame (metres)."""
    angles, places = head_motion(overlay)
    charts = [
        Chart("Head turn (degrees)", dict(zip(("yaw", "pitch", "roll"), angles.T, strict=True))),
        Chart("Distance to the camera (m)", {"distance": places[:, 2]}),
    ]
    expressions = _expressions(overlay.dataset)
    if expressions:
        charts.append(Chart("Expression", expressions))
    if landmark_errors is not None:
        errors = np.asarray(landmark_errors, dtype=np.float64) * 100
        charts.append(Chart("Landmark error (% of the eyes' distance)", {"error": errors}, lowest=0.0))
    return charts, places


def _expressions(dataset: VideoDataset) -> dict[str, Float[np.ndarray, "frame"]]:
    """The mouth's opening and the blinks, or the three parameters that vary most where these have no names."""
    values = dataset.expressions.double().numpy()
    names = list(dataset.expression_names) or [f"expression {k + 1}" for k in range(values.shape[1])]
    shown = [names.index(name) for name in SHOWN_EXPRESSIONS if name in names]
    if not shown and values.size:
        spread = values.std(axis=0)
        shown = [int(k) for k in np.argsort(-spread, kind="stable")[:3] if spread[k] > 0]
    return {names[k]: values[:, k] for k in shown}


def runs(marked: Bool[np.ndarray, "frame"]) -> Iterator[tuple[int, int]]:
    """First and last frame of each unbroken run of marked frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
    yield from ((int(first), int(last) - 1) for first, last in edges.reshape(-1, 2))


def chart_svg(chart: Chart, left_out: Bool[np.ndarray, "frame"], times: Sequence[float]) -> str:
    """A chart as inline SVG, red behind the frames that are left out."""
    values = np.concatenate([*chart.curves.values()])
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    low = low if chart.lowest is None else min(chart.lowest, low)
    if high - low < 1e-3:
        low, high = low - 0.05, high + 0.05
    body = [_bands(left_out, 0, HEIGHT, "out")]
    for share in (0.0, 0.5, 1.0):
        y, value = HEIGHT * (0.94 - 0.88 * share), low + (high - low) * share
        body.append(f'<line class="grid" x1="{MARGIN}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        body.append(f'<text x="{MARGIN - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(value, high - low)}</text>')
    for place, (name, curve) in enumerate(chart.curves.items()):
        scaled = HEIGHT * (0.94 - 0.88 * (np.asarray(curve) - low) / (high - low))
        body.append(f'<path class="curve c{place % 3}" d="{_path(scaled)}"><title>{escape(name)}</title></path>')
    keys = " ".join(f'<span class="key k{place % 3}">{escape(name)}</span>' for place, name in enumerate(chart.curves))
    title = f"<h3>{escape(chart.title)} {keys}</h3>"
    return title + _svg(HEIGHT, "".join(body), times)


def flag_bands_svg(dataset: VideoDataset) -> str:
    """A row of colour for the frames that are used, and one for each flag that occurs, as inline SVG."""
    used = np.array([frame.use for frame in dataset.frames])
    flags = sorted({flag for frame in dataset.frames for flag in frame.flags})
    rows = [("used", used, "used")]
    rows += [(flag_words(flag), np.array([flag in frame.flags for frame in dataset.frames]), "flag") for flag in flags]
    body = []
    for place, (name, marked, kind) in enumerate(rows):
        top = 20 * place
        body.append(f'<rect class="track" x="{MARGIN + 116}" y="{top}" width="{WIDTH - MARGIN - 116}" height="14"/>')
        body.append(f'<text x="0" y="{top + 11}">{escape(name)}</text>')
        body.append(_bands(marked, top, 14, kind, MARGIN + 116))
    return _svg(20 * len(rows), "".join(body), [frame.time for frame in dataset.frames], MARGIN + 116)


def _svg(height: int, body: str, times: Sequence[float], left: int = MARGIN) -> str:
    """A drawing with the time beneath it, one width of screen wide."""
    ticks = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, frame = left + (WIDTH - left) * share, round((len(times) - 1) * share)
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        label = f"frame {frame}, {times[frame]:.1f} s"
        label = f"frame {frame}, {times[frame]:.1f} s"
        ticks.append(f'<text x="{x:.0f}" y="{height + 14}" text-anchor="{anchor}">{label}</text>')
    return f'<svg viewBox="0 0 {WIDTH} {height + 18}" role="img">{body}{"".join(ticks)}</svg>'


def _bands(marked: Bool[np.ndarray, "frame"], top: int, height: int, kind: str, left: int = MARGIN) -> str:
    scale = (WIDTH - left) / len(marked)
    return "".join(
        f'<rect class="{kind}" x="{left + first * scale:.1f}" y="{top}" height="{height}" '
        f'width="{max((last + 1 - first) * scale, 1.0):.1f}"><title>frames {first} to {last}</title></rect>'
        for first, last in runs(marked)
    )


def _path(heights: Float[np.ndarray, "frame"]) -> str:
    """A line through the frames' values, broken where there is none."""
    scale, kept = (WIDTH - MARGIN) / len(heights), _thinned(heights)
    gaps = set(np.flatnonzero(~np.isfinite(heights)).tolist())
    parts, pen_up = [], True
    for before, index in zip([-1, *kept[:-1]], kept, strict=True):
        if index in gaps:
            pen_up = True
            continue
        pen_up = pen_up or any(k in gaps for k in range(before + 1, index))
        parts.append(f"{'M' if pen_up else 'L'}{MARGIN + (index + 0.5) * scale:.1f} {heights[index]:.1f}")
        pen_up = False
    return "".join(parts)


def _thinned(values: Float[np.ndarray, "frame"]) -> list[int]:
    """Frames to draw: all, or the lowest and the highest of each stretch of a long curve."""
    if len(values) <= MOST_POINTS:
        return list(range(len(values)))
    kept: set[int] = set()
    for stretch in np.array_split(np.arange(len(values)), MOST_POINTS // 2):
        finite = stretch[np.isfinite(values[stretch])]
        if len(finite):
            kept |= {int(finite[np.argmin(values[finite])]), int(finite[np.argmax(values[finite])])}
    return sorted(kept)


def _number(value: float, span: float) -> str:
    digits = 0 if span >= 10 else 1 if span >= 1 else 2
    return f"{round(value, digits) + 0.0:.{digits}f}"  # adding zero turns -0 into 0
