import dataclasses

import pytest
import torch
from torch.nn.functional import normalize

from avatars.fit.adam import FieldAdam
from avatars.fit.adversarial import AdversarialOptions
from avatars.fit.detail_options import DetailRates
from avatars.fit.loop import Method, step_generator
from avatars.fit.prior_detail import DetailedPeople, DetailMethod, corner, cropped
from avatars.fit.prior_seen import SeenPeople, joined, prepare_seen
from avatars.fit.prior_shape import Share
from avatars.fit.progress import Progress
from tests.avatars.fit.tiny_people import MEMBER, STAGE, coarse_people, pools_of, write_bodies

ALONE = dataclasses.replace(STAGE, adversarial=AdversarialOptions(weight=0.0))


class Tilted(SeenPeople):
    """Scans whose normals lean upwards."""

    def surface(self, person, scan, points, share):
        found, normals = super().surface(person, scan, points, share)
        return found, normalize(normals + torch.tensor([0.0, 0.7, 0.0]), dim=1)


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    dataset = write_bodies(folder)
    with Progress(quiet=True) as progress:
        seen = prepare_seen(coarse_people(), pools_of(dataset), dataset, [0, 1], folder / "hits", STAGE, progress)
    return dataset, seen


def method(known, options=STAGE, share=None) -> DetailMethod:
    dataset, seen = known
    module = DetailedPeople(coarse_people(), MEMBER.size, options, seed=0)
    return DetailMethod(module, pools_of(dataset), dataset, [0, 1], seen, options, share)


def step(made: DetailMethod, number: int) -> dict[str, torch.Tensor]:
    return made.losses(number, step_generator(0, number))


def test_steps_are_the_same_each_time(known):
    first, second = step(method(known), 0), step(method(known), 0)
    assert list(first) == ["normals", "codes", "adversarial", "discriminator", "penalty"]
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(step(method(known), 1)["normals"], first["normals"])


def test_only_details_and_discriminator_move(known):
    made = method(known)
    assert isinstance(made, Method)
    grouped = [parameter for group in made.parameter_groups() for parameter in group["params"]]
    movable = [parameter for parameter in made.module.parameters() if parameter.requires_grad]
    assert {id(p) for p in grouped} == {id(p) for p in movable}
    assert len(grouped) == len(movable)
    sum(step(made, 0).values()).backward()
    normals = {id(p) for p in made.module.people.gdna.normals.parameters()}
    for name, parameter in made.module.named_parameters():
        own = id(parameter) in normals or "discriminator" in name or name == "people.detail"
        assert (parameter.grad is not None) == own, name


def test_pictures_of_an_untrained_prior_are_those_of_its_own_body(known):
    made = method(known)
    batch = made._choose(step_generator(0, 3))
    shown = [made.seen.hits(*of) for of in zip(batch.person, batch.scan, batch.view, strict=True)]
    subject = torch.arange(2).repeat_interleave(torch.tensor([len(points) for points, _ in shown]))
    codes = made.module.people.detail[torch.tensor(batch.person)]
    posed = made._posed(joined([points for points, _ in shown], codes.device), subject, codes)
    fake, covered = made._fake(batch, posed, [pixel for _, pixel in shown], MEMBER.size)
    real = made._real(batch)
    outlined = (real < 1).any(1)
    assert float((outlined & covered).sum() / (outlined | covered).sum()) > 0.75
    both = (outlined & covered)[:, None].expand_as(real)
    assert float((real - fake).detach()[both].abs().mean()) < 0.08
    assert bool((fake.detach().movedim(1, -1)[~covered] == 1).all())


def test_normals_improve_and_the_discriminator_can_be_left_out(known):
    dataset, seen = known
    quick = dataclasses.replace(ALONE, rates=DetailRates(network=0.03))
    made = method((dataset, Tilted(seen.paths)), quick)
    start = step(made, 100)
    assert "discriminator" not in start
    optimiser = FieldAdam(made.parameter_groups())
    for number in range(30):
        optimiser.zero_grad()
        sum(step(made, number).values()).backward()
        optimiser.step()
    assert step(made, 100)["normals"].item() < 0.5 * start["normals"].item()


def test_one_optimiser_serves_both_sides(known):
    made = method(known)
    optimiser = FieldAdam(made.parameter_groups())
    assert [group["betas"] for group in optimiser.param_groups][-1] == STAGE.adversarial.betas
    before = [parameter.detach().clone() for parameter in made.module.discriminator.parameters()]
    for number in range(2):
        optimiser.zero_grad()
        sum(step(made, number).values()).backward()
        optimiser.step()
    after = list(made.module.discriminator.parameters())
    assert all(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert all(bool(p.isfinite().all()) for p in made.module.parameters())


def test_processes_share_a_step(known):
    whole = method(known, ALONE)._choose(step_generator(0, 0))
    parts = [method(known, ALONE, Share(rank, 2))._choose(step_generator(0, 0)) for rank in range(2)]
    assert parts[0].person + parts[1].person == whole.person
    assert parts[0].share + parts[1].share == whole.share


def test_parts_of_pictures_hold_the_pixel_they_are_about():
    pixels = torch.tensor([0, 5 * 32 + 20, 31 * 32 + 31])
    wanted = [(0, 0), (1, 16), (24, 24)]
    assert [corner(pixels, share, 32, 8) for share in (0.0, 0.5, 1.0)] == wanted
    assert corner(pixels[:0], 0.5, 32, 8) == (12, 12)
    assert corner(pixels, 0.5, 32, 32) == (0, 0)
    picture = torch.arange(32.0 * 32).reshape(1, 1, 32, 32).expand(3, 3, -1, -1)
    parts = cropped(picture, wanted, 8)
    assert parts.shape == (3, 3, 8, 8)
    assert all(bool((part[0] == float(pixel)).any()) for part, pixel in zip(parts, pixels, strict=True))


def test_discriminator_is_made_for_what_it_is_shown(known):
    whole = method(known, dataclasses.replace(STAGE, crop=0)).module.discriminator
    part = method(known, dataclasses.replace(STAGE, crop=16)).module.discriminator
    assert (whole.options.size, part.options.size) == (MEMBER.size, 16)
