"""Write facial actions as CSV, as the phone's app "Live Link Face" does."""

from pathlib import Path

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from body_models.errors import InputError
from body_models.motion.arkit import ANGLES, JOINT_OF_PART
from body_models.motion.arkit_times import timecode
from body_models.motion.faces import match_expressions
from body_models.motion.motion import Motion
from body_models.motion.whole_files import write_whole
from body_models.names import ARKIT_EXPRESSIONS, HEAD_SKELETON


def write_arkit(path: str | Path, motion: Motion) -> None:
    """Write named actions and the turns of head and eyes as "Live Link Face" does; the file is complete or not there.

    Root and neck together are the head's turn; jaw turns and translation have no place in the format. Raises InputError
    for another skeleton, unnamed expressions, another suffix, or a folder that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path}: facial actions are written as .csv; change the file's suffix.")
    if motion.skeleton != HEAD_SKELETON or motion.expression is None or not motion.expression_names:
        raise InputError(
            f"Motion '{motion.name}' has no named facial actions of a head; write it as .npz instead of {path}."
        )
    actions = motion.expression @ match_expressions(motion.expression_names, ARKIT_EXPRESSIONS).to(motion.expression)
    values = torch.cat([actions, _angles_of(motion)], dim=1).tolist()
    names = [name[0].upper() + name[1:] for name in ARKIT_EXPRESSIONS]
    lines = [",".join(["Timecode", "BlendshapeCount", *names, *ANGLES])]
    for frame, row in enumerate(values):
        numbers = [f"{value:.8g}" for value in row]
        lines.append(",".join([timecode(frame / motion.frame_rate), str(len(row)), *numbers]))
    write_whole(path, "\n".join(lines) + "\n")


def _angles_of(motion: Motion) -> Float[Tensor, "frame angle"]:
    turns = [roma.rotvec_to_unitquat(motion.rotations[:, HEAD_SKELETON.index(joint)]) for joint in JOINT_OF_PART]
    turns[0] = roma.quat_product(roma.rotvec_to_unitquat(motion.rotations[:, 0]), turns[0])
    return torch.cat([roma.unitquat_to_euler("YXZ", turn) for turn in turns], dim=1)
