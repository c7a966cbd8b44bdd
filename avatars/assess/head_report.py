"""Pictures of an evaluation: each frame beside its render and the render's normals."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from avatars.assess.head_scores import FrameScores, Reference, to_bytes
from avatars.fit.video_report import HeadView
from body_models import InputError
from data_prep.camera import Camera
from data_prep.pictures import tile, write_image

SHEET = 12
"""Frames on the sheet, evenly chosen; two beside each other."""

Strip = UInt8[np.ndarray, "height width 3"]


class Report:
    """A folder that gets one picture a frame, then `sheet.png` with some of them."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError when the folder cannot be made."""
        self.folder, self._strips, self._labels = folder, list[Strip](), list[str]()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"No report can be written to '{folder}': {error.strerror}. Choose another --out."
            ) from error

    def add(self, row: FrameScores, shown: Reference, view: HeadView) -> None:
        """Write a frame's picture."""
        strip = side_by_side(shown, view)
        write_image(strip, self.folder / f"frame_{row.frame:06d}.png")
        figure = "" if row.face is None else f", {row.face.psnr:.1f} dB"
        pixels = "" if row.expression is None else f", {row.expression:.1f} px"
        self._strips.append(strip)
        self._labels.append(f"frame {row.frame}{figure}{pixels}")

    def finish(self) -> None:
        """Write the sheet."""
        count = min(SHEET, len(self._strips))
        places = np.linspace(0, len(self._strips) - 1, count).round().astype(int)
        sheet = tile([self._strips[i] for i in places], 2, [self._labels[i] for i in places])
        write_image(sheet, self.folder / "sheet.png")


def side_by_side(shown: Reference, view: HeadView) -> Strip:
    """The video's frame, the render and its normals (red right, green up, blue to the viewer)."""
    drawn = view.rgb.detach().cpu().float().numpy()
    normals = normal_colours(view.normal.cpu().float(), shown.camera).numpy()
    return np.concatenate([to_bytes(picture) for picture in (shown.rgb, drawn, normals)], axis=1)


def normal_colours(normal: Float[Tensor, "height width 3"], camera: Camera) -> Float[Tensor, "height width 3"]:
    """World-space normals as colours in the camera's frame; white where there are none."""
    upright = camera.camera_from_world[:3, :3].cpu().float() * torch.tensor([[1.0], [-1.0], [-1.0]])
    seen = normal.norm(dim=-1, keepdim=True) > 0.5
    return torch.where(seen, (normal @ upright.T + 1) / 2, torch.ones_like(normal))
