import pytest
import torch
from safetensors.torch import load_file

from body_models import InputError, load_anny
from body_models.anny.body import check_rig
from body_models.anny.identities import principal_directions
from body_models.names import SMPLH_SKELETON
from tests.body_models.anny.bakes import run

SMPL_JOINTS = [
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle"),
    *("spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder"),
    *("right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand"),
]
SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
MODELS = {rig: load_anny(rig) for rig in ("compact", "hands", "full")}
MODEL = MODELS["compact"]
BODY = MODEL.body()


def joint(name, body=BODY):
    return body.joints[body.skeleton.index(name)]


def test_skeletons():
    assert list(BODY.skeleton.joint_names) == SMPL_JOINTS
    assert BODY.skeleton.parents == SMPL_PARENTS
    assert MODELS["hands"].skeleton == SMPLH_SKELETON
    assert len(MODELS["full"].skeleton) == 104
    assert MODEL.name == "anny"


def test_an_unknown_rig_is_refused():
    with pytest.raises(InputError, match=r"no rig 'ful'.*Did you mean 'full'"):
        check_rig("ful")


@pytest.mark.parametrize("rig", MODELS)
def test_weights_are_convex_and_every_bone_moves_something(rig):
    weights = MODELS[rig].skinning_weights
    assert weights.min() >= 0
    assert torch.allclose(weights.sum(1), torch.ones(len(weights)), atol=1e-5)
    most = weights.max(0).values
    assert (most[1:] > (0.15 if rig == "full" else 0.4)).all()  # Anny's short neck bones share theirs
    assert rig == "full" or most[0] > 0.4  # Anny's own root only carries the others


def test_faces_are_closed_and_outward():
    assert BODY.faces.shape == (27_420, 3)
    assert sorted(BODY.faces.unique().tolist()) == list(range(BODY.faces.max() + 1))
    a, b, c = BODY.vertices[BODY.faces].unbind(1)
    volume = (a * torch.linalg.cross(b, c)).sum() / 6
    assert 0.03 < volume < 0.15


def test_frame_and_size_are_a_persons():
    height = BODY.vertices[:, 1].max() - BODY.vertices[:, 1].min()
    assert 1.5 < height < 1.9
    for side in ("left", "right"):
        assert joint(f"{side}_foot")[1] < joint(f"{side}_knee")[1] < joint("pelvis")[1] < joint("head")[1]
        foot = BODY.skinning_weights[:, BODY.skeleton.index(f"{side}_foot")] > 0.5
        heel = BODY.skinning_weights[:, BODY.skeleton.index(f"{side}_ankle")] > 0.5
        assert BODY.vertices[foot, 2].mean() > BODY.vertices[heel, 2].mean() + 0.05
    assert joint("left_hand")[0] > 0.3 > -0.3 > joint("right_hand")[0]


@pytest.mark.parametrize("rig", MODELS)
def test_joints_mirror(rig):
    body = MODELS[rig].body()
    mirrored = body.joints[list(body.skeleton.mirror)] * torch.tensor([-1.0, 1.0, 1.0])
    assert torch.allclose(mirrored, body.joints, atol=2e-3)


def test_shapes_keep_the_body_symmetric():
    joints = MODEL.body(torch.tensor([1.0, -1.0, 1.0, 1.0])).joints
    mirrored = joints[list(BODY.skeleton.mirror)] * torch.tensor([-1.0, 1.0, 1.0])
    assert torch.allclose(mirrored, joints, atol=3e-3)


def test_one_identity_is_one_person_on_every_rig():
    betas = torch.linspace(-1, 1, 48)
    vertices = [model.body(betas).vertices for model in MODELS.values()]
    assert torch.equal(vertices[0], vertices[1])
    assert torch.equal(vertices[0], vertices[2])
    hands = MODELS["hands"].body(betas)
    for name in SMPL_JOINTS[:22]:
        assert torch.equal(joint(name, hands), joint(name, MODEL.body(betas)))


