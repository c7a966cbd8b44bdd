"""What the person's mask says about their shape: how far the body's outline must move to meet the mask's."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import roma
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import map_coordinates
from torch import Tensor

from body_models.model import BodyModel
from body_models.skeleton import posed_from_rest
from data_prep.body_video.camera import project, projection_jacobian
from data_prep.camera import Camera
from data_prep.registration.kinematics import shape_jacobian
from data_prep.registration.solve import geman_mcclure
from data_prep.surface import Surface

MaskOf = Callable[[int], Float[np.ndarray, "height width"] | None]
"""Mask of a frame by its number, at any resolution of the whole picture; None where there is none."""

FRAMES = 16
"""Frames whose masks are compared."""
SPREAD = 0.012
"""Usual distance of the body's outline from the mask's, in heights of the person; fades from four times that on."""
REACH = 0.06
"""Farthest that the mask's outline is looked for, in heights of the person."""
FRAME_WEIGHT = 20.0
"""What one frame's outline counts, in keypoints."""
CLOTHED = 0.4
"""Weight of a mask that lies outside the body, which may be clothes, against one that lies inside."""
_POINTS = 300
_SIDE = 320
_BARE_PARTS = ("head", "wrist", "hand", "ankle", "foot", "thumb", "index", "middle", "ring", "pinky", "jaw", "eye")
"""Hair, fingers and shoes are not in the body's shape."""


@dataclass(frozen=True)
class ShapeTerm:
    """Quadratic cost of betas, `|matrix^(1/2) (betas - at)|^2 / 2 - pull (betas - at)`."""

    matrix: Float[Tensor, "shape shape"]
    pull: Float[Tensor, "shape"]
    at: Float[Tensor, "shape"]

    @staticmethod
    def none(betas: Float[Tensor, "shape"]) -> "ShapeTerm":
        """No opinion."""
        return ShapeTerm(betas.new_zeros(len(betas), len(betas)), torch.zeros_like(betas), torch.zeros_like(betas))

    def energy(self, betas: Float[Tensor, "shape"]) -> Float[Tensor, ""]:
        """The cost."""
        away = betas - self.at
        return 0.5 * away @ self.matrix @ away - self.pull @ away

    def gradient(self, betas: Float[Tensor, "shape"]) -> Float[Tensor, "shape"]:
        """Derivative of the cost."""
        return self.matrix @ (betas - self.at) - self.pull


@dataclass(frozen=True)
class Silhouettes:
    """Masks of some frames, binary, and the size of the source frames (pixels)."""

    rows: tuple[int, ...]
    """Which of the fitted frames."""
    masks: tuple[Float[np.ndarray, "height width"], ...]
    width: int
    height: int

    @staticmethod
    def gathered(mask_of: MaskOf, frames: Int[np.ndarray, "fitted"], width: int, height: int) -> "Silhouettes":
        """Masks of frames spread evenly over those that are fitted; those without a person are left out."""
        chosen = np.unique(np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).round().astype(int))
        found = [(int(row), mask) for row in chosen if (mask := mask_of(int(frames[row]))) is not None]
        kept = [(row, mask.astype(np.float32)) for row, mask in found if 0.005 < float((mask > 0.5).mean()) < 0.9]
        return Silhouettes(tuple(row for row, _ in kept), tuple(mask for _, mask in kept), width, height)

    def term(
        self,
        model: BodyModel,
        rotations: Float[Tensor, "frame bone 3 3"],
        translation: Float[Tensor, "frame 3"],
        betas: Float[Tensor, "shape"],
        intrinsics: Float[Tensor, "3 3"],
        heights: Float[Tensor, "frame"],
    ) -> ShapeTerm:
        """Linearise about a guess (model in double precision); it counts for all fitted frames."""
        body = model.body(betas)
        term = ShapeTerm.none(betas)
        matrix, pull = term.matrix, term.pull
        for row, mask in zip(self.rows, self.masks, strict=True):
            transforms = posed_from_rest(rotations[row], translation[row], body.joints, model.skeleton.parents)
            vertices = body.pose_vertices(roma.rotmat_to_rotvec(rotations[row]), translation[row])
            view = _View(intrinsics, self.width, self.height, float(heights[row]))
            picked, pixels, normals = _outline(model, vertices, view)
            if len(picked) == 0:
                continue
            gaps, met = _gaps(mask, pixels, normals, view)
            by_shape = _shape_rows(model, picked, transforms, len(betas))
            rows = (normals[:, None] @ projection_jacobian(vertices[picked], intrinsics) @ by_shape)[:, 0]
            unit = SPREAD * view.person
            weights = torch.where(gaps > 0, CLOTHED, 1.0) * geman_mcclure((gaps / unit) ** 2, 4.0) * met
            weights = weights * (FRAME_WEIGHT / len(picked) * len(rotations) / len(self.rows) / unit**2)
            matrix = matrix + rows.mT @ (weights[:, None] * rows)
            pull = pull + rows.mT @ (weights * gaps)
        return ShapeTerm(matrix, pull, betas)


