"""SNARF's algorithm as published, in plain torch: what the benchmarks compare with.

Sizes and limits are those of the publication (Chen et al., ICCV 2021) and of its code's training: skinning weights by
an MLP of 4 layers of 128, nine start bones, Broyden's method of at most 50 steps from an exact initial Jacobian.
"""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from avatars.deform.broyden import broyden, inverse_3x3
from avatars.deform.roots import Roots
from avatars.deform.search import inverse_affine
from avatars.fields.grid import GridSpec, interpolate
from avatars.fields.occupancy import MlpOccupancy
from avatars.fields.softmax import SHARPNESS
from avatars.fields.weights import MlpWeights
from avatars.models.snarf import soft_maximum
from avatars.models.start import weights_off_surface
from body_models import Body
from data_prep.atomic import replacing
from data_prep.surface import Surface

START_BONES = [0, 1, 2, 4, 5, 16, 17, 18, 19]
"""Pelvis, hips, knees, shoulders and elbows of SMPL's 24 joints."""
STEPS = 50
TOLERANCE = 1e-5
"""Posed residual at which a root is accepted (metres)."""
DIVERGENCE = 1.0
"""Posed residual at which a start is given up (metres)."""
AROUND = 0.25
"""How far the box reaches beyond the body, in which the weights are fitted (metres)."""


