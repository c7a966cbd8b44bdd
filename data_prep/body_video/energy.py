"""What a body's poses in a video cost: keypoints in picture and space, natural joints, smooth motion, likely shape."""

from dataclasses import dataclass

import roma
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from body_models.model import BodyModel
from data_prep.body_video.arrow import accelerations, add_accelerations, banded
from data_prep.body_video.camera import FOCAL_SPREAD, project, projection_jacobian
from data_prep.body_video.contact import Contact
from data_prep.body_video.detections import KEYPOINTS
from data_prep.body_video.markers import BodyMarkers
from data_prep.body_video.silhouette import ShapeTerm
from data_prep.body_video.unknowns import BodyTrackOptions, Guess, Seen
from data_prep.registration.kinematics import (
    SurfacePoints,
    bone_transforms,
    pose_jacobian,
    pose_points,
    shape_jacobian,
)
from data_prep.registration.solve import PosePrior, geman_mcclure

_HIPS = [KEYPOINTS.index("left_hip"), KEYPOINTS.index("right_hip")]


@dataclass(frozen=True)
class Equations:
    """Normal equations about a guess: a band for the frames, a border and a corner for what they share."""

    band: Float[Tensor, "row unknown"]
    border: Float[Tensor, "unknown shared"]
    corner: Float[Tensor, "shared shared"]
    right: Float[Tensor, "unknown"]
    right_shared: Float[Tensor, "shared"]


@dataclass(frozen=True)
class Gaps:
    """Whitened differences between what is seen and the guess, and their robust weights."""

    picture: Float[Tensor, "frame 33 2"]
    space: Float[Tensor, "frame 33 3"]
    picture_weights: Float[Tensor, "frame 33"]
    space_weights: Float[Tensor, "frame 33"]


