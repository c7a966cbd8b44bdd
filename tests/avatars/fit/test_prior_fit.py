"""Fitting a prior: density of codes, what whole and partial scans say, codes and poses found again, files, errors."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from avatars.fit import prior_fit_scans
from avatars.fit.options import ColourOptions
from avatars.fit.prior_fit import betas_of, body_model_of
from avatars.fit.prior_fit_codes import CodeDensity, spread_of, starts
from avatars.fit.prior_fit_method import CodedPerson, CodeMethod, WrinkleMethod, canonical_normals
from avatars.fit.prior_fit_options import PriorFitOptions
from avatars.fit.prior_fit_points import SeenScan, gather
from avatars.fit.prior_fit_scans import PriorSource, codes_file, fit_scans_to_prior
from avatars.models import load
from avatars.models import person as person_module
from avatars.models.code_statistics import CodeStatistics
from avatars.models.person_file import read_person
from avatars.models.prior import Prior
from body_models import InputError, load_anny
from data_prep.pockets import without_pockets
from data_prep.registration.register import scan_surface
from data_prep.scans import Scan, load_scans
from tests.avatars.fit.tiny import body_scans
from tests.avatars.small_body import small_body, small_poses
from tests.avatars.small_prior import small_prior, small_prior_file

OPTIONS = PriorFitOptions(
    pool=4000, samples=500, steps=6, points=600, detail_steps=3, detail_points=200, tuning_steps=4, tuning_points=300
)  # fmt: skip
COARSE = ColourOptions(samples=30_000, spacing=0.02, part_spacing=0.01)
STILL = torch.zeros(3, 3)


def two_kinds() -> CodeStatistics:
    """Codes about -1 and about +1 in the first number."""
    codes = 0.1 * torch.randn(120, 3, generator=torch.Generator().manual_seed(0))
    codes[:60, 0] -= 1
    codes[60:, 0] += 1
    return CodeStatistics.of(codes)


def front_half(scan: Scan) -> Scan:
    """The faces of a scan that look forward (+Z)."""
    facing = scan_surface(scan).face_normals[:, 2] > 0
    return Scan(scan.name, scan.vertices, scan.faces[facing.numpy()])


def coded(shift: float = 0.0) -> CodedPerson:
    """The small prior's person in the three poses of `body_scans`, the joints off by some radians."""
    return CodedPerson(small_prior(), torch.zeros(3), small_poses(3, scale=0.1) + shift, STILL)


class TestCodes:
    def test_codes_of_either_kind_are_likelier_than_what_lies_between(self):
        density = CodeDensity.of(two_kinds())
        left, middle = torch.tensor([-1.0, 0, 0]), torch.zeros(3)
        assert density.penalty(left) < 0.2
        assert density.penalty(middle) > density.penalty(left) + 2

    def test_the_penalty_has_a_gradient_everywhere(self):
        far = torch.full((3,), 30.0, requires_grad=True)
        CodeDensity.of(two_kinds()).penalty(far).backward()
        assert far.grad is not None
        assert far.grad.isfinite().all()
        assert far.grad.abs().sum() > 0

    def test_starts_are_the_kinds(self):
        first = sorted(round(float(code[0])) for code in starts(two_kinds()))
        assert first == [-1, 0, 1]

    def test_coordinates_of_unit_variance(self):
        statistics = two_kinds()
        spread = spread_of(statistics)
        assert torch.allclose(spread @ spread.T, statistics.covariance, atol=1e-4)

    def test_codes_that_do_not_vary(self):
        same = CodeStatistics.of(torch.ones(4, 3))
        assert CodeDensity.of(same).penalty(torch.ones(3)).isfinite()
        assert spread_of(same).isfinite().all()


