"""Take a head avatar through many expressions and judge it: no tears, no floating pieces, mouth opens, eyes close."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avatars.assess.sweep_openings import Opening, clear_between, lip_vertices, seen_area
from avatars.assess.sweep_poses import SweepPose, sweep_poses
from avatars.assess.sweep_surface import (
    BEYOND_MODEL,
    LONG,
    TornPicture,
    face_stretch,
    floating_share,
    stretch_around,
    torn_picture,
)
from avatars.fit.video_surface import surface_mesh
from avatars.models.head_avatar import HeadAvatar
from avatars.models.head_prior import HeadPrior
from body_models import Body, InputError
from data_prep.camera import Camera, look_at
from data_prep.surface import Surface

FLOATING = 0.01
"""A floating piece is at most this share of the surface."""
TORN = 0.004
"""In no view more than this share of the head's pixels is torn."""
OPENS = 0.5
"""The mouth opens by at least this share of what the tracked model's does."""
SHUTS, OPENED = 0.75, 0.4
"""Of an open eye at least this share closes; it is open by at least this share of the model's."""
VIEWS = (0.0, 0.6, -0.6)
"""Directions from which the head is looked at (radians about the vertical)."""
DISTANCE, ANGLE = 1.0, 19.0
"""Of the camera: metres and degrees."""
EYE = 0.02
"""Half the width of an eye with its lids (metres)."""
STRIP = 0.004
"""The lids' distance is the mean over this width about the middle of the eye (metres)."""
JAW_TURN = 0.3
"""Opens the mouth of a head without jawOpen (radians)."""


@dataclass(frozen=True)
class SweepRow:
    """One pose of the sweep."""

    pose: SweepPose
    floating: float
    """Area of the largest floating piece, as a share of the surface."""
    stretched: float
    """Pixels that show triangles torn long, as a share of the head's, in the worst view."""
    backs: float
    """Pixels that show the surface from behind, in the same view."""
    holes: float
    """Pixels that show the background through the head, in the same view."""
    gashes: float
    """Pixels that show narrow, deep gashes where the head model has none, in the same view."""

    @property
    def torn(self) -> float:
        """Share of torn pixels in the worst view."""
        return self.stretched + self.backs + self.holes + self.gashes


@dataclass(frozen=True)
class Verdict:
    """One bar."""

    bar: str
    found: str
    passed: bool


@dataclass(frozen=True)
class Sweep:
    """What was found in all poses."""

    rows: tuple[SweepRow, ...]
    mouth: Opening
    """Clear space between the lips (metres)."""
    eyes: tuple[Opening, ...]
    """Height of the eyeball that is seen between the lids (metres); none for heads without eyeBlink."""
    eyeballs: tuple[Opening, ...]
    """Area of each eyeball that is seen from the front (square metres)."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The bars of the sweep."""
        floating = max(self.rows, key=lambda row: row.floating)
        torn = max(self.rows, key=lambda row: row.torn)
        found = [
            Verdict(
                f"no floating piece above {FLOATING:.0%} of the surface",
                f"{floating.floating:.2%} ({floating.pose.name})",
                floating.floating <= FLOATING,
            ),
            Verdict(
                f"no tear above {TORN:.1%} of the head's pixels",
                f"{torn.torn:.2%} ({torn.pose.name})",
                torn.torn <= TORN,
            ),
            Verdict(
                f"with {self.mouth.name} the mouth opens by {OPENS:.0%} of the model's",
                _told(self.mouth, "mm", 1e3),
                self.mouth.opens(OPENS),
            ),
        ]
        for shown, unit, scale in ((self.eyes, "mm", 1e3), (self.eyeballs, "mm²", 1e6)):
            what = "the lids' distance" if shown is self.eyes else "the eyeball's open part"
            for eye in shown:
                passed = eye.closes(SHUTS, OPENED)
                found.append(Verdict(f"with {eye.name} {what} shrinks by {SHUTS:.0%}", _told(eye, unit, scale), passed))
        return tuple(found)

    @property
    def passed(self) -> bool:
        """Whether all bars are kept."""
        return all(verdict.passed for verdict in self.verdicts)