@dataclass(frozen=True)
class _View:
    intrinsics: Float[Tensor, "3 3"]
    width: int
    height: int
    person: float
    """Height of the person (pixels)."""


def _outline(
    model: BodyModel, vertices: Float[Tensor, "vertex 3"], view: _View
) -> tuple[Int[Tensor, "point"], Float[Tensor, "point 2"], Float[Tensor, "point 2"]]:
    """Vertices on the outline of the whole body, their pixels and outward normals in the picture."""
    surface = Surface(vertices.float(), model.faces)
    normals = surface.vertex_normals.double()
    toward = torch.nn.functional.normalize(vertices, dim=-1)
    flat = torch.nn.functional.normalize(normals[:, :2] * normals.new_tensor([1.0, -1.0]), dim=-1)
    pixels = project(vertices, view.intrinsics)
    step = 0.012 * view.person
    covered = _covered(surface, view)
    grazing = ((normals * toward).sum(-1).abs() < 0.3) & _clothed(model)
    edge = grazing & ~covered(pixels + step * flat) & covered(pixels - step * flat)
    inside = ((pixels > 0.02 * view.width) & (pixels < pixels.new_tensor([0.98 * view.width, 0.98 * view.height]))).all(
        -1
    )
    picked = (edge & inside).nonzero()[:, 0]
    picked = picked[:: max(1, -(-len(picked) // _POINTS))]
    return picked, pixels[picked], flat[picked]


def _clothed(model: BodyModel) -> Bool[Tensor, "vertex"]:
    names = model.skeleton.joint_names
    bare = [i for i, name in enumerate(names) if name.split("_")[-1].rstrip("123") in _BARE_PARTS]
    return model.skinning_weights[:, bare].sum(1) < 0.3


def _covered(surface: Surface, view: _View) -> Callable[[Tensor], Bool[Tensor, "point"]]:
    """Whether the body covers pixels, from a small picture of it."""
    scale = _SIDE / max(view.width, view.height)
    world = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    camera = Camera(view.intrinsics.float(), world, view.width, view.height)
    small = camera.resized(max(1, round(view.width * scale)), max(1, round(view.height * scale)))
    origins, directions = small.rays()
    hit = surface.cast(origins.reshape(-1, 3), directions.reshape(-1, 3)).face >= 0
    picture = hit.reshape(small.height, small.width)
    ratio = torch.tensor([small.width / view.width, small.height / view.height], dtype=torch.float64)

    def covered(pixels: Float[Tensor, "point 2"]) -> Bool[Tensor, "point"]:
        column, row = (pixels * ratio).floor().long().unbind(-1)
        known = (column >= 0) & (row >= 0) & (column < small.width) & (row < small.height)
        return picture[row.clamp(0, small.height - 1), column.clamp(0, small.width - 1)] & known

    return covered


def _gaps(
    mask: Float[np.ndarray, "height width"],
    pixels: Float[Tensor, "point 2"],
    normals: Float[Tensor, "point 2"],
    view: _View,
) -> tuple[Float[Tensor, "point"], Bool[Tensor, "point"]]:
    """Signed distance along each normal to the nearest edge of the mask (pixels), and whether there is one in reach."""
    steps = np.linspace(-REACH, REACH, 49) * view.person
    ratio = np.array([mask.shape[1] / view.width, mask.shape[0] / view.height])
    places = (pixels.numpy()[:, None] + steps[:, None] * normals.numpy()[:, None]) * ratio - 0.5
    inside = map_coordinates(mask, [places[..., 1], places[..., 0]], order=1, mode="nearest") > 0.5
    leaves = inside[:, :-1] & ~inside[:, 1:]
    middles = (steps[1:] + steps[:-1]) / 2
    away = np.where(leaves, np.abs(middles), np.inf)
    nearest = away.argmin(1)
    met = np.isfinite(away.min(1))
    return torch.from_numpy(np.where(met, middles[nearest], 0.0)), torch.from_numpy(met)


def _shape_rows(
    model: BodyModel, picked: Int[Tensor, "point"], transforms: Float[Tensor, "bone 4 4"], count: int
) -> Float[Tensor, "point 3 shape"]:
    """Derivative of posed vertices by betas."""
    return shape_jacobian(
        model.skinning_weights[picked][None],
        model.shape_basis[:count, picked].permute(1, 2, 0)[None],
        model.shape_basis_joints[:count].permute(1, 2, 0),
        transforms[None],
        model.skeleton.parents,
    )[0]
