import numpy as np
import pytest
import roma
import torch

from body_models.anny.head import load_anny_head
from body_models.body import Body
from body_models.errors import InputError
from body_models.motion.faces import (
    match_expressions,
    rotations_from_actions,
    transfer_expression,
    unmatched_expressions,
)
from body_models.motion.head_tracks import head_joints, load_head_motion, write_head_motion
from body_models.motion.motion import Motion
from body_models.names import ARKIT_EXPRESSIONS, HEAD_SKELETON, SMPLX_SKELETON

ICT_LIKE = tuple(
    half
    for name in ARKIT_EXPRESSIONS
    if name != "tongueOut"
    for half in ([name + "Left", name + "Right"] if name in ("browInnerUp", "cheekPuff") else [name])
)


def head(names: tuple[str, ...], moving_joints: tuple[str, ...] = (), count: int | None = None) -> Body:
    """One vertex at each joint; each action shifts the vertices of the joints that are said to move."""
    width = len(names) if count is None else count
    basis = torch.zeros(width, 5, 3)
    for joint in moving_joints:
        basis[:, HEAD_SKELETON.index(joint), 1] = -0.02
    return Body(
        skeleton=HEAD_SKELETON,
        vertices=head_joints(),
        faces=torch.zeros(0, 3, dtype=torch.long),
        skinning_weights=torch.eye(5),
        joints=head_joints() * 1.1,
        canonical_pose=torch.zeros(5, 3),
        expression_basis=basis,
        expression_basis_joints=torch.zeros(width, 5, 3),
        expression_names=names,
    )


def clip(names: tuple[str, ...] = ARKIT_EXPRESSIONS, frames: int = 4, count: int = 52) -> Motion:
    generator = torch.Generator().manual_seed(3)
    rotations = torch.zeros(frames, 5, 3)
    rotations[:, :2] = 0.3 * torch.randn(frames, 2, 3, generator=generator)
    return Motion(
        name="talk",
        skeleton=HEAD_SKELETON,
        rest_joints=head_joints(),
        rotations=rotations,
        translations=torch.randn(frames, 3, generator=generator),
        frame_rate=60.0,
        expression=torch.rand(frames, count, generator=generator),
        expression_names=names,
    )


def column(motion: Motion, name: str) -> torch.Tensor:
    assert motion.expression is not None
    return motion.expression[:, motion.expression_names.index(name)]


def test_the_same_names_match_one_to_one():
    assert torch.equal(match_expressions(ARKIT_EXPRESSIONS, ARKIT_EXPRESSIONS), torch.eye(52))


@pytest.mark.parametrize("spell", [str.lower, str.upper, lambda n: n[0].upper() + n[1:]])
def test_spelling_does_not_matter(spell):
    spelled = [spell(name) for name in ARKIT_EXPRESSIONS]
    assert torch.equal(match_expressions(spelled, ARKIT_EXPRESSIONS), torch.eye(52))


def test_sides_match_in_any_spelling():
    for name in ("mouthSmile_L", "MouthSmileLeft", "mouth_smile_left", "left mouth smile", "mouthSmile.L"):
        assert torch.equal(match_expressions([name], ["mouthSmileLeft", "mouthSmileRight"]), torch.tensor([[1.0, 0.0]]))


def test_an_action_is_split_over_both_halves_and_comes_back_as_their_mean():
    there = match_expressions(ARKIT_EXPRESSIONS, ICT_LIKE)
    row = there[ARKIT_EXPRESSIONS.index("browInnerUp")]
    assert [ICT_LIKE[i] for i in torch.nonzero(row)[:, 0]] == ["browInnerUpLeft", "browInnerUpRight"]
    assert row.max() == 1
    round_trip = there @ match_expressions(ICT_LIKE, ARKIT_EXPRESSIONS)
    assert torch.equal(round_trip, torch.diag(there.any(1).float()))


def test_left_and_right_of_jaw_and_mouth_are_no_halves():
    assert not match_expressions(["jaw", "mouth"], ["jawLeft", "jawRight", "mouthLeft"]).any()
    assert not match_expressions(["jawLeft"], ["jaw"]).any()


def test_unmatched_actions_are_reported():
    assert unmatched_expressions(ARKIT_EXPRESSIONS, ICT_LIKE) == ("tongueOut",)


