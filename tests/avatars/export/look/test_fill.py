import pytest
import torch

from avatars.export.look.fill import filled


@pytest.mark.parametrize("size", [1, 2, 7, 64, 100])
def test_known_texels_stay_and_all_others_lie_among_them(size):
    generator = torch.Generator().manual_seed(3)
    picture, known = torch.rand(3, size, size, generator=generator), torch.rand(size, size, generator=generator) < 0.1
    known[0, 0] = True
    whole = filled(torch.where(known, picture, torch.nan).nan_to_num(-9.0), known)
    assert torch.equal(whole[:, known], picture[:, known])
    for channel in range(3):
        given = picture[channel][known]
        assert float(whole[channel].min()) >= float(given.min()) - 1e-5
        assert float(whole[channel].max()) <= float(given.max()) + 1e-5


def test_what_is_one_colour_stays_so():
    known = torch.zeros(50, 50, dtype=torch.bool)
    known[10:20, 30:35] = True
    picture = torch.where(known, torch.tensor([0.2, 0.5, 0.9])[:, None, None], 0.0)
    assert torch.allclose(
        filled(picture, known), torch.tensor([0.2, 0.5, 0.9])[:, None, None].expand(3, 50, 50), atol=1e-5
    )


def test_the_ground_takes_the_colour_of_what_is_near():
    known = torch.zeros(64, 64, dtype=torch.bool)
    known[:, 10:14] = known[:, 50:54] = True
    picture = torch.zeros(1, 64, 64)
    picture[0, :, 50:54] = 1.0
    whole = filled(picture, known)
    assert float(whole[0, :, :18].max()) < 0.2
    assert float(whole[0, :, 47:].min()) > 0.8


def test_a_picture_without_anything_comes_back():
    picture = torch.rand(2, 9, 9)
    assert torch.equal(filled(picture, torch.zeros(9, 9, dtype=torch.bool)), picture)
