"""ARKit facial actions as CSV, the format of the phone capture apps.

Angles of head and eyes come as yaw, pitch and roll. Signs follow from ARKit's face frame, which is ours (x to the
person's left, y up, z ahead), by way of Unreal's, for a capture that is not mirrored: yaw turns about +y (to the
person's left), pitch about +x (down), roll about +z, roll first. The unit is documented nowhere: importers in use take
radians, and so do we, or degrees where a number exceeds a full turn. An early Unreal plugin wrote half turns (-1 to 1);
such files look like small radians and turn the head too little.
"""

import difflib
import logging
import math
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float

from body_models.errors import InputError
from body_models.motion.arkit_table import Table, whole_table, without_lost_frames
from body_models.motion.arkit_times import at_steady_rate, frame_times
from body_models.motion.faces import match_expressions, unmatched_expressions
from body_models.motion.head_tracks import head_joints
from body_models.motion.motion import Motion
from body_models.motion.npz_files import SAY_RATE
from body_models.names import ARKIT_EXPRESSIONS, HEAD_SKELETON

_log = logging.getLogger(__name__)

ANGLES = tuple(f"{part}{turn}" for part in ("Head", "LeftEye", "RightEye") for turn in ("Yaw", "Pitch", "Roll"))
"""Columns of angles, after those of the actions."""
JOINT_OF_PART = ("neck", "left_eye", "right_eye")
"""Which joint of a head turns by each three of them."""
_OPTIONAL = ("tongueOut",)
"""Left out by older phones."""


def load_arkit(path: str | Path, frame_rate: float | None = None) -> Motion:
    """Read the 52 facial actions and the turns of head and eyes as a head's motion at a steady rate.

    Understands the CSV of "Live Link Face", the text of "Face Cap" (actions only) and any table (comma, semicolon,
    tab) with ARKit's names in any order and spelling. Times are timecodes, seconds or milliseconds; `frame_rate`
    replaces the rate found in them, and a file without times is taken at it. Frames where the face was lost are filled
    in between. Raises InputError with the line or column.
    """
    path = Path(path)
    if frame_rate is not None and not 0 < frame_rate < math.inf:
        raise InputError(f"{path}: a frame rate of {frame_rate} is not possible; give a number above zero.")
    table = whole_table(path)
    matrix = _action_matrix(table)
    table = without_lost_frames(table)
    columns = torch.nonzero(matrix.any(1))[:, 0].tolist()
    actions = table.numbers(columns) @ matrix[columns].double().numpy()
    angles = np.unwrap(_angle_values(table), axis=0)
    values = np.concatenate([actions, angles], axis=1)
    times = frame_times(table)
    if times is None:
        if frame_rate is None:
            raise InputError(f"{path}: no column of times. Say the rate: {SAY_RATE}.")
        rate = frame_rate
    else:
        values, rate = at_steady_rate(table, times, values, frame_rate)
    steady = torch.from_numpy(values)
    rotations = torch.zeros(len(steady), len(HEAD_SKELETON), 3)
    for part, joint in enumerate(JOINT_OF_PART):
        start = len(ARKIT_EXPRESSIONS) + 3 * part
        turn = roma.euler_to_rotvec("YXZ", steady[:, start : start + 3])
        rotations[:, HEAD_SKELETON.index(joint)] = turn.float()
    return Motion(
        name=path.stem,
        skeleton=HEAD_SKELETON,
        rest_joints=head_joints(),
        rotations=rotations,
        translations=torch.zeros(len(steady), 3),
        frame_rate=rate,
        expression=steady[:, : len(ARKIT_EXPRESSIONS)].float(),
        expression_names=ARKIT_EXPRESSIONS,
    )


def _action_matrix(table: Table) -> Float[torch.Tensor, "column action"]:
    """What each column adds to each action; raises InputError for a header that is not one of facial actions."""
    matrix = match_expressions(table.columns, ARKIT_EXPRESSIONS)
    found = dict(zip(ARKIT_EXPRESSIONS, matrix.any(0).tolist(), strict=True))
    missing = [name for name, there in found.items() if not there and name not in _OPTIONAL]
    if missing:
        raise InputError(_missing_text(table, missing))
    doubled = [name for name, total in zip(ARKIT_EXPRESSIONS, matrix.sum(0).tolist(), strict=True) if total > 1]
    if doubled:
        raise InputError(f"{table.path}: more than one column for {', '.join(doubled)}; delete all but one of each.")
    return matrix


def _missing_text(table: Table, missing: list[str]) -> str:
    if len(missing) > len(ARKIT_EXPRESSIONS) // 2:
        seen = ", ".join(table.columns[:6])
        return (
            f"{table.path}: not a CSV of facial actions: {len(missing)} of the 52 columns (eyeBlinkLeft, jawOpen, ...) "
            f"are missing from its first line: {seen[:120]}."
        )
    unused = {column.lower(): column for column in unmatched_expressions(table.columns, ARKIT_EXPRESSIONS)}
    hints = []
    for name in missing:
        near = difflib.get_close_matches(name.lower(), unused, n=1, cutoff=0.75)
        hints.append(f"{name} (is '{unused[near[0]]}' meant for it?)" if near else name)
    return f"{table.path}: no column for {', '.join(hints)}. Rename the columns, or add them with zeros."


def _angle_values(table: Table) -> Float[np.ndarray, "row angle"]:
    """Yaw, pitch and roll of head and both eyes in radians; zero where the file has none."""
    columns = [table.find(name.lower()) for name in ANGLES]
    angles = np.zeros((len(table.rows), len(ANGLES)))
    there = [place for place, column in enumerate(columns) if column is not None]
    angles[:, there] = table.numbers([column for column in columns if column is not None])
    if np.abs(angles).max() > 2 * math.pi:
        _log.info("%s: angles of head and eyes are taken as degrees.", table.path)
        return np.deg2rad(angles)
    return angles