class BodyEnergy:
    """The cost of a guess and its normal equations; every tensor in double precision."""

    def __init__(
        self,
        model: BodyModel,
        markers: BodyMarkers,
        seen: Seen,
        options: BodyTrackOptions,
        free_focal: bool,
        only_poses: bool = False,
    ) -> None:
        self.model, self.markers, self.seen, self.options, self.free_focal = model, markers, seen, options, free_focal
        self.only_poses = only_poses
        self.active = active_joints(model, markers)
        self.prior = _prior(model)
        self.count = min(options.betas, len(model.shape_basis))
        repeats = max(1.0, len(seen.times) / options.independent_frames)
        focal = FOCAL_SPREAD if free_focal else _FIXED
        self.shared_precision = repeats * seen.times.new_tensor([1.0] * self.count + [_SIZE_SPREAD, focal]) ** -2
        self.factors = accelerations(seen.times) if len(seen.times) > 2 else seen.times.new_zeros(0, 3)
        turn = torch.full((3 * len(self.active),), options.turn_acceleration)
        self.contact = Contact.of(seen.times, seen.pixels, seen.weights, seen.height)
        self.outline = ShapeTerm.none(seen.times.new_zeros(self.count))
        self.precision = torch.cat([turn, torch.tensor(options.move_acceleration)]).to(seen.times) ** -2

    def of(self, seen: Seen, only_poses: bool = False) -> "BodyEnergy":
        """The same for other frames; with `only_poses` shape, size and focal length are not to be changed."""
        return BodyEnergy(self.model, self.markers, seen, self.options, self.free_focal, only_poses)

    def points(self, guess: Guess) -> Float[Tensor, "frame 33 3"]:
        """The markers in world space (metres)."""
        return self._posed(guess)[2]

    def energy(self, guess: Guess) -> float:
        """Half the robust squared error plus the priors'."""
        points = self.points(guess)
        gaps = self._gaps(guess, points)
        data = (
            self.contact.energy(points) + _cost(gaps.picture, self.seen.weights) + _cost(gaps.space, self.seen.weights)
        )
        acceleration = ((self._accelerations(guess) ** 2) * self.precision).sum()
        shape = (self.shared_precision * guess.shared**2).sum()
        return float(
            data
            + self.outline.energy(guess.betas)
            + 0.5 * (self.prior.terms(guess.state).energy.sum() + acceleration + shape)
        )

    def equations(self, guess: Guess) -> Equations:
        """Gauss-Newton's matrix and negative gradient."""
        by_pose, by_shape, points = self._jacobians(guess)
        gaps = self._gaps(guess, points)
        rows, shared, errors = self._whitened(guess, gaps, points, by_pose, by_shape)
        blocks, right = rows.mT @ rows, (rows.mT @ errors[..., None])[..., 0]
        terms = self.prior.terms(guess.state)
        size = 3 * len(self.active)
        joints = blocks[:, :size, :size].unflatten(2, (-1, 3)).unflatten(1, (-1, 3))
        joints.diagonal(dim1=1, dim2=3).add_(terms.blocks[:, self.active].permute(0, 2, 3, 1))
        right[:, :size] += terms.pull[:, self.active].flatten(1)
        border = rows.mT @ shared
        moved = torch.nn.functional.pad(by_shape, (0, 2))
        feet = self.contact.terms(points, by_pose, moved)
        below = feet.add_to(blocks, border, right)
        band = banded(blocks, below)
        if len(self.factors):
            add_accelerations(band, self.factors, self.precision)
            pulled = self.precision * self._accelerations(guess)
            for place in range(3):
                right[place : place + len(self.factors)] -= self.factors[:, place, None] * pulled
        corner = (shared.mT @ shared).sum(0) + (feet.shared.mT @ feet.shared).sum(0) + torch.diag(self.shared_precision)
        right_shared = (shared.mT @ errors[..., None]).sum(0)[:, 0] - (feet.shared.mT @ feet.ways).sum(0)[:, 0]
        right_shared = right_shared - self.shared_precision * guess.shared
        corner[: self.count, : self.count] += self.outline.matrix
        right_shared[: self.count] -= self.outline.gradient(guess.betas)
        return Equations(band, border.flatten(0, 1), corner, right.flatten(), right_shared)

    def _posed(self, guess: Guess) -> tuple[Tensor, Tensor, Tensor]:
        """Joints at rest, bone transforms and markers of a guess."""
        joints = self.model.template_joints + torch.einsum(
            "s,sjx->jx", guess.betas, self.model.shape_basis_joints[: self.count]
        )
        transforms = bone_transforms(guess.state, joints[None], self.model.skeleton.parents)
        return joints, transforms, pose_points(self._surface(guess), transforms)

    def _surface(self, guess: Guess) -> SurfacePoints:
        return SurfacePoints(self.markers.rest(guess.betas)[None], self.markers.weights[None])

    def _jacobians(self, guess: Guess) -> tuple[Tensor, Tensor, Tensor]:
        """Derivatives of the markers by active joints and translation and by betas, and the markers."""
        joints, transforms, points = self._posed(guess)
        parents = self.model.skeleton.parents
        by_pose = pose_jacobian(self._surface(guess), transforms, joints[None], parents)
        columns = [3 * joint + axis for joint in self.active for axis in range(3)]
        columns += list(range(3 * len(parents), 3 * len(parents) + 3))
        by_shape = shape_jacobian(
            self.markers.weights[None],
            self.markers.basis[: self.count].permute(1, 2, 0)[None],
            self.model.shape_basis_joints[: self.count].permute(1, 2, 0),
            transforms,
            parents,
        )
        return by_pose[..., columns], by_shape, points

    def _gaps(self, guess: Guess, points: Float[Tensor, "frame 33 3"]) -> Gaps:
        options, seen = self.options, self.seen
        picture = (seen.pixels - project(points, guess.intrinsics)) / self._unit()
        own = points - points[:, _HIPS].mean(1, keepdim=True)
        space = (seen.world - own / guess.log_size.exp()) / options.space_spread
        weights = [seen.weights * geman_mcclure((gap**2).sum(-1), _ROBUST) for gap in (picture, space)]
        return Gaps(picture, space, *weights)

    def _whitened(
        self, guess: Guess, gaps: Gaps, points: Tensor, by_pose: Tensor, by_shape: Tensor
    ) -> tuple[Float[Tensor, "frame row parameter"], Float[Tensor, "frame row shared"], Float[Tensor, "frame row"]]:
        """Rows of least squares: derivatives by each frame's own unknowns and by the shared ones, and errors."""
        lens = projection_jacobian(points, guess.intrinsics) / self._unit()[..., None]
        space = 1 / (guess.log_size.exp() * self.options.space_spread)
        zoom = (project(points, guess.intrinsics) - guess.intrinsics[:2, 2]) / self._unit() * float(self.free_focal)
        growth = -_relative(points[..., None])[..., 0] * space
        in_picture = torch.cat([lens @ by_shape, torch.zeros_like(zoom)[..., None], zoom[..., None]], dim=-1)
        in_space = torch.cat(
            [_relative(by_shape) * space, growth[..., None], torch.zeros_like(growth)[..., None]], dim=-1
        )
        return (
            _stacked(gaps, lens @ by_pose, _relative(by_pose) * space),
            _stacked(gaps, in_picture, in_space),
            _stacked(gaps, gaps.picture[..., None], gaps.space[..., None])[..., 0],
        )

    def _unit(self) -> Float[Tensor, "frame 1 1"]:
        """A keypoint's usual error in the picture (pixels)."""
        return (self.options.picture_spread * self.seen.height)[:, None, None]

    def _accelerations(self, guess: Guess) -> Float[Tensor, "inner parameter"]:
        """Second derivatives in time of the active joints' turns and of the translation."""
        rotations, translation = guess.state.rotations[:, self.active], guess.state.translation
        steps = (self.seen.times[1:] - self.seen.times[:-1])[:, None]
        turns = roma.rotmat_to_rotvec(rotations[1:] @ rotations[:-1].mT).flatten(1)
        speeds = torch.cat([turns, translation[1:] - translation[:-1]], dim=1) / steps
        return (speeds[1:] - speeds[:-1]) / ((steps[1:] + steps[:-1]) / 2)


