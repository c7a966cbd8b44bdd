"""What is rendered: an avatar in its poses, and the cameras that see them."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from avatars.export.driving.head_neutral import resting_head
from avatars.export.films.cameras import follow_cameras
from avatars.export.films.clips import cut_clip
from avatars.export.films.head_cameras import head_cameras
from avatars.export.pictures.render_options import SECONDS, RenderOptions
from avatars.export.shapes import CANONICAL, pose_given, pose_of_clip
from avatars.models.avatar import Avatar, PosedAvatar
from avatars.models.head_avatar import HeadAvatar, PosedHead
from body_models import InputError, Motion
from data_prep.camera import Camera


@dataclass(frozen=True)
class Shots:
    """Pictures to make, one after another."""

    avatar: Avatar | HeadAvatar
    cameras: list[Camera]
    """One a picture."""
    pose: PosedAvatar | PosedHead | None
    """The pose of all pictures; None where there is a clip."""
    clip: Motion | None = None
    """A pose a picture, on the avatar's own skeleton."""

    def __len__(self) -> int:
        return len(self.cameras)

    def posed(self, number: int) -> PosedAvatar | PosedHead:
        """The avatar in a picture."""
        if self.pose is not None:
            return self.pose
        assert self.clip is not None
        return pose_of_clip(self.avatar, self.clip, number)


def posed_as(avatar: Avatar | HeadAvatar, pose: int | str | Float[Tensor, "bone 3"] | None) -> PosedAvatar | PosedHead:
    """The avatar in a training pose (or frame of its video) by number, in joint angles, or "canonical".

    None is a body's canonical pose and a head's rest. Raises InputError for poses that are not there.
    """
    if pose is None and isinstance(avatar, HeadAvatar):
        return resting_head(avatar)
    return pose_given(avatar, CANONICAL if pose is None else pose)


def shots_of_pose(
    avatar: Avatar | HeadAvatar,
    posed: PosedAvatar | PosedHead,
    options: RenderOptions,
    cameras: Sequence[Camera] | None = None,
    moved: bool = False,
) -> Shots:
    """One pose, once for each camera. A head that was `moved` out of its video is followed by the video's camera."""
    if cameras is not None:
        return Shots(avatar, list(cameras), posed)
    count = (options.views or round(SECONDS * options.fps)) if options.turntable else 1
    if isinstance(posed, PosedHead):
        assert isinstance(avatar, HeadAvatar)
        place = posed.translation if moved else None
        around = head_cameras(avatar, count, options.size, options.view, options.turntable, place)
    else:
        around = _around_body(posed.avatar, _held(posed, count), options)
    return Shots(avatar, around, posed)


def shots_of_motion(
    avatar: Avatar | HeadAvatar, motion: Motion, options: RenderOptions, cameras: Sequence[Camera] | None = None
) -> Shots:
    """Every frame of a motion that was brought onto the avatar, from one camera or from one each.

    Raises InputError for another number of cameras, and for a span beyond the motion's end.
    """
    clip = cut_clip(motion, options.start, options.end).resample(float(options.fps))
    if cameras is not None:
        if len(cameras) not in (1, len(clip)):
            raise InputError(
                f"{len(cameras)} cameras were given for the {len(clip)} frames of '{motion.name}' at {options.fps:g} a "
                "second; give one, or one a frame (see --fps, --start and --end), or take one --frame."
            )
        seen = list(cameras) * (len(clip) // len(cameras))
    elif isinstance(avatar, HeadAvatar):
        seen = head_cameras(avatar, len(clip), options.size, options.view, options.turntable)
    else:
        seen = _around_body(avatar, clip, options)
    return Shots(avatar, seen, None, clip)


def _held(posed: PosedAvatar, count: int) -> Motion:
    """A pose held for some frames."""
    avatar = posed.avatar
    rotations, places = posed.rotation.expand(count, -1, -1), posed.translation.expand(count, -1)
    return Motion("pose", avatar.skeleton, avatar.model.joints, rotations, places, 1.0)


def _around_body(avatar: Avatar, clip: Motion, options: RenderOptions) -> list[Camera]:
    body = avatar.body(options.resolution)
    return follow_cameras(clip, body, options.size, options.turntable, options.view, aside=0.0, elevation=0.0)
