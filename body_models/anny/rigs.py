"""The Anny body's rigs by name: which of the package's 104 bones are merged into which joint."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from body_models.names import SMPL_SKELETON, SMPLH_SKELETON
from body_models.skeleton import Skeleton

RigName = Literal["compact", "hands", "full"]
_Merged = tuple[tuple[str, tuple[str, ...], str], ...]
"""Joint, the prefixes of the Anny bones merged into it, and the Anny bone whose head is its centre."""

_MIDLINE: _Merged = (
    ("pelvis", ("root", "pelvis", "spine05"), "root"),
    ("spine1", ("spine04", "spine03"), "spine04"),
    ("spine2", ("spine02",), "spine02"),
    ("spine3", ("spine01", "breast"), "spine01"),
    ("neck", ("neck",), "neck01"),
    ("head", ("head", "eye", "jaw"), "head"),
)
_SIDED: _Merged = (
    ("hip", ("upperleg01", "upperleg02"), "upperleg01"),
    ("knee", ("lowerleg01", "lowerleg02"), "lowerleg01"),
    ("ankle", ("foot",), "foot"),
    ("foot", ("toe",), "toe2-1"),
    ("collar", ("clavicle", "shoulder01"), "clavicle"),
    ("shoulder", ("upperarm01", "upperarm02"), "upperarm01"),
    ("elbow", ("lowerarm01", "lowerarm02"), "lowerarm01"),
)
_MITTENS: _Merged = (
    ("wrist", ("wrist", "metacarpal", "finger1"), "wrist"),
    ("hand", ("finger2", "finger3", "finger4", "finger5"), "finger3-1"),
)
_FINGERS: _Merged = (
    ("wrist", ("wrist", "metacarpal"), "wrist"),
    *(
        (f"{finger}{part}", (f"finger{number}-{part}",), f"finger{number}-{part}")
        for number, finger in enumerate(("thumb", "index", "middle", "ring", "pinky"), start=1)
        for part in (1, 2, 3)
    ),
)
_CANONICAL_DEGREES = {"hip": 14.0, "upperleg01": 14.0, "shoulder": 20.0, "upperarm01": 20.0}
"""Turns about Z that part the legs and lift the arms off the flanks, so that a canonical field keeps them apart."""


@dataclass(frozen=True)
class Rig:
    """A skeleton on Anny's bones."""

    skeleton: Skeleton
    members: tuple[tuple[int, ...], ...]
    """For each joint the Anny bones merged into it."""
    origins: tuple[int, ...]
    """For each joint the Anny bone whose head is its centre."""

    def merge(self, weights: Float[Tensor, "vertex anny"]) -> Float[Tensor, "vertex bone"]:
        """Skinning weights of the joints from those of Anny's bones; each vertex's sum to one."""
        merged = torch.stack([weights[:, list(members)].sum(1) for members in self.members], dim=1)
        return merged / merged.sum(1, keepdim=True)

    def canonical_pose(self) -> Float[Tensor, "bone 3"]:
        """Axis-angle (radians) of the canonical pose: the same turns of the same limbs on every rig."""
        pose = torch.zeros(len(self.skeleton), 3)
        for joint, name in enumerate(self.skeleton.joint_names):
            limb = name.removeprefix("left_").removeprefix("right_").removesuffix(".L").removesuffix(".R")
            sign = -1.0 if name.startswith("right_") or name.endswith(".R") else 1.0
            pose[joint, 2] = torch.deg2rad(torch.tensor(sign * _CANONICAL_DEGREES.get(limb, 0.0)))
        return pose


def build_rig(name: RigName, labels: tuple[str, ...], parents: tuple[int, ...]) -> Rig:
    """One of the rigs on Anny's bones with their names and parents."""
    if name == "full":
        each = range(len(labels))
        return Rig(Skeleton(labels, parents), tuple((bone,) for bone in each), tuple(each))
    skeleton, hands = (SMPL_SKELETON, _MITTENS) if name == "compact" else (SMPLH_SKELETON, _FINGERS)
    specs = {joint: (prefixes, origin, "") for joint, prefixes, origin in _MIDLINE}
    for side, suffix in (("left", ".L"), ("right", ".R")):
        for joint, prefixes, origin in (*_SIDED, *hands):
            specs[f"{side}_{joint}"] = (prefixes, origin + suffix, suffix)
    members, origins = [], []
    for joint in skeleton.joint_names:
        prefixes, origin, suffix = specs[joint]
        chosen = (i for i, label in enumerate(labels) if label.startswith(prefixes) and label.endswith(suffix))
        members.append(tuple(chosen))
        origins.append(labels.index(origin))
    missed = set(range(len(labels))).difference(*members)
    assert not missed, f"bones without a joint: {[labels[bone] for bone in missed]}"
    return Rig(skeleton, tuple(members), tuple(origins))
