import pytest
import torch

from avatars.viewer.models import BodyModel
from avatars.viewer.opening import model_of, opened, places
from avatars.viewer.people import KnownPrior, PersonModel
from avatars.viewer.shown import Boned, Meshed
from avatars.viewer.state import BONE, BONES, EXACT, NORMALS, OWN, PLAIN, Display
from body_models import InputError
from tests.avatars.small_avatar import small_avatar_file
from tests.avatars.small_nerface import small_nerface
from tests.avatars.small_prior import small_prior

CELLS = 48


@pytest.fixture(scope="module")
def person():
    return PersonModel("eve", small_prior().person())


def posed(shown):
    """The vertices of what is shown, skinned as a browser does it."""
    if isinstance(shown, Meshed):
        return shown.vertices
    own = (shown.rig.weights[..., None, None] * shown.transforms[shown.rig.bones]).sum(1)
    return (own[:, :3, :3] @ shown.rig.vertices[..., None])[..., 0] + own[:, :3, 3]


@pytest.mark.parametrize("name", ["body", "head", "person"])
def test_everybody_stands_on_the_ground_above_the_origin(name, request):
    model = request.getfixturevalue(name)
    vertices = posed(model.shown(model.build.neutral, Display(resolution=64, colouring=NORMALS)))
    assert vertices[:, 1].min().abs() < 0.02
    assert vertices[:, [0, 2]].mean(0).abs().max() < 0.15


def test_bones_and_meshes_show_the_same(body):
    stance = body.build.poses()["striding"]
    boned = body.shown(stance, Display(resolution=CELLS))
    meshed = body.shown(stance, Display(resolution=CELLS, colouring=BONES))
    assert isinstance(boned, Boned)
    assert isinstance(meshed, Meshed)
    assert torch.allclose(posed(boned), meshed.vertices, atol=1e-5)
    assert torch.allclose(boned.wxyzs().norm(dim=1), torch.ones(len(body.build.skeleton)))


def test_the_rig_is_made_once_and_only_bones_change(body):
    first = body.shown(body.build.neutral, Display(resolution=CELLS))
    second = body.shown(body.build.poses()["reaching"], Display(resolution=CELLS))
    assert first.rig is second.rig
    assert not torch.allclose(first.transforms, second.transforms)
    assert body.slow(Display(resolution=CELLS)) == ""
    assert "(40 cells)" in body.slow(Display(resolution=40))
    assert "exact" in body.slow(Display(surface=EXACT))


def test_canonical_wins_over_the_stance(body):
    display = Display(resolution=CELLS, canonical=True)
    shown = body.shown(body.build.poses()["striding"], display)
    expected = body.rig(CELLS).vertices + body.build.canonical.translation
    assert torch.allclose(posed(shown), expected, atol=1e-5)


def test_the_exact_surface_is_near_the_skinned_one(body):
    display = Display(resolution=CELLS, surface=EXACT)
    exact = body.shown(body.build.neutral, display)
    skinned = posed(body.shown(body.build.neutral, Display(resolution=CELLS)))
    assert isinstance(exact, Meshed)
    assert (exact.vertices.amin(0) - skinned.amin(0)).abs().max() < 0.03
    assert (exact.vertices.amax(0) - skinned.amax(0)).abs().max() < 0.03


def test_an_action_moves_a_head_and_only_where_it_acts(head):
    display = Display(resolution=CELLS)
    index = head.build.expression_names.index("jawOpen")
    still = head.shown(head.build.neutral, display)
    moved = head.shown(head.build.neutral.with_action(index, 1.0), display)
    distance = (moved.vertices - still.vertices).norm(dim=1)
    assert distance.max() > 0.003
    assert (distance < 1e-4).float().mean() > 0.1


def test_heads_wear_their_own_colours(head):
    shown = head.shown(head.build.neutral, Display(resolution=CELLS, colouring=OWN))
    assert shown.unlit
    assert shown.colours is not None
    assert shown.colours.min() >= 0
    assert shown.colours.max() <= 1
    exact = head.shown(head.build.neutral, Display(resolution=CELLS, colouring=OWN, surface=EXACT))
    assert exact.colours is not None


