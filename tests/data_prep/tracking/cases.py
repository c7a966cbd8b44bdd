"""Head models of each kind from the free one, and random states of them."""

from dataclasses import replace

import roma
import torch
from torch import Tensor

from body_models import load_body_model
from body_models.model import BodyModel
from data_prep.tracking.head_points import HeadPoints
from data_prep.tracking.motion_model import HeadState


def flame_like() -> BodyModel:
    """A head whose jaw and eyes turn, with unnamed expressions, moving joints and pose correctives."""
    head = load_body_model("anny-head")
    generator = torch.Generator().manual_seed(3)
    correctives = 9 * (len(head.skeleton) - 1)
    return replace(
        head,
        name="flame-like",
        expression_basis=head.expression_basis[:20] * 0.3,
        expression_basis_joints=1e-3 * torch.randn(20, len(head.skeleton), 3, generator=generator),
        expression_names=(),
        pose_basis=1e-3 * torch.randn(correctives, len(head.template), 3, generator=generator),
    )


def ict_like() -> BodyModel:
    """A head with named actions whose `eyeLook*` move lids only, so that the eyes' joints turn."""
    head = load_body_model("anny-head")
    expression = head.expression_basis.clone()
    looks = [row for row, name in enumerate(head.expression_names) if name.startswith("eyeLook")]
    balls = head.skinning_weights[:, 3:].sum(1) > 0.5
    expression[torch.tensor(looks)[:, None], torch.nonzero(balls)[:, 0]] = 0
    return replace(head, name="ict-like", expression_basis=expression)


def random_state(points: HeadPoints, frames: int, seed: int, dtype: torch.dtype = torch.float64) -> HeadState:
    """Heads before the camera, turned and grimacing."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    return HeadState(
        rotations=(roma.rotvec_to_rotmat(0.4 * normal(frames, 3)) @ flip).to(dtype),
        places=(torch.tensor([0.0, 0.0, 0.5], dtype=torch.float64) + 0.1 * normal(frames, 3)).to(dtype),
        coefficients=(0.2 * normal(frames, points.coefficients)).to(dtype),
        betas=normal(points.shape.shape[-1]).to(dtype),
        log_focal=torch.tensor(0.1, dtype=dtype),
    )
