"""The 68 points of the face and the two irises' centres that other datasets keep, without gaps."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from data_prep.video.face_points import FACE_POINTS, LANDMARKS_68, LEFT_IRIS, RIGHT_IRIS


def face_points(
    landmarks: Float[Tensor, "frame landmark 2"], width: int, height: int
) -> Float[Tensor, "frame point 2"]:
    """68 points, then right and left iris, out of the face mesh's 478 (pixels); other sets of points stay as they are.

    Where a point is unseen (NaN) its place is taken from the frames before and after; where it never is seen, it is in
    the middle of the frame's points, or of the picture.
    """
    if landmarks.shape[1] == FACE_POINTS:
        landmarks = landmarks[:, [*LANDMARKS_68, RIGHT_IRIS[0], LEFT_IRIS[0]]]
    points = landmarks.numpy().copy()
    times = np.arange(len(points))
    for column in points.reshape(len(points), -1).T:
        seen = np.isfinite(column)
        if seen.any():
            column[~seen] = np.interp(times[~seen], times[seen], column[seen])
    never = ~np.isfinite(points)
    if never.any():
        known = ~never.any(axis=(0, 2))
        middle = (
            points[:, known].mean(axis=1) if known.any() else np.broadcast_to([width / 2, height / 2], (len(points), 2))
        )
        points = np.where(never, middle[:, None], points)
    return torch.from_numpy(points)