@pytest.mark.parametrize("rig", ["hands", "full"])
def test_the_canonical_pose_is_the_same_on_every_rig(rig):
    assert torch.allclose(MODELS[rig].body().canonical(), BODY.canonical(), atol=1e-5)
    gaps = [
        (joints[BODY.skeleton.index("left_ankle")] - joints[BODY.skeleton.index("right_ankle")])[0]
        for joints in (BODY.joints, BODY.pose_joints(BODY.canonical_pose, torch.zeros(3)))
    ]
    assert gaps[1] > gaps[0] + 0.2


def test_turning_the_wrist_carries_the_hand_alike_on_every_rig():
    moved = []
    for rig, name in (("compact", "left_wrist"), ("hands", "left_wrist"), ("full", "wrist.L")):
        body = MODELS[rig].body()
        pose = torch.zeros(len(body.skeleton), 3)
        pose[body.skeleton.index(name)] = torch.tensor([0.3, 0.5, -0.2])
        moved.append(body.pose_vertices(pose, torch.zeros(3)))
    assert torch.allclose(moved[0], moved[1], atol=1e-5)
    assert torch.allclose(moved[0], moved[2], atol=1e-5)


@pytest.mark.parametrize("finger", ["thumb", "index", "middle", "ring", "pinky"])
def test_fingers_are_chains_that_end_at_their_tips(finger):
    body, landmarks = MODELS["hands"].body(), MODELS["hands"].landmarks
    for side in ("left", "right"):
        tip = landmarks.on(body.vertices)[landmarks.names.index(f"{side}_{finger}")]
        chain = torch.stack([*(joint(f"{side}_{finger}{part}", body) for part in (1, 2, 3)), tip])
        lengths = chain.diff(dim=0).norm(dim=1)
        assert ((lengths > 0.012) & (lengths < 0.06)).all()
        pose = torch.zeros(52, 3)
        pose[body.skeleton.index(f"{side}_{finger}1")] = torch.tensor([0.5, 0.0, 0.0])
        moved = (body.pose_vertices(pose, torch.zeros(3)) - body.vertices).norm(dim=1) > 1e-3
        assert 100 < moved.sum() < 700


def test_landmarks_sit_where_their_names_say():
    names, points = MODEL.landmarks.names, MODEL.landmarks.on(BODY.vertices)
    at = dict(zip(names, points, strict=True))
    assert len(set(names)) == 21
    for side, sign in (("left", 1), ("right", -1)):
        assert all(sign * at[name][0] > 0 for name in names if name.startswith(side))
        assert at[f"{side}_heel"][2] < at[f"{side}_small_toe"][2] < at[f"{side}_big_toe"][2]
        assert abs(at[f"{side}_big_toe"][0]) < abs(at[f"{side}_small_toe"][0])
        assert at[f"{side}_ear"][2] < at[f"{side}_eye"][2] < at["nose"][2]
    assert at["nose"][0].abs() < 2e-3
    assert at["nose"][1] < at["left_eye"][1]


def test_shapes_are_ordered_by_size():
    size = MODEL.shape_basis.square().sum((1, 2))
    assert (size.diff() <= 1e-3 * size[:-1]).all()
    assert MODEL.shape_basis.isfinite().all()


def test_principal_directions_have_one_sign_even_when_they_sum_to_zero():
    across = torch.tensor([[3.0, -3.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    samples = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64) @ across
    basis = torch.eye(3, dtype=torch.float64).reshape(3, 1, 3)
    for centred in (samples, samples.flip(0)):
        directions = principal_directions(centred, basis, 2)
        assert (directions.norm(dim=1) > 0.1).all()
        assert torch.allclose(directions[0].abs(), directions[0, 0].abs() * torch.tensor([1.0, 1.0, 0.0]).double())
        largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
        assert (largest > 0).all()


def test_first_load_bakes_silently_and_the_second_does_not_import_anny(tmp_path):
    assert run("import body_models; body_models.load_anny()", tmp_path) == ""
    again = "import sys, body_models; body_models.load_anny(); print('anny' in sys.modules, 'warp' in sys.modules)"
    assert run(again, tmp_path).split() == ["False", "False"]
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]
    baked = load_file(next(tmp_path.iterdir()))
    for name in ("template", "shape_basis"):
        assert torch.allclose(baked[name], getattr(MODEL, name), atol=1e-6)
