"""One place on a head's surface for each point of the face mesh, out of where many views show it."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import huber_loss, normalize

from body_models.errors import InputError
from body_models.landmarks import Landmarks
from body_models.model import BodyModel
from data_prep.camera import Camera
from data_prep.surface import Surface
from data_prep.video.face_paint import EYES, IRIS_RADIUS, HeadSurface
from data_prep.video.face_points import (
    FACE_POINTS,
    IRISES,
    LOWER_LIP,
    SKIN_POINTS,
    UPPER_LIP,
    mirror_points,
    point_names,
)

_CANDIDATES, _NEAREST, _BEST = 50_000, 500, 6
"""Samples of the surface, how many about a first guess are tried for a point, and how many of them make the point."""
_MOVES = 3
"""How often a point may move on to the best of the samples around it."""
_LEAST_FACING = 0.35
"""Cosine between a view and the surface about a point below which the picture says little about where it is."""
_ROBUST = 2e-3
"""Beyond this distance (metres) between a detection and a candidate, errors count linearly."""
_FEWEST_HITS = 2


@dataclass(frozen=True)
class View:
    """What was found in one picture of a posed head."""

    vertices: Float[Tensor, "vertex 3"]
    camera: Camera
    pixels: Float[Tensor, "468 2"]


def settle(head: HeadSurface, views: list[View], seed: int) -> Landmarks:
    """One place on the surface for each point out of many views; raises InputError when they do not show them all."""
    model = head.model
    places = _symmetric(_first_places(model, views))
    with_jaw = model.skinning_weights[model.faces][..., model.skeleton.index("jaw")].mean(1) >= 0.5
    lips = set(UPPER_LIP + LOWER_LIP)
    others = tuple(point for point in range(SKIN_POINTS) if point not in lips)
    regions = {others: head.outside, UPPER_LIP: head.outside & ~with_jaw, LOWER_LIP: head.outside & with_jaw}
    for _ in range(_MOVES):
        for region, allowed in regions.items():
            places[list(region)] = _least_error(model, allowed, list(region), places, views, seed)
        places = _symmetric(places)
    corners, weights = torch.zeros(FACE_POINTS, 3, dtype=torch.long), torch.zeros(FACE_POINTS, 3)
    for region, allowed in regions.items():
        faces = model.faces[allowed]
        found = Surface(model.template, faces).closest(places[list(region)])
        corners[list(region)], weights[list(region)] = faces[found.face], found.barycentric
    corners[list(IRISES)], weights[list(IRISES)] = _irises(head)
    return Landmarks(point_names(), corners, weights)


def _first_places(model: BodyModel, views: list[View]) -> Float[Tensor, "468 3"]:
    """Median over the views of where the points' rays meet the surface, on the template (metres)."""
    stacked = torch.stack([_back_on(model, view) for view in views])
    if int(stacked[..., 0].isfinite().sum(0).min()) < _FEWEST_HITS:
        raise no_face(model)
    return stacked.nanmedian(0).values


def _back_on(model: BodyModel, view: View) -> Float[Tensor, "468 3"]:
    """Points of the template (metres) that are seen at a view's detections; NaN where a ray misses the head."""
    surface = Surface(view.vertices, model.faces)
    homogeneous = torch.cat([view.pixels, torch.ones_like(view.pixels[:, :1])], dim=1)
    rays = homogeneous @ torch.linalg.inv(view.camera.intrinsics).T @ view.camera.camera_from_world[:3, :3]
    rays = normalize(rays, dim=1)
    hits = surface.cast(view.camera.center.expand_as(rays).contiguous(), rays)
    face = hits.face.clamp_min(0)
    at = surface.interpolate(model.template, face, hits.barycentric)
    return torch.where((hits.face >= 0)[:, None], at, torch.nan)


def _least_error(
    model: BodyModel,
    allowed: Bool[Tensor, "face"],
    region: list[int],
    guess: Float[Tensor, "468 3"],
    views: list[View],
    seed: int,
) -> Float[Tensor, "point 3"]:
    """Places on the template (metres) near a guess whose projections miss the detections least."""
    faces = model.faces[allowed]
    rest = Surface(model.template, faces)
    samples = rest.sample(_CANDIDATES, torch.Generator().manual_seed(seed))
    near = torch.cdist(guess[region], samples.points).topk(_NEAREST, largest=False).indices
    used, place = near.unique(return_inverse=True)
    normals = normalize(samples.normals[near].mean(1), dim=1)
    error = torch.zeros(near.shape)
    for view in views:
        at = (view.vertices[faces[samples.face[used]]] * samples.barycentric[used][..., None]).sum(1)
        pixels, depth = view.camera.project(at)
        miss = (pixels[place] - view.pixels[region][:, None]).norm(dim=-1)
        metres = miss * float(depth.mean() / view.camera.intrinsics[0, 0])
        facing = normals @ -view.camera.camera_from_world[2, :3]
        share = ((facing - _LEAST_FACING / 2) / _LEAST_FACING).clamp(0, 1)
        error += share[:, None] * huber_loss(metres, torch.zeros_like(metres), reduction="none", delta=_ROBUST)
    best = error.topk(_BEST, dim=1, largest=False).indices
    return samples.points[near.gather(1, best)].mean(1)


def _symmetric(points: Float[Tensor, "468 3"]) -> Float[Tensor, "468 3"]:
    """The mean of the points and their mirror image."""
    mirrored = points[list(mirror_points()[:SKIN_POINTS])] * points.new_tensor([-1.0, 1.0, 1.0])
    return (points + mirrored) / 2


def _irises(head: HeadSurface) -> tuple[Int[Tensor, "10 3"], Float[Tensor, "10 3"]]:
    """Front of each eye and four points about it: towards the person's left, up, right and down."""
    model, r = head.model, IRIS_RADIUS
    offsets = torch.tensor([[0.0, 0.0, 0.0], [r, 0.0, 0.0], [0.0, r, 0.0], [-r, 0.0, 0.0], [0.0, -r, 0.0]])
    corners, weights = [], []
    for name, on_eye in zip(EYES, head.eyes, strict=True):
        faces = model.faces[on_eye]
        before = model.template_joints[model.skeleton.index(name)] + torch.tensor([0.0, 0.0, 0.1])
        back = torch.tensor([0.0, 0.0, -1.0]).expand(5, 3).contiguous()
        hits = Surface(model.template, faces).cast(before + offsets, back)
        if not bool((hits.face >= 0).all()):
            raise InputError(f"{model.name} has no eyeball in front of its joint {name}, so its iris cannot be placed.")
        corners.append(faces[hits.face])
        weights.append(hits.barycentric)
    return torch.cat(corners), torch.cat(weights)


def no_face(model: BodyModel) -> InputError:
    """What to say when no picture of a model shows a face."""
    return InputError(
        f"MediaPipe sees no face on pictures of the head model {model.name}, so its landmarks cannot be placed. Check "
        "that the model's file holds a head whose face looks along +Z, in metres and with Y up."
    )
