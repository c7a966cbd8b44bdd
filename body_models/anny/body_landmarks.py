"""Named points of the Anny body, found by geometry: SMPL's 21 landmarks."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.anny.package import dense_weights

_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_FOOT = ("big_toe", "small_toe", "heel")
BODY_LANDMARKS = (
    *("nose", "right_eye", "left_eye", "right_ear", "left_ear"),
    *(f"{side}_{name}" for side in ("left", "right") for name in (*_FINGERS, *_FOOT)),
)


def body_landmark_vertices(
    model: Any, template: Float[Tensor, "vertex 3"], heads: Float[Tensor, "anny 3"]
) -> dict[str, int]:
    """The vertex of each landmark on the mean person (metres, Y up, facing +Z)."""
    weights = dense_weights(model)
    labels = list(model.bone_labels)

    def column(prefix: str, suffix: str) -> Tensor:
        return weights[:, [i for i, b in enumerate(labels) if b.startswith(prefix) and b.endswith(suffix)]].sum(1)

    # the mean person is a little lopsided, the package's template is not
    midline = (model.template_vertices[:, 0].abs() < 1e-6) & (column("head", "") > 0.9)
    found = {"nose": _extreme(template[:, 2], midline)}
    for side, suffix, sign in (("left", ".L", 1.0), ("right", ".R", -1.0)):
        found[f"{side}_eye"] = _extreme(template[:, 2], column("eye", suffix) > 0.9)
        found[f"{side}_ear"] = _extreme(sign * template[:, 0], column("head", "") > 0.9)
        for number, finger in enumerate(_FINGERS, start=1):
            tip = f"finger{number}-3"
            reach = (template - heads[labels.index(tip + suffix)]).norm(dim=1)
            found[f"{side}_{finger}"] = _extreme(reach, column(tip, suffix) > 0.5)
        for toe, name in (("toe1-2", "big_toe"), ("toe5-3", "small_toe")):
            found[f"{side}_{name}"] = _extreme(template[:, 2], column(toe, suffix) > 0.5)
        found[f"{side}_heel"] = _extreme(-template[:, 2], column("foot", suffix) > 0.5)
    return found


def _extreme(values: Float[Tensor, "vertex"], among: Tensor) -> int:
    """The vertex of the largest value among some."""
    return int(torch.where(among, values, -torch.inf).argmax())
