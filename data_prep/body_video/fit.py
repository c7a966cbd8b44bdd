"""Track one person's body through a video: one identity and focal length, a pose in every frame, all fitted at once."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import roma
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from body_models.errors import InputError
from body_models.model import BodyModel
from data_prep.body_video.arrow import solve_arrow
from data_prep.body_video.camera import checked_intrinsics, guessed_intrinsics, placed, project
from data_prep.body_video.detections import KEYPOINTS, BodyDetections
from data_prep.body_video.energy import BodyEnergy, Equations
from data_prep.body_video.markers import BodyMarkers, body_markers
from data_prep.body_video.silhouette import MaskOf, Silhouettes
from data_prep.body_video.start import start_rotations
from data_prep.body_video.unknowns import BodyTrackOptions, Guess, Seen
from data_prep.registration.kinematics import PoseState
from data_prep.registration.solve import MAX_TURN

Progress = Callable[[str, int, int], None]
LOST = 0.15
"""A frame whose keypoints are farther than this from the body (heights of the person) is not tracked."""
WINDOW = 200
"""Longer videos get shape and camera from this many frames spread evenly, and poses in stretches of this length."""
OVERLAP = 20
"""Frames by which a stretch reaches into its neighbours."""
ROUNDS = 4
"""How often the body's outline is compared with the masks."""
_SHOULDERS = [KEYPOINTS.index("left_shoulder"), KEYPOINTS.index("right_shoulder")]


@dataclass(frozen=True)
class BodyTrack:
    """A body in a video: the camera is at the origin and looks along -Z, the person faces +Z (metres, Y up)."""

    betas: Float[Tensor, "shape"]
    intrinsics: Float[Tensor, "3 3"]
    """Pixels of the source frames (OpenCV)."""
    poses: Float[Tensor, "frame bone 3"]
    """Axis-angle (radians); frames that are not tracked repeat the nearest tracked one."""
    translations: Float[Tensor, "frame 3"]
    keypoint_errors: Float[Tensor, "frame"]
    """Mean distance of the projected body to the visible keypoints, in heights of the person; NaN where not seen."""
    tracked: Bool[Tensor, "frame"]


def track_body(
    model: BodyModel,
    detections: BodyDetections,
    times: Float[np.ndarray, "frame"],
    width: int,
    height: int,
    intrinsics: Float[Tensor, "3 3"] | None = None,
    mask_of: MaskOf | None = None,
    progress: Progress | None = None,
    options: BodyTrackOptions | None = None,
) -> BodyTrack:
    """Fit the model to the keypoints of frames of this size (pixels) at these times (seconds).

    Without intrinsics the focal length is estimated: keypoints tell it roughly, distance to the camera goes with it.
    Raises InputError when nobody's trunk is seen in any frame, when the times do not rise, or for a model without
    SMPL's joints and landmarks.
    """
    options = options or BodyTrackOptions()
    markers = _double_markers(body_markers(model))
    camera = guessed_intrinsics(width, height) if intrinsics is None else checked_intrinsics(intrinsics)
    usable = _usable(detections, times, width, height)
    seen = _seen(detections, times, usable, width, height)
    energy = BodyEnergy(model.to(torch.float64), markers, seen, options, free_focal=intrinsics is None)
    guess, seen = _start(energy, camera)
    energy = energy.of(seen)
    frames = np.flatnonzero(usable)
    if len(frames) <= WINDOW:
        return _track(model, energy, _fitted(energy, guess, mask_of, frames, (width, height), progress), usable)
    chosen = np.linspace(0, len(frames) - 1, WINDOW).round().astype(int)
    known = _fitted(
        energy.of(seen.select(chosen)), guess.select(chosen), mask_of, frames[chosen], (width, height), None
    )
    guess = _placed_again(energy, replace(known, state=guess.state))
    return _track(model, energy, _in_windows(energy, guess, progress), usable)


