import pytest
import torch

from body_models.anny import anny_head_parts, load_anny_head
from body_models.names import ARKIT_EXPRESSIONS, HEAD_SKELETON

MODEL = load_anny_head()
HEAD = MODEL.body()
STILL = torch.zeros(3)


def posed(**rotations):
    return MODEL.posed({name: torch.tensor(value) for name, value in rotations.items()}).vertices


def expressed(name):
    values = torch.zeros(52)
    values[ARKIT_EXPRESSIONS.index(name)] = 1.0
    return HEAD.pose_vertices(torch.zeros(5, 3), STILL, values)


def landmark(name, vertices=HEAD.vertices):
    return MODEL.landmarks.on(vertices)[MODEL.landmarks.names.index(name)]


def part(*names):
    parts = anny_head_parts()
    return MODEL.faces[torch.cat([parts[name] for name in names])].unique()


def gap(vertices):
    return (landmark("upper_lip", vertices) - landmark("lower_lip", vertices)).norm()


def test_structure_is_flames():
    assert MODEL.skeleton == HEAD_SKELETON
    assert MODEL.expression_names == ARKIT_EXPRESSIONS
    assert {"betas", "expression", "neck_pose", "jaw_pose", "leye_pose", "reye_pose"} <= set(MODEL.parameters)
    weights = MODEL.skinning_weights
    assert weights.min() >= 0
    assert torch.allclose(weights.sum(1), torch.ones(len(weights)), atol=1e-5)
    assert (weights.max(0).values > 0.8).all()


def test_origin_is_the_neck_joint_of_everyone():
    for betas in (None, torch.ones(64), -torch.ones(64)):
        assert torch.allclose(MODEL.body(betas).joints[HEAD_SKELETON.index("neck")], STILL)
    extent = HEAD.vertices.amax(0) - HEAD.vertices.amin(0)
    assert torch.allclose(extent, torch.tensor([0.18, 0.26, 0.22]), atol=0.04)
    assert landmark("nose")[2] > 0.1


def test_parts_share_out_all_faces():
    parts = anny_head_parts()
    assert torch.equal(torch.cat(list(parts.values())).sort().values, torch.arange(len(MODEL.faces)))
    assert len(parts["left_eye_back"]) == len(parts["right_eye_back"])


@pytest.mark.parametrize("side", ["left", "right"])
def test_eyes_turn_in_place(side):
    eye, joint = part(f"{side}_eye_front", f"{side}_eye_back"), HEAD.joints[HEAD_SKELETON.index(f"{side}_eye")]
    assert (HEAD.vertices[eye].mean(0) - joint).norm() < 3e-3
    turned = posed(**{f"{side[0]}eye_pose": [0.2, 0.4, 0.0]})
    radius = (HEAD.vertices[eye] - joint).norm(dim=1)
    assert torch.allclose((turned[eye] - joint).norm(dim=1), radius, atol=2e-4)
    others = torch.ones(len(HEAD.vertices), dtype=torch.bool)
    others[eye] = False
    moved = (turned - HEAD.vertices).norm(dim=1)
    assert moved[eye].max() > 4e-3
    assert moved[others].max() < 1e-3  # lids stay


def test_positive_jaw_rotation_opens_the_mouth():
    opened = HEAD.canonical()
    assert gap(opened) > gap(HEAD.vertices) + 8e-3
    assert (landmark("upper_lip", opened) - landmark("upper_lip")).norm() < 1e-3
    assert landmark("chin", opened)[1] < landmark("chin")[1] - 5e-3
    tongue = part("tongue")
    assert opened[tongue, 1].mean() < HEAD.vertices[tongue, 1].mean()


def test_jaw_open_and_blink_do_what_they_say():
    assert gap(expressed("jawOpen")) > gap(HEAD.vertices) + 0.01
    moved = (expressed("eyeBlinkLeft") - HEAD.vertices).norm(dim=1)
    assert moved.max() > 3e-3
    skin = part("skin")
    assert HEAD.vertices[skin][moved[skin] > 1e-3, 0].min() > 0
    smile = expressed("mouthSmileRight")
    assert landmark("right_mouth_corner", smile)[1] > landmark("right_mouth_corner")[1] + 2e-3


def test_each_expression_moves_a_face_and_no_joint():
    size = MODEL.expression_basis.norm(dim=-1).amax(1)
    assert ((size > 1e-3) & (size < 0.05)).all()
    assert (MODEL.expression_basis_joints == 0).all()


def test_neck_turns_the_head_on_the_neck_and_root_turns_all():
    nodded, turned = posed(neck_pose=[0.3, 0.0, 0.0]), posed(global_orient=[0.0, 0.6, 0.0])
    lowest = HEAD.vertices[:, 1] < -0.09
    assert (nodded - HEAD.vertices).norm(dim=1)[lowest].mean() < 0.5 * 0.3 * 0.1
    assert landmark("nose", nodded)[1] < landmark("nose")[1] - 0.02
    assert torch.allclose(
        torch.cdist(turned[:50], turned[:50]), torch.cdist(HEAD.vertices[:50], HEAD.vertices[:50]), atol=1e-3
    )


def test_faces_differ_and_stay_heads():
    assert len(MODEL.shape_basis) == 64
    for sign in (-2.0, 2.0):
        for k in range(4):
            vertices = MODEL.body(torch.eye(64)[k] * sign).vertices
            assert vertices.isfinite().all()
            assert 0.18 < vertices[:, 1].max() - vertices[:, 1].min() < 0.36
    assert (MODEL.shape_basis[:8].norm(dim=-1).amax(1) > 2e-3).all()


def test_landmarks_mirror():
    at = dict(zip(MODEL.landmarks.names, MODEL.landmarks.on(HEAD.vertices), strict=True))
    for name, point in at.items():
        twin = name.replace("left", "R").replace("right", "left").replace("R", "right")
        assert torch.allclose(at[twin] * torch.tensor([-1.0, 1.0, 1.0]), point, atol=1e-4)
    assert at["left_eye_inner"][0] < at["left_eye"][0] < at["left_eye_outer"][0] < at["left_ear"][0]
    assert at["chin"][1] < at["lower_lip"][1] < at["upper_lip"][1] < at["nose"][1] < at["left_brow_inner"][1]
