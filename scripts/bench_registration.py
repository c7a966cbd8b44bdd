"""Measure registration on the clothed person with known joints: `python scripts/bench_registration.py DATA_FOLDER`.

The folder holds `pose_*.ply` and `gt_pose.npz` (`joint_names`, `joint_pos` in metres). Prints Markdown tables. The two
rigs define joints differently: each one's mean offset in its bone's frame is taken off before errors count.
"""

import argparse
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from body_models import load_anny
from data_prep.registration import Registration, register, register_to_body
from data_prep.scans import Scan, load_scans

HELD_OUT = (4, 7, 9, 11)
LIMBS = {
    "shoulder": "Arm",
    "elbow": "ForeArm",
    "wrist": "Hand",
    "hip": "UpLeg",
    "knee": "Leg",
    "ankle": "Foot",
}


def main() -> None:
    """Register all scans together, then the held-out ones to the body fitted without them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    scans = load_scans(str(arguments.folder / "pose_*.ply")).scans
    truth = np.load(arguments.folder / "gt_pose.npz")
    model = load_anny()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, ", end="")
    print(f"seed {arguments.seed}\n")
    print(f"## All {len(scans)} scans in one call\n")
    started = time.perf_counter()
    together = register(model, scans, seed=arguments.seed)
    report(together, scans, truth, time.perf_counter() - started)
    print("\n## Held-out scans, to the body fitted to the others\n")
    training = register(model, [s for k, s in enumerate(scans) if k not in HELD_OUT], seed=arguments.seed)
    started = time.perf_counter()
    held_out = register_to_body(training.body, [scans[k] for k in HELD_OUT], seed=arguments.seed)
    report(held_out, scans, truth, time.perf_counter() - started)


def report(found: Registration, scans: list[Scan], truth: np.lib.npyio.NpzFile, seconds: float) -> None:
    """Print residual, joint errors and swaps for every scan."""
    names = [scan.name for scan in scans]
    target = torch.tensor(truth["joint_pos"]).float()[[names.index(name) for name in found.names]]
    target = target[:, [list(truth["joint_names"]).index(name) for name in limb_names(*LIMBS.values())]]
    transforms = found.body.posed_from_rest(found.poses, found.translations)
    limbs = [found.body.skeleton.index(f"{side}_{name}") for side in ("left", "right") for name in LIMBS]
    rotation = transforms[:, limbs, :3, :3]
    joints = (rotation @ found.body.joints[limbs, :, None])[..., 0] + transforms[:, limbs, :3, 3]
    local = (rotation.mT @ (target - joints)[..., None])[..., 0]
    error = 1000 * (local - local.mean(0)).norm(dim=-1)
    print("| scan | residual mm | mean joint error mm | worst joint mm | swapped |\n|---|---|---|---|---|")
    for k, name in enumerate(found.names):
        swaps = ", ".join(swapped(joints[k], target[k])) or "no"
        row = f"{found.residuals_mm[k]:.1f} | {error[k].mean():.1f} | {error[k].max():.1f}"
        print(f"| {name} | {row} | {swaps} |")
    print(f"| mean | {found.residuals_mm.mean():.1f} | {error.mean():.1f} | {error.max():.1f} | |")
    print(f"\n{seconds:.1f} s in all, {seconds / len(found.names):.1f} s a scan. Left out: {found.failed or 'none'}")


def limb_names(*parts: str) -> list[str]:
    """The ground truth's names of the limb joints, left ones first."""
    return [side + part for side in ("Left", "Right") for part in parts]


def swapped(joints: Float[Tensor, "limb 3"], target: Float[Tensor, "limb 3"]) -> list[str]:
    """Which of left/right and front/back are the wrong way round (limb joints, left ones first)."""
    half = len(joints) // 2
    exchanged = torch.cat([target[half:], target[:half]])
    found = []
    if (joints - exchanged).norm(dim=-1).mean() < (joints - target).norm(dim=-1).mean():
        found.append("left/right")
    if (facing(joints) * facing(target)).sum() < 0:
        found.append("front/back")
    return found


def facing(joints: Float[Tensor, "limb 3"]) -> Float[Tensor, "3"]:
    """The chest's direction: across the shoulders, then up from the hips."""
    half = len(joints) // 2
    (left_shoulder, left_hip), (right_shoulder, right_hip) = joints[[0, 3]], joints[[half, half + 3]]
    across, upwards = left_shoulder - right_shoulder, left_shoulder + right_shoulder - left_hip - right_hip
    return torch.nn.functional.normalize(torch.linalg.cross(across, upwards), dim=0)


if __name__ == "__main__":
    main()
