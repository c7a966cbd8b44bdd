"""A page about a prepared video: what was found in it, what to look at, and what to do next."""

import base64
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from data_prep.video.curves import chart_svg, flag_bands_svg, motion_charts
from data_prep.video.overlay import Overlay, flag_words
from data_prep.video_dataset import VideoDataset

OVERLAY_NAME = "overlay.mp4"

STYLE = """
:root { --paper: #fafaf9; --ink: #26282c; --soft: #6c717a; --line: #dcdde0; --card: #ffffff; --good: #3f9d5f;
  --warn: #c77d0a; --bad: #d24545; --c0: #2f6fb7; --c1: #c2571a; --c2: #3f8f5a; }
@media (prefers-color-scheme: dark) { :root { --paper: #17191c; --ink: #e4e6e9; --soft: #989ea8; --line: #34383e;
  --card: #1f2226; --good: #58b87a; --warn: #e0a040; --bad: #e86a6a; --c0: #6fa8e8; --c1: #ef9a62; --c2: #74c692; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1080px; padding: 28px 20px 60px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 24px; margin: 0 0 2px; } h2 { font-size: 17px; margin: 34px 0 10px; }
h3 { font-size: 13px; font-weight: 600; margin: 16px 0 4px; color: var(--soft); }
.lead { color: var(--soft); margin: 0 0 20px; }
.cards { display: flex; flex-wrap: wrap; gap: 10px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px;
  flex: 1 1 200px; }
.card b { display: block; font-size: 19px; font-weight: 600; overflow-wrap: anywhere; }
.card span { color: var(--soft); font-size: 13px; }
.warnings { padding: 0; list-style: none; margin: 0; }
.warnings li { border-left: 4px solid var(--warn); background: var(--card); padding: 8px 14px; margin: 0 0 8px;
  border-radius: 0 6px 6px 0; }
.fine { border-left: 4px solid var(--good); background: var(--card); padding: 8px 14px; margin: 0; }
table { border-collapse: collapse; } td { padding: 3px 24px 3px 0; } td.n { text-align: right; }
svg { width: 100%; height: auto; display: block; }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
.grid { stroke: var(--line); } .track { fill: var(--line); opacity: 0.6; } .used { fill: var(--good); }
.flag { fill: var(--warn); } .out { fill: var(--bad); opacity: 0.16; }
.curve { fill: none; stroke-width: 1.4; stroke-linejoin: round; }
.c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); }
.key { margin-left: 12px; font-weight: 500; }
.k0 { color: var(--c0); } .k1 { color: var(--c1); } .k2 { color: var(--c2); }
img { width: 100%; height: auto; border: 1px solid var(--line); border-radius: 6px; display: block; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 10px 14px; overflow-x: auto;
  margin: 0 0 8px; font: 13px/1.5 ui-monospace, monospace; }
.notes { color: var(--soft); padding-left: 20px; margin: 0; }
"""


def summary_page(
    overlay: Overlay,
    sheet: UInt8[np.ndarray, "height width 3"],
    landmark_errors: Float[np.ndarray, "frame"] | None,
    figures: Mapping[str, str],
    next_steps: Sequence[str],
) -> str:
    """A self-contained HTML page; `figures` are shown as they are, and replace those of the same name."""
    dataset = overlay.dataset
    charts, places = motion_charts(overlay, landmark_errors)
    left_out = np.array([not frame.use for frame in dataset.frames])
    times = [frame.time for frame in dataset.frames]
    shown = {**_key_figures(dataset, places, landmark_errors), **figures}
    name = "video" if dataset.folder is None else dataset.folder.name
    parts = [
        f"<h1>{escape(name)}</h1>",
        f'<p class="lead">{escape(_lead(dataset))}</p>',
        f'<div class="cards">{"".join(_card(title, value) for title, value in shown.items())}</div>',
        f"<h2>Warnings</h2>{_warnings(dataset.warnings)}",
        f"<h2>Frames</h2>{_counts(dataset)}<br>{flag_bands_svg(dataset)}",
        f"<h2>Pictures</h2>{_pictures(sheet)}",
        "<h2>Over time</h2>",
        *(chart_svg(chart, left_out, times) for chart in charts),
    ]
    if next_steps:
        parts.append("<h2>What to do next</h2>" + "".join(f"<pre>{escape(step)}</pre>" for step in next_steps))
    if dataset.notes:
        parts.append(f'<h2>Notes</h2><ul class="notes">{_items(dataset.notes)}</ul>')
    return _page(name, "\n".join(parts))


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _lead(dataset: VideoDataset) -> str:
    first, last = dataset.frames[0], dataset.frames[-1]
    return (
        f"{len(dataset.frames)} pictures of {dataset.width} x {dataset.height} pixels at {dataset.frame_rate:.4g} "
        f"a second, {first.time:.1f} to {last.time:.1f} s of the video (its frames {first.source} to {last.source}); "
        f"model {dataset.model}."
    )


def _key_figures(
    dataset: VideoDataset, places: Float[np.ndarray, "frame 3"], landmark_errors: Float[np.ndarray, "frame"] | None
) -> dict[str, str]:
    used = np.array([frame.use for frame in dataset.frames])
    figures = {"Frames used": f"{used.sum()} of {len(used)} ({used.mean():.0%})"}
    if landmark_errors is not None and np.isfinite(landmark_errors).any():
        median, high = np.nanquantile(landmark_errors, (0.5, 0.95)) * 100
        figures["Landmark error, median"] = f"{median:.1f} %"
        figures["Landmark error, 95 % below"] = f"{high:.1f} %"
    focal = float(dataset.intrinsics[:, 1, 1].median())
    figures["Focal length"] = f"{focal:.0f} pixels"
    figures["Field of view of the pictures"] = f"{2 * math.degrees(math.atan2(dataset.height / 2, focal)):.0f}° high"
    distances = places[used, 2]
    if len(distances):
        figures["Distance to the camera"] = f"{distances.min():.2f} to {distances.max():.2f} m"
    return figures


def _card(title: str, value: str) -> str:
    return f'<div class="card"><b>{escape(value)}</b><span>{escape(title)}</span></div>'


def _items(lines: Sequence[str]) -> str:
    return "".join(f"<li>{escape(line)}</li>" for line in lines)


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return '<p class="fine">None: nothing in this video needs your attention.</p>'
    return f'<ul class="warnings">{_items(warnings)}</ul>'


def _counts(dataset: VideoDataset) -> str:
    """How many frames are used and why the others are not; one frame may have several reasons."""
    left_out = [frame for frame in dataset.frames if not frame.use]
    reasons = Counter(flag_words(flag) for frame in left_out for flag in set(frame.flags))
    reasons["no reason given"] += sum(not frame.flags for frame in left_out)
    rows = [("in the dataset", len(dataset.frames)), ("used", len(dataset.frames) - len(left_out))]
    rows += [("left out", len(left_out))]
    rows += [(f"· {reason}", count) for reason, count in reasons.most_common() if count]
    cells = "".join(f'<tr><td>{escape(name)}</td><td class="n">{count}</td></tr>' for name, count in rows)
    return f"<table>{cells}</table>"


def _pictures(sheet: UInt8[np.ndarray, "height width 3"]) -> str:
    stream = io.BytesIO()
    Image.fromarray(sheet).save(stream, format="JPEG", quality=82)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return (
        "<p>As filmed, with the tracked mesh, and cut out; red frames are left out. "
        f"Every frame with the mesh is in <code>{OVERLAY_NAME}</code> beside this page.</p>"
        f'<img alt="Frames of the video with mesh and mask" src="data:image/jpeg;base64,{data}">'
    )
