import torch

from data_prep.pictures.face_colours import MOST_DIVISIONS, face_colours

VERTICES = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
FACES = torch.tensor([[0, 1, 2], [3, 2, 1]])


def linear(points: torch.Tensor) -> torch.Tensor:
    return 0.1 + points @ torch.tensor([[0.3, 0.1, 0.0], [0.2, 0.0, 0.5], [0.0, 0.0, 0.0]])


def some_points(count: int = 500) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    barycentric = torch.rand(count, 3, generator=generator)
    barycentric[:6] = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0], [0, 0.5, 0.5], [1, 1, 1]])
    return torch.randint(2, (count,), generator=generator), barycentric / barycentric.sum(1, keepdim=True)


def test_linear_colours_are_exact_at_every_division():
    face, barycentric = some_points()
    points = torch.einsum("pk,pkc->pc", barycentric, VERTICES[FACES[face]])
    for spacing in (2.0, 0.6, 0.4, 0.28, 0.01):
        found = face_colours(VERTICES, FACES, linear, spacing)
        assert found.divisions <= MOST_DIVISIONS
        assert torch.allclose(found.at(face, barycentric), linear(points), atol=1e-5)


def test_samples_are_met_and_detail_is_finer_than_the_faces():
    def stripes(points: torch.Tensor) -> torch.Tensor:
        return ((points[:, :1] * 4).round() % 2).expand(-1, 3).contiguous()

    found = face_colours(VERTICES, FACES, stripes, 0.25)
    assert found.divisions == 5 or found.divisions == 4
    along = torch.linspace(0, 1, found.divisions + 1)
    barycentric = torch.stack([1 - along, along, torch.zeros_like(along)], 1)
    shown = found.at(torch.zeros(len(along), dtype=torch.long), barycentric)
    assert torch.allclose(shown, stripes(torch.stack([along, 0 * along, 0 * along], 1)), atol=1e-4)
