"""A synthetic talking head as a video dataset whose tracks are the truth."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from data_prep.pictures import write_image
from data_prep.synthetic_heads.make import TalkingHead
from data_prep.synthetic_heads.render import HeadPicture
from data_prep.video.face_mesh import face_mesh_landmarks
from data_prep.video_dataset import VideoDataset, write_video_dataset
from data_prep.video_dataset_fields import VideoFrame
from data_prep.video_dataset_files import withdraw

_HIDDEN = 0.006
"""A landmark this far behind what its pixel shows is hidden (metres)."""


@dataclass(frozen=True)
class SeenLandmarks:
    """Where the model's landmarks are in a frame."""

    pixels: Float[Tensor, "landmark 2"]
    """NaN outside the picture and where something hides them."""
    weights: Float[Tensor, "landmark"]
    """1 where seen, else 0."""


def write_truth(
    head: TalkingHead, folder: Path | str, progress: Callable[[int, int], None] | None = None
) -> VideoDataset:
    """Render all frames and masks into a folder and write them as a dataset with the true tracks.

    `progress` hears of each frame done, of how many. Raises InputError when the place cannot be written.
    """
    folder = Path(folder)
    withdraw(folder)
    frames, landmarks = [], []
    for frame in range(len(head)):
        picture = head.picture(frame)
        names = f"frames/{frame:06d}.png", f"masks/{frame:06d}.png"
        mask = (255 * picture.alpha).round().astype(np.uint8)
        write_image(picture.rgb, folder / names[0])
        write_image(np.repeat(mask[..., None], 3, axis=2), folder / names[1])
        frames.append(VideoFrame(frame, frame / head.frame_rate, *names))
        landmarks.append(seen_landmarks(head, frame, picture))
        if progress is not None:
            progress(frame + 1, len(head))
    dataset = VideoDataset(
        frames=tuple(frames),
        width=head.camera.width,
        height=head.camera.height,
        frame_rate=head.frame_rate,
        model=head.model.name,
        betas=head.betas,
        joint_names=head.model.skeleton.joint_names,
        expression_names=head.model.expression_names,
        intrinsics=head.intrinsics.repeat(len(head), 1, 1),
        camera_from_world=head.camera.camera_from_world.repeat(len(head), 1, 1),
        poses=head.poses,
        translations=head.translations,
        expressions=head.expressions,
        landmarks=torch.stack([seen.pixels for seen in landmarks]),
        landmark_weights=torch.stack([seen.weights for seen in landmarks]),
        notes=(f"Synthetic talking head, seed {head.seed}, {head.strength} expressions; all tracks are true.",),
        folder=folder,
    )
    write_video_dataset(dataset, folder)
    return dataset


def seen_landmarks(head: TalkingHead, frame: int, picture: HeadPicture) -> SeenLandmarks:
    """The face mesh's points on the model's surface, projected, where the picture shows them."""
    points = face_mesh_landmarks(head.model).on(head.head_vertices(frame))
    pixels, depth = head.camera.project(points)
    column, row = pixels[:, 0].floor().long(), pixels[:, 1].floor().long()
    inside = (column >= 0) & (column < head.camera.width) & (row >= 0) & (row < head.camera.height)
    shown = torch.from_numpy(picture.depth)[
        row.clamp(0, head.camera.height - 1), column.clamp(0, head.camera.width - 1)
    ]
    seen = inside & (depth < shown + _HIDDEN)
    return SeenLandmarks(torch.where(seen[:, None], pixels, torch.nan), seen.float())
