"""Measure where MediaPipe sees the face mesh's points beside their places on a head model, on synthetic heads.

    python scripts/calibrate_face_mesh.py --out data_prep/video/embeddings/anny-head.safetensors

Renders talking heads, detects, and solves for one offset of each point in the head's frame that explains the
detections best, with the true poses, expressions and cameras; left and right are made alike. The offsets are added to
the file. The people of the seeds used here must not be used to judge the tracker.
"""

from dataclasses import dataclass
from pathlib import Path

import roma
import torch
import tyro
from jaxtyping import Float
from torch import Tensor

from data_prep.synthetic_heads import TalkingHead, make_talking_head
from data_prep.video.detect import FaceDetector, join
from data_prep.video.face_mesh import face_mesh_landmarks, read_face_mesh, write_face_mesh
from data_prep.video.face_points import mirror_points
from data_prep.video.frame_source import Frame
from data_prep.video.quality import judge

NOISE, PRIOR = 0.02, 0.004
"""Spread of detections as a share of the distance of the outer eye corners; spread of offsets (metres)."""
OUTLIER = 0.06
INDEPENDENT = 40.0
"""Frames that count as one: the detector's errors repeat."""
RIGHT_CORNER, LEFT_CORNER = 33, 263
WORLD = torch.diag(torch.tensor([1.0, -1.0, -1.0]))


@dataclass(frozen=True)
class Options:
    """What to calibrate on."""

    out: Path
    seeds: tuple[int, ...] = (5, 6, 7, 8, 9)
    frames: int = 300


def main() -> None:
    """Solve for the offsets and add them to the file."""
    options = tyro.cli(Options, description=__doc__)
    matrix, pull = torch.zeros(478, 3, 3), torch.zeros(478, 3)
    for seed in options.seeds:
        head = make_talking_head(seed, options.frames)
        for total, part in zip((matrix, pull), evidence(head), strict=True):
            total += part
        print(f"seed {seed} done", flush=True)
    offsets = torch.linalg.solve(matrix + torch.eye(3) / PRIOR**2, pull[..., None])[..., 0]
    offsets = (offsets + offsets[list(mirror_points())] * torch.tensor([-1.0, 1.0, 1.0])) / 2
    lengths = 1000 * offsets.norm(dim=1)
    print(f"offsets: {float(lengths.mean()):.1f} mm on average, {float(lengths.max()):.1f} mm at most")
    model = head.model
    write_face_mesh(read_face_mesh(options.out, model), model, options.out, offsets)


def evidence(head: TalkingHead) -> tuple[Float[Tensor, "478 3 3"], Float[Tensor, "478 3"]]:
    """Normal equations of the offsets from one video."""
    with FaceDetector() as detector:
        rows = [detector(Frame(i, i, i / head.frame_rate, head.picture(i).rgb)) for i in range(len(head))]
    detections = join(rows)
    weights = torch.from_numpy(judge(detections, head.camera.width, head.camera.height).landmark_weights)
    seen = torch.from_numpy(detections.landmarks).float()
    vertices = head.person.head.pose_vertices(head.poses, head.translations, head.expressions)
    points = face_mesh_landmarks(head.model).on(vertices)
    pixels, depth = head.camera.project(points)
    focal = head.intrinsics[0, 0]
    center = (pixels - head.intrinsics[:2, 2]) / focal
    by_camera = torch.stack(
        [
            torch.stack([focal / depth, torch.zeros_like(depth), -focal * center[..., 0] / depth], -1),
            torch.stack([torch.zeros_like(depth), focal / depth, -focal * center[..., 1] / depth], -1),
        ],
        -2,
    )
    by_offset = by_camera @ (WORLD @ roma.rotvec_to_rotmat(head.poses[:, 0]))[:, None]
    eyes = (pixels[:, RIGHT_CORNER] - pixels[:, LEFT_CORNER]).norm(dim=-1)[:, None]
    gap = torch.where(seen.isfinite(), seen - pixels, 0.0)
    fade = 1 / (1 + (gap.norm(dim=-1) / eyes / OUTLIER) ** 2) ** 2
    trust = weights * fade / (NOISE * eyes) ** 2 / INDEPENDENT
    matrix = torch.einsum("fl,flai,flaj->lij", trust, by_offset, by_offset)
    return matrix, torch.einsum("fl,flai,fla->li", trust, by_offset, gap)


if __name__ == "__main__":
    main()
