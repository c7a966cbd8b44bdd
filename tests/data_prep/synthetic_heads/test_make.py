import numpy as np
import pytest
import torch

from body_models.errors import InputError
from data_prep.synthetic_heads import make_talking_head
from data_prep.synthetic_heads.truth import write_truth
from data_prep.video_dataset import read_video_dataset

SIZE = 96


@pytest.fixture(scope="module")
def head():
    return make_talking_head(3, frames=40, width=SIZE, height=SIZE)


def test_a_seed_makes_the_same_video_again(head):
    again = make_talking_head(3, frames=40, width=SIZE, height=SIZE)
    for name in ("betas", "intrinsics", "poses", "translations", "expressions", "background"):
        assert torch.equal(getattr(head, name), getattr(again, name))
    first = head.picture(17)
    head.picture(4)
    for other in (head.picture(17), again.picture(17)):
        assert np.array_equal(first.rgb, other.rgb)
        assert np.array_equal(first.alpha, other.alpha)


def test_seeds_differ(head):
    other = make_talking_head(4, frames=40, width=SIZE, height=SIZE)
    assert not torch.allclose(head.betas, other.betas, atol=0.1)
    assert not torch.allclose(head.expressions, other.expressions, atol=0.1)
    assert abs(float(head.intrinsics[0, 0] - other.intrinsics[0, 0])) > 1
    assert np.abs(head.picture(0).rgb.astype(int) - other.picture(0).rgb).mean() > 5


def test_a_strong_video_shows_the_same_person_in_the_same_place(head):
    strong = make_talking_head(3, frames=40, width=SIZE, height=SIZE, strength="strong")
    assert torch.equal(strong.betas, head.betas)
    assert torch.equal(strong.intrinsics, head.intrinsics)
    assert torch.equal(strong.background, head.background)
    assert torch.equal(strong.person.texture.values, head.person.texture.values)


def test_the_posed_mesh_begins_with_the_models_surface(head):
    vertices, faces = head.posed_mesh(12)
    own = head.model.body(head.betas).pose_vertices(head.poses[12], head.translations[12], head.expressions[12])
    assert torch.allclose(vertices[: len(own)], own, atol=1e-5)
    assert torch.allclose(head.head_vertices(12), own, atol=1e-5)
    assert torch.equal(faces[: len(head.model.faces)], head.model.faces)


@pytest.mark.parametrize("frame", [0, 20, 39])
def test_projected_landmarks_lie_on_the_face(head, frame):
    picture = head.picture(frame)
    points = head.model.landmarks.on(head.head_vertices(frame))
    pixels, depth = head.camera.project(points)
    column, row = pixels.floor().long().T.numpy()
    middle = [index for index, name in enumerate(head.model.landmarks.names) if name in ("nose", "chin", "lower_lip")]
    assert picture.head_mask[row[middle], column[middle]].all()
    assert (picture.alpha[row[middle], column[middle]] == 1).all()
    assert np.abs(picture.depth[row[middle], column[middle]] - depth.numpy()[middle]).max() < 0.01


def test_alpha_covers_the_head_and_nothing_is_seen_outside(head):
    picture = head.picture(8)
    assert (picture.alpha[picture.head_mask] > 0).all()
    assert 0.2 < picture.alpha.mean() < 0.9
    assert (picture.alpha > picture.head_mask).mean() > 0.1  # hair, shirt
    away = picture.part < 0
    assert np.isinf(picture.depth[away]).all()
    assert not picture.normal[away].any()
    length = np.linalg.norm(picture.normal[~away], axis=-1)
    assert np.abs(length - 1).max() < 1e-3
    assert (picture.normal[~away][:, 2] > -0.5).all()  # towards the camera, on the whole


def test_jaw_and_neck_stay_at_rest_and_the_head_stays_within_bounds(head):
    assert not head.poses[:, 1:3].any()
    assert torch.equal(head.poses[:, 3], head.poses[:, 4])
    assert float(head.poses[:, 0].norm(dim=-1).max()) < np.radians(37)
    assert (head.translations[:, 2] < 0).all()


def test_the_shoulders_hardly_turn_with_the_head(head):
    frame = int(head.poses[:, 0].norm(dim=-1).argmax())
    upright = head.person.dressed.pose_vertices(torch.zeros(6, 3), head.translations[frame])
    vertices, _ = head.posed_mesh(frame)
    moved = (vertices - upright).norm(dim=-1)
    low = head.person.dressed.skinning_weights[:, 5] > 0.999
    angle = float(head.poses[frame, 0].norm())
    reach = (head.person.dressed.vertices - head.person.dressed.joints[0]).norm(dim=-1)
    assert (moved[low] <= 0.26 * angle * reach[low] + 1e-4).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strength": "wild"}, "ordinary or strong"),
        ({"frames": 0}, "one or more"),
        ({"width": 10}, "32 or more"),
        ({"seed": -1}, "negative"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        make_talking_head(**({"seed": 0, "frames": 2, "width": SIZE, "height": SIZE} | change))


def test_a_frame_that_is_not_there_is_refused(head):
    with pytest.raises(InputError, match="0 to 39"):
        head.picture(40)


def test_the_video_is_written(tmp_path):
    short = make_talking_head(1, frames=3, width=64, height=48)
    path = short.write_video(tmp_path / "head.mp4")
    assert path.stat().st_size > 500


def test_truth_is_written_as_a_dataset(tmp_path):
    short = make_talking_head(2, frames=2, width=80, height=64)
    told = []
    write_truth(short, tmp_path / "truth", lambda done, count: told.append((done, count)))
    dataset = read_video_dataset(tmp_path / "truth")
    assert told == [(1, 2), (2, 2)]
    assert torch.allclose(dataset.poses, short.poses)
    assert torch.allclose(dataset.expressions, short.expressions)
    assert np.array_equal(dataset.image(1), short.picture(1).rgb)
    assert np.abs(dataset.alpha(1) - short.picture(1).alpha).max() < 0.01
    seen = dataset.landmark_weights > 0
    assert 0.4 < float(seen.float().mean()) <= 1
    assert torch.equal(seen, dataset.landmarks.isfinite().all(-1))
