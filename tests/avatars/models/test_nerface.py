import math
from copy import deepcopy
from functools import cache

import pytest
import torch

from avatars.models.nerface import FADING, Nerface, NerfaceOptions
from avatars.models.nerface_picture import volume_picture
from body_models import InputError
from body_models.skeleton import rotation_matrices
from data_prep.camera import look_at
from tests.avatars.small_nerface import COARSE, front_camera, small_model

BALL = torch.tensor([0.01, 0.02, 0.0])
RADIUS = 0.08


class Ball(torch.nn.Module):
    """A field that is dense and red in a ball in head space."""

    def tell(self, condition):
        return condition

    def density_at(self, points, told):
        return 2000 * torch.sigmoid((RADIUS - (points - BALL).norm(dim=-1)) / 5e-4)

    def forward(self, points, directions, told):
        red = torch.tensor([0.8, 0.1, 0.1]).to(points)
        return self.density_at(points, told), red.expand(*points.shape)


@cache
def ball():
    model = small_model()
    model.field = Ball()
    told = torch.zeros(1, 55)
    model.expected.zero_()
    for seed in range(3):
        model.renew_expected(told, torch.Generator().manual_seed(seed))
    return model


def at(place, turn=(0.0, 0.0, 0.0)):
    pose = torch.zeros(5, 3)
    pose[0] = torch.tensor(turn)
    return pose, torch.tensor(place), torch.zeros(52)


def centre_of(pose, translation):
    joint = ball().joints[0]
    return rotation_matrices(pose[:1])[0] @ (BALL - joint) + joint + translation


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (0.2, 0.9, -0.3)])
def test_a_ball_is_where_the_root_joint_carries_it(turn):
    pose, translation, expression = at((0.03, -0.02, -0.7), turn)
    camera = front_camera(48)
    seen = volume_picture(ball(), pose, translation, expression, camera)
    origins, directions = (rays.reshape(-1, 3) for rays in camera.rays())
    centre = centre_of(pose, translation)
    along = ((centre - origins) * directions).sum(1)
    aside = (origins + along[:, None] * directions - centre).norm(dim=1).reshape(48, 48)
    assert (seen.opacity[aside < RADIUS - 0.006] > 0.98).all()
    assert (seen.opacity[aside > RADIUS + 0.006] < 0.02).all()
    inner = aside < 0.8 * RADIUS
    assert torch.allclose(seen.rgb[inner], torch.tensor([0.8, 0.1, 0.1]), atol=0.02)
    assert torch.allclose(seen.rgb[aside > RADIUS + 0.006], torch.ones(3), atol=0.02)
    distance = along - (RADIUS**2 - aside.reshape(-1).clamp_max(RADIUS) ** 2).sqrt()
    depth = (distance * (directions @ camera.camera_from_world[2, :3])).reshape(48, 48)[inner]
    assert (seen.depth[inner] - depth).abs().max() < 0.006
    surface = (origins + distance[:, None] * directions).reshape(48, 48, 3)
    outward = torch.nn.functional.normalize(surface - centre, dim=-1)
    assert ((seen.normal * outward).sum(-1)[inner] > math.cos(math.radians(10))).all()
    assert torch.equal(seen.normal[aside > RADIUS + 0.006].norm(dim=-1).max(), torch.tensor(0.0))
    assert seen.depth[0, 0] == torch.inf


def test_where_density_was_seen_it_is_expected_and_elsewhere_it_fades():
    model = deepcopy(ball())
    inside, outside = float(model.expected_at(BALL)), float(model.expected_at(model.box[1]))
    assert inside > 1000
    model.field.density_at = lambda points, told: torch.zeros(points.shape[:2])
    model.renew_expected(torch.zeros(1, 55), torch.Generator().manual_seed(9))
    assert float(model.expected_at(BALL)) == pytest.approx(FADING * inside)
    assert outside < 1


def test_gradients_reach_field_poses_places_and_expressions():
    model = small_model().double()
    poses, places, expressions = (torch.zeros(1, 5, 3), torch.tensor([[0.0, 0.0, -0.6]]), torch.ones(1, 52))
    tracks = [value.double().requires_grad_() for value in (poses, places, expressions)]
    generator = torch.Generator().manual_seed(0)
    towards = 0.1 * torch.randn(6, 3, generator=generator) + torch.tensor([0.0, 0.0, -1.0])
    directions = torch.nn.functional.normalize(towards, dim=1).double()
    frame = torch.zeros(6, dtype=torch.long)

    def colours(*given):
        # Samples keep their distances: where they lie is no matter of gradients.
        return model.posed(*given).see(torch.zeros(6, 3).double(), directions, frame).before(1.0).sum()

    colours(*tracks).backward()
    for value in (*tracks, *model.field.parameters()):
        assert value.grad is not None
        assert bool(value.grad.any())
    assert not tracks[0].grad[:, 3:].any()  # eyes are told to nobody


def test_pictures_do_not_depend_on_how_rays_are_split(monkeypatch):
    import avatars.models.nerface_picture as module

    tracks = at((0.0, 0.0, -0.7))
    whole = volume_picture(small_model(), *tracks, front_camera(16))
    monkeypatch.setattr(module, "RAYS_AT_ONCE", 100)
    split = volume_picture(small_model(), *tracks, front_camera(16))
    assert torch.allclose(whole.rgb, split.rgb, atol=1e-6)


def test_a_camera_that_looks_away_sees_the_background():
    away = look_at(torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 0.0]), 40.0, 8, 8)
    seen = volume_picture(small_model(), *at((0.0, 0.0, -0.7)), away, 0.25)
    assert torch.allclose(seen.rgb, torch.full((8, 8, 3), 0.25))
    assert not seen.opacity.any()


def test_motion_of_another_head_is_refused():
    model = small_model()
    with pytest.raises(InputError, match="6 joints and 52 expression"):
        model.condition(torch.zeros(1, 6, 3), torch.zeros(1, 52))
    with pytest.raises(InputError, match="5 joints and 10 expression"):
        model.condition(torch.zeros(1, 5, 3), torch.zeros(1, 10))


@pytest.mark.parametrize("wrong", [{"width": 0}, {"floor": 1.0}, {"feature_spacings": ()}, {"expected_spacing": -1.0}])
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        NerfaceOptions(**wrong)


def test_the_default_is_small():
    model = small_model()
    whole = Nerface(NerfaceOptions(), model.skeleton, model.sizes, model.joints, model.box)
    assert sum(value.numel() for value in whole.state_dict().values()) < 3e6
    assert COARSE.samples < NerfaceOptions().samples