_SIZE_SPREAD = 1.0
"""Standard deviation of the logarithm of the body's size over that of the keypoints in space."""
_FIXED = 1e-6
_ROBUST = 4.0
"""Standard deviations from which on a keypoint counts less and less."""


def active_joints(model: BodyModel, markers: BodyMarkers) -> list[int]:
    """Joints that move a marker."""
    parents = model.skeleton.parents
    moved: Bool[Tensor, "bone"] = torch.zeros(len(parents), dtype=torch.bool)
    moved[list(markers.bones)] = True
    for bone in range(len(parents) - 1, 0, -1):
        if moved[bone]:
            moved[parents[bone]] = True
    return [int(bone) for bone in moved.nonzero()[:, 0]]


def _prior(model: BodyModel) -> PosePrior:
    prior = PosePrior.of(model.to(torch.float32).body())
    return PosePrior(prior.softness.double(), prior.lower.double(), prior.upper.double(), prior.frames.double())


def _stacked(
    gaps: Gaps, picture: Float[Tensor, "frame 33 2 column"], space: Float[Tensor, "frame 33 3 column"]
) -> Float[Tensor, "frame row column"]:
    """Rows of the picture and of space below each other, weighted."""
    parts = ((picture, gaps.picture_weights), (space, gaps.space_weights))
    return torch.cat([(part * weights.sqrt()[..., None, None]).flatten(1, 2) for part, weights in parts], dim=1)


def _relative(jacobian: Float[Tensor, "frame 33 3 parameter"]) -> Float[Tensor, "frame 33 3 parameter"]:
    """Derivative of the markers about the middle of the hips."""
    return jacobian - jacobian[:, _HIPS].mean(1, keepdim=True)


def _cost(gaps: Float[Tensor, "frame 33 axis"], weights: Float[Tensor, "frame 33"]) -> Float[Tensor, ""]:
    """Geman-McClure's robust error, half a squared gap where it is small."""
    squared = (gaps**2).sum(-1)
    return 0.5 * (weights * squared * _ROBUST**2 / (_ROBUST**2 + squared)).sum()
