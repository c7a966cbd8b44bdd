"""The verb that turns a video into a dataset. Imports wait until it runs, so that help is quick."""

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class Prepare:
    """Turn a video of one person into a dataset: frames, landmarks, masks and a tracked head, or body."""

    source: tyro.conf.Positional[Path]
    """A video file, or a folder of pictures."""
    out: Path
    """Folder of the dataset; contact_sheet.png, overlay.mp4 and summary.html in it are to be looked at."""
    model: str | None = None
    """Model to track: anny-head (the default), flame or ict for heads; anny (with --body) or smpl, smplh, smplx."""
    body: bool = False
    """Track the whole body instead of the head."""
    start: float = 0.0
    """Second of the video to start at."""
    end: float | None = None
    """Second of the video to end at."""
    fps: float | None = None
    """Frames to take a second; all of them if not given."""
    size: int = 512
    """Side of the square pictures of the dataset, in pixels."""
    crop: str = "auto"
    """auto: a square about the head, still when the head moves little; none: the whole picture, padded to a square."""
    focal: float | None = None
    """Focal length in pixels of the video's frames, where it is known; estimated if not given."""
    landmarks: Path | None = None
    """Your own landmarks (npz, frames x 478 or 68 x 2, pixels of the frames) instead of detected ones."""
    masks: Path | None = None
    """Your own masks (folder of PNG, one a frame) instead of detected ones."""
    no_overlay: bool = False
    """Leave overlay.mp4 away, which takes about a fifth of the time."""
    resume: bool = False
    """Insist on going on with interrupted work. It is gone on with anyway where video and options are the same."""
    overwrite: bool = False
    """Replace a finished dataset at --out."""

    def run(self) -> str:
        """Prepare the dataset and say what came out."""
        from avatars.fit.progress import Progress
        from data_prep.prepare import PrepareOptions, prepare_video

        options = PrepareOptions(
            model=self.model,
            body=self.body,
            start=self.start,
            end=self.end,
            fps=self.fps,
            size=self.size,
            crop=self.crop,
            focal=self.focal,
            landmarks=self.landmarks,
            masks=self.masks,
            overlay=not self.no_overlay,
        )
        with Progress() as progress:
            dataset = prepare_video(
                self.source,
                self.out,
                options,
                resume=self.resume,
                overwrite=self.overwrite,
                say=progress.say,
                progress=progress.stage,
            )
        used = sum(frame.use for frame in dataset.frames)
        count = len(dataset.warnings)
        warnings = f", {count} warning{'' if count == 1 else 's'}" if count else ""
        return (
            f"Dataset of {len(dataset.frames)} frames, {used} of them usable{warnings}: {self.out}. "
            f"Look at {self.out / 'summary.html'} first."
        )