def test_named_actions_go_to_their_names_and_turns_to_their_joints(caplog):
    motion, target = clip(), head(ICT_LIKE, ("jaw", "left_eye", "right_eye"))
    with caplog.at_level("INFO"):
        moved = transfer_expression(motion, target)
    assert torch.equal(column(moved, "jawOpen"), column(motion, "jawOpen"))
    assert torch.equal(column(moved, "browInnerUpRight"), column(motion, "browInnerUp"))
    assert torch.equal(moved.rotations, motion.rotations)
    assert torch.equal(moved.translations, motion.translations)
    assert torch.equal(moved.rest_joints, target.joints)
    assert "tongueOut" in caplog.text


def test_transfer_there_and_back_keeps_what_both_heads_have():
    motion = clip()
    there = transfer_expression(motion, head(ICT_LIKE, ("jaw", "left_eye", "right_eye")))
    back = transfer_expression(there, head(ARKIT_EXPRESSIONS, ("jaw", "left_eye", "right_eye")))
    common = [i for i, name in enumerate(ARKIT_EXPRESSIONS) if name != "tongueOut"]
    assert torch.allclose(back.expression[:, common], motion.expression[:, common])
    assert torch.equal(back.rotations, motion.rotations)


def test_transfer_to_the_same_head_twice_changes_nothing_more():
    target = head(ICT_LIKE, ("jaw",))  # eyeballs that the actions do not move
    once = transfer_expression(clip(), target)
    twice = transfer_expression(once, target)
    assert torch.allclose(twice.rotations, once.rotations)
    assert torch.allclose(twice.expression, once.expression)
    assert once.rotations[:, HEAD_SKELETON.index("left_eye")].any()
    assert not once.rotations[:, HEAD_SKELETON.index("jaw")].any()


def test_actions_turn_jaw_and_eyes_of_a_head_with_unnamed_components(caplog):
    motion = clip()
    with caplog.at_level("INFO"):
        moved = transfer_expression(motion, head((), count=100))
    assert moved.expression is None
    assert "left out" in caplog.text
    turns = rotations_from_actions(motion.expression, motion.expression_names)
    for joint, turn in turns.items():
        assert torch.equal(moved.rotations[:, HEAD_SKELETON.index(joint)], turn)


def test_unnamed_components_stay_with_their_model_only():
    motion = clip((), count=50)
    assert torch.equal(transfer_expression(motion, head((), count=50)).expression, motion.expression)
    assert transfer_expression(motion, head(ICT_LIKE)).expression is None
    assert transfer_expression(motion, head((), count=10)).expression is None


def test_gaze_angles_do_not_add_to_gaze_actions():
    motion = clip()
    motion.rotations[:, 3:] = 0.2
    assert not transfer_expression(motion, head(ICT_LIKE, ("left_eye", "right_eye"))).rotations[:, 3:].any()
    assert torch.equal(transfer_expression(motion, head(())).rotations[:, 3:], motion.rotations[:, 3:])


@pytest.mark.parametrize(
    ("action", "joint", "toward"),
    [
        ("jawOpen", "jaw", (0, -1, 0)),
        ("jawLeft", "jaw", (1, 0, 0)),
        ("eyeLookUpLeft", "left_eye", (0, 1, 0)),
        ("eyeLookDownRight", "right_eye", (0, -1, 0)),
        ("eyeLookOutLeft", "left_eye", (1, 0, 0)),
        ("eyeLookInLeft", "left_eye", (-1, 0, 0)),
        ("eyeLookOutRight", "right_eye", (-1, 0, 0)),
    ],
)
def test_actions_turn_the_joint_the_way_they_say(action, joint, toward):
    turn = rotations_from_actions(torch.ones(1, 1), [action])[joint]
    ahead = roma.rotvec_to_rotmat(turn)[0] @ torch.tensor([0.0, 0.0, 1.0])
    assert ahead @ torch.tensor(toward, dtype=torch.float32) > 0.05


