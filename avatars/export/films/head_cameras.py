"""From where a head is filmed: as its video was, or from around; and how far it may move before it is out of sight."""

import torch
from jaxtyping import Float
from torch import Tensor

from avatars.export.driving.head_neutral import resting_head
from avatars.export.films.views import View, orbited, refocused
from avatars.models.head_avatar import HeadAvatar
from body_models.skeleton import posed_from_rest, rotation_matrices
from data_prep.camera import Camera, look_at

RADIUS = 0.12
"""A sphere of this radius about the head's middle holds all of it but hair (metres)."""
DEPTH = 0.06
"""The head's middle is this far behind the eyes' (metres)."""
SIDES_DEGREES = 80.0
"""How far a turntable swings if nobody says: the back of a head was seldom in its video."""
VIEW_DEGREES, AWAY = 22.0, 1.0
"""Field of view (degrees) and distance (metres) of a camera for a head that does not know its video's."""
LEEWAY = 0.1
"""The head may go this much of its radius farther out of the picture than at rest."""
SCALES = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)


def head_camera(
    avatar: HeadAvatar, size: int = 512, view: View | None = None, place: Float[Tensor, "3"] | None = None
) -> Camera:
    """The camera of a head's video, its longer side of `size` pixels; gone around the head where a view says so.

    It sees a head at `place` (the translation of a pose) as the video's camera saw the resting head; by default that is
    the place where the head was.
    """
    return head_cameras(avatar, 1, size, view or View(), False, place)[0]


def head_cameras(
    avatar: HeadAvatar,
    frames: int,
    size: int,
    view: View,
    turntable: bool = False,
    place: Float[Tensor, "3"] | None = None,
) -> list[Camera]:
    """A camera for each frame of a video: `head_camera`, on its way around with a turntable."""
    rest = resting_head(avatar)
    pivot = head_middles(avatar, rest.rotation[None], rest.translation[None])[0]
    camera = _resized(avatar.tracks.camera or _before(pivot, rest.rotation[0], size), size)
    if place is not None:
        shift = rest.translation - place.to(pivot)
        moved = torch.eye(4).to(pivot)
        moved[:3, 3] = shift
        camera = Camera(camera.intrinsics, camera.camera_from_world @ moved, camera.width, camera.height)
        pivot = pivot - shift
    if view.fov is not None:
        camera = refocused(camera, pivot, float(view.fov))
    pitch = float(torch.deg2rad(torch.tensor(float(view.pitch))))
    return [orbited(camera, pivot, yaw, pitch) for yaw in view.yaws(frames, turntable, SIDES_DEGREES).tolist()]


def head_middles(
    avatar: HeadAvatar, rotations: Float[Tensor, "frame bone 3"], translations: Float[Tensor, "frame 3"]
) -> Float[Tensor, "frame 3"]:
    """The middle of the head in some poses (world, metres)."""
    joints, skeleton = avatar.model.joints, avatar.skeleton
    names = skeleton.joint_names
    eyes = [bone for bone, name in enumerate(names) if name.endswith("_eye")]
    middle = joints[eyes or slice(1, None)].mean(0) - joints.new_tensor([0.0, 0.0, DEPTH if eyes else 0.0])
    bones = posed_from_rest(rotation_matrices(rotations), translations, joints, skeleton.parents)
    head = bones[:, names.index("neck") if "neck" in names else 0]
    return head[:, :3, :3] @ middle + head[:, :3, 3]


def share_in_picture(
    avatar: HeadAvatar,
    rotations: Float[Tensor, "frame bone 3"],
    place: Float[Tensor, "3"],
    shifts: Float[Tensor, "frame 3"],
) -> float:
    """The largest share of the shifts from a place with which the head stays in the picture of its video."""
    camera = avatar.tracks.camera
    if camera is None:
        return 1.0
    rest = resting_head(avatar)
    needed = min(0.0, _room(camera, head_middles(avatar, rest.rotation[None], rest.translation[None]))) - LEEWAY
    rooms = {share: _room(camera, head_middles(avatar, rotations, place + share * shifts)) for share in SCALES}
    return next((share for share, room in rooms.items() if room >= needed), max(rooms, key=lambda share: rooms[share]))


def _room(camera: Camera, middles: Float[Tensor, "frame 3"]) -> float:
    """Least distance of the head from the picture's sides in its own radii; negative where it is cut off."""
    pixels, depth = camera.project(middles.to(camera.intrinsics))
    if float(depth.min()) <= RADIUS:
        return -torch.inf
    radius = RADIUS * camera.intrinsics.diagonal()[:2] / depth[:, None]
    sides = pixels.new_tensor([camera.width, camera.height])
    return float((torch.minimum(pixels, sides - pixels) / radius - 1).min())


def _resized(camera: Camera, size: int) -> Camera:
    scale = size / max(camera.width, camera.height)
    return camera.resized(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))


def _before(pivot: Float[Tensor, "3"], turn: Float[Tensor, "3"], size: int) -> Camera:
    """A camera before the face, for a head that does not know its video's."""
    ahead = rotation_matrices(turn[None])[0, :, 2] * turn.new_tensor([1.0, 0.0, 1.0])
    ahead = torch.nn.functional.normalize(ahead, dim=0)
    return look_at(pivot + AWAY * ahead, pivot, pivot.new_tensor([0.0, 1.0, 0.0]), VIEW_DEGREES, size, size)
