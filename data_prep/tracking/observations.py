"""What tracking is given and what it returns: landmarks and outlines in, one head and its motion out."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from body_models.errors import InputError


@dataclass(frozen=True)
class TrackingOptions:
    """How a head is fitted to landmarks."""

    shared_frames: int = 200
    """Frames, chosen for variety, from which identity and focal length are found."""
    window: int = 400
    """Frames solved together once identity and focal length are known; memory grows with it."""
    overlap: int = 20
    """Frames by which windows overlap at both ends."""
    identity_count: int = 64
    """Leading identity parameters that are fitted; the others stay zero."""
    expression_count: int = 64
    """Leading expression parameters that are fitted; the others stay zero."""
    shared_steps: int = 12
    frame_steps: int = 6
    landmark_noise: float = 0.007
    """Standard deviation of a landmark as a share of the distance between the outer eye corners."""
    outlier: float = 0.08
    """Residual from which a landmark loses its weight, in the same unit."""
    independent_points: float = 68.0
    """So many independent measurements all landmarks together count for."""
    independent_frames: float = 4.0
    """So many frames' worth of evidence the shared frames together are for identity and focal length: the detector's
    errors repeat from frame to frame."""
    personal_points: bool = True
    """Let each landmark sit a few millimetres beside its place on the model, the same in all frames: the detector's
    points are not exactly the anatomical ones that the model marks."""
    personal_deviation: float = 0.002
    """Standard deviation of these shifts (metres)."""
    expression_mean: float = 0.25
    """Mean of the exponential prior of each facial action in 0 to 1."""
    smoothness: float = 1.0
    """Weight of the prior that neighbouring frames are alike; 0 turns it off."""
    outline_weight: float = 1.0
    """Weight of the silhouette; 0 leaves it out."""
    field_of_view: float = 55.0
    """Most likely field of view along the picture's longer side (degrees), if the intrinsics are not known."""
    focal_deviation: float = 0.35
    """Standard deviation of the logarithm of the focal length."""
    iris_diameter: float = 0.0124
    """Width of an iris as the detector sees it (metres): 11.7 mm in people, widened by what synthetic heads show."""
    iris_deviation: float = 0.01
    """Standard deviation of the size of the face that the irises tell, as a share."""

    def __post_init__(self) -> None:
        if self.overlap < 0 or self.window < 2 * self.overlap + 10 or self.shared_frames < 1:
            raise InputError(
                f"A window of {self.window} frames that overlap by {self.overlap} and {self.shared_frames} shared "
                "frames cannot be tracked; use a window of twice the overlap + 10 or more and a shared frame or more."
            )


@dataclass(frozen=True)
class Observations:
    """What was seen of one head in a video, in pixels of the displayed picture (x right, y down)."""

    landmarks: Float[Tensor, "frame landmark 2"]
    """NaN where unseen."""
    weights: Float[Tensor, "frame landmark"]
    """0 unseen or covered, 1 seen well."""
    times: Float[Tensor, "frame"]
    """Seconds, increasing."""
    width: int
    height: int
    outline_centers: Float[Tensor, "frame 2"] | None = None
    outlines: Float[Tensor, "frame ray"] | None = None
    """Distance from the centre to the edge of the person's mask along angle 2 pi ray / rays, from +x towards +y."""
    intrinsics: Float[Tensor, "3 3"] | None = None
    """The camera, if it is known."""

    def __len__(self) -> int:
        return len(self.landmarks)

    def part(self, start: int, stop: int) -> "Observations":
        """Some successive frames."""
        return self.chosen(torch.arange(start, stop, device=self.landmarks.device))

    def chosen(self, frames: Tensor) -> "Observations":
        """Some of the frames, by index."""
        return Observations(
            landmarks=self.landmarks[frames],
            weights=self.weights[frames],
            times=self.times[frames],
            width=self.width,
            height=self.height,
            outline_centers=None if self.outline_centers is None else self.outline_centers[frames],
            outlines=None if self.outlines is None else self.outlines[frames],
            intrinsics=self.intrinsics,
        )


