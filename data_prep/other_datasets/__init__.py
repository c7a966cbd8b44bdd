"""Head datasets of other people's tools, read and written."""

from pathlib import Path

from body_models.errors import InputError
from data_prep.other_datasets.imavatar import imavatar_clips, read_imavatar, read_imavatar_clips
from data_prep.other_datasets.imavatar_writer import write_imavatar
from data_prep.other_datasets.vhap import is_vhap, read_vhap
from data_prep.other_datasets.vhap_writer import write_vhap
from data_prep.video_dataset import VideoDataset, read_video_dataset
from data_prep.video_dataset_files import INDEX, TRACKS

__all__ = [
    "imavatar_clips",
    "read_any_dataset",
    "read_imavatar",
    "read_imavatar_clips",
    "read_vhap",
    "write_imavatar",
    "write_vhap",
]


def read_any_dataset(path: Path | str) -> VideoDataset:
    """Read a tracked video in whichever layout it is: ours, IMavatar's (one clip) or VHAP's.

    Raises InputError that says what was looked for, or which clips there are to choose from.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"No dataset folder at {path}; make one with `avatars prepare VIDEO --out {path}`.")
    if (path / INDEX).is_file() or (path / TRACKS).is_file():
        return read_video_dataset(path)
    if is_vhap(path):
        return read_vhap(path)
    clips = imavatar_clips(path)
    if len(clips) == 1:
        return read_imavatar(clips[0])
    if clips:
        raise InputError(f"{path} holds {len(clips)} clips; give one of them: {', '.join(map(str, clips))}.")
    raise InputError(
        f"{path} holds no dataset that is known. Looked for {INDEX} (ours, written by `avatars prepare`), "
        "flame_params.json here or up to three folders below (IMavatar), and transforms.json (VHAP, GaussianAvatars)."
    )
