"""Random content in the official layouts and true sizes: what the gated files look like, without the files."""

from functools import cache

import numpy as np

from body_models.names import HEAD_SKELETON, SMPL_SKELETON, SMPLH_SKELETON, SMPLX_SKELETON

FAMILIES = ("smpl", "smplh", "smplx", "flame")
VERTICES = {"smpl": 6890, "smplh": 6890, "smplx": 10475, "flame": 5023}
FACES = {"smpl": 13776, "smplh": 13776, "smplx": 20908, "flame": 9976}
SKELETONS = {"smpl": SMPL_SKELETON, "smplh": SMPLH_SKELETON, "smplx": SMPLX_SKELETON, "flame": HEAD_SKELETON}
COMPONENTS = {"smpl": 10, "smplh": 16, "smplx": 400, "flame": 400}


def official_arrays(family: str, seed: int = 0, components: int | None = None) -> dict[str, np.ndarray]:
    """Random but valid arrays of a family under their official names, in their official types (a fresh dictionary)."""
    return dict(_arrays(family, seed, COMPONENTS[family] if components is None else components))


@cache
def _arrays(family: str, seed: int, components: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    vertices, joints = VERTICES[family], len(SKELETONS[family])
    parents = np.array(SKELETONS[family].parents, dtype=np.int64)
    arrays = {
        "v_template": 0.3 * random.standard_normal((vertices, 3)),
        "f": random.integers(0, vertices, (FACES[family], 3)).astype(np.uint32),
        "weights": _sparse_rows(random, vertices, joints),
        "J_regressor": _sparse_rows(random, joints, vertices),
        "kintree_table": np.stack([parents % 2**32, np.arange(joints)]).astype(np.uint32),
        "shapedirs": 0.005 * random.standard_normal((vertices, 3, components)),
        "posedirs": 0.002 * random.standard_normal((vertices, 3, 9 * (joints - 1))),
    }
    if family in ("smplh", "smplx"):
        arrays |= _hands(random)
    if family in ("smplx", "flame"):
        arrays |= {"lmk_faces_idx": random.integers(0, FACES[family], 51), "lmk_bary_coords": _barycentric(random, 51)}
    return arrays


def _sparse_rows(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Rows with up to four positive entries that sum to one."""
    result = np.zeros((rows, columns))
    np.put_along_axis(result, random.integers(0, columns, (rows, 4)), random.random((rows, 4)) + 0.05, axis=1)
    return result / result.sum(1, keepdims=True)


def _hands(random: np.random.Generator) -> dict[str, np.ndarray]:
    arrays = {}
    for side in ("l", "r"):
        arrays[f"hands_mean{side}"] = 0.2 * random.standard_normal(45)
        arrays[f"hands_components{side}"] = np.linalg.qr(random.standard_normal((45, 45)))[0]
    return arrays


def _barycentric(random: np.random.Generator, count: int) -> np.ndarray:
    weights = random.random((count, 3))
    return weights / weights.sum(1, keepdims=True)
