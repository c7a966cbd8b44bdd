"""Where the face mesh's points lie on a head model: found by looking at painted pictures of it with MediaPipe."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from body_models.body import Body
from body_models.errors import InputError
from body_models.ict import SOLID_VERTICES
from body_models.landmarks import Landmarks
from body_models.model import BodyModel
from data_prep.camera import Camera, look_at
from data_prep.pictures import render_surface
from data_prep.surface import Surface
from data_prep.video.face_paint import EYES, HeadSurface, direction, head_surface, paint
from data_prep.video.face_points import SKIN_POINTS
from data_prep.video.mediapipe_runtime import Solution
from data_prep.video.settle_points import View, no_face, settle

FaceFinder = Callable[[UInt8[np.ndarray, "height width 3"]], Float[np.ndarray, "478 2"] | None]
"""What finds a face's points (pixels) in an sRGB picture; None without a face."""
_DISTANCE, _FIELD_OF_VIEW = 2.0, 9.0
"""Of the virtual camera (metres, degrees): far away, so that perspective matters little."""
_LEAST_CONFIDENCE = 0.3
"""Of a detection; lower than for people, as there is a face in every picture."""
_BELOW_EYES = 0.03
"""How far below the eyes (metres) the pictures' middle lies."""


@dataclass(frozen=True)
class EmbeddingOptions:
    """Which pictures are looked at: every identity in every view with every opening of the mouth."""

    identities: int = 8
    """The mean person and random ones."""
    spread: float = 0.7
    """Standard deviation of the random people's betas."""
    yaws: tuple[float, ...] = (-40.0, -20.0, 0.0, 20.0, 40.0)
    """Degrees."""
    pitches: tuple[float, ...] = (-20.0, 0.0, 20.0)
    """Degrees."""
    jaws: tuple[float, ...] = (0.0, 0.15)
    """Radians."""
    size: int = 384
    """Pixels along each side of a picture."""
    rounds: int = 2
    """From the second one on lips and brows are painted where the one before has found them."""
    seed: int = 0


def embed_face_mesh(
    model: BodyModel, options: EmbeddingOptions | None = None, find: FaceFinder | None = None
) -> Landmarks:
    """The 478 points on a head model that has FLAME's joints (root, neck, jaw, left_eye, right_eye).

    Rays through the detections give a first place; each point then goes where the surface's projections miss the
    detections least, over all pictures that show it, within its region: upper lip, lower lip or the other visible skin.
    Left and right are made alike. The irises are the eyes' front and four points 5.85 mm about it on the mean person;
    on larger or smaller eyes they scale along. `find` is MediaPipe's face mesh unless given. Raises InputError when
    MediaPipe is missing, the model has no jaw or eyes, or no face is seen.
    """
    options = options or EmbeddingOptions()
    _check_joints(model)
    find = mediapipe_finder() if find is None else find
    head, points = head_surface(opaque(model)), None
    front = replace(options, yaws=(0.0,), pitches=(0.0,))
    people = _people(head.model, options)
    for _ in range(options.rounds):
        colors = paint(head, points)
        if not _look(head, *people[0], colors, front, find):  # in no other view then
            raise no_face(model)
        views = [view for person in people for view in _look(head, *person, colors, options, find)]
        points = settle(head, views, options.seed)
    if points is None:
        raise InputError(f"{options.rounds} rounds asked for; the face mesh is found in 1 or more.")
    return points


def view_camera(model: BodyModel, yaw: float, pitch: float, size: int) -> Camera:
    """A square picture of the template's head from the front, turned by yaw and from above by pitch (degrees)."""
    eyes = model.template_joints[[model.skeleton.index(name) for name in EYES]].mean(0)
    middle = eyes - eyes.new_tensor([0.0, _BELOW_EYES, 0.0])
    up = eyes.new_tensor([0.0, 1.0, 0.0])
    return look_at(middle + _DISTANCE * direction(yaw, pitch), middle, up, _FIELD_OF_VIEW, size, size)


def mediapipe_finder() -> FaceFinder:
    """MediaPipe's face mesh for single pictures; raises InputError when it is not installed."""
    mesh = Solution(
        lambda solutions: solutions.face_mesh.FaceMesh(
            static_image_mode=True, refine_landmarks=True, max_num_faces=1, min_detection_confidence=_LEAST_CONFIDENCE
        )
    )

    def find(picture: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "478 2"] | None:
        faces = mesh(picture).multi_face_landmarks
        if not faces:
            return None
        height, width = picture.shape[:2]
        return np.array([(point.x * width, point.y * height) for point in faces[0].landmark])

    return find


def opaque(model: BodyModel) -> BodyModel:
    """The model on the CPU in single precision, without ICT's transparent layers before the eyes."""
    model = model.to("cpu").to(torch.float32)
    if model.name != "ict":
        return model
    return replace(model, faces=model.faces[(model.faces < SOLID_VERTICES).all(1)])


def _people(model: BodyModel, options: EmbeddingOptions) -> list[tuple[Body, Float[Tensor, "bone 3"]]]:
    """Random people, each with each opening of the mouth."""
    generator = torch.Generator().manual_seed(options.seed)
    found = []
    for person in range(options.identities):
        betas = options.spread * torch.randn(len(model.shape_basis), generator=generator)
        body = model.body(betas if person > 0 else None)
        for angle in options.jaws:
            pose = torch.zeros(len(model.skeleton), 3)
            pose[model.skeleton.index("jaw"), 0] = angle
            found.append((body, pose))
    return found


def _look(
    head: HeadSurface,
    body: Body,
    pose: Float[Tensor, "bone 3"],
    colors: Float[Tensor, "fine 3"],
    options: EmbeddingOptions,
    find: FaceFinder,
) -> list[View]:
    """The views of one posed person that show a face."""
    vertices = body.pose_vertices(pose, torch.zeros(3))
    fine = Surface(head.fine.vertices(vertices), head.fine.faces)
    views = []
    for yaw in options.yaws:
        for pitch in options.pitches:
            camera = view_camera(head.model, yaw, pitch, options.size)
            pixels = find(render_surface(fine, camera, colors).to_uint8())
            if pixels is not None:
                views.append(View(vertices, camera, torch.from_numpy(pixels[:SKIN_POINTS]).float()))
    return views


def _check_joints(model: BodyModel) -> None:
    missing = [name for name in ("jaw", *EYES) if name not in model.skeleton.joint_names]
    if missing:
        raise InputError(
            f"{model.name} has no joint {' and no '.join(missing)}, so its face cannot be followed. "
            "Use a head model: anny-head, flame or ict."
        )
