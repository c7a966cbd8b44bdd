"""How well a tracked head's silhouette agrees with a person's mask."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from data_prep.camera import Camera
from data_prep.surface import Surface


def silhouette_iou(
    head: Surface,
    camera: Camera,
    mask: Bool[Tensor, "height width"],
    eyes: Float[Tensor, "2 2"],
    chin: Float[Tensor, "2"],
) -> float:
    """Intersection over union of a posed head (world space) and a mask, above the line through the chin.

    `eyes` are the outer corners and `chin` the chin in the camera's pixels; the line is parallel to the eyes', since
    below it neck and shoulders belong to the mask. NaN when both are empty there.
    """
    origins, directions = camera.rays()
    hits = head.cast(origins.reshape(-1, 3).float(), directions.reshape(-1, 3).float())
    covered = (hits.face >= 0).reshape(mask.shape)
    above = above_chin(camera.width, camera.height, eyes, chin)
    union = int(((covered | mask) & above).sum())
    return int((covered & mask & above).sum()) / union if union > 0 else float("nan")


def above_chin(
    width: int, height: int, eyes: Float[Tensor, "2 2"], chin: Float[Tensor, "2"]
) -> Bool[Tensor, "height width"]:
    """Which pixels lie on the eyes' side of the line through the chin that is parallel to the line of the eyes."""
    along = eyes[1] - eyes[0]
    normal = torch.stack([-along[1], along[0]])
    if float(normal @ (eyes.mean(0) - chin)) < 0:
        normal = -normal
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return (torch.stack([x, y], -1).to(chin) - chin) @ normal > 0