def _told(found: Opening, unit: str, scale: float) -> str:
    return (
        f"{found.before * scale:.1f} to {found.after * scale:.1f} {unit} "
        f"(model {found.model_before * scale:.1f} to {found.model_after * scale:.1f})"
    )


class SweptHead:
    """A head avatar's surface with all its pieces, ready to be posed, beside the head model that it was tracked by."""

    def __init__(self, avatar: HeadAvatar, prior: HeadPrior, resolution: int = 160) -> None:
        body = prior.body
        if len(body.skeleton) != len(avatar.skeleton) or _expressions(body) != avatar.model.sizes.expressions:
            raise InputError(
                f"The head model has {len(body.skeleton)} joints and {_expressions(body)} expressions, the avatar "
                f"{len(avatar.skeleton)} and {avatar.model.sizes.expressions}; give the one that it was fitted with."
            )
        if not avatar.model.rigged:
            raise InputError(
                "No one surface of this head is carried through its poses, so there is nothing to follow in a sweep; "
                "sweep a head whose canonical surface is deformed, such as one of the preset 'fast'."
            )
        self.avatar, self.body, self.prior = avatar, body, prior
        self.mesh = surface_mesh(avatar.model, resolution)
        self.canonical = Surface(self.mesh.vertices, self.mesh.faces)
        self.faces = prior.surface.faces
        self.centres = prior.canonical[self.faces].mean(1)

    @torch.no_grad()
    def posed(self, pose: SweepPose) -> Surface:
        """The avatar's surface in a pose, at the origin."""
        model = self.avatar.model
        values = pose.expression.to(model.joints), pose.rotation.to(model.joints)
        surface = model.posed(values[1][None], torch.zeros_like(model.joints[:1]), values[0][None])
        return Surface(surface.placed(self.mesh.vertices)[1][0], self.mesh.faces)

    def model_posed(self, pose: SweepPose) -> Surface:
        """The tracked model's surface in a pose, at the origin."""
        place = torch.zeros_like(self.body.joints[0])
        vertices = self.body.pose_vertices(pose.rotation.to(place), place, pose.expression.to(place))
        return Surface(vertices, self.body.faces)

    def torn_faces(self, posed: Surface, model: Surface) -> Bool[Tensor, "face"]:
        """Triangles that are drawn out long where the model's own surface is not."""
        torn = face_stretch(self.mesh.vertices, posed.vertices, self.mesh.faces)
        suspects = (torn > LONG).nonzero()[:, 0]
        own = face_stretch(self.prior.canonical, model.vertices, self.faces)
        centres = self.mesh.vertices[self.mesh.faces[suspects]].mean(1)
        found = torch.zeros_like(torn, dtype=torch.bool)
        found[suspects] = torn[suspects] > BEYOND_MODEL * stretch_around(centres, own, self.centres)
        return found

    def torn_views(self, posed: Surface, pose: SweepPose, size: int) -> list[TornPicture]:
        """What each view shows torn of the surface in a pose."""
        model = self.model_posed(pose)
        torn = self.torn_faces(posed, model)
        return [torn_picture(posed, torn, self.camera(view, size), model) for view in VIEWS]

    def camera(self, azimuth: float, size: int) -> Camera:
        """Looks at the middle of the head, unposed, from a direction about the vertical (0: from the front)."""
        middle = (self.body.vertices.amin(0) + self.body.vertices.amax(0)) / 2
        away = middle.new_tensor([math.sin(azimuth), 0.0, math.cos(azimuth)])
        up = middle.new_tensor([0.0, 1.0, 0.0])
        return look_at(middle + DISTANCE * away, middle, up, ANGLE, size, size)


def sweep_head(
    avatar: HeadAvatar, body: Body, count: int = 40, seed: int = 0, resolution: int = 160, size: int = 200
) -> Sweep:
    """Pose a head in `count` ways and measure its surface beside that of the head model that it was tracked by.

    `resolution` is the mesh's, `size` that of the pictures that are searched for tears (pixels). Raises InputError for
    another head model than the avatar's, and for heads without one surface that is deformed.
    """
    poses = sweep_poses(avatar.skeleton, avatar.expression_names, avatar.model.sizes.expressions, count, seed)
    return sweep(SweptHead(avatar, HeadPrior(body), resolution), poses, size)


