"""Surfaces to pixels: mesh pictures, montages and video files."""

from avatars.render.mesh import RenderedImage, frame_camera, render_mesh, render_surface
from avatars.render.video import tile, write_image, write_video

__all__ = ["RenderedImage", "frame_camera", "render_mesh", "render_surface", "tile", "write_image", "write_video"]