def test_weights_of_a_bone_are_hot_where_it_holds(body):
    display = Display(resolution=CELLS, colouring=BONE, bone="left_elbow")
    shown = body.shown(body.build.neutral, display)
    rig = body.rig(CELLS)
    own = (rig.weights * (rig.bones == rig.skeleton.index("left_elbow"))).sum(1)
    blue = shown.colours[:, 2]
    assert blue[own > 0.95].max() < blue[own < 0.01].min()


@pytest.mark.parametrize("colouring", [PLAIN, OWN, BONE, BONES, NORMALS])
@pytest.mark.parametrize("surface", ["rig", EXACT])
def test_every_display_shows_finite_numbers(person, colouring, surface, monkeypatch):
    monkeypatch.setattr("avatars.viewer.people.BAKED", 32)
    shown = person.shown(person.build.neutral, Display(surface, colouring, resolution=CELLS))
    assert posed(shown).isfinite().all()
    if isinstance(shown, Meshed) and shown.colours is not None:
        assert shown.colours.min() >= 0
        assert shown.colours.max() <= 1


def test_joints_follow_their_parents(body):
    skeleton = body.build.skeleton
    elbow, wrist = skeleton.index("left_elbow"), skeleton.index("left_wrist")
    stance = body.build.neutral.turned(elbow, torch.tensor([0.0, -1.0, 0.0]))
    (_, before), (_, after) = body.frames(body.build.neutral), body.frames(stance)
    assert torch.allclose(before[elbow], after[elbow], atol=1e-6)
    assert (before[wrist] - after[wrist]).norm() > 0.1


def test_seeds_make_people_again_and_shares_lie_between():
    known = KnownPrior.of(small_prior())
    base = known.prior.person()
    first, again = (known.varied(base, ("shape",), 5, 1.0) for _ in range(2))
    assert torch.equal(first.shape, again.shape)
    assert torch.equal(first.betas, base.betas)
    ends = known.between(1, 2, 0.0, 1.0), known.between(1, 2, 1.0, 1.0)
    middle = known.between(1, 2, 0.5, 1.0)
    assert torch.allclose(middle.shape, (ends[0].shape + ends[1].shape) / 2, atol=1e-6)
    assert not torch.allclose(ends[0].betas, ends[1].betas)


def test_files_and_folders_are_found(tmp_path):
    path = small_avatar_file(tmp_path)
    assert [place.path for place in places(tmp_path)] == [place.path for place in places(path)] == [path]
    assert isinstance(opened(places(path)[0], None), BodyModel)


def test_codes_of_another_prior_are_left_out(tmp_path, caplog):
    path = small_avatar_file(tmp_path)
    path.with_suffix(".json").write_text('{"kind": "person", "version": 1, "prior": "other"}')
    place = places(path)[0]
    assert place.codes is not None
    with caplog.at_level("INFO"):
        assert isinstance(opened(place, KnownPrior.of(small_prior())), BodyModel)
    assert "another prior" in caplog.text


def test_what_cannot_be_shown_is_refused(tmp_path):
    with pytest.raises(InputError, match="No file or folder"):
        places(tmp_path / "nobody.avatar")
    with pytest.raises(InputError, match=r"holds no \.avatar files"):
        places(tmp_path)
    (tmp_path / "text.avatar").write_text("hello")
    with pytest.raises(InputError, match="cannot be read as an avatar"):
        opened(places(tmp_path)[0], None)
    with pytest.raises(InputError, match="no mesh"):
        model_of(small_nerface(), "volume")


@pytest.mark.parametrize("changes", [{"surface": "soft"}, {"colouring": "pink"}, {"resolution": 8}])
def test_displays_that_make_no_sense_are_refused(changes):
    with pytest.raises(InputError):
        Display(**changes)
