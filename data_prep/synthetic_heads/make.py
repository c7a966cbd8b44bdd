"""Videos of talking heads with full truth: identity, camera, poses, places and expressions, all from a seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from body_models.errors import InputError
from body_models.model import BodyModel
from data_prep.camera import Camera
from data_prep.pictures import write_video
from data_prep.surface import Surface
from data_prep.synthetic_heads.expressions import strong_faces, talking
from data_prep.synthetic_heads.motion import gaze_rotations, head_rotations, places
from data_prep.synthetic_heads.person import SyntheticPerson, dressed_pose, head_model, make_person
from data_prep.synthetic_heads.render import HeadPicture, Lights, random_lights, render_head
from data_prep.synthetic_heads.room import blurred_room

FRAME_RATE = 25.0
FIELD_OF_VIEW = (25.0, 65.0)
"""Degrees on the longer side of the picture."""
STRENGTHS = ("ordinary", "strong")
CAMERA_FROM_WORLD = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
"""The camera is at the world's origin and looks along -Z."""
GRAIN = 0.012
"""Standard deviation of the camera's noise, of the brightest value."""


@dataclass(frozen=True)
class TalkingHead:
    """A video that is rendered frame by frame when asked, and the truth behind it (metres, radians, Y up).

    World space has the camera at its origin looking along -Z; the person faces +Z. All rotation of the head is the
    root joint's; jaw and neck stay at rest, since `jawOpen` opens the mouth.
    """

    seed: int
    strength: str
    person: SyntheticPerson
    camera: Camera
    poses: Float[Tensor, "frame bone 3"]
    translations: Float[Tensor, "frame 3"]
    expressions: Float[Tensor, "frame expression"]
    lights: Lights
    background: Float[Tensor, "height width 3"]
    """Linear colours."""
    frame_rate: float = FRAME_RATE

    @property
    def model(self) -> BodyModel:
        """The head model that all parameters belong to."""
        return head_model()[0]

    @property
    def betas(self) -> Float[Tensor, "shape"]:
        """The person's identity."""
        return self.person.betas

    @property
    def intrinsics(self) -> Float[Tensor, "3 3"]:
        """Focal length and centre of the picture (pixels)."""
        return self.camera.intrinsics

    def __len__(self) -> int:
        return len(self.poses)

    def head_vertices(self, frame: int) -> Float[Tensor, "vertex 3"]:
        """The model's surface in a frame (world space)."""
        frame = self._checked(frame)
        return self.person.head.pose_vertices(self.poses[frame], self.translations[frame], self.expressions[frame])

    def posed_mesh(self, frame: int) -> tuple[Float[Tensor, "vertex 3"], Int[Tensor, "face 3"]]:
        """Head, hair, teeth and shoulders in a frame (world space); the head's vertices and faces come first."""
        frame = self._checked(frame)
        pose = dressed_pose(self.person, self.poses[frame])
        vertices = self.person.dressed.pose_vertices(pose, self.translations[frame], self.expressions[frame])
        return vertices, self.person.dressed.faces

    def picture(self, frame: int) -> HeadPicture:
        """Render a frame; the same frame looks the same each time."""
        vertices, _ = self.posed_mesh(frame)
        self._surface.update(vertices)
        person = self.person
        picture = render_head(
            self._surface,
            person.part,
            len(person.head.faces),
            person.texture,
            self.camera,
            self.lights,
            self.background,
        )
        return self._with_grain(picture, frame)

    def pictures(self) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """All frames in order."""
        for frame in range(len(self)):
            yield self.picture(frame).rgb

    def write_video(self, path: Path | str) -> Path:
        """Write the frames as a video file or a folder of pictures; raises InputError as `pictures.write_video`."""
        return write_video(self.pictures(), path, self.frame_rate)

    @cached_property
    def _surface(self) -> Surface:
        return Surface(self.person.dressed.vertices, self.person.dressed.faces)

    @cached_property
    def _noise(self) -> np.ndarray:
        random = np.random.default_rng([self.seed, 99])
        return random.normal(0, 255 * GRAIN, (self.camera.height, self.camera.width)).round().astype(np.int16)

    def _with_grain(self, picture: HeadPicture, frame: int) -> HeadPicture:
        """Add the camera's noise: one pattern, shifted anew in each frame."""
        random = np.random.default_rng([self.seed, 7, frame])
        shift = random.integers(0, self._noise.shape)
        noisy = picture.rgb + np.roll(self._noise, shift, axis=(0, 1))[..., None]
        np.copyto(picture.rgb, np.clip(noisy, 0, 255).astype(np.uint8))
        return picture

    def _checked(self, frame: int) -> int:
        if not 0 <= frame < len(self):
            raise InputError(f"No frame {frame}; this video has frames 0 to {len(self) - 1}.")
        return frame