def test_a_body_turns_its_head_by_root_and_neck_together_and_stays():
    motion, bones = clip(), len(SMPLX_SKELETON)
    body = Body(
        skeleton=SMPLX_SKELETON,
        vertices=torch.zeros(1, 3),
        faces=torch.zeros(0, 3, dtype=torch.long),
        skinning_weights=torch.eye(bones)[:1],
        joints=torch.randn(bones, 3),
        canonical_pose=torch.zeros(bones, 3),
    )
    moved = transfer_expression(motion, body)
    turn = roma.rotvec_to_rotmat(motion.rotations[:, 0]) @ roma.rotvec_to_rotmat(motion.rotations[:, 1])
    assert torch.allclose(roma.rotvec_to_rotmat(moved.rotations[:, SMPLX_SKELETON.index("head")]), turn, atol=1e-5)
    assert not moved.translations.any()
    assert not moved.rotations[:, 0].any()
    back = transfer_expression(moved, head(()))
    assert torch.allclose(roma.rotvec_to_rotmat(back.rotations[:, 1]), turn, atol=1e-5)


def test_the_free_head_shows_actions_by_itself():
    moved = transfer_expression(clip(), load_anny_head().body())
    assert torch.equal(moved.rotations, clip().rotations)
    assert torch.equal(moved.expression, clip().expression)


def test_npz_round_trip(tmp_path):
    motion = clip()
    write_head_motion(tmp_path / "talk.npz", motion)
    back = load_head_motion(tmp_path / "talk.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["talk.npz"]
    for part in ("rotations", "translations", "expression", "rest_joints"):
        assert torch.equal(getattr(back, part), getattr(motion, part))
    assert (back.frame_rate, back.expression_names) == (60.0, ARKIT_EXPRESSIONS)
    assert load_head_motion(tmp_path / "talk.npz", frame_rate=25.0).frame_rate == 60.0


def test_tracker_spelling_is_understood(tmp_path):
    np.savez(
        tmp_path / "t.npz",
        expr=np.ones((3, 50)),
        neck=np.full((3, 3), 0.1),
        jaw=np.full((3, 3), 0.2),
        eyes=np.arange(18.0).reshape(3, 6) / 10,
        rotation=np.full((3, 3), 0.3),
        translation=np.ones((3, 3)),
        shape=np.zeros(300),
    )
    motion = load_head_motion(tmp_path / "t.npz", frame_rate=25.0)
    assert torch.allclose(motion.rotations[1, :3, 0], torch.tensor([0.3, 0.1, 0.2]))
    assert torch.allclose(motion.rotations[0, 3:].flatten(), torch.arange(6) / 10)
    assert motion.expression.shape == (3, 50)
    assert motion.frame_rate == 25.0
    with pytest.raises(InputError, match="no frame rate"):
        load_head_motion(tmp_path / "t.npz")


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"poses": np.zeros((3, 72))}, "no head motion.*expression"),
        ({"jaw_pose": np.zeros((3, 4))}, r"'jaw_pose'.*\(3, 4\).*frames x 3"),
        ({"jaw_pose": np.zeros((3, 3)), "expression": np.zeros((4, 52))}, r"\[3, 4\] frames"),
        ({"expression": np.zeros((0, 52))}, "at least 1"),
        ({"expression": np.array([[0.0, np.nan]])}, r"'expression'.*not finite.*\[0, 1\]"),
        ({"expression": np.array([["a"]])}, "'expression' does not hold numbers"),
        ({"expression": np.zeros((2, 3)), "fps": 30.0, "expression_names": np.array(["a"])}, "expected 3 texts"),
        ({"jaw_pose": np.zeros((2, 3)), "fps": np.array(-1.0)}, "'fps' is no frame rate"),
        ({"jaw_pose": np.zeros((2, 3)), "rest_joints": np.zeros((4, 3))}, "'rest_joints'"),
        ({"jaw_pose": np.array([{"code": 1}], dtype=object)}, "Keys found: none"),
    ],
)
def test_unusable_npz_is_refused_by_key(tmp_path, arrays, says):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=says):
        load_head_motion(tmp_path / "bad.npz")


def test_damaged_or_absent_files_are_refused(tmp_path):
    write_head_motion(tmp_path / "talk.npz", clip())
    whole = (tmp_path / "talk.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged"):
        load_head_motion(tmp_path / "cut.npz")
    with pytest.raises(InputError, match="cannot be read"):
        load_head_motion(tmp_path / "none.npz")
    with pytest.raises(InputError, match="cannot be written"):
        write_head_motion(tmp_path / "none" / "talk.npz", clip())
    with pytest.raises(InputError, match="suffix"):
        write_head_motion(tmp_path / "talk.csv", clip())
