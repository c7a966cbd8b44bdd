"""The program's setting for fast float32 products changes nothing in a search."""

import pytest
import torch

from avatars.deform.gradient import attach_gradient
from avatars.deform.roots import SearchOptions
from avatars.deform.sampled import SampledSkinning
from avatars.deform.search import search, search_twin
from body_models import precision
from tests.avatars.deform.cases import devices, person, poses, queries


@pytest.fixture
def lowered():
    before = torch.get_float32_matmul_precision()
    yield lambda: torch.set_float32_matmul_precision("medium")
    torch.set_float32_matmul_precision(before)


def results(find, device):
    whole = person().field(poses("compact", 2), offsets=True, device=device)
    posed, frame = queries(whole, 300)
    inputs = [value.clone().requires_grad_() for value in (whole.log_weights, whole.posed_from_canonical, posed)]
    field = SampledSkinning(whole.grid, inputs[0], inputs[1], whole.offsets)
    roots = find(posed, frame, field, SearchOptions())
    attached = attach_gradient(roots, inputs[2], frame, field)
    return roots.canonical, roots.point, *torch.autograd.grad(attached.square().sum(), inputs)


@pytest.mark.parametrize("device", devices())
@pytest.mark.parametrize("find", [search, search_twin])
def test_fast_products_change_no_bit(find, device, lowered):
    exact = results(find, device)
    lowered()
    for one, other in zip(exact, results(find, device), strict=True):
        assert torch.equal(one, other)


def test_products_inside_are_at_the_highest_precision(lowered, monkeypatch):
    seen, block = [], precision.full_precision

    class Watched:
        def __enter__(self):
            self.inner = block()
            self.inner.__enter__()
            seen.append(torch.get_float32_matmul_precision())

        def __exit__(self, *error):
            return self.inner.__exit__(*error)

    monkeypatch.setattr(precision, "full_precision", Watched)
    lowered()
    results(search, "cpu")
    assert seen
    assert set(seen) == {"highest"}
    assert torch.get_float32_matmul_precision() == "medium"
