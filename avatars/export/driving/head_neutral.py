"""How a head is when it does nothing: what is subtracted from a driver, and what a driven head starts from."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.models.head_avatar import HeadAvatar, PosedHead
from avatars.models.head_start import mean_rotation
from body_models import Motion

QUIET = 0.1
"""Share of the frames, those in which the face does least, that show it at rest."""
REST_MOST = 0.35
"""No named action of a resting face is stronger; a stronger one that lasts is an expression that is held."""
OFTEN_LESS = 0.25
"""Named actions are no stronger at rest than in this share of all frames, else mouths of talkers would never close."""
JAW_COUNTS = 5.0
"""What a jaw's turn by a radian counts beside expression parameters."""


@dataclass(frozen=True)
class Neutral:
    """A head at rest (metres, radians)."""

    turns: Float[Tensor, "bone 3"]
    """Axis-angle; the root's is its mean over the clip, the others are those of the resting face."""
    place: Float[Tensor, "3"]
    """Mean translation."""
    expression: Float[Tensor, "expression"]
    """Empty for a clip without a face."""


def neutral_of(motion: Motion) -> Neutral:
    """The rest of a head's motion: mean turn and place, and the face of its quietest frames."""
    quiet = _quiet_frames(motion)
    turns = [mean_rotation(motion.rotations[:, :1].flatten(0, 1))]
    turns += [mean_rotation(motion.rotations[quiet, bone]) for bone in range(1, len(motion.skeleton))]
    face = face_of(motion)
    expression = face[quiet].median(0).values
    if motion.expression_names:
        expression = torch.minimum(expression, _usual(face, OFTEN_LESS)).clamp(max=REST_MOST)
    return Neutral(torch.stack(turns), motion.translations.mean(0), expression)


def nothing_of(motion: Motion) -> Neutral:
    """The model's own rest, where the clip is."""
    still, face = torch.zeros_like(motion.rotations[0]), torch.zeros_like(face_of(motion)[0])
    return Neutral(still, motion.translations.mean(0), face)


def face_of(motion: Motion) -> Float[Tensor, "frame expression"]:
    """Expression parameters over time, none of them for a clip that says nothing about the face."""
    return motion.translations[:, :0] if motion.expression is None else motion.expression


def own_motion(avatar: HeadAvatar) -> Motion:
    """The motion of the video that a head was fitted to."""
    tracks = avatar.tracks
    return Motion(
        "its own video",
        avatar.skeleton,
        avatar.model.joints,
        tracks.poses,
        tracks.translations,
        tracks.frame_rate,
        tracks.expressions,
        tracks.expression_names,
    )


def resting_head(avatar: HeadAvatar) -> PosedHead:
    """The head as its video showed it at rest: its resting face, in its mean place and turned as on average."""
    rest = neutral_of(own_motion(avatar))
    return avatar.pose(rest.expression, rest.turns, rest.place)


def _quiet_frames(motion: Motion) -> Int[Tensor, "frame"]:
    face = face_of(motion)
    activity = (face - _usual(face, 0.1 if motion.expression_names else 0.5)).abs().sum(1)
    if "jaw" in motion.skeleton.joint_names:
        jaw = motion.rotations[:, motion.skeleton.index("jaw")]
        activity = activity + JAW_COUNTS * (jaw - jaw.median(0).values).norm(dim=1)
    return activity.argsort(stable=True)[: max(1, round(QUIET * len(motion)))]


def _usual(face: Float[Tensor, "frame expression"], share: float) -> Float[Tensor, "expression"]:
    """What each parameter stays below in a share of the frames."""
    return face.sort(0).values[int(share * (len(face) - 1))]
