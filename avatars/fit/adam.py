"""Adam, with groups in which all entries of a tensor share one step size."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class FieldAdam(torch.optim.Adam):
    """Adam; in groups marked `uniform` entries are divided by the largest second moment of their tensor.

    So entries that little speaks for hardly move: grids that begin at a good field stay smooth. Plain Adam would move
    all entries alike, and turn noise into bumps. Source: Nicolet et al., "Large Steps in Inverse Rendering of
    Geometry", SIGGRAPH Asia 2021, section 4 (AdamUniform).
    """

    def __init__(self, groups: list[dict[str, Any]], betas: tuple[float, float] = (0.9, 0.99)) -> None:
        super().__init__([{"uniform": False, **group} for group in groups], betas=betas, fused=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of all groups; gradients of uniform groups are used up."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["uniform"]:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._move(parameter, parameter.grad, group)
                        parameter.grad = None
        super().step()
        return loss

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), device=parameter.device)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros((), device=parameter.device)
        first, second = group["betas"]
        state["step"] += 1
        state["exp_avg"].lerp_(gradient, 1 - first)
        state["exp_avg_sq"].lerp_(gradient.square().max(), 1 - second)
        count = float(state["step"])
        scale = (state["exp_avg_sq"] / (1 - second**count)).sqrt() + group["eps"]
        parameter.sub_(state["exp_avg"] / scale, alpha=group["lr"] / (1 - first**count))
