from dataclasses import replace

import pytest
import torch

from avatars.fit.carve import carve_start, hull_distance
from avatars.fit.video_method import TrackedImavatar
from avatars.fit.video_rays import load_pictures
from avatars.fit.video_surface import surface_mesh
from avatars.models.head_start import imavatar_from_prior
from avatars.models.imavatar_options import ImavatarOptions
from data_prep.surface import Surface
from data_prep.video_dataset import read_video_dataset
from tests.avatars.fit.tiny_video import SIZE, prior_of

GRID = ImavatarOptions(
    weight_spacing=0.04,
    part_weight_spacing=0.02,
    base_spacing=0.012,
    part_base_spacing=0.006,
    feature_spacings=(0.05,),
    colour_spacings=(0.05,),
)
MLP = replace(
    GRID, network="mlp", geometry_width=16, geometry_depth=4, geometry_octaves=2, colour_width=8, weight_width=16
)
FACE = ("nose", "upper_lip", "lower_lip", "chin", "left_eye", "right_eye", "left_brow_inner", "right_brow_inner")


@pytest.fixture(scope="module")
def dataset(talking):
    return read_video_dataset(talking / "data")


@pytest.fixture(scope="module")
def prior(dataset):
    return prior_of(dataset.folder)


@pytest.fixture(scope="module")
def pictures(dataset):
    return load_pictures(dataset, SIZE)


def tracked(dataset, prior, options=GRID):
    torch.manual_seed(0)
    model = imavatar_from_prior(prior, options, dataset.poses)
    return TrackedImavatar(model, dataset.poses, dataset.translations, dataset.expressions)


@pytest.fixture(scope="module")
def bare(dataset, prior):
    """The head as it is tracked; nobody changes it."""
    return tracked(dataset, prior)


@pytest.fixture(scope="module")
def carved(dataset, prior, pictures):
    """The same with hair and shoulders; nobody changes it."""
    module = tracked(dataset, prior)
    carve_start(module, prior, pictures)
    return module


def seen(module, pictures, frame):
    """What a picture shows of the person, and what of the surface."""
    tracks = (values[frame : frame + 1] for values in (module.poses, module.translations, module.expressions))
    mesh = surface_mesh(module.imavatar, 64)
    (posed,) = module.imavatar.posed(*tracks).placed(mesh.vertices)[1]
    rays = pictures.at(torch.tensor([frame]), torch.arange(SIZE * SIZE)[None])
    return rays.alpha > 0.5, Surface(posed, mesh.faces).cast(rays.origins, rays.directions).face >= 0


@pytest.mark.parametrize("frame", [0, 7])
def test_the_masks_are_covered_and_little_else(bare, carved, pictures, frame):
    person, before = seen(bare, pictures, frame)
    _, after = seen(carved, pictures, frame)
    assert (before & person).sum() < 0.7 * person.sum()
    assert (after & person).sum() > 0.85 * person.sum()
    assert (after & ~person).sum() < 0.02 * person.sum()


def test_the_face_stays_as_it_was(dataset, prior, bare, carved):
    landmarks = dataset.body_model().landmarks
    (chosen,) = torch.tensor([name in FACE for name in landmarks.names]).nonzero(as_tuple=True)
    face = landmarks.on(prior.canonical)[chosen]
    points = (face + 0.012 * torch.randn(40, 1, 3, generator=torch.Generator().manual_seed(0))).flatten(0, 1)
    points = points[points[:, 1] > face[:, 1].amin()]
    before, after = bare.imavatar.sdf(points), carved.imavatar.sdf(points)
    deep = before < -0.006  # there distances from the hair begin to count
    assert deep.float().mean() < 0.4
    assert torch.equal(after[~deep], before[~deep])
    assert torch.allclose(after, before, atol=1e-3)


def test_hair_stays_near_the_head_and_shoulders_near_the_neck(bare, carved, prior):
    nodes = bare.imavatar.geometry.base_grid.nodes()
    before, after = (module.imavatar.geometry.at_nodes()[:, 0] for module in (bare, carved))
    added = (after < 0) & (before > 0)
    neck = prior.canonical[:, 1].amin()
    above, below = added & (nodes[:, 1] > neck + 0.03), added & (nodes[:, 1] < neck - 0.02)
    assert above.sum() > 100
    assert below.sum() > 100
    assert before[above].amax() < 0.05
    assert (nodes[below, 2].amax() - nodes[below, 2].amin()) < 0.2


def test_it_only_adds(bare, carved):
    before, after = (module.imavatar.geometry.at_nodes()[:, 0] for module in (bare, carved))
    assert after.isfinite().all()
    assert (after - before).amax() < 0.005  # smoothing fills no more than this
    assert (after[before < 0] < 0.001).all()


def test_only_the_base_is_changed(bare, carved):
    first, second = bare.state_dict(), carved.state_dict()
    assert {name for name in first if not torch.equal(first[name], second[name])} == {"imavatar.geometry.base"}
    assert carved.imavatar.geometry.base.requires_grad


def test_carving_again_finds_the_same(dataset, prior, pictures, carved):
    module = tracked(dataset, prior)
    carve_start(module, prior, pictures)
    assert torch.equal(module.imavatar.geometry.base, carved.imavatar.geometry.base)


def test_networks_are_left_alone(dataset, prior, pictures):
    module = tracked(dataset, prior, MLP)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    carve_start(module, prior, pictures)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


@pytest.mark.parametrize("alpha", [0, 255])
def test_masks_without_an_edge(dataset, prior, pictures, bare, alpha):
    module = tracked(dataset, prior)
    carve_start(module, prior, replace(pictures, alpha=torch.full_like(pictures.alpha, alpha)))
    before, after = bare.imavatar.geometry.at_nodes(), module.imavatar.geometry.at_nodes()
    assert after.isfinite().all()
    assert torch.equal(before, after) == (alpha == 0)
    surface_mesh(module.imavatar, 48)


def test_some_lost_masks_do_no_harm(dataset, prior, pictures, carved):
    alpha = pictures.alpha.clone()
    alpha[3] = 0
    module = tracked(dataset, prior)
    carve_start(module, prior, replace(pictures, alpha=alpha))
    (person, found), (_, wanted) = seen(module, pictures, 0), seen(carved, pictures, 0)
    assert (found & person).sum() > 0.95 * (wanted & person).sum()


def test_the_hull_is_negative_where_masks_agree_and_unknown_out_of_sight(bare, prior, pictures):
    middle, frames = prior.canonical.mean(0), torch.arange(len(pictures))
    aside = middle + torch.tensor([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.25, 0.0]])
    found = hull_distance(bare, aside, pictures, frames)
    assert found[0] < -0.02
    assert found[1] == torch.inf
    assert found[2] > 0.02
