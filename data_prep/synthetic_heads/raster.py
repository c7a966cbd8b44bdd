"""What each pixel of a camera sees of a mesh, face by face: the same as a ray a pixel, but several times as fast."""

from dataclasses import dataclass
from functools import cache
from types import ModuleType

import torch
from jaxtyping import Float, Int
from torch import Tensor

from data_prep.camera import Camera
from data_prep.warp_runtime import start_warp


@dataclass(frozen=True)
class Seen:
    """The nearest face at each pixel's centre, row by row; -1 and depth inf where nothing is."""

    depth: Float[Tensor, "pixel"]
    """Along the camera's z (metres)."""
    face: Int[Tensor, "pixel"]
    barycentric: Float[Tensor, "pixel 3"]


def rasterize(vertices: Float[Tensor, "vertex 3"], faces: Int[Tensor, "face 3"], camera: Camera) -> Seen:
    """Look at a mesh that lies wholly before the camera (world space, metres), on the processor."""
    warp = start_warp()
    extrinsics = camera.camera_from_world.float()
    corners = (vertices @ extrinsics[:3, :3].T + extrinsics[:3, 3]).contiguous()
    count = camera.width * camera.height
    depth = torch.full((count,), torch.inf)
    face = torch.full((count,), -1, dtype=torch.int32)
    barycentric = torch.zeros(count, 3)
    matrix = camera.intrinsics.tolist()
    inputs = [
        warp.from_torch(corners, dtype=warp.vec3),
        warp.from_torch(faces.to(torch.int32).reshape(-1).contiguous(), dtype=warp.int32),
        warp.vec2(matrix[0][0], matrix[1][1]),
        warp.vec2(matrix[0][2], matrix[1][2]),
        camera.width,
        camera.height,
    ]
    outputs = [
        warp.from_torch(depth, dtype=warp.float32),
        warp.from_torch(face, dtype=warp.int32),
        warp.from_torch(barycentric, dtype=warp.vec3),
    ]
    warp.launch(_kernels().raster_kernel, 1, [*inputs, *outputs], device="cpu")
    return Seen(depth, face.long(), barycentric)


@cache
def _kernels() -> ModuleType:
    start_warp()
    from data_prep.synthetic_heads import _raster_kernel

    return _raster_kernel
