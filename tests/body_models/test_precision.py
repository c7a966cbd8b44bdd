import subprocess
import sys

import pytest
import torch

from body_models import precision
from body_models.precision import full_precision, matmul

SHAPES = [
    ((4, 3), (3, 5)),
    ((2, 4, 3), (2, 3, 5)),
    ((2, 4, 3), (3, 5)),
    ((4, 3), (2, 3, 5)),
    ((2, 1, 4, 3), (6, 3, 5)),
    ((0, 4, 3), (3, 5)),
]


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture(params=["legacy", "backends"])
def lowered(request):
    """A program that asked for fast products, by torch's older or newer interface."""
    previous = torch.backends.cuda.matmul.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision
    if request.param == "legacy":
        torch.set_float32_matmul_precision("medium")
    else:
        torch.backends.cuda.matmul.fp32_precision = "tf32"
    yield
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision = previous


@pytest.fixture
def seen(monkeypatch):
    """The setting at each matrix product: torch's own, called by the operator, cannot be watched, the block can."""
    settings = []
    block = precision.full_precision

    class Watched:
        def __enter__(self):
            self.inner = block()
            self.inner.__enter__()
            settings.append((torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.fp32_precision))

        def __exit__(self, *error):
            return self.inner.__exit__(*error)

    monkeypatch.setattr(precision, "full_precision", Watched)
    return settings


def current():
    try:
        legacy = torch.get_float32_matmul_precision()
    except RuntimeError:
        legacy = None
    return legacy, torch.backends.cuda.matmul.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision


def product_and_gradients(shapes, product):
    a, b = (draw(*shape, seed=seed).requires_grad_() for seed, shape in enumerate(shapes))
    result = product(a, b)
    upstream = draw(*result.shape, seed=2)
    return result, *torch.autograd.grad(result, (a, b), upstream)


@pytest.mark.parametrize("shapes", SHAPES)
def test_values_and_gradients_are_the_plain_product_s(shapes, lowered):
    found = product_and_gradients(shapes, matmul)
    with full_precision():
        expected = product_and_gradients(shapes, torch.matmul)
    for mine, plain in zip(found, expected, strict=True):
        assert mine.shape == plain.shape
        assert torch.allclose(mine, plain, atol=1e-5)


def test_every_product_forward_and_backward_is_full(lowered, seen):
    before = current()
    a, b = draw(4, 3).requires_grad_(), draw(3, 5).requires_grad_()
    result = matmul(a, b)
    assert len(seen) == 1
    assert current() == before
    result.sum().backward()
    assert len(seen) == 3
    assert {setting for setting, _ in seen} == {"highest"}
    assert {setting for _, setting in seen} == {"ieee"}
    assert current() == before


def test_only_wanted_gradients_are_computed(lowered, seen):
    matmul(draw(4, 3), draw(3, 5).requires_grad_()).sum().backward()
    assert len(seen) == 2


def test_second_derivatives_are_full(lowered, seen):
    a, b = draw(2, 3).requires_grad_(), draw(3, 2).requires_grad_()
    (first,) = torch.autograd.grad(matmul(a, b).square().sum(), a, create_graph=True)
    count = len(seen)
    first.square().sum().backward()
    assert len(seen) > count
    assert {setting for setting, _ in seen} == {"highest"}
    expected = torch.autograd.functional.hessian(lambda x: (x @ b).square().sum(), a.detach())
    assert torch.allclose(a.grad.flatten(), 2 * expected.reshape(6, 6) @ first.detach().flatten(), atol=1e-3)


def test_setting_returns_after_an_error(lowered):
    before = current()
    with pytest.raises(RuntimeError):
        matmul(draw(2, 3).unsqueeze(0), torch.ones(3, 2, dtype=torch.float64).unsqueeze(0))
    assert current() == before

    def fail():
        with full_precision():
            assert torch.get_float32_matmul_precision() == "highest"
            raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        fail()
    assert current() == before


def test_a_full_program_takes_the_plain_product(monkeypatch):
    monkeypatch.setattr(precision, "_FullProduct", None)
    assert torch.equal(matmul(draw(4, 3), draw(3, 5)), draw(4, 3) @ draw(3, 5))


def test_double_precision_takes_the_plain_product(lowered, monkeypatch):
    monkeypatch.setattr(precision, "_FullProduct", None)
    a, b = draw(2, 3, dtype=torch.float64), draw(3, 2, dtype=torch.float64)
    assert torch.equal(matmul(a, b), a @ b)


@pytest.mark.parametrize("shapes", SHAPES[:5])
def test_gradients_in_double_precision(shapes):
    inputs = [draw(*shape, seed=seed, dtype=torch.float64).requires_grad_() for seed, shape in enumerate(shapes)]
    assert torch.autograd.gradcheck(precision._FullProduct.apply, inputs)
    assert torch.autograd.gradgradcheck(precision._FullProduct.apply, inputs)


def test_under_vmap_it_is_the_plain_product(lowered):
    a, b = draw(5, 4, 3), draw(3, 2)
    assert torch.allclose(torch.vmap(matmul, in_dims=(0, None))(a, b), a @ b, atol=1e-5)


COMPILE = """
import torch

from body_models.precision import matmul

torch.set_float32_matmul_precision("high")
a, b = torch.randn(4, 3), torch.randn(3, 5)
found = torch.compile(matmul, fullgraph=True, backend="aot_eager")(a, b)
assert torch.allclose(found, a @ b, atol=1e-5)
"""


def test_compiles():
    # another process, for the annotations that tests check cannot be compiled
    subprocess.run([sys.executable, "-c", COMPILE], check=True, timeout=120)
