import pytest
import torch

from body_models.prepared import CORRECTED_AT_ONCE
from body_models.skeleton import rigid, rotation_matrices
from body_models.skinning import blend_offsets, deform, skin

GENERATOR = torch.Generator().manual_seed(0)
VERTICES, BONES = 40, 5


def draw(*shape):
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


WEIGHTS = torch.softmax(3 * draw(VERTICES, BONES), dim=1)


def transforms(*batch):
    return rigid(rotation_matrices(draw(*batch, BONES, 3)), draw(*batch, BONES, 3))


def plain(vertices, blendshapes, weights, moves):
    """The definition, one term after the other."""
    for coefficients, basis in blendshapes:
        vertices = vertices + torch.einsum("...k,kvc->...vc", coefficients, basis)
    blended = torch.einsum("vb,...bij->...vij", weights, moves)
    return torch.einsum("...vij,...vj->...vi", blended[..., :3, :3], vertices) + blended[..., :3, 3]


@pytest.mark.parametrize("batch", [(), (1,), (17,), (2, 3), (CORRECTED_AT_ONCE + 5,), (0,)])
@pytest.mark.parametrize("own_vertices", [False, True])
@pytest.mark.parametrize("terms", [(), (3,), (40, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pieces_equal_the_definition(batch, own_vertices, terms, dtype):
    vertices = draw(*(batch if own_vertices else ()), VERTICES, 3)
    blendshapes = [(0.3 * draw(*batch, count), 0.1 * draw(count, VERTICES, 3)) for count in terms]
    moves = transforms(*batch)
    expected = plain(vertices, blendshapes, WEIGHTS, moves)
    typed = [(coefficients.to(dtype), basis.to(dtype)) for coefficients, basis in blendshapes]
    found = deform(vertices.to(dtype), typed, WEIGHTS.to(dtype), moves.to(dtype))
    assert found.shape == (*batch, VERTICES, 3)
    assert found.is_contiguous()
    assert torch.allclose(found.double(), expected, atol=1e-10 if dtype == torch.float64 else 2e-5)


def test_values_are_the_same_with_and_without_gradients():
    vertices, moves = draw(VERTICES, 3), transforms(9)
    blendshapes = [(draw(9, 4), draw(4, VERTICES, 3))]
    kept = deform(vertices.clone().requires_grad_(), blendshapes, WEIGHTS, moves)
    assert kept.requires_grad
    assert torch.allclose(kept, deform(vertices, blendshapes, WEIGHTS, moves), atol=1e-12)


def test_broadcasting_of_identities_and_poses():
    vertices, moves = draw(4, 1, VERTICES, 3), transforms(3)
    found = skin(vertices, WEIGHTS, moves)
    assert found.shape == (4, 3, VERTICES, 3)
    assert torch.allclose(found[2, 1], skin(vertices[2, 0], WEIGHTS, moves[1]), atol=1e-12)


@pytest.mark.parametrize("own_vertices", [False, True])
def test_gradients_of_every_input(own_vertices):
    vertices = draw(*((2,) if own_vertices else ()), 6, 3)
    inputs = [vertices, draw(2, 3), draw(3, 6, 3), WEIGHTS[:6].clone(), transforms(2)]
    inputs = [tensor.requires_grad_() for tensor in inputs]
    assert torch.autograd.gradcheck(lambda v, c, b, w, t: deform(v, [(c, b)], w, t), inputs)
    assert torch.autograd.gradcheck(lambda v, c, b, w, t: skin(v, w, t) + 0 * blend_offsets(c, b), inputs)
