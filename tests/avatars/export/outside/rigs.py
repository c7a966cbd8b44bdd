"""A tiny rig with all that a rig can have, and a clip for it: cheap enough for other people's programs."""

import numpy as np
import torch
from torch.nn.functional import normalize

from avatars.export.rig import Correctives, Rig, RigMotion
from body_models import Skeleton
from data_prep.surface import Surface

SKELETON = Skeleton(("hip", "knee.L", "ankle.L", "elbow"), (-1, 0, 1, 0))
JOINTS = torch.tensor([[0.1, 0.9, 0.0], [0.1, 0.5, 0.05], [0.1, 0.1, 0.0], [0.4, 0.9, 0.0]])
EXPRESSIONS = ("jawOpen", "mouthSmile_L")


def tiny_rig(around: int = 12, along: int = 15) -> Rig:
    """A tube along the legs, with two expressions and one corrective, bound with a bent knee and wearing a texture."""
    turn = torch.linspace(0, 2 * torch.pi, around + 1)
    v, u = torch.meshgrid(torch.linspace(0, 1, along), turn, indexing="ij")
    vertices = torch.stack([0.1 + 0.1 * torch.sin(u), 1 - v, 0.1 * torch.cos(u)], -1).reshape(-1, 3)
    corner = (torch.arange(along - 1)[:, None] * (around + 1) + torch.arange(around)).reshape(-1)
    right, below = corner + 1, corner + around + 1
    faces = torch.cat([torch.stack([corner, below, right], 1), torch.stack([right, below, below + 1], 1)])
    distances = (vertices[:, None] - JOINTS).norm(dim=2)
    weights, bones = torch.softmax(-8 * distances, 1).sort(dim=1, descending=True)
    generator = torch.Generator().manual_seed(0)
    morphs = 0.02 * torch.randn(3, 1, 3, generator=generator) * torch.rand(3, len(vertices), 1, generator=generator)
    morphs[0, vertices[:, 1] < 0.5] = 0.0
    bind_pose = torch.zeros(4, 3)
    bind_pose[0], bind_pose[1] = torch.tensor([0.0, 0.3, 0.1]), torch.tensor([0.5, 0.0, 0.0])
    matrix, bias = torch.zeros(27, 1), torch.tensor([-0.2])
    matrix[4] = 2.5
    normals = Surface(vertices, faces).vertex_normals
    across = torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]).expand_as(normals), normals)
    tangents = torch.cat([normalize(across, dim=1), torch.ones(len(vertices), 1)], 1)
    uv = torch.stack([u / (2 * torch.pi), v], -1).reshape(-1, 2)
    return Rig(
        "tiny", SKELETON, JOINTS, bind_pose, vertices, normals, faces, bones, weights, morphs,
        (*EXPRESSIONS, "corrective_000"), Correctives(matrix, bias), uv, tangents,
    )  # fmt: skip


def tiny_clip(rig: Rig, frames: int = 5, name: str = "step") -> RigMotion:
    """A step with a jump, whose weights of morphs leave [0, 1] on both sides after the first frame."""
    phase = torch.linspace(0, 1, frames)
    rotations = torch.zeros(frames, 4, 3)
    rotations[:, 0] = phase[:, None] * torch.tensor([0.2, 0.7, 0.0])
    rotations[:, 1, 0] = 1.4 * phase
    rotations[:, 2] = torch.tensor([0.3, 0.1, 0.2])
    rotations[:, 3, 2] = -0.8 * phase
    translations = phase[:, None] * torch.tensor([0.5, 0.2, -0.4])
    expression = torch.stack([1.6 * phase, -0.7 * phase], 1)
    return RigMotion(name, rotations, translations, rig.morph_weights(rotations, expression), 20.0)


def checkered(size: int = 64) -> np.ndarray:
    """A picture to put on: red grows with u, green with v, in squares."""
    v, u = np.mgrid[0:size, 0:size] / (size - 1)
    squares = 0.5 + 0.5 * ((u * 8).astype(int) + (v * 8).astype(int)) % 2
    return (255 * np.stack([u, v, squares], -1)).astype(np.uint8)