class TestEvidence:
    def test_half_a_scan_says_nothing_that_the_whole_one_denies(self):
        whole = body_scans()[0]
        evidence = gather([SeenScan(front_half(whole), partial=True)], 0, pool=4000, samples=500)
        truth = scan_surface(whole).signed_distance(evidence.points[0])
        said = evidence.distances[0]
        clear = truth.abs() > 0.003
        assert ((truth > 0) == (said > 0))[clear].float().mean() > 0.97
        assert (said <= truth.abs() + 1e-4).logical_or(said > 0).all(), "inside no deeper than it is"
        assert 0.2 < (said < 0).float().mean() < 0.6
        assert (evidence.normals.norm(dim=2) - 1).abs().max() < 1e-3

    def test_the_air_before_the_scanner_is_empty(self):
        whole = body_scans()[0]
        seen = SeenScan(front_half(whole), partial=True, eye=torch.tensor([0.0, 1.0, 3.0]))
        evidence = gather([seen], 0, pool=4000, samples=100)
        far = evidence.distances[0] > 0.1
        assert far.float().mean() > 0.05
        assert (scan_surface(whole).signed_distance(evidence.points[0][far]) > 0).float().mean() > 0.97

    def test_a_whole_scan_is_labelled_by_its_inside(self):
        whole = body_scans()[0]
        evidence = gather([SeenScan(whole)], 0, pool=1000, samples=100)
        filled = without_pockets(scan_surface(whole))
        assert torch.allclose(filled.signed_distance(evidence.points[0]), evidence.distances[0])
        labels = evidence.pools(0.01).labels
        assert ((labels > 0.5) == (evidence.distances < 0))[evidence.distances != 0].all()


class TestMethods:
    def test_poses_are_found_again(self):
        evidence = gather([SeenScan(scan) for scan in body_scans()], 0, pool=3000, samples=100)
        module = coded(shift=0.03)
        method = CodeMethod(small_prior(), module, evidence, dataclasses.replace(OPTIONS, points=1500))
        true, scans = small_poses(3, scale=0.1), torch.arange(3)
        optimiser = torch.optim.Adam([module.poses, module.translations], lr=5e-3)

        def misfit() -> Tensor:
            return method.misfit(module.shape, scans, 500, torch.Generator().manual_seed(1)).detach()

        before, off = float(misfit()), float((module.poses.detach()[:, 0] - true[:, 0]).abs().mean())
        for step in range(15):
            loss = torch.stack(list(method.losses(step, torch.Generator().manual_seed(step)).values())).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert float(misfit()) < before
        assert float((module.poses.detach()[:, 0] - true[:, 0]).abs().mean()) < 0.7 * off

    def test_scanned_points_come_back_to_the_shared_surface(self):
        evidence = gather([SeenScan(scan) for scan in body_scans()], 0, pool=100, samples=300)
        canonical, normals = canonical_normals(small_prior().model, coded(), evidence)
        assert len(canonical) > 600
        body = small_body()
        surface = scan_surface(Scan("", body.canonical().numpy(), body.faces.numpy()))
        nearest = surface.closest(canonical)
        assert nearest.distance.mean() < 0.01
        assert (surface.face_normals[nearest.face] * normals).sum(1).mean() > 0.9

    def test_codes_get_gradients(self):
        evidence = gather([SeenScan(body_scans()[0])], 0, pool=1000, samples=300)
        module = CodedPerson(small_prior(), torch.zeros(3), small_poses(3, scale=0.1)[:1], STILL[:1])
        for method, own in (
            (CodeMethod(small_prior(), module, evidence, OPTIONS), (module.shape_steps, module.betas, module.poses)),
            (WrinkleMethod(small_prior(), module, evidence, OPTIONS), (module.detail_steps,)),
        ):
            terms = method.losses(0, torch.Generator().manual_seed(0))
            torch.stack(list(terms.values())).sum().backward()
            assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in own)

    def test_a_scan_far_away_gives_no_wrinkles_but_no_error(self):
        scan = body_scans()[0]
        evidence = gather([SeenScan(Scan("far", scan.vertices + 5, scan.faces))], 0, pool=100, samples=50)
        module = CodedPerson(small_prior(), torch.zeros(3), small_poses(3, scale=0.1)[:1], STILL[:1])
        method = WrinkleMethod(small_prior(), module, evidence, OPTIONS)
        assert set(method.losses(0, torch.Generator().manual_seed(0))) == {"detail"}


def test_betas_come_back_from_a_naked_body():
    betas = torch.tensor([1.0, -0.5, 0.5, 0.3])
    assert torch.allclose(betas_of(load_anny().body(betas), load_anny(), 4), betas, atol=0.1)


@pytest.mark.parametrize("change", ["joints", "sizes"])
def test_a_prior_of_another_body_is_refused(change):
    first = small_prior()
    space = first.model.space
    other = Prior(first.model, first.shape, first.detail, first.betas, first.card)
    kept = space.joints.clone(), space.skeleton
    try:
        if change == "joints":
            space.joints.add_(0.05)
        else:
            space.skeleton = dataclasses.replace(space.skeleton, joint_names=("a", *space.skeleton.joint_names[1:]))
        with pytest.raises(InputError, match="another body model"):
            body_model_of(other)
    finally:
        space.joints.copy_(kept[0])
        space.skeleton = kept[1]


