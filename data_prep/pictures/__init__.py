"""Surfaces to pixels: mesh pictures, montages and video files."""

from data_prep.pictures.files import tile, write_image, write_video
from data_prep.pictures.mesh import RenderedImage, frame_camera, render_mesh, render_surface

__all__ = ["RenderedImage", "frame_camera", "render_mesh", "render_surface", "tile", "write_image", "write_video"]
