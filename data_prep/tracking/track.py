"""Tracking a head through a video: one identity and camera, and in every frame where the head is and what it does."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.landmarks import Landmarks
from body_models.model import BodyModel
from data_prep.tracking.choose import varied_frames
from data_prep.tracking.coefficient_prior import CoefficientPrior, coefficient_prior
from data_prep.tracking.frame_fit import fit_frames
from data_prep.tracking.head_motion import head_motion
from data_prep.tracking.head_points import HeadPoints, head_points
from data_prep.tracking.iris_scale import iris_face_size
from data_prep.tracking.measured import LEAST_POINTS, Measured, camera_matrix, measure, pixels
from data_prep.tracking.motion_model import HeadState, project
from data_prep.tracking.normal_equations import DataTerm
from data_prep.tracking.observations import (
    HeadTrack,
    Observations,
    TrackingOptions,
    check_observations,
    prior_focal,
    valid_weights,
)
from data_prep.tracking.outline_term import Skull, skull
from data_prep.tracking.point_weights import OUTER_CORNERS, landmark_errors, point_freedom
from data_prep.tracking.shared_fit import SharedFit, SharedPrior, fit_shared
from data_prep.tracking.start import focal_starts, scaled_orthographic
from data_prep.video.face_points import FACE_POINTS

Progress = Callable[[str, int, int], None]
_START_FRAMES = 40
_START_STEPS = 6
_STRICT = 4.0
"""Weight of the expressions' prior while the identity is sought: what all frames share belongs to the person."""
_COARSE_OUTLIER = 4.0
"""While the head is placed roughly, outliers are judged so many times more leniently."""


@dataclass(frozen=True)
class _Task:
    """What stays the same while tracking."""

    points: HeadPoints
    prior: CoefficientPrior
    skull: Skull | None
    options: TrackingOptions
    face: float
    """Distance of the outer eye corners at rest (metres)."""

    def data(self, measured: Measured, state: HeadState, outlier: float = 1.0) -> DataTerm:
        sized = measured.with_sizes(self.face * state.places[:, 2].exp())
        options = self.options
        return DataTerm(self.points, self.skull, sized, outlier * options.outlier, options.outline_weight)


def track_head(
    model: BodyModel,
    points: Landmarks,
    observations: Observations,
    progress: Progress | None = None,
    options: TrackingOptions = TrackingOptions(),  # noqa: B008  frozen
    detector_offsets: Float[Tensor, "landmark 3"] | None = None,
) -> HeadTrack:
    """Find the person, the camera and the motion from landmarks and outlines of one head in a video.

    Identity and focal length come from frames chosen for variety, then every frame is fitted with both fixed; frames
    without a face get interpolated placements. Unless the intrinsics are given, the principal point is the picture's
    centre. `detector_offsets` tell where the detector sees the points beside their places at rest, on anybody (metres).
    Raises InputError for arrays that do not fit together, when no face was seen, and for a model that is no
    head.
    """
    check_observations(observations, len(points))
    if len(points) < LEAST_POINTS:
        raise InputError(f"{len(points)} landmarks cannot place a head; give {LEAST_POINTS} or more.")
    report = progress or (lambda stage, done, total: None)
    with torch.no_grad():
        task = _task(model.to("cpu"), points.to("cpu"), options)
        if detector_offsets is not None:
            task = replace(task, points=task.points.shifted(detector_offsets.to(task.points.rest)))
        measured = measure(observations, options)
        if not bool(measured.seen.any()):
            raise InputError(
                "No frame shows more than five landmarks of the face, so there is no head to track. Take a video in "
                "which one face is visible for a second or more."
            )
        matrix, known = camera_matrix(observations, torch.float32)
        fit = _person(task, measured, known, report)
        state = _motion(task, measured, fit, report)
        return _result(model, task, observations, state, fit, matrix, known)


def _task(model: BodyModel, points: Landmarks, options: TrackingOptions) -> _Task:
    identities = min(options.identity_count, len(model.shape_basis))
    expressions = min(options.expression_count, len(model.expression_basis))
    bound = head_points(model, points, identities, expressions).to(torch.float32)
    face_mesh = len(points) == FACE_POINTS
    if face_mesh:
        face = float((bound.rest[OUTER_CORNERS[0]] - bound.rest[OUTER_CORNERS[1]]).norm())
    else:
        face = float((bound.rest.amax(0) - bound.rest.amin(0)).norm()) / 2
    nose_height = float(bound.rest[4, 1]) if face_mesh else float(bound.pivot[1])
    surface = skull(model, identities, nose_height, torch.float32) if options.outline_weight > 0 else None
    return _Task(bound, coefficient_prior(model, bound, options), surface, options, face)


