import dataclasses
import math

import pytest
import torch

from body_models.errors import InputError
from data_prep.people import HALF, MemberOptions, from_view, make_member, normal_map, to_view, view_rays
from data_prep.surface import Surface
from tests.data_prep.people.cases import SMALL, ball_member, ball_mesh

CENTRE = torch.tensor([0.0, 1.0, 0.0])


def test_distances_and_normals_of_a_ball():
    member = ball_member(scans=2)
    distances = (member.points - CENTRE).norm(dim=-1) - 0.5
    assert (member.distances - distances).abs().max() < 4e-3
    assert member.distances[:, : SMALL.near].abs().max() < 0.06
    outwards = (member.surface - CENTRE) / (member.surface - CENTRE).norm(dim=-1, keepdim=True)
    assert (member.normals * outwards).sum(-1).min() > 0.999
    assert member.points.shape == (2, 300, 3)
    assert member.maps.shape == (2, 3, 16, 16, 3)


def test_uniform_points_fill_the_grown_box():
    options = dataclasses.replace(SMALL, uniform=4_000, margin=0.2)
    spread = ball_member(options=options).points[0, SMALL.near :] - CENTRE
    assert spread.abs().max() <= 0.7 + 1e-5
    assert spread.amax(0).min() > 0.69
    assert spread.mean(0).abs().max() < 0.03


def test_the_same_generator_gives_the_same_member():
    first, again, other = ball_member(seed=3), ball_member(seed=3), ball_member(seed=4)
    for name in ("points", "distances", "surface", "normals", "maps"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.equal(first.points, other.points)


def test_samples_lie_on_the_outer_surface_only():
    outer, inner = ball_mesh(0.5), ball_mesh(0.3)
    mesh = (torch.cat([outer[0], inner[0]]), torch.cat([outer[1], inner[1] + len(outer[0])]))
    member = make_member("nested", [mesh], torch.zeros(4), torch.zeros(1, 3, 3), torch.zeros(1, 3), CENTRE[None], SMALL)
    assert (member.surface - CENTRE).norm(dim=-1).min() > 0.49


@pytest.mark.parametrize("yaw", [0.0, 0.7, math.pi / 2, 4.0])
def test_a_ball_looks_the_same_from_all_sides(yaw):
    surface = Surface(*ball_mesh(0.9))
    image = normal_map(surface, surface.vertex_normals, CENTRE, yaw, 65)
    decoded = image.float() / 127.5 - 1
    assert (image[0, 0] == 255).all()
    assert decoded[32, 32].tolist() == pytest.approx([0, 0, 1], abs=0.02)
    seen = (image != 255).any(-1)
    rows, columns = seen.nonzero().unbind(1)
    expected = torch.stack([columns - 32.0, 32.0 - rows], dim=-1) * 2 * HALF / 65 / 0.9
    assert (decoded[rows, columns, :2] - expected).abs().max() < 0.03
    assert seen.float().mean().item() == pytest.approx(math.pi * 0.45**2 / HALF**2, abs=0.01)


def test_the_front_view_looks_from_plus_z_with_x_to_the_right():
    origins, directions = view_rays(CENTRE, 0.0, 4)
    assert torch.equal(directions, torch.tensor([[0.0, 0.0, -1.0]]).expand(16, 3))
    assert (origins[:, 2] > 2 * HALF).all()
    assert origins[0].tolist()[:2] == pytest.approx([-0.75 * HALF, 1 + 0.75 * HALF])
    assert origins[1].tolist()[:2] == pytest.approx([-0.25 * HALF, 1 + 0.75 * HALF])


def test_the_camera_turns_towards_plus_x():
    _, directions = view_rays(CENTRE, math.pi / 2, 2)
    torch.testing.assert_close(directions[0], torch.tensor([-1.0, 0.0, 0.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(to_view(torch.tensor([1.0, 0.0, 0.0]), math.pi / 2), torch.tensor([0.0, 0.0, 1.0]))


def test_to_and_from_view():
    normals = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    torch.testing.assert_close(from_view(to_view(normals, 0.8), 0.8), normals)
    torch.testing.assert_close(to_view(normals, 0.0), normals)


def test_what_cannot_be_a_member():
    vertices, faces = ball_mesh()
    rest = (torch.zeros(4), torch.zeros(1, 3, 3), torch.zeros(1, 3), CENTRE[None], SMALL)
    with pytest.raises(InputError, match="anna: the surface encloses nothing"):
        make_member("anna", [(vertices, faces.flip(1))], *rest)
    with pytest.raises(InputError, match="anna: vertices are not all finite"):
        make_member("anna", [(vertices * torch.nan, faces)], *rest)
    with pytest.raises(InputError, match="2 meshes do not go with 1 poses"):
        make_member("anna", [(vertices, faces)] * 2, *rest)
    with pytest.raises(InputError, match="needs one near point"):
        MemberOptions(near=0)
    with pytest.raises(InputError, match="lengths above zero"):
        MemberOptions(sigma=0.0)
