"""Where MediaPipe's 33 keypoints lie on a body: a table by names of joints and landmarks."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.model import BodyModel
from data_prep.body_video.detections import KEYPOINTS

_Anchors = dict[str, float]

_LEFT: dict[str, tuple[str, _Anchors, tuple[float, float, float]]] = {
    "eye_inner": ("head", {"left_eye": 1.0}, (-0.0145, -0.009, 0.001)),
    "eye": ("head", {"left_eye": 1.0}, (-0.004, -0.007, -0.005)),
    "eye_outer": ("head", {"left_eye": 1.0}, (0.0065, -0.006, -0.0135)),
    "ear": ("head", {"left_ear": 1.0}, (-0.034, -0.0035, 0.039)),
    "mouth": ("head", {"nose": 1.0}, (0.0195, -0.031, -0.023)),
    "shoulder": ("left_collar", {"joint left_shoulder": 1.0}, (-0.008, 0.021, 0.007)),
    "elbow": ("left_shoulder", {"joint left_elbow": 0.9, "joint left_shoulder": 0.1}, (0.0, 0.0, 0.0)),
    "wrist": ("left_elbow", {"joint left_wrist": 0.95, "left_middle": 0.05}, (0.0, 0.0, 0.0)),
    "pinky": ("left_wrist", {"joint left_wrist": 0.45, "left_pinky": 0.35, "left_index": 0.2}, (0.0, 0.0, 0.0)),
    "index": ("left_wrist", {"joint left_wrist": 0.49, "left_index": 0.51}, (0.0, 0.0, 0.0)),
    "thumb": ("left_wrist", {"joint left_wrist": 0.5, "left_thumb": 0.3, "left_index": 0.2}, (0.0, 0.0, 0.0)),
    "hip": ("pelvis", {"joint left_hip": 1.0}, (-0.0135, 0.0085, 0.037)),
    "knee": ("left_hip", {"joint left_knee": 1.0}, (0.0, -0.004, -0.002)),
    "ankle": ("left_knee", {"joint left_ankle": 1.0}, (0.0, 0.024, 0.008)),
    "heel": ("left_ankle", {"left_heel": 1.0}, (-0.004, 0.0, 0.024)),
    "foot_index": ("left_foot", {"left_big_toe": 0.7, "left_small_toe": 0.3}, (0.0, 0.0, 0.0)),
}
"""Bone, anchors with their shares, and offset in the rest pose (metres) of each keypoint of the left side.

Measured: Anny bodies of several identities rendered in standing, striding and squatting poses from three sides, what
MediaPipe saw triangulated in each bone's frame; it lies within 1 cm (hips, knees and feet 1.5 cm) of the table.
"""
_NOSE = ("head", {"nose": 1.0}, (0.0, 0.0, -0.005))


@dataclass(frozen=True)
class BodyMarkers:
    """The keypoints as points of a body model at rest, each fixed to one bone (metres)."""

    template: Float[Tensor, "33 3"]
    basis: Float[Tensor, "shape 33 3"]
    """Displacement of one standard deviation of each beta."""
    bones: tuple[int, ...]
    weights: Float[Tensor, "33 bone"]

    def rest(self, betas: Float[Tensor, "shape"]) -> Float[Tensor, "33 3"]:
        """Rest positions of one identity."""
        return self.template + torch.einsum("s,spx->px", betas, self.basis[: len(betas)])

    def posed(
        self, betas: Float[Tensor, "shape"], transforms: Float[Tensor, "*batch bone 4 4"]
    ) -> Float[Tensor, "*batch 33 3"]:
        """Positions on a posed body, from the bones' rest-to-posed transforms (`Body.posed_from_rest`)."""
        carried = transforms[..., list(self.bones), :3, :]
        return (carried[..., :3] @ self.rest(betas)[..., None])[..., 0] + carried[..., 3]


def body_markers(model: BodyModel) -> BodyMarkers:
    """The keypoints on a model with SMPL's joint names; raises InputError for others (heads, Anny's full rig)."""
    rows = [_entry(name) for name in KEYPOINTS]
    _check(model, rows)
    template = torch.stack([_point(model.template, model.template_joints, model, row) for row in rows])
    offsets = torch.tensor([row[2] for row in rows]).to(template)
    shapes = zip(model.shape_basis, model.shape_basis_joints, strict=True)
    basis = [torch.stack([_point(v, j, model, row) for row in rows]) for v, j in shapes]
    bones = tuple(model.skeleton.index(row[0]) for row in rows)
    weights = torch.nn.functional.one_hot(torch.tensor(bones), len(model.skeleton)).to(template)
    return BodyMarkers(template + offsets, torch.stack(basis), bones, weights)


def _entry(name: str) -> tuple[str, _Anchors, tuple[float, float, float]]:
    """Bone, anchors and offset of a keypoint; the right side mirrors the left."""
    if name == "nose":
        return _NOSE
    bone, anchors, (x, y, z) = _LEFT[name.replace("left", "").replace("right", "").strip("_")]
    if "left" in name:
        return bone, anchors, (x, y, z)
    swapped = {anchor.replace("left_", "right_"): share for anchor, share in anchors.items()}
    return bone.replace("left_", "right_"), swapped, (-x, y, z)


def _point(
    vertices: Float[Tensor, "vertex 3"],
    joints: Float[Tensor, "bone 3"],
    model: BodyModel,
    row: tuple[str, _Anchors, tuple[float, float, float]],
) -> Float[Tensor, "3"]:
    """The anchors' weighted mean, of positions or of displacements."""
    assert model.landmarks is not None
    total = joints.new_zeros(3)
    for anchor, share in row[1].items():
        if anchor.startswith("joint "):
            total = total + share * joints[model.skeleton.index(anchor.removeprefix("joint "))]
            continue
        landmark = model.landmarks.names.index(anchor)
        corners = vertices[model.landmarks.corners[landmark]]
        total = total + share * (corners * model.landmarks.weights[landmark][:, None]).sum(0)
    return total


def _check(model: BodyModel, rows: list[tuple[str, _Anchors, tuple[float, float, float]]]) -> None:
    joints = {row[0] for row in rows} | {a.removeprefix("joint ") for row in rows for a in row[1] if " " in a}
    landmarks = {anchor for row in rows for anchor in row[1] if " " not in anchor}
    known = set() if model.landmarks is None else set(model.landmarks.names)
    missing = sorted(joints - set(model.skeleton.joint_names)) + sorted(landmarks - known)
    if missing:
        raise InputError(
            f"The model {model.name} has no {', '.join(missing[:4])}{', ...' if len(missing) > 4 else ''}: it cannot "
            "follow a whole body in a video. Use `--model anny` (or anny-hands, smpl, smplh, smplx)."
        )
