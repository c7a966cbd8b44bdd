"""Begin a head's surface where the masks show hair and shoulders, which the tracked model does not have."""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn.functional import grid_sample

from avatars.fields.geometry import GridGeometry
from avatars.fit.video_method import TrackedImavatar
from avatars.fit.video_rays import Pictures
from avatars.fit.video_surface import smoothed_on_grid
from avatars.models.head_prior import HeadPrior, neck_loop

VIEWS = 24
"""Frames whose masks are looked at."""
AGREEING = 0.75
"""A point is taken for the person's when this share of the frames that show its place shows the person there."""
HAIR = 0.04
"""Hair is begun at most this far from the tracked head (metres)."""
CHEST = 0.08
"""Half the depth of neck and shoulders (metres)."""
ABOVE_NECK = 0.02
"""Shoulders are begun this far above the neck's end and lower (metres)."""
FRONT = (0.0, 0.6)
"""No hair where directions from the head's middle point forward by more than this share, at eyes and hairline."""
HAIRLINE = 0.07
"""Height of the hairline above the eyes (metres)."""
BENEATH = 0.03
"""So far beneath the head's surface signed distances still change where hair or shoulders cover it (metres)."""
BEHIND = 0.25
"""Share of the room for hair straight behind the head, where masks from the front say nothing."""
THINNING = 0.3
"""Over this forward share hair thins out."""


@torch.no_grad()
def carve_start(module: TrackedImavatar, prior: HeadPrior, pictures: Pictures) -> None:
    """Unite the base grid's signed distance with hair and shoulders carved from the masks; networks are left alone.

    Masks say nothing of depth: hair grows out of the head's silhouette only, and shoulders are as deep as they are
    wide at their edge, to `CHEST`. Source of carving: Laurentini, "The visual hull concept", PAMI 1994.
    """
    model, geometry = module.imavatar, module.imavatar.geometry
    if not isinstance(geometry, GridGeometry):
        return
    nodes, head = geometry.base_grid.nodes().to(model.joints), geometry.at_nodes()[:, 0]
    hair, neck = _hair_room(prior, nodes, head), _neck(prior)
    below = torch.maximum((nodes[:, 2] - neck[2]).abs() - CHEST, nodes[:, 1] - (neck[1] + ABOVE_NECK))
    wanted = ((torch.minimum(hair, below) < 0) & (head > -BENEATH)).nonzero()[:, 0]
    some = torch.linspace(0, len(pictures) - 1, min(VIEWS, len(pictures))).round().long()
    hull = torch.full_like(head, torch.inf)
    hull[wanted] = hull_distance(module, nodes[wanted], pictures, some)
    shoulders = torch.maximum(below, _inflated(hull, nodes[:, 2] - neck[2]))
    carved = torch.minimum(torch.maximum(hull, hair), shoulders)
    smooth = smoothed_on_grid(torch.minimum(head, carved)[:, None], geometry.base_grid)[:, 0]
    geometry.start_from(torch.where(carved < head, smooth, head))


def hull_distance(
    module: TrackedImavatar, nodes: Float[Tensor, "node 3"], pictures: Pictures, frames: Int[Tensor, "frame"]
) -> Float[Tensor, "node"]:
    """Distance of canonical points from the hull of some frames' masks, negative within (metres); infinite where no
    frame looks."""
    distances = []
    for frame in frames.tolist():
        tracks = (values[frame : frame + 1] for values in (module.poses, module.translations, module.expressions))
        posed = module.imavatar.posed(*tracks).placed(nodes)[1][0]
        pixels, depth = pictures.camera(frame).to(nodes.device).project(posed)
        size = pixels.new_tensor([pictures.size[1], pictures.size[0]])
        at = (2 * pixels / size - 1)[None, None]
        outline = _outline_distance(pictures, frame).to(nodes)[None, None]
        found = grid_sample(outline, at, align_corners=False, padding_mode="border")[0, 0, 0]
        unseen = ((pixels < 0) | (pixels > size)).any(1) | (depth <= 0)
        distances.append(torch.where(unseen, torch.nan, found * depth / pictures.intrinsics[frame, 0, 0]))
    farthest = torch.stack(distances).nanquantile(AGREEING, dim=0)
    return torch.where(farthest.isnan(), torch.inf, farthest)


def _outline_distance(pictures: Pictures, frame: int) -> Float[Tensor, "height width"]:
    """Signed distance from the mask's edge (pixels, negative within)."""
    inside = pictures.alpha[frame].numpy() >= 128
    if inside.all() or not inside.any():
        return torch.full(inside.shape, float(sum(inside.shape)) * (-1 if inside.all() else 1))
    # Beyond the picture the person is taken to go on: its border is no edge.
    distance = distance_transform_edt(~inside) - distance_transform_edt(inside)
    return torch.from_numpy(distance.astype(np.float32))


def _hair_room(prior: HeadPrior, nodes: Float[Tensor, "node 3"], head: Float[Tensor, "node"]) -> Float[Tensor, "node"]:
    """Negative where hair may be: near the head, but not in front of the face, less so the lower (metres)."""
    joints, names = prior.body.joints, prior.body.skeleton.joint_names
    eyes = joints[[bone for bone, name in enumerate(names) if name.endswith("_eye")] or [names.index("jaw")]].mean(0)
    middle = torch.stack([eyes[0], eyes[1], prior.canonical[:, 2].mean()])
    forward = torch.nn.functional.normalize(nodes - middle, dim=1)[:, 2]
    up = ((nodes[:, 1] - eyes[1]) / HAIRLINE).clamp(0, 1)
    most = torch.lerp(torch.full_like(up, FRONT[0]), torch.full_like(up, FRONT[1]), up)
    share = ((most - forward) / THINNING).clamp(0, 1) * (1 - (1 - BEHIND) * (-forward).clamp(0, 1))
    return head - HAIR * share


def _neck(prior: HeadPrior) -> Float[Tensor, "3"]:
    """The middle of the neck's end."""
    loop = neck_loop(prior.canonical, prior.body.faces)
    return prior.canonical[loop.unique()].mean(0) if len(loop) else prior.body.joints[0]


def _inflated(hull: Float[Tensor, "node"], depth: Float[Tensor, "node"]) -> Float[Tensor, "node"]:
    """Distance from the masks' hull (metres), made as deep to both sides of a plane as it is wide, to `CHEST`."""
    from_edge = (1 + hull / CHEST).clamp(0, 1)
    return torch.maximum(hull, depth.abs() - CHEST * (1 - from_edge.square()).sqrt())
