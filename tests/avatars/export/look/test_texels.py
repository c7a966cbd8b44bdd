import torch

from avatars.export.look.texels import BORDER, FARTHEST, texels_of

UV = torch.tensor([[0.1, 0.1], [0.9, 0.2], [0.3, 0.8], [0.95, 0.95]])
FACES = torch.tensor([[0, 1, 2], [1, 3, 2]])
SIZE = 64


def centres(texels):
    return torch.stack([texels.pixel % SIZE, texels.pixel // SIZE], 1) + 0.5


def test_a_texel_shows_the_point_at_its_centre():
    texels = texels_of(UV, FACES, SIZE)
    assert torch.allclose(texels.blend(UV, FACES) * SIZE, centres(texels), atol=1e-3)
    assert torch.allclose(texels.barycentric.sum(1), torch.ones(len(texels.pixel)), atol=1e-5)


def test_inside_means_in_the_triangle():
    texels = texels_of(UV, FACES, SIZE)
    least = texels.barycentric.amin(1)
    assert bool((texels.inside == (least >= 0))[least.abs() > 1e-4].all())
    along, across = UV[FACES[:, 1]] - UV[FACES[:, 0]], UV[FACES[:, 2]] - UV[FACES[:, 0]]
    area = (along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]).abs().sum() / 2
    assert abs(float(texels.inside.sum()) / SIZE**2 - float(area)) < 0.01


def test_a_border_surrounds_the_triangles():
    texels = texels_of(UV, FACES, SIZE)
    inside = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    inside.reshape(-1)[texels.pixel[texels.inside]] = True
    covered = torch.zeros_like(inside)
    covered.reshape(-1)[texels.pixel] = True
    beside = torch.nn.functional.max_pool2d(inside[None].float(), 3, 1, 1)[0] > 0
    assert (covered | ~beside).float().mean() > 0.99  # sharp corners of a triangle do not reach over its border
    far = torch.nn.functional.max_pool2d(inside[None].float(), 7, 1, 3)[0] == 0
    assert not (covered & far).sum() > 12  # but for the tips of sharp ones
    assert BORDER > 1.42


def test_mirrored_triangles_are_drawn_too():
    plain, mirrored = texels_of(UV, FACES, SIZE), texels_of(UV, FACES.flip(1), SIZE)
    assert torch.equal(plain.pixel, mirrored.pixel)
    assert torch.allclose(plain.blend(UV, FACES), mirrored.blend(UV, FACES.flip(1)), atol=1e-5)


def test_triangles_without_an_area_are_left_out():
    texels = texels_of(UV, torch.tensor([[0, 1, 1], [0, 0, 0]]), SIZE)
    assert len(texels.pixel) == 0
    assert texels.split(100)[0].face.shape == (0,)


def test_thin_triangles_are_not_continued_far():
    uv = torch.tensor([[0.1, 0.5], [0.9, 0.5], [0.5, 0.5001]])
    texels = texels_of(uv, torch.tensor([[0, 1, 2]]), SIZE)
    assert float(texels.barycentric.min()) >= -FARTHEST - 1e-4
    assert torch.allclose(texels.barycentric.sum(1), torch.ones(len(texels.pixel)), atol=1e-4)


def test_the_pieces_are_the_whole():
    texels = texels_of(UV, FACES, SIZE)
    parts = texels.split(100)
    assert torch.equal(torch.cat([part.pixel for part in parts]), texels.pixel)
    assert torch.equal(torch.cat([part.barycentric for part in parts]), texels.barycentric)
