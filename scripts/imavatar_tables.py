"""The rows of `scripts/table_imavatar.py`, and its tables from the results in a folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from published_imavatar import REAL, REMARK, SYNTHETIC

from avatars.assess.head_evaluation import shown


@dataclass(frozen=True)
class Row:
    """A method of the table."""

    title: str
    preset: str
    learns: bool = False
    """Whether it has fields that can be compared with the true model's."""
    supervised: bool = True


ROWS = {
    "c_net": Row("C-Net", "c_net"),
    "d_net": Row("D-Net", "d_net"),
    "b_morph": Row("B-Morph", "b_morph"),
    "fwd_skin": Row("Fwd-Skin", "fwd_skin", learns=True),
    "nerface": Row("NerFACE", "nerface"),
    "fast-unsupervised": Row("Ours-", "fast", learns=True, supervised=False),
    "fast": Row("Ours", "fast", learns=True),
}


def collect(out: Path) -> dict[str, dict[str, Any]]:
    """All results of a folder, by scene and row."""
    found: dict[str, dict[str, Any]] = {}
    for record in sorted(out.glob("*/*.json")):
        if record.stem in ROWS and record.with_suffix(".avatar").is_file():
            found.setdefault(record.parent.name, {})[record.stem] = json.loads(record.read_text(encoding="utf-8"))
    return found


def tables(found: dict[str, dict[str, Any]]) -> str:
    """Real video, synthetic people on average, learned fields, published."""
    parts = []
    if "real" in found:
        parts += ["## Real video, its last fifth", "", *figure_table([found["real"]], normals=False), ""]
    people = [found[name] for name in sorted(found) if name != "real"]
    if people:
        parts += [
            f"## {len(people)} synthetic subjects, unseen strong faces",
            "",
            *figure_table(people, normals=True),
            "",
        ]
        parts += field_table(people)
    parts += ["## Published (real videos)", "", *published_table(), "", REMARK, ""]
    ours = ", ".join(f"{name.replace('_published', '')} {value}" for name, value in SYNTHETIC.items())
    return "\n".join([*parts, f"Published for the method on ten synthetic subjects: {ours}.", ""])


def figure_table(scenes: list[dict[str, Any]], normals: bool) -> list[str]:
    """A line a row, means over the scenes that have it; pictures are compared inside the landmarks' hull."""
    lpips = any(result["figures"].get("face.lpips") is not None for scene in scenes for result in scene.values())
    columns = {"expression": "Expression (px)", "face.l1": "L1", "face.psnr": "PSNR", "face.ssim": "SSIM in the region"}
    columns |= {"face.ssim_published": "SSIM as published"} | ({"face.lpips": "LPIPS"} if lpips else {})
    columns |= {"normal_face": "Normal, face (°)", "normal_head": "Normal, head (°)"} if normals else {}
    columns |= {"person.psnr": "PSNR, person", "iou": "IoU", "fit_seconds": "fit (s)", "frame_seconds": "frame (s)"}
    lines = [f"| method | {' | '.join(columns.values())} | not found | subjects |", "|---" * (len(columns) + 3) + "|"]
    for name, row in ROWS.items():
        results = [scene[name] for scene in scenes if name in scene]
        if results:
            cells = [shown(key.split(".")[-1], mean_of(results, key)) for key in columns]
            missed = sum(result["undetected"] for result in results)
            lines.append(f"| {row.title} | {' | '.join(cells)} | {missed} | {len(results)} |")
    floor = mean_of([result for scene in scenes for result in scene.values()], "floor")
    told = [] if floor is None else ["", f"The landmark detector's own error is {floor:.2f} px."]
    return [*lines, *told, *([] if lpips else ["", "No LPIPS: its networks are not on this machine."])]


def field_table(people: list[dict[str, Any]]) -> list[str]:
    """A line for each row that learns fields; nothing when there is none."""
    lines = []
    for name, row in ROWS.items():
        results = [person[name] for person in people if name in person]
        if results and row.learns:
            cells = [shown("ssim", mean_of(results, f"fields.{key}")) for key in ("weights", "blendshapes", "movement")]
            lines.append(f"| {row.title} | {' | '.join(cells)} |")
    head = ["| method | weights (L1) | blendshapes (mm) | true movement (mm) |", "|---|---|---|---|"]
    return ["Learned fields against the true model's:", "", *head, *lines, ""] if lines else []


def published_table() -> list[str]:
    """The paper's rows."""
    lines = ["| method | Expression (px) | L1 | PSNR | SSIM | LPIPS |", "|---|---|---|---|---|---|"]
    for name, values in REAL.items():
        cells = [f"{value:.4f}" if value < 1 else f"{value:.2f}" for value in values]
        lines.append(f"| {ROWS[name].title} | {' | '.join(cells)} |")
    return lines


def mean_of(results: list[dict[str, Any]], key: str) -> float | None:
    """Mean of a figure over the results that have it."""
    values = [result["figures"].get(key) for result in results]
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else None