def _person(task: _Task, measured: Measured, known: bool, report: Progress) -> SharedFit:
    """Identity, focal length and landmark shifts from a choice of frames."""
    options = task.options
    usual = 1.0 if known else prior_focal(options)
    shifts = options.personal_deviation * point_freedom(len(task.points))
    shared = SharedPrior(
        log_focal=math.log(usual),
        focal_deviation=0.0 if known else options.focal_deviation,
        face_size=None,
        face_deviation=options.iris_deviation,
        offset_deviations=shifts if options.personal_points else None,
        independent_frames=options.independent_frames,
    )
    first = scaled_orthographic(task.points, measured, math.log(usual))
    sized = measured.with_sizes(task.face * first.places[:, 2].exp())
    frames = varied_frames(task.points, first, sized, options.shared_frames)
    report("identity", 0, options.shared_steps)
    log_focal = _best_focal(task, measured, shared, frames, [math.log(usual)] if known else focal_starts(usual))
    start = scaled_orthographic(task.points, measured.chosen(frames), log_focal)
    chosen = measured.chosen(frames)
    fit = SharedFit(start, torch.zeros_like(task.points.rest), math.inf)
    fit = _steps(task, chosen, shared, fit, 3, rigid_only=True)
    fit = _steps(task, chosen, shared, fit, options.shared_steps // 2)
    report("identity", options.shared_steps // 2, options.shared_steps)
    fit = _steps(task, chosen, shared, fit, options.shared_steps - options.shared_steps // 2, offsets=True)
    report("identity", options.shared_steps, options.shared_steps)
    return fit


def _steps(
    task: _Task,
    measured: Measured,
    shared: SharedPrior,
    fit: SharedFit,
    steps: int,
    rigid_only: bool = False,
    offsets: bool = False,
) -> SharedFit:
    data = task.data(measured, fit.state, _COARSE_OUTLIER if rigid_only else 1.0)
    size = iris_face_size(task.points.shifted(fit.offsets), fit.state, measured, task.options.iris_diameter)
    shared = replace(shared, face_size=size)
    strict = replace(task.prior, slope=_STRICT * task.prior.slope)
    return fit_shared(data, strict, shared, replace(fit, energy=math.inf), steps, rigid_only, offsets)


def _best_focal(task: _Task, measured: Measured, shared: SharedPrior, frames: Tensor, starts: list[float]) -> float:
    """The start from which a few frames come to fit best, as a logarithm."""
    if len(starts) == 1:
        return starts[0]
    few = frames[:: max(1, len(frames) // _START_FRAMES)]
    best, lowest = starts[0], math.inf
    for log_focal in starts:
        start = scaled_orthographic(task.points, measured.chosen(few), log_focal)
        fit = SharedFit(start, torch.zeros_like(task.points.rest), math.inf)
        fit = _steps(task, measured.chosen(few), shared, fit, 3, rigid_only=True)
        fit = _steps(task, measured.chosen(few), shared, fit, _START_STEPS)
        if fit.energy < lowest:
            best, lowest = float(fit.state.log_focal), fit.energy
    return best


def _motion(task: _Task, measured: Measured, fit: SharedFit, report: Progress) -> HeadState:
    """All frames with identity and focal length fixed, a window at a time."""
    options, count = task.options, len(measured)
    shifted = replace(task, points=task.points.shifted(fit.offsets))
    person = replace(shifted.points, rest=shifted.points.rest + task.points.shape @ fit.state.betas)
    parts, start = [], 0
    rough = scaled_orthographic(person, measured, float(fit.state.log_focal))
    rough = replace(rough, betas=fit.state.betas)
    while start < count:
        report("motion", start, count)
        stop = min(count, start + options.window - 2 * options.overlap)
        window = slice(max(0, start - options.overlap), min(count, stop + options.overlap))
        part, some = rough.chosen(window), measured.chosen(window)
        data = shifted.data(some, part)
        part = fit_frames(data, task.prior, part, options.frame_steps, options.smoothness)
        parts.append(part.chosen(slice(start - window.start, stop - window.start)))
        start = stop
    report("motion", count, count)
    joined = {
        name: torch.cat([getattr(part, name) for part in parts]) for name in ("rotations", "places", "coefficients")
    }
    return replace(rough, **joined)


def _result(
    model: BodyModel,
    task: _Task,
    observations: Observations,
    state: HeadState,
    fit: SharedFit,
    matrix: Float[Tensor, "3 3"],
    known: bool,
) -> HeadTrack:
    """The fit in the terms of the model and of world space."""
    intrinsics = matrix.clone()
    if not known:
        intrinsics[:2, :2] *= state.log_focal.exp()
    motion = head_motion(model.to("cpu"), task.points, state)
    weights = valid_weights(observations)
    offsets = fit.offsets * task.points.size(fit.state.betas)
    shifted = pixels(project(task.points, state, offsets), matrix)
    plain = pixels(project(task.points, state), matrix)
    return HeadTrack(
        betas=motion.betas,
        intrinsics=intrinsics,
        poses=motion.poses,
        translations=motion.translations,
        expressions=motion.expressions,
        landmark_errors=landmark_errors(shifted, observations.landmarks, weights),
        tracked=(weights > 0).sum(1) >= LEAST_POINTS,
        surface_errors=landmark_errors(plain, observations.landmarks, weights),
        point_offsets=offsets,
    )
