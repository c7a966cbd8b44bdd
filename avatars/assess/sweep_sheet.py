"""A contact sheet of a sweep: each pose in colours, as normals with tears in red, and as the head model has it."""

import numpy as np
import torch
from jaxtyping import UInt8

from avatars.assess.sweep import SweepPose, SweptHead
from data_prep.pictures import render_surface, tile
from data_prep.pictures.mesh import RenderedImage

COLUMNS = 8
RED = (255, 0, 0)
Picture = UInt8[np.ndarray, "height width 3"]


def sweep_sheet(head: SweptHead, poses: tuple[SweepPose, ...], size: int = 200) -> Picture:
    """Pictures from the front of all poses; three rows of pictures of `size` pixels for every eight poses."""
    pictures: list[Picture] = []
    labels: list[str] = []
    blank = np.full((size, size, 3), 255, dtype=np.uint8)
    for start in range(0, len(poses), COLUMNS):
        some = poses[start : start + COLUMNS]
        columns = [_column(head, pose, size) for pose in some]
        columns += [[blank] * 3] * (COLUMNS - len(columns))
        names = [pose.name for pose in some] + [""] * (COLUMNS - len(some))
        for row, kind in enumerate(("", "normals", "model")):
            pictures += [column[row] for column in columns]
            labels += [name if kind == "" else kind for name in names]
    return tile(pictures, columns=COLUMNS, labels=labels)


def _column(head: SweptHead, pose: SweepPose, size: int) -> list[Picture]:
    """One pose: colours, normals with tears, the model's normals."""
    camera = head.camera(0.0, size)
    posed = head.posed(pose)
    torn = head.torn_views(posed, pose, size)[0].torn.cpu().numpy()
    normals = _normals(render_surface(posed, camera))
    normals[torn] = RED
    colours = head.avatar.pose(pose.expression, pose.rotation).render(camera)
    return [colours.to_uint8(), normals, _normals(render_surface(head.model_posed(pose), camera))]


def _normals(picture: RenderedImage) -> Picture:
    shown = torch.where(picture.mask[..., None] > 0, (picture.normal + 1) / 2, torch.ones_like(picture.normal))
    return (255 * shown).round().to(torch.uint8).cpu().numpy()
