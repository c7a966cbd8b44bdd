import torch

from avatars.export.look.tangents import bitangents, with_tangents
from data_prep.surface import Surface
from tests.avatars.export.look.look_cases import ball

FLAT = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
FACES = torch.tensor([[0, 1, 2], [0, 2, 3]])
UPWARDS = torch.tensor([0.0, 0.0, 1.0]).expand(4, 3).contiguous()


def upright(points):
    """Texture coordinates that show what is seen from +Z as it is."""
    return torch.stack([points[:, 0], 1 - points[:, 1]], 1)


def test_right_and_up_of_a_picture_laid_on_a_plane():
    found = with_tangents(FLAT, UPWARDS, upright(FLAT), FACES)
    assert torch.equal(found.index, torch.arange(4))
    assert torch.allclose(found.tangents, torch.tensor([1.0, 0.0, 0.0, 1.0]).expand(4, 4))
    assert torch.allclose(bitangents(UPWARDS, found.tangents), torch.tensor([0.0, 1.0, 0.0]).expand(4, 3))


def test_a_mirrored_picture_keeps_its_own_right_and_up():
    mirrored = upright(FLAT) * torch.tensor([-1.0, 1.0])
    found = with_tangents(FLAT, UPWARDS, mirrored, FACES)
    assert torch.allclose(found.tangents, torch.tensor([-1.0, 0.0, 0.0, -1.0]).expand(4, 4))
    assert torch.allclose(bitangents(UPWARDS, found.tangents), torch.tensor([0.0, 1.0, 0.0]).expand(4, 3))


def test_vertices_are_doubled_where_the_picture_is_folded():
    folded = upright(FLAT)
    folded[3] = torch.tensor([0.9, 0.5])  # the second triangle lies on the side of the first
    found = with_tangents(FLAT, UPWARDS, folded, FACES)
    assert len(found.index) == 6
    assert torch.equal(found.index[found.faces], FACES)
    signs = found.tangents[:, 3][found.faces]
    assert torch.equal(signs[0], torch.ones(3))
    assert torch.equal(signs[1], -torch.ones(3))


def test_tangents_are_unit_and_square_to_the_normals():
    vertices, faces = ball(2)
    normals = Surface(vertices, faces).vertex_normals
    uv = torch.rand(len(vertices), 2, generator=torch.Generator().manual_seed(0))
    found = with_tangents(vertices, normals, uv, faces)
    assert torch.allclose(found.tangents[:, :3].norm(dim=1), torch.ones(len(found.index)), atol=1e-5)
    assert float((found.tangents[:, :3] * normals[found.index]).sum(1).abs().max()) < 1e-5
    assert torch.equal(found.tangents[:, 3].abs(), torch.ones(len(found.index)))


def test_triangles_without_a_picture_still_get_a_frame():
    found = with_tangents(FLAT, UPWARDS, torch.zeros(4, 2), FACES)
    assert torch.allclose(found.tangents[:, :3].norm(dim=1), torch.ones(4))
    assert float((found.tangents[:, :3] * UPWARDS).sum(1).abs().max()) < 1e-6


def test_turning_the_mesh_turns_its_tangents():
    vertices, faces = ball(2)
    faces = faces[vertices[faces][..., 2].amin(1) > 0.05]
    normals, uv = Surface(vertices, faces).vertex_normals, vertices[:, :2].contiguous()
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))[0]
    turn = turn * torch.linalg.det(turn)
    plain = with_tangents(vertices, normals, uv, faces).tangents
    turned = with_tangents(vertices @ turn.T, normals @ turn.T, uv, faces).tangents
    used = faces.unique()
    assert torch.allclose(plain[used, :3] @ turn.T, turned[used, :3], atol=1e-4)
    assert torch.equal(plain[:, 3], turned[:, 3])
