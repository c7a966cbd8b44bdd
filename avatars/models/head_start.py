"""Begin a head avatar at a tracked head: its surface, and its weights and blendshapes spread into space."""

from dataclasses import dataclass
from itertools import pairwise

import roma
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.fields.geometry import GridGeometry
from avatars.fields.grid import GridSpec, interpolate
from avatars.fields.offsets import GridOffsets
from avatars.fields.patches import PatchedGrid
from avatars.fields.weights import GridWeights
from avatars.models.head_prior import HeadPrior, neck_loop
from avatars.models.imavatar import HeadSizes, Imavatar, ImavatarOptions
from avatars.models.nearest_vertex import NearestVertex
from avatars.models.start import smoothed_by
from body_models import Body, InputError
from body_models.skeleton import rotation_matrices
from data_prep.surface import Surface

APRON = 0.015
"""How far the boxes of eyes and mouth reach beyond what moves there (metres)."""
EYE = 0.02
"""Half the width of an eye with its lids (metres)."""
LIPS = 0.006
"""Parts of the upper and lower lip lie closer to each other than this at rest (metres)."""
RING = 0.01
"""Height of the rings of the tube that carries the neck on downwards (metres)."""
GHOST_DEPTH = 0.05
"""Below the neck's end the ghost bone takes over within this depth (metres)."""
SMOOTHED = 0.03
"""Over this distance from the surface fields pass from held to smoothed (metres)."""
SWEEPS = 24
"""How often values off the surface are averaged with their neighbours'."""
TAPER = 0.01
"""Width of the zone at the edge of a part in which fine values pass into the coarse ones (metres)."""


@dataclass(frozen=True)
class HeadShell:
    """The exposed surface of a head, its neck carried on to below the box (metres); closed but for hidden holes."""

    surface: Surface
    values: Float[Tensor, "vertex channel"]
    """Weights of all bones, then blendshapes, at the vertices."""


def imavatar_from_head(
    body: Body,
    options: ImavatarOptions | None = None,
    poses: Float[Tensor, "frame bone 3"] | None = None,
    supervised: bool = True,
) -> Imavatar:
    """An untrained head avatar; on grids its surface is the tracked head's, MLPs start from their own initialisation.

    `poses` are the video's, whose mean rotation the ghost bone takes. `supervised` starts grids at the tracked model's
    own weights and blendshapes; without it they are uniform and zero. Raises InputError for a body without a jaw.
    """
    options = options or ImavatarOptions()
    return imavatar_from_prior(HeadPrior(body, options.ghost), options, poses, supervised)


def imavatar_from_prior(
    prior: HeadPrior,
    options: ImavatarOptions,
    poses: Float[Tensor, "frame bone 3"] | None = None,
    supervised: bool = True,
) -> Imavatar:
    """The same from a head that is prepared already, with the ghost's weights where the options want one."""
    body = prior.body
    box = head_box(prior.canonical, options)
    correctives = 0 if body.pose_basis is None else len(body.pose_basis)
    sizes = HeadSizes(prior.basis.shape[1] - correctives, correctives)
    parts = face_parts(body, options.part_weight_spacing)
    model = Imavatar(options, body.skeleton, sizes, body.joints, body.canonical_pose, box, parts)
    if poses is not None and options.ghost:
        model.ghost_rotation.copy_(mean_rotation(poses[:, 0]))
    shell = head_shell(prior, box)
    if isinstance(model.geometry, GridGeometry):
        distance = shell.surface.signed_distance(model.geometry.base_grid.nodes().to(box))
        model.geometry.start_from(distance)
    if isinstance(model.motion, NearestVertex):
        model.motion.start_from(shell.surface, shell.values)
    elif supervised and isinstance(model.motion.weights, GridWeights):
        values = spread(shell, model.weight_grid)
        model.motion.weights.start_from(values[:, : model.bones])
        if isinstance(model.motion.offsets, GridOffsets):
            model.motion.offsets.start_from(values[:, model.bones :].unflatten(1, (-1, 3)))
    return model


def head_box(canonical: Float[Tensor, "vertex 3"], options: ImavatarOptions) -> Float[Tensor, "2 3"]:
    """Canonical space of a head: room for hair about it and for shoulders below (metres)."""
    low = canonical.new_tensor([options.sideways, options.below, options.margin])
    high = canonical.new_tensor([options.sideways, options.margin, options.margin])
    return torch.stack([canonical.amin(0) - low, canonical.amax(0) + high])


def face_parts(body: Body, apron: float = 0.0) -> Float[Tensor, "part 2 3"]:
    """Boxes (lowest and highest corner, canonical, metres) about the eyes and about the mouth.

    The mouth is where parts that the jaw moves lie next to parts that it does not. Raises InputError for a body
    without a jaw.
    """
    names = body.skeleton.joint_names
    if "jaw" not in names:
        raise InputError("This body has no jaw, so no head avatar can be made of it; use the Anny head or FLAME.")
    canonical = body.canonical()
    boxes = []
    eyes = [names.index(name) for name in ("left_eye", "right_eye") if name in names]
    if eyes:
        balls = canonical[torch.isin(body.skinning_weights.argmax(1), torch.tensor(eyes).to(body.faces))]
        front = balls[:, 2].amax() if len(balls) else body.joints[eyes, 2].amax() + EYE / 2
        low, high = body.joints[eyes].amin(0) - EYE, body.joints[eyes].amax(0) + EYE
        low[2], high[2] = front - APRON, front + APRON
        boxes.append(torch.stack([low, high]))
    lips = canonical[_lips(body)]
    if len(lips):
        box = torch.stack([lips.amin(0) - APRON, lips.amax(0) + APRON])
        if boxes:
            box[1, 1] = torch.minimum(box[1, 1], boxes[0][0, 1] - 2 * apron)
        boxes.append(box)
    return torch.stack(boxes)


