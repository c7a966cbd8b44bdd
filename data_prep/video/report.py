"""What a user looks at after a video was prepared: contact sheet, overlay video and a page that sums up."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from body_models.errors import InputError
from data_prep.atomic import replacing
from data_prep.pictures.files import write_image
from data_prep.video.overlay import Overlay, Progress, write_overlay
from data_prep.video.sheet import contact_sheet
from data_prep.video.summary import OVERLAY_NAME, summary_page
from data_prep.video_dataset import VideoDataset

SHEET_NAME, SUMMARY_NAME = "contact_sheet.png", "summary.html"


def write_report(
    dataset: VideoDataset,
    folder: Path,
    progress: Progress | None = None,
    landmark_errors: Float[np.ndarray, "frame"] | None = None,
    figures: Mapping[str, str] | None = None,
    next_steps: Sequence[str] = (),
    overlay_video: bool = True,
) -> Path:
    """Write contact_sheet.png, overlay.mp4 and summary.html into the dataset's folder; returns the page's path.

    `landmark_errors` are shares of the distance between the outer corners of the eyes (NaN: none). `figures` are more
    numbers for the page, by title; `next_steps` are commands to type; the overlay takes most of the time. Each file
    appears whole or not at all. Raises InputError for errors of another number of frames, a model that is not there, or
    a place that cannot be written.
    """
    if landmark_errors is not None and len(landmark_errors) != len(dataset.frames):
        raise InputError(f"{len(landmark_errors)} landmark errors given for {len(dataset.frames)} frames.")
    overlay = Overlay(dataset if dataset.folder is not None else replace(dataset, folder=folder))
    sheet = contact_sheet(overlay)
    page = summary_page(overlay, sheet, landmark_errors, figures or {}, next_steps)
    if overlay_video:
        write_overlay(overlay, folder / OVERLAY_NAME, progress)
    write_image(sheet, folder / SHEET_NAME)
    with replacing(folder / SUMMARY_NAME) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return folder / SUMMARY_NAME
