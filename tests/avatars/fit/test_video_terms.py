"""Terms of the fit that maps of classes and of normals add."""

import shutil
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from avatars.fit.loop import step_generator
from avatars.fit.video_losses import label_loss, normal_loss
from avatars.fit.video_options import load_video_preset
from avatars.fit.video_rays import UNLABELLED, load_pictures
from avatars.fit.video_terms import HeadTerms, Labels, carrying_bone
from avatars.models.head_prior import HeadPrior
from avatars.models.head_start import imavatar_from_prior
from body_models import load_body_model
from data_prep.add_maps import add_maps
from data_prep.video_dataset import read_video_dataset
from data_prep.video_maps import FaceClass
from tests.avatars.fit.tiny_maps import CLOTH, HAIR_PIXELS, MOUTH, SKIN, with_labels, write_true_maps
from tests.avatars.fit.tiny_video import SIZE, prior_of, tiny_method

GHOST = 5


@pytest.fixture(scope="module")
def mapped(talking, tmp_path_factory):
    """The short video with its true maps; nobody changes it."""
    folder = tmp_path_factory.mktemp("mapped")
    shutil.copytree(talking / "data", folder / "data")
    write_true_maps(folder)
    return add_maps(folder / "data", folder / "semantics", folder / "normals")


@pytest.fixture
def labelled(talking, tmp_path):
    """Makes a method whose pixels all have one number of face parsing."""
    shutil.copytree(talking / "data", tmp_path / "data")

    def make(number: int):
        return method_of(with_labels(read_video_dataset(tmp_path / "data"), number), talking)

    return make


def method_of(dataset, talking):
    return tiny_method(dataset, talking / "tiny.yaml")[0]


def terms_of(method, **factors: float):
    losses = replace(method.options.losses, **factors)
    method.options = replace(method.options, losses=losses)
    return method.losses(0, step_generator(0, 0))


def values(terms):
    return {name: term.item() for name, term in terms.items()}


def test_without_maps_nothing_changes(talking, mapped):
    plain = values(terms_of(method_of(read_video_dataset(talking / "data"), talking)))
    assert plain.keys().isdisjoint({"semantic", "normal"})
    assert values(terms_of(method_of(mapped, talking), semantic=0.0, normal=0.0)) == plain


def test_true_maps_give_finite_terms_that_reach_the_fields(talking, mapped):
    method = method_of(mapped, talking)
    terms = terms_of(method)
    assert 0 < terms["semantic"] < 1
    assert 0 < terms["normal"] < 0.05
    (terms["semantic"] + terms["normal"]).backward()
    model = method.module.imavatar
    for parameters in (model.weights.parameters(), model.geometry.parameters()):
        assert all(bool(p.grad.isfinite().all()) for p in parameters if p.grad is not None)
    assert any(bool(p.grad.any()) for p in model.weights.parameters())
    assert bool(model.geometry.base.grad.any())


def test_maps_of_the_head_itself_cost_little(talking, mapped):
    """The tracked head begins with roughly the normals of the true one; of other normals it would be far."""
    method = method_of(mapped, talking)
    close = terms_of(method, normal=1.0)["normal"]
    turned = replace(method.pictures, normals=-method.pictures.normals)
    method.pictures = turned
    assert close < 0.3 * terms_of(method, normal=1.0)["normal"]