def make_talking_head(
    seed: int, frames: int = 300, width: int = 512, height: int = 512, strength: str = "ordinary"
) -> TalkingHead:
    """A random person who talks in front of a random camera; the same seed is the same person in the same place.

    Strength "strong" shows faces that ordinary talking never makes, on the same person. Raises InputError for a
    negative seed, no frames, a picture below 32 pixels, or another strength.
    """
    _check(seed, frames, width, height, strength)
    person = _person(seed)
    camera, fill = _camera(width, height, np.random.default_rng([seed, 1]))
    scene = np.random.default_rng([seed, 2])
    background = torch.from_numpy(blurred_room(width, height, scene)).float()
    lights = random_lights(scene)
    random = np.random.default_rng([seed, 3, STRENGTHS.index(strength)])
    times = np.arange(frames) / FRAME_RATE
    turns, yaw_pitch = head_rotations(times, random)
    poses = torch.zeros(frames, len(person.head.skeleton), 3)
    poses[:, 0] = turns
    poses[:, 3] = poses[:, 4] = gaze_rotations(times, yaw_pitch, random)
    make = talking if strength == "ordinary" else strong_faces
    expressions = torch.from_numpy(make(times, random)).float()
    translations = _translations(person, camera, fill, times, random)
    return TalkingHead(seed, strength, person, camera, poses, translations, expressions, lights, background)


@lru_cache(maxsize=2)
def _person(seed: int) -> SyntheticPerson:
    return make_person(np.random.default_rng([seed, 0]))


def _check(seed: int, frames: int, width: int, height: int, strength: str) -> None:
    if strength not in STRENGTHS:
        raise InputError(f"No strength '{strength}'; use ordinary or strong.")
    if seed < 0:
        raise InputError(f"Seed {seed} is negative; use 0 or more.")
    if frames < 1:
        raise InputError(f"Cannot make a video of {frames} frames; ask for one or more.")
    if min(width, height) < 32:
        raise InputError(f"A picture of {width} x {height} pixels shows no face; give both sides 32 or more.")


def _camera(width: int, height: int, random: np.random.Generator) -> tuple[Camera, float]:
    """A camera of random field of view, and the share of the picture's shorter side that the head will fill."""
    angle = np.radians(random.uniform(*FIELD_OF_VIEW))
    focal = max(width, height) / (2 * np.tan(angle / 2))
    intrinsics = torch.tensor([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]], dtype=torch.float32)
    return Camera(intrinsics, CAMERA_FROM_WORLD, width, height), float(random.uniform(0.5, 0.68))


def _translations(
    person: SyntheticPerson, camera: Camera, fill: float, times: Float[np.ndarray, "frame"], random: np.random.Generator
) -> Float[Tensor, "frame 3"]:
    """Where the body's origin goes so that the head is in the picture, at the distance where it fills its share."""
    low, high = person.head.vertices.amin(0), person.head.vertices.amax(0)
    focal = float(camera.intrinsics[0, 0])
    distance = focal * float(high[1] - low[1]) / (fill * min(camera.width, camera.height))
    half_view = (camera.width / 2 * distance / focal, camera.height / 2 * distance / focal)
    middle = places(times, distance, half_view, random)
    return torch.from_numpy(middle).float() - (low + high) / 2
