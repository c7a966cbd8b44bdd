"""The report's pictures: scans beside avatars, and how far they are apart."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from avatars import Avatar
from avatars.fit import Evaluation
from avatars.meshing import TriangleMesh
from body_models.skeleton import rotation_matrices
from data_prep.camera import Camera
from data_prep.pictures import frame_camera, render_surface, tile
from data_prep.pictures.mesh import srgb_to_linear
from data_prep.registration.register import scan_surface
from data_prep.scans import Scan
from data_prep.surface import Surface

Picture = UInt8[np.ndarray, "height width 3"]
WIDTH, HEIGHT = 300, 380
WORST_MM = 6.0
"""Distance that is shown in full red."""
RAMP = ((0.85, 0.87, 0.88), (0.98, 0.80, 0.35), (0.80, 0.12, 0.10))
"""sRGB colours from no distance to the worst."""
RESOLUTION = 192
SCAN_COLOR = (0.30, 0.38, 0.50)
Posed = tuple[Scan, Float[Tensor, "bone 3"], Float[Tensor, "3"]]


def fitted_sheet(avatar: Avatar, posed: Sequence[Posed]) -> Picture:
    """Scan and avatar, side by side, for some of the scans that it was fitted to."""
    pictures, labels = [], []
    for scan, pose, place in posed:
        surface, mesh = scan_surface(scan), avatar.pose(pose, place).mesh(RESOLUTION)
        camera = camera_for(surface, pose)
        pictures += [_picture(surface, camera, SCAN_COLOR), _picture(Surface(mesh.vertices, mesh.faces), camera)]
        labels += [f"scan {scan.name.removeprefix('scan_')}", "avatar"]
    return tile(pictures, columns=6, labels=labels)


def held_out_sheet(avatar: Avatar, scans: Sequence[Scan], found: Evaluation) -> Picture:
    """Rows of scan, avatar and distance; a column for each pose that the avatar never saw."""
    by_name = {scan.name: scan for scan in scans}
    rows: list[list[Picture]] = [[], [], []]
    for row in found.rows:
        surface = scan_surface(by_name[row.name])
        mesh = avatar.pose(row.pose, row.translation).mesh(RESOLUTION)
        camera, own = camera_for(surface, row.pose), Surface(mesh.vertices, mesh.faces)
        rows[0].append(_picture(surface, camera, SCAN_COLOR))
        rows[1].append(_picture(own, camera))
        rows[2].append(_picture(own, camera, distance_colors(mesh, surface)))
    labels = [
        f"{kind}{row.name.removeprefix('scan_')}"
        for kind in ("unseen scan ", "avatar ", "distance ")
        for row in found.rows
    ]
    return tile([picture for row in rows for picture in row], columns=len(found.rows), labels=labels)


def camera_for(surface: Surface, pose: Float[Tensor, "bone 3"]) -> Camera:
    """A view from the person's front, a little from the side and above."""
    ahead = rotation_matrices(pose[None])[0, 0, :, 2]
    azimuth = math.atan2(float(ahead[0]), float(ahead[2])) + 0.45
    lower, upper = surface.vertices.amin(0), surface.vertices.amax(0)
    return frame_camera(lower, upper, azimuth, 0.12, WIDTH, HEIGHT, margin=1.0)


def distance_colors(mesh: TriangleMesh, scan: Surface) -> Float[Tensor, "vertex 3"]:
    """Linear vertex colours of a mesh by its distance to a scan."""
    share = (scan.closest(mesh.vertices).distance * 1000 / WORST_MM).clamp(0, 1)[:, None]
    low, middle, high = torch.tensor(RAMP)
    lower_half, upper_half = torch.lerp(low, middle, 2 * share), torch.lerp(middle, high, 2 * share - 1)
    return srgb_to_linear(torch.where(share < 0.5, lower_half, upper_half))


def _picture(
    surface: Surface, camera: Camera, colors: Float[Tensor, "vertex 3"] | tuple[float, float, float] | None = None
) -> Picture:
    if isinstance(colors, tuple):
        colors = torch.tensor(colors).expand(len(surface.vertices), 3)
    return render_surface(surface, camera, colors, supersampling=2, ground=True).to_uint8()
