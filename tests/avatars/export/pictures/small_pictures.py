"""Small pictures, and a camera beside a person."""

import torch

from avatars.export.pictures.render_options import RenderOptions
from data_prep.camera import Camera, look_at

UP = torch.tensor([0.0, 1.0, 0.0])
OPTIONS = RenderOptions(size=48, resolution=48, supersampling=1)


def side_camera(distance: float = 3.0) -> Camera:
    return look_at(torch.tensor([distance, 0.3, 0.4]), torch.tensor([0.3, 0.0, -0.2]), UP, 40.0, 60, 40)