@dataclass(frozen=True)
class HeadTrack:
    """One head in every frame: `model.body(betas).pose_vertices(poses, translations, expressions)` in world space.

    Metres, Y up; the camera is at the origin and looks along -Z: `camera_from_world` is diag(1, -1, -1, 1).
    """

    betas: Float[Tensor, "shape"]
    intrinsics: Float[Tensor, "3 3"]
    """Pixels of the displayed picture."""
    poses: Float[Tensor, "frame bone 3"]
    """Axis-angle (radians). The root carries the head's rotation; the neck stays at rest."""
    translations: Float[Tensor, "frame 3"]
    expressions: Float[Tensor, "frame expression"]
    landmark_errors: Float[Tensor, "frame"]
    """Mean distance over the 68 points as a share of that between the outer eye corners; NaN unseen."""
    tracked: Bool[Tensor, "frame"]
    """False where no landmark was seen: such poses are interpolated."""
    surface_errors: Float[Tensor, "frame"]
    """As `landmark_errors`, but without the personal shifts of the points."""
    point_offsets: Float[Tensor, "landmark 3"]
    """The personal shift of each landmark from its place on the model at rest (metres)."""


def check_observations(observations: Observations, landmark_count: int) -> None:
    """Raise InputError for arrays that do not fit together, pictures without size, or no landmark at all."""
    frames, seen = len(observations.landmarks), observations
    expected = {
        "landmarks": (seen.landmarks, (frames, landmark_count, 2)),
        "weights": (seen.weights, (frames, landmark_count)),
        "times": (seen.times, (frames,)),
    }
    if (seen.outlines is None) != (seen.outline_centers is None):
        raise InputError("Give outlines and outline_centers together, or neither.")
    if seen.outlines is not None and seen.outline_centers is not None:
        expected["outlines"] = (seen.outlines, (frames, seen.outlines.shape[-1]))
        expected["outline_centers"] = (seen.outline_centers, (frames, 2))
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise InputError(
                f"Observations: {name} has shape {tuple(tensor.shape)}, expected {shape}: "
                f"{frames} frames, {landmark_count} landmarks."
            )
    if seen.width < 1 or seen.height < 1:
        raise InputError(f"Observations: a picture of {seen.width} x {seen.height} pixels is empty.")
    if frames == 0 or not bool((valid_weights(seen) > 0).any()):
        raise InputError(
            "No face was seen in any frame, so there is no head to track. Take a video in which one face is visible "
            "for a second or more."
        )
    if not bool(seen.times.isfinite().all()) or bool((seen.times.diff() <= 0).any()):
        raise InputError("Observations: times must be finite and increase from frame to frame (seconds).")
    if not bool(seen.weights.isfinite().all()) or bool((seen.weights < 0).any()):
        raise InputError("Observations: weights must be finite numbers from 0.")
    _check_intrinsics(seen.intrinsics)


def _check_intrinsics(intrinsics: Tensor | None) -> None:
    if intrinsics is None:
        return
    good = tuple(intrinsics.shape) == (3, 3) and bool(intrinsics.isfinite().all())
    if not good or float(intrinsics[0, 0]) <= 0 or float(intrinsics[1, 1]) <= 0:
        raise InputError(
            f"Intrinsics {intrinsics.tolist()} are no camera; give a 3 x 3 matrix with positive focal lengths (pixels)."
        )


def valid_weights(observations: Observations) -> Float[Tensor, "frame landmark"]:
    """The weights, zero where a landmark is not finite."""
    finite = observations.landmarks.isfinite().all(-1)
    return torch.where(finite, observations.weights, 0.0)


def prior_focal(options: TrackingOptions) -> float:
    """The most likely focal length in lengths of the picture's longer side."""
    return 0.5 / math.tan(math.radians(options.field_of_view) / 2)