def _lips(body: Body) -> Int[Tensor, "some"]:
    """Vertices where the mouth parts, upper and lower, in front."""
    jaw = body.skinning_weights[:, body.skeleton.index("jaw")]
    lower, upper = (jaw > 0.5).nonzero()[:, 0], (jaw < 0.2).nonzero()[:, 0]
    if len(lower) == 0 or len(upper) == 0:
        return lower
    gap = torch.cdist(body.vertices[lower], body.vertices[upper])
    found = torch.cat([lower[gap.amin(1) < LIPS], upper[gap.amin(0) < LIPS]])
    depth = body.vertices[found, 2]
    return found[depth > depth.amax() - 2 * EYE] if len(found) else found


def mean_rotation(rotations: Float[Tensor, "frame 3"]) -> Float[Tensor, "3"]:
    """The rotation nearest to all (axis-angle, radians)."""
    mean = rotation_matrices(rotations).double().mean(0)
    return roma.rotmat_to_rotvec(roma.special_procrustes(mean)).to(rotations)


def head_shell(prior: HeadPrior, box: Float[Tensor, "2 3"]) -> HeadShell:
    """The head's exposed faces, and a tube from the neck's end to below the box, which the ghost bone moves."""
    vertices, faces = prior.canonical, prior.body.faces[prior.exposed]
    values = torch.cat([prior.weights, prior.basis.flatten(1)], 1)
    loop = neck_loop(vertices, prior.body.faces)
    if len(loop):
        own = loop.unique()
        rings = _rings(vertices[own], float(box[0, 1]) - 2 * RING)
        below = _handed_over(values[own], vertices[own, 1] - rings[..., 1], prior)
        count, used = len(vertices), rings.shape[0] * rings.shape[1]
        names = torch.cat([own[None], count + torch.arange(used).to(own).reshape(rings.shape[:2])])
        faces = torch.cat([faces, _tube_faces(names, torch.searchsorted(own, loop), count + used)])
        vertices = torch.cat([vertices, rings.flatten(0, 1), rings[-1].mean(0, keepdim=True)])
        values = torch.cat([values, below.flatten(0, 1), below[-1].mean(0, keepdim=True)])
    return HeadShell(Surface(vertices, faces), values)


def _rings(top: Float[Tensor, "vertex 3"], floor: float) -> Float[Tensor, "ring vertex 3"]:
    """Copies of a loop straight below it; the lowest is level, at the floor."""
    count = max(2, round((float(top[:, 1].mean()) - floor) / RING))
    share = torch.linspace(0, 1, count + 1)[1:].to(top)[:, None]
    rings = top.repeat(count, 1, 1)
    rings[..., 1] = torch.lerp(top[:, 1], torch.full_like(top[:, 1], floor), share)
    return rings


def _handed_over(
    values: Float[Tensor, "vertex channel"], depth: Float[Tensor, "ring vertex"], prior: HeadPrior
) -> Float[Tensor, "ring vertex channel"]:
    """The neck's end carried downwards: blendshapes fade, weights pass to the ghost bone where there is one."""
    taken = _smooth_step(depth / GHOST_DEPTH)[..., None]
    bones = prior.weights.shape[1]
    faded = values * (1 - taken)
    if bones > len(prior.body.skeleton):
        faded[..., bones - 1] += taken[..., 0]
    else:
        faded[..., :bones] = values[:, :bones]
    return faded


def _tube_faces(names: Int[Tensor, "ring vertex"], row: Int[Tensor, "edge 2"], middle: int) -> Int[Tensor, "face 3"]:
    """Quads between rings and a fan below; `row` holds the loop's edges as places in a ring."""
    first, second = row[:, 0], row[:, 1]
    faces = []
    for above, below in pairwise(names):
        faces.append(torch.stack([above[second], above[first], below[first]], 1))
        faces.append(torch.stack([above[second], below[first], below[second]], 1))
    last = names[-1]
    faces.append(torch.stack([last[second], last[first], torch.full_like(first, middle)], 1))
    return torch.cat(faces)


def spread(shell: HeadShell, grid: PatchedGrid) -> Float[Tensor, "node channel"]:
    """Values at all nodes of a patched grid; the fine ones pass into the coarse ones at the edge of their part."""
    first = grid.patches[0]
    coarse = spread_on(shell, first)
    values = [coarse]
    for patch in grid.patches[1:]:
        nodes = patch.nodes().to(coarse)
        lower = nodes.new_tensor(patch.lower)
        upper = lower + patch.spacing * (nodes.new_tensor(patch.shape) - 1)
        share = _smooth_step(torch.minimum(nodes - lower, upper - nodes).amin(1) / TAPER)[:, None]
        values.append(torch.lerp(interpolate(coarse, *first.corners(nodes)), spread_on(shell, patch), share))
    return torch.cat(values)


def spread_on(shell: HeadShell, spec: GridSpec) -> Float[Tensor, "node channel"]:
    """Values at grid nodes from the nearest surface point, the more smoothed the farther from it."""
    nodes = spec.nodes().to(shell.values)
    closest = shell.surface.closest(nodes)
    corners = shell.surface.faces[closest.face]
    values = sum(shell.values[corners[:, k]] * closest.barycentric[:, k, None] for k in range(3))
    assert isinstance(values, Tensor)
    return smoothed_by(values, 0.75 * _smooth_step(closest.distance / SMOOTHED), spec, SWEEPS)


def _smooth_step(value: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    value = value.clamp(0, 1)
    return value * value * (3 - 2 * value)
