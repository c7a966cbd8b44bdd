"""Our SMPL family against the `smplx` package on files of the official layouts with random content."""

import pickle
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import smplx
import torch
from smplx.vertex_ids import vertex_ids

from body_models.licensed.assemble import FAMILIES, assemble, check_layout, to_tensors
from body_models.model import BodyModel
from tests.body_models.licensed.official_arrays import official_arrays

BATCH = 3
TOLERANCE = 1e-5  # metres
COUNTS = {"smpl": (10, 0), "smplh": (10, 0), "smplx": (300, 100), "flame": (300, 100)}
EXTRA_JOINTS = (
    *("nose", "right_eye", "left_eye", "right_ear", "left_ear"),
    *(f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")),
    *(f"{side}_{finger}" for side in ("left", "right") for finger in ("thumb", "index", "middle", "ring", "pinky")),
)
PARAMETERS = {
    "smpl": ("betas", "global_orient", "body_pose", "transl"),
    "smplh": ("betas", "global_orient", "body_pose", "transl", "left_hand_pose", "right_hand_pose"),
    "flame": ("betas", "expression", "global_orient", "transl", "neck_pose", "jaw_pose", "leye_pose", "reye_pose"),
}
FACE = ("expression", "jaw_pose", "leye_pose", "reye_pose")
PARAMETERS["smplx"] = (*PARAMETERS["smplh"], *FACE)
CASES = [
    (family, dtype, parameter)
    for family in FAMILIES
    for dtype in (torch.float32, torch.float64)
    for parameter in (*PARAMETERS[family], "all", "none")
]


@cache
def ours(family: str, dtype: torch.dtype) -> BodyModel:
    arrays = official_arrays(family)
    return assemble(to_tensors(arrays, family, "file"), family, "neutral").to(dtype)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Builds smplx's model of a family from files, once for each set of options."""
    folder = tmp_path_factory.mktemp("official")

    @cache
    def build(family: str, dtype: torch.dtype, **options: bool) -> torch.nn.Module:
        write_official(folder, family)
        betas, expressions = COUNTS[family]
        common = {"batch_size": BATCH, "dtype": dtype, "num_betas": betas}
        if family == "smpl":
            return smplx.SMPL(str(folder / "SMPL_NEUTRAL.pkl"), **common)
        if family == "smplh":
            return smplx.SMPLH(str(folder / "SMPLH_NEUTRAL.pkl"), num_pca_comps=12, **options, **common)
        if family == "smplx":
            common |= {"num_pca_comps": 12, "num_expression_coeffs": expressions, "ext": "npz"}
            return smplx.SMPLX(str(folder / "SMPLX_NEUTRAL.npz"), **options, **common)
        return smplx.FLAME(str(folder), num_expression_coeffs=expressions, **common)

    return build


def write_official(folder: Path, family: str) -> None:
    arrays = official_arrays(family)
    name = f"{family.upper()}_NEUTRAL"
    if family == "smplx":
        np.savez(folder / f"{name}.npz", **arrays)
    else:
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(arrays))
    if family == "flame":
        embedding = {"lmk_face_idx": arrays["lmk_faces_idx"], "lmk_b_coords": arrays["lmk_bary_coords"]}
        (folder / "flame_static_embedding.pkl").write_bytes(pickle.dumps(embedding))


