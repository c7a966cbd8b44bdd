"""A depth picture of a person as a partial scan: pixels become points, neighbours at like depths a surface."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image, UnidentifiedImageError
from scipy.ndimage import label
from torch import Tensor
from torch.nn import functional

from body_models import InputError
from data_prep.camera import Camera
from data_prep.scans import Scan

STEP = 0.03
"""Neighbouring pixels whose depths differ by more lie on different surfaces (metres)."""
STEEPEST = 0.15
"""A triangle whose normal has a smaller cosine with the ray is a bridge between surfaces."""
LARGEST_SIDE = 480
"""Larger pictures are thinned to about so many pixels a side."""
MILLIMETRES = 50.0
"""A median depth beyond this cannot be metres."""
FEWEST = 1000
"""Fewer pixels than this show too little of a person."""
SPECK = 0.01
"""Surfaces with a smaller share of the pixels are noise."""
UPRIGHT = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
"""From a camera's axes (x right, y down, z forward) to Y up, +Z towards the camera."""


@dataclass(frozen=True)
class DepthPicture:
    """What a depth picture shows, as a scan in metres, Y up, and from where (metres)."""

    scan: Scan
    eye: Float[Tensor, "3"]
    normals: Float[Tensor, "vertex 3"] | None
    """Unit normals of a normal map at the scan's vertices, if one was given."""


def read_depth(source: Path, camera: Path, normals: Path | None = None) -> DepthPicture:
    """Read a depth picture (.npy: metres, or millimetres in integers; .png: 16 bit, millimetres) and its camera.

    Depths are along the optical axis; 0 and what is not finite is no person. The normal map (.npy or .png, of the same
    size) is in the camera's frame: x right, y up, z towards the camera, n / 2 + 1 / 2 in a .png. Raises InputError
    for files that cannot be read or do not go together, and for pictures with hardly any depths.
    """
    depth = _depth(source)
    view = read_camera(camera, *depth.shape)
    mapped = None if normals is None else _normal_map(normals, depth.shape)
    thin = slice(None, None, -(-max(depth.shape) // LARGEST_SIDE))
    origins, directions = (rays[thin, thin] for rays in view.rays())
    depth = depth[thin, thin]
    forward = view.camera_from_world[2, :3]
    points = origins + directions * (depth / (directions @ forward))[..., None]
    faces = _triangles(points.numpy(), depth.numpy(), view.center.numpy())
    if len(faces) < FEWEST:
        raise InputError(
            f"'{source}' shows too little: {len(faces)} triangles of one surface. Depths must be in metres (.npy) or "
            "millimetres (integers), 0 where there is no person, and the picture's person a few hundred pixels high."
        )
    used, numbers = np.unique(faces, return_inverse=True)
    scan = Scan(source.stem, points.reshape(-1, 3).numpy()[used].astype(np.float32), numbers.reshape(-1, 3))
    if mapped is not None:
        world_from_camera = torch.linalg.inv(view.camera_from_world)[:3, :3] @ UPRIGHT[:3, :3]
        own = mapped[thin, thin].reshape(-1, 3)[torch.from_numpy(used)]
        mapped = functional.normalize(own @ world_from_camera.T, dim=1)
    return DepthPicture(scan, view.center, mapped)


def read_camera(path: Path, height: int, width: int) -> Camera:
    """A camera from JSON: fx, fy, cx, cy or intrinsics (3 x 3), in pixels; camera_from_world (4 x 4) if known.

    Without it the world is the camera's own frame with Y up. Raises InputError for a file that is not this.
    """
    try:
        stored = json.loads(path.read_text("utf-8"))
        if "intrinsics" in stored:
            intrinsics = torch.tensor(stored["intrinsics"], dtype=torch.float32).reshape(3, 3)
        else:
            fx, fy, cx, cy = (float(stored[name]) for name in ("fx", "fy", "cx", "cy"))
            intrinsics = torch.tensor([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
        given = stored.get("camera_from_world")
        pose = UPRIGHT if given is None else torch.tensor(given, dtype=torch.float32).reshape(4, 4)
        sizes = [int(stored.get(name, size)) for name, size in (("height", height), ("width", width))]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, RecursionError) as error:
        raise InputError(
            f"'{path}' is no camera ({type(error).__name__}: {error}). Write it as JSON with fx, fy, cx and cy in "
            'pixels, such as {"fx": 525, "fy": 525, "cx": 320, "cy": 240}.'
        ) from error
    if sizes != [height, width]:
        raise InputError(
            f"'{path}' is of pictures of {sizes[1]} x {sizes[0]} pixels, but the depth picture has {width} x {height}."
        )
    return Camera(intrinsics, pose, width, height)


def _depth(path: Path) -> Float[Tensor, "height width"]:
    """Depths in metres, 0 where there is none."""
    values = _array(path, "depth")
    if values.ndim != 2 or min(values.shape) < 2:
        raise InputError(f"'{path}' has the shape {values.shape}; a depth picture has rows and columns only.")
    depth = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0).clip(min=0)
    whole = not np.issubdtype(values.dtype, np.floating)
    if whole or (depth.any() and float(np.median(depth[depth > 0])) > MILLIMETRES):
        depth = depth / 1000
    return torch.from_numpy(depth).float()


def _normal_map(path: Path, size: tuple[int, ...]) -> Float[Tensor, "height width 3"]:
    values = _array(path, "normal")
    if values.shape != (*size, 3):
        raise InputError(f"'{path}' has the shape {values.shape}; the depth picture needs normals of {(*size, 3)}.")
    normals = torch.from_numpy(np.nan_to_num(values.astype(np.float32)))
    return normals / 127.5 - 1 if values.dtype == np.uint8 else normals


def _array(path: Path, kind: str) -> Any:
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, allow_pickle=False)
        with Image.open(path) as image:
            return np.asarray(image)
    except (OSError, ValueError, EOFError, UnidentifiedImageError) as error:
        raise InputError(
            f"'{path}' cannot be read as a {kind} picture ({error}). Give an .npy or .png file."
        ) from error


def _triangles(
    points: Float[np.ndarray, "row column 3"], depth: Float[np.ndarray, "row column"], eye: Float[np.ndarray, "3"]
) -> Int[np.ndarray, "face 3"]:
    """Two triangles between four neighbouring pixels, unless depths jump there; facing the camera."""
    rows, columns = depth.shape
    kept = _larger_surfaces(depth)
    number = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
    faces = np.concatenate([np.stack(corners, -1).reshape(-1, 3) for corners in ((a, c, b), (b, c, d))])
    flat, flat_depth = points.reshape(-1, 3), depth.reshape(-1)
    faces = faces[kept.reshape(-1)[faces].all(1) & (np.ptp(flat_depth[faces], axis=1) < 2 * STEP)]
    first, second, third = (flat[faces[:, k]] for k in range(3))
    normals = np.cross(second - first, third - first)
    facing = (normals * (eye - first)).sum(1)
    lengths = np.linalg.norm(normals, axis=1) * np.linalg.norm(eye - first, axis=1)
    return faces[facing > STEEPEST * np.maximum(lengths, 1e-12)]


def _larger_surfaces(depth: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, "row column"]:
    """Pixels with a depth, but for specks."""
    pieces, count = label(depth > 0)
    sizes = np.bincount(pieces.reshape(-1), minlength=count + 1)
    sizes[0] = 0
    large = sizes >= SPECK * max(sizes.sum(), 1)
    return np.asarray(large[pieces])
