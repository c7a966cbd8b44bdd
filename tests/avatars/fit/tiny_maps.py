"""The true maps of the short synthetic video of `tiny_video`: what its renderer knows of every pixel."""

from pathlib import Path

import numpy as np
from PIL import Image

from body_models.anny.head import anny_head_parts
from data_prep.add_maps import add_maps
from data_prep.synthetic_heads import make_talking_head
from data_prep.synthetic_heads.person import HAIR, TEETH, TRUNK
from data_prep.video_dataset import VideoDataset
from data_prep.video_maps import coded_normals
from tests.avatars.fit.tiny_video import FRAMES, SIZE

SKIN, EYE, MOUTH, CLOTH, HAIR_PIXELS = 1, 4, 11, 16, 17
"""Numbers of face parsing."""


def write_true_maps(folder: Path) -> None:
    """`folder/semantics` and `folder/normals`, a picture a frame of the video of `tiny_video.write_talking`."""
    head, numbers = make_talking_head(3, FRAMES, SIZE, SIZE), _numbers()
    for name in ("semantics", "normals"):
        (folder / name).mkdir(parents=True)
    opencv = head.camera.camera_from_world[:3, :3].numpy()
    for frame in range(FRAMES):
        picture = head.picture(frame)
        Image.fromarray(numbers[picture.part]).save(folder / f"semantics/{frame}.png")
        normals = picture.normal @ opencv.T * np.array([1, -1, -1], np.float32)
        Image.fromarray(coded_normals(normals)).save(folder / f"normals/{frame}.png")


def with_labels(dataset: VideoDataset, number: int) -> VideoDataset:
    """The dataset, on disk, with one number of face parsing in all pixels of all frames."""
    folder = dataset.path("given")
    folder.mkdir(exist_ok=True)
    for frame in range(len(dataset)):
        Image.fromarray(np.full((SIZE, SIZE), number, np.uint8)).save(folder / f"{frame}.png")
    return add_maps(folder.parent, semantics=folder)


def _numbers() -> np.ndarray:
    """The number of each part of the synthetic person; the last, which -1 finds, is the background's."""
    table = np.zeros(TRUNK + 2, np.uint8)
    for part, name in enumerate(anny_head_parts()):
        table[part] = EYE if "front" in name or "back" in name else SKIN
        if name in ("mouth_cavity", "tongue"):
            table[part] = MOUTH
    table[[HAIR, TEETH, TRUNK]] = HAIR_PIXELS, MOUTH, CLOTH
    return table
