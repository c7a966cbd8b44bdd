"""Write BVH files."""

import logging
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.motion.motion import Motion
from body_models.motion.whole_files import write_whole
from body_models.skeleton import Skeleton

_log = logging.getLogger(__name__)

_UNITS_A_METRE = {"m": 1.0, "dm": 10.0, "cm": 100.0, "mm": 1000.0}
_ORDERS = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")
_SHORTEST_END = 0.02
"""Length of an end site (metres) behind a joint that has no bone to take it from."""


def write_bvh(path: str | Path, motion: Motion, euler: str = "ZXY", unit: str = "cm") -> None:
    """Write a motion of any skeleton (Y up, facing +Z), rotations in one Euler order, `unit` m, dm, cm or mm.

    The root stands at the origin of the hierarchy and its channels say where it is, since programs disagree on whether
    to add the two. Expressions have no place in BVH and are left out with a warning. The file is complete or not there.
    Raises InputError for an order or unit that is not known, and for a place that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".bvh":
        raise InputError(f"{path}: BVH files end in .bvh; change the file's suffix.")
    if euler not in _ORDERS or unit not in _UNITS_A_METRE:
        raise InputError(
            f"{path}: cannot write Euler order '{euler}' in '{unit}'. Orders: {', '.join(_ORDERS)}; units: "
            f"{', '.join(_UNITS_A_METRE)}."
        )
    names = _plain_names(path, motion.skeleton)
    scale = _UNITS_A_METRE[unit]
    order = _depth_first(motion.skeleton)
    text = _hierarchy(motion, names, scale, euler) + _frames(motion, order, scale, euler)
    write_whole(path, text)
    if motion.expression is not None:
        count = motion.expression.shape[1]
        _log.warning("%s: a BVH file holds no expression; the clip's %d parameters are not in it.", path, count)


def _plain_names(path: Path, skeleton: Skeleton) -> list[str]:
    """Names without blanks and braces, which would end a name."""
    names = ["".join("_" if c.isspace() or c in "{}" else c for c in name) for name in skeleton.joint_names]
    twice = sorted({name for name in names if names.count(name) > 1 or not name})
    if twice:
        raise InputError(f"{path}: joint names must differ and not be empty; rename {', '.join(map(repr, twice))}.")
    return names


def _depth_first(skeleton: Skeleton) -> list[int]:
    order, stack = [], [0]
    while stack:
        order.append(stack.pop())
        stack.extend(reversed(skeleton.children(order[-1])))
    return order


def _hierarchy(motion: Motion, names: list[str], scale: float, euler: str) -> str:
    lines = ["HIERARCHY"]
    rest, skeleton = motion.rest_joints.double(), motion.skeleton
    rotations = " ".join(f"{axis}rotation" for axis in euler)

    def add(joint: int, depth: int) -> None:
        pad, parent = "\t" * depth, skeleton.parents[joint]
        offset = rest[joint] - rest[max(parent, 0)]
        places = "Xposition Yposition Zposition " if parent < 0 else ""
        lines.append(f"{pad}{'ROOT' if parent < 0 else 'JOINT'} {names[joint]}")
        lines.append(f"{pad}{{")
        lines.append(f"{pad}\tOFFSET {_row(scale * offset)}")
        lines.append(f"{pad}\tCHANNELS {6 if places else 3} {places}{rotations}")
        for child in skeleton.children(joint):
            add(child, depth + 1)
        if not skeleton.children(joint):
            end = _row(scale * _end_site(offset))
            lines.extend([f"{pad}\tEnd Site", f"{pad}\t{{", f"{pad}\t\tOFFSET {end}", f"{pad}\t}}"])
        lines.append(f"{pad}}}")

    add(0, 0)
    return "\n".join(lines) + "\n"


def _end_site(offset: Float[Tensor, "3"]) -> Float[Tensor, "3"]:
    """Half of the last bone again, or a short piece upwards."""
    return offset / 2 if offset.norm() > _SHORTEST_END else offset.new_tensor([0.0, _SHORTEST_END, 0.0])


def _frames(motion: Motion, order: list[int], scale: float, euler: str) -> str:
    rotations = roma.rotvec_to_unitquat(motion.rotations.detach().cpu().double()[:, order])
    angles = torch.stack(roma.unitquat_to_euler(euler, rotations, as_tuple=True, degrees=True), dim=-1)
    steady = np.unwrap(angles.numpy(), period=360.0, axis=0)
    places = scale * (motion.translations + motion.rest_joints[0]).detach().cpu().double().numpy()
    table = np.concatenate([places, steady.reshape(len(places), -1)], axis=1)
    rows = [" ".join(f"{value:.6f}" for value in row) for row in table]
    return "\n".join(["MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / motion.frame_rate:.9f}", *rows]) + "\n"


def _row(values: Float[Tensor, "3"]) -> str:
    return " ".join(f"{value:.6f}" for value in values.tolist())