def test_agreement_costs_nothing():
    normals = normalize(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    assert normal_loss(normals, normals, 5) == pytest.approx(0.0, abs=1e-6)
    assert normal_loss(normals, -normals, 5) == pytest.approx(2.0)
    assert normal_loss(normals, torch.zeros(5, 3), 5) == 0
    bones = torch.tensor([5, 1, 1])
    weights = torch.nn.functional.one_hot(bones, 6).float()
    assert label_loss(weights, bones, torch.ones(3, dtype=torch.bool), 3) == 0
    assert label_loss(weights, bones.flip(0), torch.tensor([True, False, False]), 2) == pytest.approx(1.0)
    assert normal_loss(torch.zeros(0, 3), torch.zeros(0, 3), 4) == 0


@pytest.mark.parametrize(("number", "bone"), [(CLOTH, GHOST), (HAIR_PIXELS, 1)])
def test_labels_move_weight_to_the_bone_that_carries_them(labelled, number, bone):
    method = labelled(number)
    model = method.module.imavatar
    with torch.no_grad():
        for parameter in model.weights.parameters():
            parameter.zero_()  # all bones weigh alike
    points = method.prior.surface.vertices[method.prior.surface.faces[::50, 0]]
    before = model.weights(points).detach().mean(0)
    terms = terms_of(method)
    assert "skinning" not in terms or terms["skinning"] == 0
    terms["semantic"].backward()
    with torch.no_grad():
        for parameter in model.weights.parameters():
            parameter -= 1.0 * normalize(parameter.grad.flatten(), dim=0).view_as(parameter)
    change = model.weights(points).detach().mean(0) - before
    assert int(change.argmax()) == bone
    assert (change[torch.arange(GHOST + 1) != bone] <= 0).all()


def test_skin_is_supervised_as_without_labels(labelled, talking):
    plain = values(terms_of(method_of(read_video_dataset(talking / "data"), talking)))
    found = values(terms_of(labelled(SKIN)))
    assert found.pop("semantic") == 0
    assert found == plain


def test_the_mouth_is_free(labelled):
    found = values(terms_of(labelled(MOUTH)))
    assert found["skinning"] == found["offsets"] == found["semantic"] == 0  # this head has no pose correctives


def test_unsupervised_heads_hear_of_no_classes(talking, mapped):
    method = method_of(mapped, talking)
    method.options = replace(method.options, supervised=False)
    assert "semantic" not in terms_of(method)


def test_hair_is_carried_by_what_carries_the_skull(talking):
    prior = prior_of(talking / "data")
    assert load_body_model("anny-head").skeleton.joint_names[carrying_bone(prior)] == "neck"


def test_pictures_carry_maps_at_their_size(mapped):
    pictures = load_pictures(mapped, SIZE // 2)
    assert pictures.labels.shape == (len(mapped), SIZE // 2, SIZE // 2)
    rays = pictures.at(torch.tensor([1]), torch.arange((SIZE // 2) ** 2)[None])
    assert set(rays.label.tolist()) >= {FaceClass.SKIN, FaceClass.HAIR, FaceClass.CLOTH, FaceClass.BACKGROUND}
    known = rays.normal.norm(dim=1) > 0
    assert torch.allclose(rays.normal[known].norm(dim=1), torch.ones(()), atol=1e-5)
    assert ((rays.normal * rays.directions).sum(1)[known] < 0.2).all()
    assert (known == (rays.label != FaceClass.BACKGROUND)).float().mean() > 0.9
    some = rays.rows(known)
    assert len(some.label) == len(some.normal) == int(known.sum())


def test_frames_without_a_map_are_unlabelled(mapped):
    frames = (replace(mapped.frames[0], semantic=None, normal=None), *mapped.frames[1:])
    pictures = load_pictures(replace(mapped, frames=frames), SIZE)
    assert bool((pictures.labels[0] == UNLABELLED).all())
    assert not pictures.normals[0].any()
    assert pictures.normals[1].any()


def test_no_pose_corrects_the_mouth(talking):
    body = prior_of(talking / "data").body
    generator = torch.Generator().manual_seed(0)
    correctives = 1e-3 * torch.randn(36, len(body.vertices), 3, generator=generator)
    prior = HeadPrior(replace(body, pose_basis=correctives))
    options = load_video_preset(str(talking / "tiny.yaml"))
    motion = imavatar_from_prior(prior, options.imavatar, torch.zeros(2, 5, 3)).motion
    points = prior.surface.vertices[prior.surface.faces[::50, 0]]
    label = torch.full((len(points),), int(FaceClass.MOUTH))
    terms = HeadTerms(prior, ghost=True)(motion, points, label, options.losses, len(points))
    assert terms["semantic"] > 0 == terms["offsets"]
    terms["semantic"].backward()
    gradient = (
        motion.offsets.at_nodes() if False else torch.cat([p.grad.flatten(1) for p in motion.offsets.parameters()])
    )
    assert gradient.any()


def test_without_a_ghost_bone_clothes_are_not_told_apart():
    label = torch.tensor([FaceClass.CLOTH, FaceClass.HAIR, UNLABELLED])
    assert Labels.of(label, ghost=True).carried.tolist() == [True, True, False]
    assert Labels.of(label, ghost=False).carried.tolist() == [False, True, False]
