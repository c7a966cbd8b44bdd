"""Small rigs on full-resolution sources of which everything is known."""

from collections.abc import Callable

import numpy as np
import torch
import trimesh
from jaxtyping import Float, UInt8
from skimage.measure import marching_cubes
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from avatars.export.rig.rig import Rig
from avatars.export.rig.source import Source
from body_models import Skeleton
from data_prep.surface import Surface

SKELETON = Skeleton(("root", "tip"), (-1, 0))
JOINTS = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.1, 0.0]])


def ball(subdivisions: int, radius: float = 0.3, bumps: float = 0.0) -> tuple[Tensor, Tensor]:
    """Vertices and faces of a ball, perhaps with bumps (a share of the radius)."""
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions, radius=1.0)
    vertices = torch.from_numpy(np.array(mesh.vertices)).float()
    swelling = torch.sin(9 * vertices).prod(1, keepdim=True)
    return vertices * radius * (1 + bumps * swelling), torch.from_numpy(np.array(mesh.faces)).long()


def figure() -> tuple[Tensor, Tensor]:
    """A trunk with two arms, about 0.8 m wide."""
    axes = [torch.arange(-0.5, 0.5, 0.03), torch.arange(-0.4, 0.4, 0.03), torch.arange(-0.2, 0.2, 0.03)]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    trunk = torch.stack([x, y - y.clamp(-0.2, 0.2), z]).norm(dim=0) - 0.12
    arms = torch.stack([x - x.clamp(-0.35, 0.35), y, z]).norm(dim=0) - 0.06
    vertices, faces, _, _ = marching_cubes(torch.minimum(trunk, arms).numpy(), 0.0, spacing=(0.03,) * 3)
    return torch.from_numpy(vertices.copy()).float(), torch.from_numpy(faces[:, ::-1].astype(np.int64).copy())


def source_from(
    vertices: Tensor, faces: Tensor, colour: Callable[[Tensor], Tensor] | None = None, unlit: bool = False
) -> Source:
    normals = Surface(vertices, faces).vertex_normals
    weights = torch.full((len(vertices), 2), 0.5)
    still = vertices[None][:0]
    return Source(
        "ball", SKELETON, JOINTS, torch.zeros(2, 3), vertices, faces, normals, weights, still, (), None, colour, unlit
    )


def rig_from(vertices: Tensor, faces: Tensor) -> Rig:
    normals = Surface(vertices, faces).vertex_normals
    bones = torch.tensor([0, 1]).expand(len(vertices), -1).contiguous()
    shares = (0.5 + vertices[:, 1]).clamp(0, 1)
    weights = torch.stack([1 - shares, shares], 1)
    morphs = 0.1 * vertices[None]
    return Rig("ball", SKELETON, JOINTS, torch.zeros(2, 3), vertices, normals, faces, bones, weights, morphs, ("grow",))


def smooth_colours(points: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
    """Linear colours that change slowly."""
    return 0.4 + 0.3 * torch.sin(5 * points + torch.tensor([0.0, 1.0, 2.0]))


def looked_up(picture: UInt8[np.ndarray, "height width 3"], uv: Float[Tensor, "point 2"]) -> Float[Tensor, "point 3"]:
    """Bilinear reading of a texture as engines do it, 0 to 1."""
    values = torch.from_numpy(picture).float().permute(2, 0, 1)[None] / 255
    found = grid_sample(values, uv[None, None] * 2 - 1, mode="bilinear", padding_mode="border", align_corners=False)
    return found[0, :, 0].T


def shaded_normals(rig: Rig, picture: UInt8[np.ndarray, "height width 3"], face: Tensor, shares: Tensor) -> Tensor:
    """Normals as a glTF renderer makes them of a normal map, at points given by face and barycentric coordinates."""
    assert rig.uv is not None
    assert rig.tangents is not None
    surface = Surface(rig.vertices, rig.faces)
    upwards = torch.linalg.cross(rig.normals, rig.tangents[:, :3]) * rig.tangents[:, 3:]
    axes = [rig.tangents[:, :3].contiguous(), upwards, rig.normals]
    frame = [normalize(surface.interpolate(axis, face, shares), dim=1) for axis in axes]
    local = looked_up(picture, surface.interpolate(rig.uv, face, shares)) * 2 - 1
    return normalize((local.T[..., None] * torch.stack(frame)).sum(0), dim=1)
