"""Three synthetic scans with their poses, and a preset that fits a coarse avatar to them in a second or two."""

import dataclasses
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch

from avatars.fields.occupancy import GridOccupancy
from avatars.fit.options import FitOptions
from avatars.fit.pools import PointPools, build_pools
from avatars.fit.scan_method import PosedSnarf, ScanMethod
from avatars.models import SnarfOptions
from body_models import load_anny
from data_prep.scans import Scan
from data_prep.synthetic import SyntheticOptions, write_sequence
from tests.avatars.small_body import OPTIONS, small_body, small_poses, small_snarf

ROOT = Path(__file__).resolve().parents[3]
PRESET = """
steps: 20
pool: 4000
points: 300
rates: {features: 1.0e-2}
snarf: {base_spacing: 0.03, weight_spacing: 0.06, feature_spacings: [0.12]}
colours: {samples: 30000, spacing: 0.02, part_spacing: 0.01}
"""


def write_scans(folder: Path) -> Path:
    """The folder with `train/`, `test/` (each with `poses.npz`) and `tiny.yaml`."""
    write_sequence(folder, load_anny(), SyntheticOptions(train_frames=3, test_frames=1))
    (folder / "tiny.yaml").write_text(PRESET)
    return folder


def body_scans() -> list[Scan]:
    """The free body itself in three poses, as scans."""
    faces = small_body().faces.numpy()
    return [
        Scan(f"scan_{number}", small_body().pose_vertices(pose, torch.zeros(3)).numpy(), faces)
        for number, pose in enumerate(small_poses(3, scale=0.1))
    ]


@cache
def body_pools(soft: bool = True) -> PointPools:
    """A few points of each of those scans."""
    return build_pools(body_scans(), FitOptions(pool=3000, soft_labels=soft, snarf=OPTIONS), seed=0)


def body_method(options: FitOptions, exact_poses: bool, off: float = 0.0, pose_noise: float = 0.0) -> ScanMethod:
    """A coarse model of the body on those scans; `off` moves its surface (logits), `pose_noise` its poses (radians)."""
    poses = small_poses(3, scale=0.1)
    noise = pose_noise * torch.randn(poses.shape, generator=torch.Generator().manual_seed(5))
    snarf = small_snarf()
    with torch.no_grad():
        assert isinstance(snarf.occupancy, GridOccupancy)
        snarf.occupancy.base.add_(off)
    module = PosedSnarf(snarf, poses + noise, torch.zeros(3, 3)).train()
    return ScanMethod(module, small_body(), body_pools(), options, exact_poses)


def small_options(snarf: SnarfOptions = OPTIONS, **settings: Any) -> FitOptions:
    """Options for a handful of steps on those scans."""
    return dataclasses.replace(FitOptions(steps=12, points=300, pool=3000, snarf=snarf), **settings)


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program of its own; its arguments arrive as the list `arguments`."""
    program = f"import json, sys\narguments = json.loads(sys.argv[1])\n{code}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, json.dumps([str(argument) for argument in arguments])]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
