"""People and things to register: posed bodies made into rough scans, furniture made of boxes."""

import numpy as np
import roma
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from body_models import load_anny
from body_models.body import Body
from data_prep.registration.kinematics import SurfacePoints
from data_prep.scans import Scan

POSES = {
    "walking": {
        "left_hip": (-35, 0, 0),
        "right_hip": (25, 0, 0),
        "right_knee": (30, 0, 0),
        "left_shoulder": (25, 0, -20),
    },
    "waving": {
        "left_shoulder": (0, 0, 80),
        "right_elbow": (-20, 60, 0),
        "spine2": (15, 10, 0),
        "left_knee": (20, 0, 0),
    },
    "handstand": {
        "pelvis": (180, 0, 0),
        "left_shoulder": (0, 0, 110),
        "right_shoulder": (0, 0, -110),
        "left_hip": (-20, 0, 10),
    },
}
"""Degrees."""


def person() -> Body:
    """A bare body that is not the average one."""
    return load_anny().body(torch.tensor([0.4, -0.5, 0.3]))


def natural_poses(body: Body) -> tuple[Float[Tensor, "scan bone 3"], Float[Tensor, "scan 3"]]:
    """One pose for each entry of `POSES`, with headings and places drawn at random."""
    generator = torch.Generator().manual_seed(3)
    poses, places = torch.zeros(len(POSES), len(body.skeleton), 3), torch.randn(len(POSES), 3, generator=generator)
    for pose, turns in zip(poses, POSES.values(), strict=True):
        for name, degrees in turns.items():
            pose[body.skeleton.index(name)] = torch.tensor(degrees).deg2rad()
    angles = 2 * torch.pi * torch.rand(len(POSES), 1, generator=generator)
    heading = roma.rotvec_to_rotmat(angles * torch.tensor([0.0, 1.0, 0.0]))
    poses[:, 0] = roma.rotmat_to_rotvec(heading @ roma.rotvec_to_rotmat(poses[:, 0]))
    return poses, places


def rough_scan(name: str, body: Body, pose: Float[Tensor, "bone 3"], place: Float[Tensor, "3"]) -> Scan:
    """The posed body with a millimetre of noise and three holes."""
    generator = np.random.default_rng(0)
    vertices = body.pose_vertices(pose, place).numpy()
    faces = body.faces.numpy()
    centres = vertices[faces].mean(1)
    for centre in centres[generator.choice(len(centres), 3)]:
        kept = np.linalg.norm(centres - centre, axis=1) > 0.04
        faces, centres = faces[kept], centres[kept]
    return Scan(name, vertices + generator.normal(0, 0.001, vertices.shape).astype(np.float32), faces)


def rough_scans() -> list[Scan]:
    """A person in every pose."""
    body = person()
    return [rough_scan(n, body, p, t) for n, p, t in zip(POSES, *natural_poses(body), strict=True)]


def boxes(name: str, *parts: tuple[tuple[float, float, float], tuple[float, float, float]]) -> Scan:
    """A thing made of boxes: sizes and centres, metres."""
    move = trimesh.transformations.translation_matrix
    mesh = trimesh.util.concatenate([trimesh.creation.box(size, transform=move(centre)) for size, centre in parts])
    assert isinstance(mesh, trimesh.Trimesh)
    return Scan(name, np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int64))


def chair() -> Scan:
    """A big chair."""
    legs = [((0.1, 0.6, 0.1), (0.3 * x, 0.3, 0.3 * z)) for x in (-1, 1) for z in (-1, 1)]
    return boxes("chair", ((0.7, 0.15, 0.7), (0, 0.6, 0)), ((0.7, 1.0, 0.12), (0, 1.1, -0.3)), *legs)


def capsule() -> Scan:
    """A smooth standing pillar of a person's size."""
    mesh = trimesh.creation.capsule(height=1.4, radius=0.13, count=[32, 32])
    upright = np.asarray(mesh.vertices, np.float32)[:, [1, 2, 0]]
    return Scan("pillar", upright, np.asarray(mesh.faces, np.int64))


def above(name: str, body: Body, joint: str) -> Scan:
    """What of a standing body lies above a joint, open below."""
    kept = body.vertices[:, 1] > body.joints[body.skeleton.index(joint), 1]
    faces = body.faces[kept[body.faces].all(1)]
    return Scan(name, body.vertices.numpy(), faces.numpy())


def random_points(body: Body, count: int, dtype: torch.dtype) -> SurfacePoints:
    """Some points of a body's surface."""
    chosen = torch.randperm(len(body.vertices), generator=torch.Generator().manual_seed(0))[:count]
    return SurfacePoints(body.vertices[chosen][None].to(dtype), body.skinning_weights[chosen][None].to(dtype))
