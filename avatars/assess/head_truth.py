"""What is known of synthetic heads: normals in pictures, skinning weights and blendshapes on the surface."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from avatars.assess.head_scores import TrueNormals
from avatars.models.head_prior import HeadPrior, canonical_basis
from avatars.models.imavatar import Imavatar
from body_models import Body, InputError
from body_models.anny.head import anny_head_parts
from data_prep.camera import Camera
from data_prep.surface import Surface
from data_prep.synthetic_heads import TalkingHead

MEANT = ("skin", "left_eye_front", "right_eye_front")
"""Parts whose normals are compared: not the mouth's inside, and none of hair, teeth, neck piece and shirt."""
MOVED = 1e-4
"""An expression moves a point when it shifts it further than this (metres)."""
POINTS, POINTS_AT_ONCE = 20_000, 10_000


@dataclass(frozen=True)
class FieldErrors:
    """How far learned fields are from the true ones on the model's exposed canonical surface; None if not learned."""

    weights: float | None
    """Mean sum of absolute differences of skinning weights, the ghost's true one zero; from 0 to 2."""
    blendshapes: float | None
    """Mean error of displacements by whole expressions (millimetres), over points and expressions that move them."""
    movement: float
    """Mean length of these true displacements: the error of a head without blendshapes (millimetres)."""


def true_normals(head: TalkingHead) -> Callable[[int, Camera], TrueNormals]:
    """What `score_head` needs of a synthetic head: the true surface in a frame, seen through the centres of pixels."""
    names = list(anny_head_parts())
    meant = torch.isin(head.person.part, torch.tensor([names.index(name) for name in MEANT]))
    surface = Surface(head.person.dressed.vertices, head.person.dressed.faces)

    def seen(frame: int, camera: Camera) -> TrueNormals:
        surface.update(head.posed_mesh(frame)[0])
        origins, directions = (rays.reshape(-1, 3).float().contiguous() for rays in camera.rays())
        hits = surface.cast(origins, directions)
        hit = hits.face >= 0
        face, toward = hits.face[hit], -directions[hit]
        found = normalize(surface.interpolate(surface.vertex_normals, face, hits.barycentric[hit]), dim=1)
        normal, wanted = torch.zeros_like(directions), torch.zeros_like(hit)
        normal[hit] = found
        wanted[hit] = meant[face] & ((surface.face_normals[face] * toward).sum(1) > 0)
        shape = (camera.height, camera.width)
        return TrueNormals(normal.unflatten(0, shape).numpy(), wanted.unflatten(0, shape).numpy())

    return seen


@torch.no_grad()
def field_errors(model: Imavatar, body: Body, seed: int = 0) -> FieldErrors:
    """Compare the fields of a head with those of the true body, at random points of its exposed surface.

    Raises InputError for a head of other bones or expressions than the body's.
    """
    truth = HeadPrior(body, model.options.ghost)
    shapes = 0 if body.expression_basis is None else len(body.expression_basis)
    if model.sizes.expressions != shapes or model.joints.shape != body.joints.shape:
        raise InputError(
            f"A head of {model.sizes.expressions} expressions and {len(model.joints)} joints cannot be compared with a "
            f"body of {shapes} and {len(body.joints)}."
        )
    learned = model.options.deformation
    samples = truth.surface.sample(POINTS, torch.Generator().manual_seed(seed))
    corners, share = truth.surface.faces[samples.face], samples.barycentric.to(truth.weights)
    basis = canonical_basis(body)[:, :shapes]
    found: dict[str, list[Tensor]] = {"weights": [], "missed": [], "moved": []}
    for some in torch.arange(POINTS).split(POINTS_AT_ONCE):
        points = samples.points[some].to(model.joints)
        shifts = torch.einsum("pv,pvcx->pcx", share[some], basis[corners[some]])
        moves = shifts.norm(dim=2) > MOVED
        found["moved"].append(shifts.norm(dim=2)[moves])
        if learned in ("learned", "skinning"):
            weights = (truth.weights[corners[some]] * share[some, :, None]).sum(1)
            found["weights"].append((model.weights(points).cpu() - weights).abs().sum(1))
        if learned == "learned":
            found["missed"].append((model.offsets(points)[:, :shapes].cpu() - shifts).norm(dim=2)[moves])
    means = {name: float(torch.cat(values).mean()) if values else None for name, values in found.items()}
    missed, moved = means["missed"], means["moved"]
    return FieldErrors(means["weights"], None if missed is None else 1000 * missed, 1000 * (moved or 0.0))
