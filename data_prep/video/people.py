"""Cut the filmed person out of a picture: a network's mask, only where it holds the head, refined to hair detail."""

from types import TracebackType

import numpy as np
from jaxtyping import Bool, Float, UInt8

from data_prep.video.matting import refine_alpha
from data_prep.video.mediapipe_runtime import Solution, start_opencv

SEARCH = 0.1
"""How far from the head's centre the person may begin, as a share of the picture's longer side."""


class PersonSegmenter:
    """Person masks of single pictures. Each depends on its own picture only, so work can go on at any frame."""

    def __init__(self, refine: bool = True) -> None:
        """With `refine` false the network's own soft mask is returned."""
        self._refine = refine
        # Model 0 takes square pictures; model 1 is the faster one for landscapes and loses hair.
        self._graph = Solution(lambda solutions: solutions.selfie_segmentation.SelfieSegmentation(model_selection=0))

    def __call__(
        self, rgb: UInt8[np.ndarray, "height width 3"], head_center: Float[np.ndarray, "2"]
    ) -> Float[np.ndarray, "height width"]:
        """Alpha in [0, 1] of the person whose head is at `head_center` (pixels); all zeros when nobody is there."""
        mask = np.asarray(self._graph(rgb).segmentation_mask, np.float32)
        kept = connected(mask > 0.5, head_center)
        if not kept.any():
            return np.zeros_like(mask)
        mask = mask * _grown(kept, max(2, round(0.02 * max(mask.shape))))
        return refine_alpha(rgb, mask) if self._refine else mask

    def __enter__(self) -> "PersonSegmenter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._graph.close()


def connected(
    inside: Bool[np.ndarray, "height width"], head_center: Float[np.ndarray, "2"]
) -> Bool[np.ndarray, "height width"]:
    """The connected part of a mask that holds the head's centre, or begins near it; nothing when it is far away."""
    cv2 = start_opencv()
    count, labels = cv2.connectedComponents(inside.astype(np.uint8))
    if count < 2 or not np.isfinite(head_center).all():
        return np.zeros_like(inside)
    height, width = inside.shape
    column = int(np.clip(head_center[0], 0, width - 1))
    row = int(np.clip(head_center[1], 0, height - 1))
    if labels[row, column] == 0:
        rows, columns = np.nonzero(inside)
        distance = np.hypot(rows - row, columns - column)
        nearest = int(np.argmin(distance))
        if distance[nearest] > SEARCH * max(height, width):
            return np.zeros_like(inside)
        row, column = int(rows[nearest]), int(columns[nearest])
    return np.asarray(labels == labels[row, column])


def _grown(inside: np.ndarray, radius: int) -> np.ndarray:
    cv2 = start_opencv()
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    grown: np.ndarray = cv2.dilate(inside.astype(np.uint8), window)
    return grown.astype(np.float32)