def _fitted(
    energy: BodyEnergy,
    guess: Guess,
    mask_of: MaskOf | None,
    frames: Int[np.ndarray, "fitted"],
    size: tuple[int, int],
    progress: Progress | None,
) -> Guess:
    """Everything from keypoints, then with the masks."""
    guess = _minimise(energy, guess, progress)
    return guess if mask_of is None else _shaped(energy, guess, Silhouettes.gathered(mask_of, frames, *size))


def _placed_again(energy: BodyEnergy, guess: Guess) -> Guess:
    """Every frame's body where its pixels are, for the shape and camera that are known by now."""
    state, seen = guess.state, energy.seen
    points = energy.points(guess) - state.translation[:, None]
    found = placed(points, seen.pixels, seen.weights, guess.intrinsics)
    sensible = (found[:, 2] < 0) & (found[:, 2] > 3 * state.translation[:, 2])
    return replace(guess, state=replace(state, translation=torch.where(sensible[:, None], found, state.translation)))


def _in_windows(energy: BodyEnergy, guess: Guess, progress: Progress | None) -> Guess:
    """Poses of a long video, a stretch at a time that overlaps its neighbours; shape and camera stay as they are."""
    count = len(energy.seen.times)
    states = []
    for first in range(0, count, WINDOW):
        if progress is not None:
            progress("fitting the body", first, count)
        last = min(first + WINDOW, count)
        rows = np.arange(max(0, first - OVERLAP), min(count, last + OVERLAP))
        part = energy.of(energy.seen.select(rows), only_poses=True)
        state = _minimise(part, guess.select(rows), None).state
        states.append(state.select(torch.from_numpy((rows >= first) & (rows < last))))
    if progress is not None:
        progress("fitting the body", count, count)
    return replace(guess, state=PoseState.join(states))


def _usable(detections: BodyDetections, times: np.ndarray, width: int, height: int) -> np.ndarray:
    """Frames in which both shoulders and six more keypoints are seen in the picture."""
    if len(times) != len(detections) or (len(times) > 1 and not bool((np.diff(times) > 0).all())):
        raise InputError(
            f"{len(times)} times were given for {len(detections)} frames, or they do not rise; "
            "give each frame's time in seconds, in order."
        )
    inside = ((detections.keypoints >= 0) & (detections.keypoints <= [width, height])).all(-1)
    plain = inside & (detections.visibility > 0.5)
    usable = detections.found & plain[:, _SHOULDERS].all(1) & (plain.sum(1) >= 8)
    if not usable.any():
        raise InputError(
            f"No person's shoulders and arms were seen in any of the {len(detections)} frames; the body must be in the "
            "picture and large enough (a tenth of its height or more). For a head video leave --body away."
        )
    return np.asarray(usable)


def _seen(detections: BodyDetections, times: np.ndarray, usable: np.ndarray, width: int, height: int) -> Seen:
    pixels = torch.from_numpy(detections.keypoints[usable]).double()
    inside = ((pixels >= 0) & (pixels <= torch.tensor([width, height]))).all(-1)
    visibility = torch.from_numpy(detections.visibility[usable]).double()
    weights = visibility**2 * torch.where(inside, 1.0, 0.2)
    return Seen(
        times=torch.from_numpy(times[usable]).double(),
        pixels=pixels,
        weights=weights.clamp_min(1e-3),
        world=torch.from_numpy(detections.world[usable]).double(),
        height=pixels.new_ones(len(pixels)),
    )


def _start(energy: BodyEnergy, camera: Float[Tensor, "3 3"]) -> tuple[Guess, Seen]:
    """A pose from the keypoints in space, put where the picture shows it; and the person's height in pixels there."""
    seen, model = energy.seen, energy.model
    rest = energy.markers.template
    rotations = start_rotations(model.skeleton, rest, seen.world)
    guess = Guess(
        PoseState(rotations, seen.pixels.new_zeros(len(rotations), 3)),
        seen.pixels.new_zeros(energy.count),
        camera,
        log_focal=seen.pixels.new_zeros(()),
        log_size=seen.pixels.new_zeros(()),
    )
    points = energy.points(guess)
    translation = placed(points, seen.pixels, seen.weights, camera)
    depth = -(points[..., 2].mean(1) + translation[:, 2])
    distance = depth[depth > 0.3].median() if bool((depth > 0.3).any()) else depth.new_tensor(3.0)
    off = (depth < 0.5 * distance) | (depth > 2 * distance)
    translation[off] = translation[off] * (-distance / translation[off, 2:]).clamp(0.1, 10.0)
    state = PoseState(rotations, translation)
    tall = float(rest[:, 1].max() - rest[:, 1].min()) * 1.08
    heights = camera[1, 1] * tall / depth.where(~off, distance)
    filled = Seen(seen.times, seen.pixels, seen.weights, seen.world, heights)
    return replace(guess, state=state), filled