@dataclass(frozen=True)
class PublishedSkinning:
    """Linear blend skinning by an MLP's weights, in one pose (SNARF, equation 2)."""

    weights: MlpWeights
    posed_from_canonical: Float[Tensor, "bone 4 4"]

    def blend(self, x: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3 4"]:
        """The blended transform at canonical points."""
        return (self.weights(x) @ self.posed_from_canonical[:, :3].flatten(1)).unflatten(1, (3, 4))

    def carry(self, x: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3"]:
        """Posed positions of canonical points (metres)."""
        transforms = self.blend(x)
        return (transforms[..., :3] * x[:, None]).sum(-1) + transforms[..., 3]

    def jacobian(self, x: Float[Tensor, "point 3"]) -> Float[Tensor, "point 3 3"]:
        """Exact spatial Jacobian, by three passes of automatic differentiation."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            carried = self.carry(x)
            rows = [torch.autograd.grad(carried[:, i].sum(), x, retain_graph=i < 2)[0] for i in range(3)]
        return torch.stack(rows, 1)


@torch.no_grad()
def published_search(
    field: PublishedSkinning, posed: Float[Tensor, "point 3"], exact: bool = True
) -> tuple[Float[Tensor, "point start 3"], Bool[Tensor, "point start"]]:
    """Where the search from each start bone ends, and whether it converged there.

    All points and starts go in one batch. `exact` starts from the exact Jacobian as training does; otherwise from the
    linear part of the blended transforms, as the publication's code does for evaluation.
    """
    canonical_from_posed = inverse_affine(field.posed_from_canonical[START_BONES])
    start = torch.einsum("brc,pc->pbr", canonical_from_posed[..., :3], posed) + canonical_from_posed[..., 3]
    first = start.flatten(0, 1)
    target = posed.repeat_interleave(len(START_BONES), dim=0)
    inverse = inverse_3x3(field.jacobian(first) if exact else field.blend(first)[..., :3])

    def residual(x: Float[Tensor, "active 3"], active: Tensor) -> Float[Tensor, "active 3"]:
        return field.carry(x) - target[active]

    roots, converged = broyden(residual, first, inverse, STEPS, TOLERANCE, DIVERGENCE)
    return roots.reshape(start.shape), converged.reshape(start.shape[:2])


def published_logits(
    field: PublishedSkinning,
    occupancy: MlpOccupancy,
    posed: Float[Tensor, "point 3"],
    pose: Float[Tensor, "bone 3"],
) -> Float[Tensor, "point"]:
    """Training's occupancy logits: every converged root, repeated ones too, with its implicit gradient.

    Kinder than the publication's code, which takes Jacobians at roots that did not converge as well.
    """
    found, converged = published_search(field, posed)
    fixed, point = found[converged], converged.nonzero()[:, 0]
    inverse = inverse_3x3(field.jacobian(fixed))
    carried = field.carry(fixed)
    canonical = fixed - (inverse * (carried - carried.detach())[:, None]).sum(-1)
    code = None if occupancy.pose_code is None else occupancy.pose_code(pose[None]).expand(len(fixed), -1)
    return soft_maximum(occupancy(canonical, code), Roots(canonical.detach(), point, len(posed)))


def fitting_box(body: Body) -> Float[Tensor, "2 3"]:
    """The box about the canonical body in which weights are fitted (metres)."""
    canonical = body.canonical()
    return torch.stack([canonical.min(0).values - AROUND, canonical.max(0).values + AROUND])


def fitted_weights(body: Body, seed: int, steps: int = 1200) -> MlpWeights:
    """An MLP that says what the body's weights say on and about its surface; kept among the temporary files."""
    weights = MlpWeights(len(body.skeleton))
    mark = hashlib.sha256(body.canonical().numpy().tobytes() + body.skinning_weights.numpy().tobytes()).hexdigest()[:12]
    kept = Path(tempfile.gettempdir(), f"published_snarf_{mark}_{steps}_{seed}.safetensors")
    if kept.is_file():
        weights.load_state_dict(load_file(kept))
    else:
        weights = _fit_weights(body, seed, steps)
        with replacing(kept) as temporary:
            save_file(weights.state_dict(), temporary)
    return weights.requires_grad_(False)


def _fit_weights(body: Body, seed: int, steps: int) -> MlpWeights:
    canonical, (lower, upper) = body.canonical(), fitting_box(body)
    spec = GridSpec.covering(lower, upper, 0.03)
    truth = weights_off_surface(Surface(canonical, body.faces), body.skinning_weights, spec)
    torch.manual_seed(seed)
    weights = MlpWeights(len(body.skeleton))
    optimiser = torch.optim.Adam(weights.parameters())
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (1 - step / steps) + 1e-5
        near = canonical[torch.randint(len(canonical), (1500,))] + 0.05 * torch.randn(1500, 3)
        points = torch.cat([near, lower + (upper - lower) * torch.rand(500, 3)])
        index, corner_weights = spec.corners(points)
        target = interpolate(truth, index, corner_weights)
        loss = functional.cross_entropy(SHARPNESS * weights.mlp(points), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return weights


def random_pose(body: Body, seed: int, scale: float = 0.5) -> Float[Tensor, "bone 3"]:
    """A random natural pose (24 joints): all turned by up to `scale` radians, knees and elbows bent by 1 more."""
    generator = torch.Generator().manual_seed(seed)
    skeleton = body.skeleton
    turns = scale * (2 * torch.rand(len(skeleton), 3, generator=generator) - 1)
    for name, axis, sign in (("left_knee", 0, 1), ("right_knee", 0, 1), ("left_elbow", 1, -1), ("right_elbow", 1, 1)):
        turns[skeleton.index(name), axis] += sign * torch.rand(1, generator=generator).item()
    return body.canonical_pose + turns


def posed_points(
    body: Body, pose: Float[Tensor, "bone 3"], count: int, seed: int, around: float = 0.1
) -> Float[Tensor, "point 3"]:
    """Points half near the posed surface (1 cm), half uniform in its box made wider by `around` (metres)."""
    generator = torch.Generator().manual_seed(seed)
    vertices = body.pose_vertices(pose, torch.zeros(3))
    lower, upper = vertices.min(0).values - around, vertices.max(0).values + around
    near = vertices[torch.randint(len(vertices), (count // 2,), generator=generator)]
    near = near + 0.01 * torch.randn(near.shape, generator=generator)
    uniform = lower + (upper - lower) * torch.rand(count - count // 2, 3, generator=generator)
    return torch.cat([near, uniform])
