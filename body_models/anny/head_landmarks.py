"""Named points of the Anny head, found by geometry and by what the expressions move."""

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.anny.head_cut import HEAD_PARTS, HeadCut


def head_landmark_vertices(cut: HeadCut, template: Float[Tensor, "vertex 3"]) -> dict[str, int]:
    """The vertex of each landmark on the mean person (metres, Y up, facing +Z)."""
    x, y, z = template.unbind(1)
    skin = _of_part(cut, "skin")
    midline = skin & (x.abs() < 1e-6)
    nose = _extreme(z, midline)
    found = {"nose": nose, **_lips(cut, template, midline)}
    below = midline & (y < y[found["lower_lip"]] - 0.01)
    found["chin"] = _extreme(z - y, below & (z > z[nose] - 0.06))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        outward = sign * x
        rim = skin & _of_part(cut, f"{side}_eye_socket")
        mouth = skin & _of_part(cut, "mouth_cavity")
        front, back = _of_part(cut, f"{side}_eye_front"), _of_part(cut, f"{side}_eye_back")
        found[f"{side}_eye"] = _extreme(template @ (template[front].mean(0) - template[back].mean(0)), front)
        found[f"{side}_eye_outer"] = _extreme(outward, rim)
        found[f"{side}_eye_inner"] = _extreme(-outward, rim)
        found[f"{side}_mouth_corner"] = _extreme(outward, mouth)
        found[f"{side}_ear"] = _extreme(outward, skin)
        eye = found[f"{side}_eye"]
        for name, at in (("brow_inner", found[f"{side}_eye_inner"]), ("brow_outer", found[f"{side}_eye_outer"])):
            above = skin & (y > y[eye] + 0.018) & (y < y[eye] + 0.028)
            found[f"{side}_{name}"] = _extreme(-(x - x[at]).abs() + 0.2 * z, above)
    return found


def _lips(cut: HeadCut, template: Float[Tensor, "vertex 3"], midline: Tensor) -> dict[str, int]:
    """The middle of each lip: foremost midline vertices of the skin that the jaw moves, or not, round the mouth."""
    jaw = cut.weights[:, 2]
    mouth = template[_of_part(cut, "mouth_cavity") & _of_part(cut, "skin")].mean(0)
    near = midline & ((template - mouth).norm(dim=1) < 0.02)
    return {
        "upper_lip": _extreme(template[:, 2], near & (jaw < 0.5)),
        "lower_lip": _extreme(template[:, 2], near & (jaw >= 0.5)),
    }


def _of_part(cut: HeadCut, part: str) -> Tensor:
    """Which vertices belong to the faces of a part."""
    chosen = torch.zeros(len(cut.vertices), dtype=torch.bool)
    chosen[cut.faces[cut.face_parts == HEAD_PARTS.index(part)].flatten()] = True
    return chosen


def _extreme(values: Float[Tensor, "vertex"], among: Tensor) -> int:
    """The vertex of the largest value among some."""
    assert bool(among.any()), "no vertex to choose a landmark from"
    return int(torch.where(among, values, -torch.inf).argmax())
