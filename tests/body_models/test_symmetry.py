import pytest
import torch

from body_models import InputError
from body_models.anny import anny_person, load_anny, load_anny_head
from body_models.symmetry import mirror_matches, mirror_pose, vertex_mirror

FLIP = torch.tensor([-1.0, 1.0, 1.0])
BODIES = {
    "compact": lambda: anny_person({}),
    "hands": lambda: anny_person({}, rig="hands"),
    "full": lambda: anny_person({}, rig="full"),
    "head": lambda: load_anny_head().body(),
}


@pytest.mark.parametrize("name", BODIES)
def test_the_mirrored_pose_is_the_mirror_image(name):
    body = BODIES[name]()
    twin = vertex_mirror(body)
    pose = 0.5 * torch.randn(len(body.skeleton), 3, generator=torch.Generator().manual_seed(0))
    place = torch.tensor([0.3, 0.1, -0.2])
    posed = body.pose_vertices(pose, place)
    mirrored = body.pose_vertices(mirror_pose(pose, body.skeleton), place * FLIP)
    assert (mirrored - posed[twin] * FLIP).norm(dim=1).max() < 1e-3


def test_mirroring_twice_changes_nothing():
    skeleton = load_anny("full").skeleton
    pose = torch.randn(2, len(skeleton), 3)
    assert torch.equal(mirror_pose(mirror_pose(pose, skeleton), skeleton), pose)


def test_matches_are_mutual_and_survive_a_lopsided_mean():
    exact = vertex_mirror(anny_person({}))
    assert torch.equal(exact[exact], torch.arange(len(exact)))
    found = vertex_mirror(load_anny())
    assert torch.equal(found[found], torch.arange(len(found)))
    assert (found == exact).float().mean() > 0.999


def test_points_in_the_middle_mirror_themselves():
    points = torch.tensor([[0.0, 1.0, 0.0], [0.2, 0.0, 0.0], [-0.2, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert mirror_matches(points).tolist() == [0, 2, 1, 3]


def test_vertices_in_one_place_are_paired():
    seam = torch.tensor([[0.2, 0.0, 0.0], [-0.2, 0.0, 0.0]]).repeat(3, 1)
    points = torch.cat([seam, torch.tensor([[0.0, 1.0, 0.0]]).repeat(2, 1)])
    twin = mirror_matches(points)
    assert torch.equal(twin[twin], torch.arange(len(points)))
    assert torch.equal(points[twin], points * FLIP)


def test_a_surface_that_is_not_symmetric_is_refused():
    with pytest.raises(InputError, match="not symmetric"):
        mirror_matches(torch.rand(300, 3) + torch.tensor([0.2, 0.0, 0.0]))
    with pytest.raises(InputError, match="not symmetric"):
        mirror_matches(anny_person({}).vertices + torch.tensor([0.05, 0.0, 0.0]))