def random_values(family: str, dtype: torch.dtype, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    betas, expressions = COUNTS[family]
    values = {}
    for name in PARAMETERS[family]:
        size = {"betas": betas, "expression": expressions}.get(name, ours(family, dtype).parameters[name].size)
        scale = 0.5 if size >= 10 or name == "global_orient" else 0.3
        values[name] = scale * torch.randn(BATCH, size, generator=generator, dtype=torch.float64).to(dtype)
    return values


def expected_of(model: torch.nn.Module, values: dict[str, torch.Tensor]):
    with torch.no_grad():
        out = model(**values)
    return out.vertices, out.joints


def compare(family: str, model: BodyModel, values: dict[str, torch.Tensor], expected) -> float:
    """Largest difference of vertices, joints and landmarks, metres."""
    posed = model.posed(values)
    vertices = posed.vertices.expand(BATCH, -1, -1)
    joints = posed.joints.expand(BATCH, -1, -1)
    assert model.landmarks is not None
    on_surface = model.landmarks.on(vertices)
    extra = EXTRA_JOINTS if FAMILIES[family].points else ()
    order = [model.landmarks.names.index(name) for name in extra]
    order += [row for row, name in enumerate(model.landmarks.names) if name.startswith("face_")]
    found = torch.cat([joints, on_surface[:, order]], dim=1)
    assert found.shape == expected[1].shape
    return max((vertices - expected[0]).abs().max().item(), (found - expected[1]).abs().max().item())


@pytest.mark.parametrize(("family", "dtype", "parameter"), CASES)
def test_equals_smplx(family, dtype, parameter, reference):
    options = {"use_pca": False, "flat_hand_mean": True} if family in ("smplh", "smplx") else {}
    values = random_values(family, dtype, seed=1)
    if parameter != "all":
        values = {name: value for name, value in values.items() if name == parameter}
    difference = compare(family, ours(family, dtype), values, expected_of(reference(family, dtype, **options), values))
    print(f"{family} {dtype}: {difference:.1e} m")
    assert difference < TOLERANCE


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("family", ["smplh", "smplx"])
@pytest.mark.parametrize("use_pca", [True, False])
@pytest.mark.parametrize("flat_hand_mean", [True, False])
def test_hands_equal_smplx(family, dtype, use_pca, flat_hand_mean, reference):
    model = ours(family, dtype)
    values = random_values(family, dtype, seed=2)
    size = 12 if use_pca else 45
    hands = {side: values[f"{side}_hand_pose"][:, :size] for side in ("left", "right")}
    theirs = values | {f"{side}_hand_pose": hand for side, hand in hands.items()}
    mine = {name: value for name, value in values.items() if not name.endswith("_hand_pose")}
    for index, (side, hand) in enumerate(hands.items()):
        if use_pca and not flat_hand_mean:
            mine[f"{side}_hand_pca"] = hand
            continue
        rotations = hand @ model.hands.components[index, :size] if use_pca else hand
        mine[f"{side}_hand_pose"] = rotations if flat_hand_mean else rotations + model.hands.mean[index]
    build = reference(family, dtype, use_pca=use_pca, flat_hand_mean=flat_hand_mean)
    difference = compare(family, model, mine, expected_of(build, theirs))
    print(f"{family} {dtype}: {difference:.1e} m")
    assert difference < TOLERANCE


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_prepared_identity_equals_smplx(family, reference):
    values = random_values(family, torch.float32, seed=3)
    values["betas"] = values["betas"][:1].expand(BATCH, -1)
    options = {"use_pca": False, "flat_hand_mean": True} if family in ("smplh", "smplx") else {}
    expected, _ = expected_of(reference(family, torch.float32, **options), values)
    model = ours(family, torch.float32)
    pose = model.pose({name: value for name, value in values.items() if name not in ("betas", "expression", "transl")})
    found = model.body(values["betas"][0]).pose_vertices(pose, values["transl"], values.get("expression"))
    assert (found - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize(("family", "theirs"), [("smpl", "smplh"), ("smplh", "smplh"), ("smplx", "smplx")])
def test_landmark_vertices_are_smplx_s(family, theirs):
    words = {"nose": "nose", "r": "right", "l": "left", "R": "right", "L": "left"}
    parts = {"BigToe": "big_toe", "SmallToe": "small_toe", "Heel": "heel"}
    landmarks = ours(family, torch.float32).landmarks
    for name, vertex in vertex_ids[theirs].items():
        mine = "nose" if name == "nose" else f"{words[name[0]]}_{parts.get(name[1:], name[1:])}"
        row = landmarks.names.index(mine)
        assert landmarks.corners[row, 0] == vertex
        assert landmarks.weights[row].tolist() == [1.0, 0.0, 0.0]


def contour_arrays(family: str) -> dict[str, np.ndarray]:
    """Official arrays with a random table of the face's outline."""
    arrays = official_arrays(family)
    random = np.random.default_rng(7)
    weights = random.random((79, 17, 3))
    return arrays | {
        "dynamic_lmk_faces_idx": random.integers(0, len(arrays["f"]), (79, 17)),
        "dynamic_lmk_bary_coords": weights / weights.sum(-1, keepdims=True),
    }


def contour_reference(folder: Path, family: str, arrays: dict[str, np.ndarray], batch: int) -> torch.nn.Module:
    options = {"batch_size": batch, "use_face_contour": True}
    if family == "smplx":
        np.savez(folder / "SMPLX_NEUTRAL.npz", **arrays)
        return smplx.SMPLX(str(folder / "SMPLX_NEUTRAL.npz"), ext="npz", use_pca=False, flat_hand_mean=True, **options)
    write_official(folder, family)
    names = {"lmk_face_idx": "dynamic_lmk_faces_idx", "lmk_b_coords": "dynamic_lmk_bary_coords"}
    np.save(folder / "flame_dynamic_embedding.npy", {theirs: arrays[mine] for theirs, mine in names.items()})
    return smplx.FLAME(str(folder), **options)


@pytest.mark.parametrize("family", ["smplx", "flame"])
def test_face_outline_equals_smplx(family, tmp_path):
    degrees = torch.tensor(
        [0.0, 0.4, 0.6, 10.2, 38.7, 39.3, 60.0, 100.0, -0.4, -0.6, -10.2, -38.7, -39.3, -60.0, -100.0]
    )
    arrays = contour_arrays(family)
    assert check_layout(arrays, "file") == family
    model = assemble(to_tensors(arrays, family, "file"), family, "neutral")
    # smplx takes the neck's turn into account for SMPL-X but only the root's for FLAME
    values = {"global_orient": torch.zeros(len(degrees), 3)}
    values["global_orient"][:, 1] = torch.deg2rad(degrees)
    if family == "smplx":
        values["body_pose"] = 0.05 * torch.randn(len(degrees), 63, generator=torch.Generator().manual_seed(0))
    theirs = contour_reference(tmp_path, family, arrays, len(degrees))
    _, expected = expected_of(theirs, values)
    posed = model.posed(values)
    assert model.contour is not None
    found = model.contour.on(posed.vertices, posed.posed_from_rest)
    assert (found - expected[:, -17:]).abs().max() < TOLERANCE
