"""Open a video file or a folder of pictures, whichever it is."""

from pathlib import Path

from body_models.errors import InputError
from data_prep.video.frame_source import FrameOptions, FrameSource
from data_prep.video.image_folder import ImageFolder
from data_prep.video.video_file import VideoFile


def open_frames(path: Path | str, options: FrameOptions | None = None) -> FrameSource:
    """Open a video file or a folder of pictures.

    Raises InputError for what is missing, holds no pictures, cannot be decoded, or is shorter than `options` ask.
    """
    path = Path(path)
    options = options or FrameOptions()
    if path.is_dir():
        return ImageFolder(path, options)
    if not path.is_file():
        kind = "is not a file" if path.exists() else "does not exist"
        raise InputError(f"{path} {kind}; give a video (mp4, mov, webm, ...) or a folder of pictures.")
    return VideoFile(path, options)