@pytest.fixture(autouse=True, scope="module")
def coarse():
    """Surfaces of few cells."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prior_fit_scans, "RESOLUTION", 64)
        patch.setattr(person_module, "BAKED_SPACING", 0.03)
        yield


@pytest.fixture(scope="module")
def prior_file(tmp_path_factory) -> Path:
    return small_prior_file(tmp_path_factory.mktemp("prior"))


def fit(scans: Path, out: Path, prior: Path, **settings):
    source = PriorSource(scans / "train", scans / "train/poses.npz")
    known = {"options": OPTIONS, "colours": COARSE, **settings}
    return fit_scans_to_prior(source, out, prior=prior, quiet=True, **known)


@pytest.fixture(scope="module")
def finished(scans, tmp_path_factory, prior_file):
    """An avatar and its file; whoever runs it again gets the same."""
    out = tmp_path_factory.mktemp("finished") / "anna.avatar"
    return fit(scans, out, prior_file), out


class TestFiles:
    def test_avatar_and_codes(self, finished, prior_file):
        avatar, out = finished
        again = load(out)
        assert again.info.names == avatar.info.names
        assert len(again.poses) == 3
        points = small_body().canonical()[::200]
        same = [one.pose(one.poses[0], one.translations[0]).occupancy(points) for one in (avatar, again)]
        assert torch.allclose(*same, atol=5e-3), "but for the file's rounding"
        assert codes_file(out).name == "anna.person.json"
        person = read_person(codes_file(out), small_prior())
        assert person.shape.shape == (4,)
        assert json.loads(codes_file(out).read_text())["prior"]

    def test_the_scans_colours_are_the_avatars(self, finished, scans):
        avatar, out = finished
        points = avatar.body(96).canonical()
        found, again = avatar.colours(points), load(out).colours(points)
        assert found is not None
        assert torch.equal(found, again)
        shown = load_scans(scans / "train", colours=30_000).scans[0].colours
        assert shown is not None
        assert float((found.mean(0) - torch.from_numpy(shown.linear().mean(0))).abs().max()) < 0.08
        assert float(found.std(0).max()) > 0.1

    def test_exact_poses_stay(self, finished, scans):
        from body_models import load_poses

        known = load_poses(scans / "train/poses.npz").motion.rotations
        assert torch.allclose(finished[0].poses, known, atol=1e-5)

    def test_a_resumed_run_gives_the_same(self, finished, scans, prior_file):
        first, out = finished
        again = fit(scans, out, prior_file, resume=True)
        points = small_body().canonical()[::200]
        assert torch.allclose(*(one.training_pose(0).occupancy(points) for one in (first, again)), atol=1e-3)

    def test_resumed_with_other_settings(self, finished, scans, prior_file):
        with pytest.raises(InputError, match="finetune differ"):
            fit(scans, finished[1], prior_file, resume=True, finetune=False)

    def test_without_tuning(self, scans, tmp_path, prior_file):
        out = tmp_path / "plain.avatar"
        avatar = fit(scans, out, prior_file, finetune=False, colours=ColourOptions(samples=0))
        assert avatar.colour is None
        assert out.is_file()
        assert not (tmp_path / "plain.avatar.work" / "avatar").exists()


class TestErrors:
    def test_a_damaged_prior(self, scans, tmp_path, prior_file):
        broken = tmp_path / "broken.prior"
        broken.write_bytes(prior_file.read_bytes()[:5000])
        with pytest.raises(InputError, match="truncated or no prior"):
            fit(scans, tmp_path / "a.avatar", broken)
        assert not (tmp_path / "a.avatar.work").exists()

    def test_a_source_that_is_not_there(self, tmp_path, prior_file):
        with pytest.raises(InputError, match="no file or folder"):
            fit_scans_to_prior(PriorSource(tmp_path / "gone"), tmp_path / "a.avatar", prior=prior_file, quiet=True)
        assert not (tmp_path / "a.avatar.work").exists()

    def test_things_that_do_not_go_together(self, tmp_path):
        with pytest.raises(InputError, match="--camera"):
            PriorSource(tmp_path, normals=tmp_path)
        with pytest.raises(InputError, match="whole scans only"):
            PriorSource(tmp_path, poses=tmp_path, partial=True)

    def test_options_beyond_what_is_possible(self):
        with pytest.raises(InputError, match="points"):
            PriorFitOptions(points=0)
        with pytest.raises(InputError, match="final"):
            PriorFitOptions(final=2.0)