def _shaped(energy: BodyEnergy, guess: Guess, silhouettes: Silhouettes) -> Guess:
    """Fit on with the masks' outlines, which move with the shape: look at them anew a few times."""
    if not silhouettes.rows:
        return guess
    for _ in range(ROUNDS):
        state = guess.state
        energy.outline = silhouettes.term(
            energy.model, state.rotations, state.translation, guess.betas, guess.intrinsics, energy.seen.height
        )
        guess = _minimise(energy, guess, None)
    return guess


def _minimise(energy: BodyEnergy, guess: Guess, progress: Progress | None) -> Guess:
    """Levenberg-Marquardt's method over all unknowns at once."""
    damping, cost, steps = 1e-2, energy.energy(guess), energy.options.steps
    for number in range(steps):
        if progress is not None:
            progress("fitting the body", number, steps)
        equations = energy.equations(guess)
        while damping < 1e6:
            trial = _stepped(energy, guess, equations, damping)
            trial_cost = energy.energy(trial)
            if trial_cost < cost:
                break
            damping *= 8
        else:
            break
        gain, cost, guess, damping = (cost - trial_cost) / cost, trial_cost, trial, max(damping / 5, 1e-6)
        if gain < 1e-5:
            break
    if progress is not None:
        progress("fitting the body", steps, steps)
    return guess


def _stepped(energy: BodyEnergy, guess: Guess, equations: Equations, damping: float) -> Guess:
    band = equations.band.clone()
    band[0] += damping * band[0] + 1e-9
    corner = equations.corner + damping * torch.diag(equations.corner.diagonal())
    border, right_shared = equations.border, equations.right_shared
    if energy.only_poses:
        border, right_shared = torch.zeros_like(border), torch.zeros_like(right_shared)
    own, shared = solve_arrow(band, border, corner, equations.right, right_shared)
    own = own.unflatten(0, (len(guess.state.rotations), -1))
    turns = own[:, :-3].abs().amax(1, keepdim=True)
    own = own * (MAX_TURN / turns.clamp_min(MAX_TURN))
    return guess.moved(own, energy.active, shared.clamp(-1.0, 1.0))


def _track(model: BodyModel, energy: BodyEnergy, guess: Guess, usable: np.ndarray) -> BodyTrack:
    """The result in single precision; frames without the person repeat their nearest neighbours."""
    seen = energy.seen
    away = (project(energy.points(guess), guess.intrinsics) - seen.pixels).norm(dim=-1)
    plain = seen.weights > 0.25
    errors = (away * plain).sum(1) / plain.sum(1).clamp_min(1) / seen.height
    rows = np.flatnonzero(usable)
    nearest = np.abs(np.arange(len(usable))[:, None] - rows[None]).argmin(1)
    all_errors = torch.full((len(usable),), torch.nan)
    all_errors[rows] = errors.float()
    return BodyTrack(
        betas=guess.betas.float(),
        intrinsics=guess.intrinsics.float(),
        poses=roma.rotmat_to_rotvec(guess.state.rotations).float()[nearest],
        translations=guess.state.translation.float()[nearest],
        keypoint_errors=all_errors,
        tracked=torch.from_numpy(usable) & (all_errors < LOST),
    )


def _double_markers(markers: BodyMarkers) -> BodyMarkers:
    return BodyMarkers(markers.template.double(), markers.basis.double(), markers.bones, markers.weights.double())
