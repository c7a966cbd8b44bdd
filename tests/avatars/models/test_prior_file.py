"""The prior's file: it comes back as it was, and bad files are told apart."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from avatars.models.prior_file import load_prior, save_prior
from body_models import InputError
from tests.avatars.small_body import small_body
from tests.avatars.small_prior import small_prior, small_prior_file


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return small_prior_file(tmp_path_factory.mktemp("prior"))


def rewritten(path, to, header=None, **tensors):
    with safe_open(path, framework="pt") as file:
        kept = dict(file.metadata())
    save_file(load_file(path) | tensors, to, metadata=kept | (header or {}))
    return to


def test_a_prior_comes_back(path):
    first, again = small_prior(), load_prior(path)
    assert again.card == first.card
    assert again.model.options == first.model.options
    assert again.model.space.skeleton == first.model.space.skeleton
    points = small_body().canonical()[::100]
    subject, code = torch.zeros(len(points)).long(), torch.ones(1, 4)
    values = [prior.model.occupancy(points, subject, prior.model.shape(code)).sdf for prior in (first, again)]
    assert torch.allclose(*values, atol=2e-3), "but for a byte's rounding (metres)"
    drawn = [prior.sample(2, seed=3)[1] for prior in (first, again)]
    assert torch.equal(drawn[0].shape, drawn[1].shape)
    assert torch.equal(drawn[0].betas, drawn[1].betas)


def test_writing_again_changes_nothing(path, tmp_path):
    save_prior(load_prior(path), tmp_path / "again.prior")
    first, again = load_prior(path), load_prior(tmp_path / "again.prior")
    for (name, one), two in zip(first.model.state_dict().items(), again.model.state_dict().values(), strict=True):
        if one.is_floating_point():
            assert torch.allclose(one, two, atol=1e-4), name


def test_files_that_are_no_prior(path, tmp_path):
    with pytest.raises(InputError, match="No prior file"):
        load_prior(tmp_path / "gone.prior")
    (tmp_path / "text.prior").write_text("hello")
    with pytest.raises(InputError, match="truncated or no prior"):
        load_prior(tmp_path / "text.prior")
    (tmp_path / "short.prior").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="truncated or no prior"):
        load_prior(tmp_path / "short.prior")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.prior")
    with pytest.raises(InputError, match="no prior of people"):
        load_prior(tmp_path / "other.prior")


def test_priors_with_wrong_parts(path, tmp_path):
    to = tmp_path / "bad.prior"
    with pytest.raises(InputError, match="another version"):
        load_prior(rewritten(path, to, {"version": "99"}))
    with pytest.raises(InputError, match="missing or unfitting parts"):
        load_prior(rewritten(path, to, {"options": "{}"}))
    with pytest.raises(InputError, match="not numbers"):
        load_prior(rewritten(path, to, **{"model.space.joints": torch.full((24, 3), torch.nan)}))
    with pytest.raises(InputError, match="missing or unfitting parts"):
        load_prior(rewritten(path, to, **{"model.occupancy.first.weight": torch.zeros(2, 2)}))
    with pytest.raises(InputError, match="statistics"):
        load_prior(rewritten(path, to, **{"shape.mean": torch.zeros(7)}))
