"""The avatar as a rigged mesh: its canonical surface with learned weights, for plain skinning (fast, approximate)."""

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.meshing import extract_surface
from avatars.models.snarf import Snarf
from body_models import Body


@torch.no_grad()
def rigged_body(model: Snarf, resolution: int = 192, code: Float[Tensor, "1 code"] | None = None) -> Body:
    """The zero level of the canonical occupancy as a body with the learned joints and weights, at rest.

    `code` is the pose code that conditions the shape; None means the neutral shape (a code of zeros).
    """
    if code is None and model.options.pose_code:
        code = model.joints.new_zeros(1, model.options.pose_code)

    def field(points: Float[Tensor, "point 3"]) -> Float[Tensor, "point"]:
        return model.canonical_logits(points, None if code is None else code.expand(len(points), -1))

    mesh = extract_surface(field, model.box[0], model.box[1], resolution=resolution, keep_largest=True)
    weights = model.weights(mesh.vertices)
    joints = (model.joints + model.joint_shift).detach()
    rest = at_rest(mesh.vertices, weights, model.canonical_from_rest())
    return Body(model.skeleton, rest, mesh.faces, weights, joints, model.canonical_pose)


def at_rest(
    canonical: Float[Tensor, "vertex 3"],
    weights: Float[Tensor, "vertex bone"],
    canonical_from_rest: Float[Tensor, "bone 4 4"],
) -> Float[Tensor, "vertex 3"]:
    """Where linear blend skinning brought canonical points from (metres)."""
    blended = (weights @ canonical_from_rest.flatten(1)).unflatten(1, (4, 4))
    homogeneous = torch.cat([canonical, torch.ones_like(canonical[:, :1])], 1)
    return torch.linalg.solve(blended, homogeneous[..., None])[:, :3, 0]
