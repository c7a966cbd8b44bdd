"""Poses of bodies on the ground."""

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.export.contact_sheet import sheet_poses
from avatars.viewer.state import Stance
from body_models import Body

STANDING = "standing"
_SHEET = (STANDING, "striding", "reaching")


def body_poses(body: Body) -> dict[str, Stance]:
    """Stances that every body can take, by name, the first one standing."""
    shown = {name: grounded(body, pose.rotations) for name, pose in zip(_SHEET, sheet_poses(body), strict=False)}
    rest = torch.zeros_like(body.joints)
    return shown | {"canonical": grounded(body, body.canonical_pose), "rest of the skeleton": grounded(body, rest)}


def standing(body: Body) -> Stance:
    """Upright, arms hanging."""
    return grounded(body, sheet_poses(body)[0].rotations)


@torch.no_grad()
def grounded(body: Body, rotations: Float[Tensor, "bone 3"]) -> Stance:
    """A pose with its lowest point at y = 0 and the root above the origin (metres)."""
    still = rotations.new_zeros(3)
    lowest = body.pose_vertices(rotations, still)[:, 1].amin()
    root = body.joints[0]  # the root joint stays where it is at rest
    return Stance(rotations, torch.stack([-root[0], -lowest, -root[2]]), rotations.new_zeros(0))


def grounded_head(vertices: Float[Tensor, "vertex 3"]) -> Float[Tensor, "3"]:
    """The shift that brings the neck's end to y = 0 and the head above the origin (metres)."""
    middle = (vertices.amin(0) + vertices.amax(0)) / 2
    return torch.stack([-middle[0], -vertices[:, 1].amin(), -middle[2]])