def sweep(head: SweptHead, poses: tuple[SweepPose, ...], size: int = 200) -> Sweep:
    """Measure a head in some poses, and its mouth and eyes."""
    blinks = [name for name in ("eyeBlinkLeft", "eyeBlinkRight") if name in head.avatar.expression_names]
    rows = tuple(_row(head, pose, size) for pose in poses)
    eyes, eyeballs = tuple(lids(head, name) for name in blinks), tuple(eyeball(head, name) for name in blinks)
    return Sweep(rows, mouth_opening(head), eyes, eyeballs)


def _row(head: SweptHead, pose: SweepPose, size: int) -> SweepRow:
    posed = head.posed(pose)
    worst = max(head.torn_views(posed, pose, size), key=lambda picture: picture.share)
    floating = floating_share(posed.vertices, posed.faces)
    return SweepRow(pose, floating, worst.stretched, worst.backs, worst.holes, worst.gashes)


def mouth_opening(head: SweptHead) -> Opening:
    """Clear space between the lips at rest and with jawOpen in full (or the jaw turned, for heads without it)."""
    ends = lip_vertices(head.body)
    poses = _rest_and(head, "jawOpen")
    surfaces, models = [head.posed(pose) for pose in poses], [head.model_posed(pose) for pose in poses]
    found = [clear_between(surface, _carried(head, surface, ends)) for surface in surfaces]
    own = [clear_between(surface, surface.vertices[ends]) for surface in models]
    return Opening(poses[1].name, *found, *own)


def lids(head: SweptHead, action: str) -> Opening:
    """How far the lids are apart in the middle of the eye, at rest and with an action in full."""
    return _eyeball_seen(head, action, STRIP / 2, 1 / STRIP)


def eyeball(head: SweptHead, action: str) -> Opening:
    """Area of the eyeball that is seen from the front, at rest and with an action in full."""
    return _eyeball_seen(head, action, EYE, 1.0)


def _eyeball_seen(head: SweptHead, action: str, sideways: float, factor: float) -> Opening:
    body = head.body
    joint = body.skeleton.index("left_eye" if action.endswith("Left") else "right_eye")
    half = body.joints.new_tensor([sideways, EYE, EYE])
    corners = body.joints[joint] - half, body.joints[joint] + half
    of_surface, of_model = head.prior.at(head.mesh.vertices).weights[:, joint], body.skinning_weights[:, joint]
    poses = _rest_and(head, action)
    found = [factor * seen_area(head.posed(pose), of_surface, *corners) for pose in poses]
    own = [factor * seen_area(head.model_posed(pose), of_model, *corners) for pose in poses]
    return Opening(action, *found, *own)


def _rest_and(head: SweptHead, action: str) -> tuple[SweepPose, SweepPose]:
    """The head at rest, and with an action in full."""
    names, skeleton = head.avatar.expression_names, head.avatar.skeleton
    values, still = torch.zeros(head.avatar.model.sizes.expressions), torch.zeros(len(skeleton), 3)
    rest = SweepPose("rest", values, still)
    if action in names:
        full = values.clone()
        full[names.index(action)] = 1.0
        return rest, SweepPose(action, full, still)
    turned = still.clone()
    turned[skeleton.index("jaw"), 0] = JAW_TURN
    return rest, SweepPose("the jaw turned", values, turned)


def _carried(head: SweptHead, posed: Surface, vertices: Tensor) -> Float[Tensor, "point 3"]:
    """Where the surface points that are nearest to vertices of the model, in canonical space, have gone."""
    found = head.canonical.closest(head.prior.canonical[vertices])
    return posed.interpolate(posed.vertices, found.face, found.barycentric)


def _expressions(body: Body) -> int:
    return 0 if body.expression_basis is None else len(body.expression_basis)
