"""The banded system against dense algebra, the camera's derivatives, standing feet, outlines."""

import numpy as np
import pytest
import torch

from body_models import load_anny
from data_prep.body_video import BodyDetector, track_body
from data_prep.body_video.arrow import accelerations, add_accelerations, banded, solve_arrow
from data_prep.body_video.camera import guessed_intrinsics, placed, project, projection_jacobian
from data_prep.body_video.contact import FEET, Contact
from data_prep.camera import Camera
from data_prep.pictures import render_mesh
from tests.data_prep.body_video.cases import HEIGHT, WIDTH, seen, squats


def dense(band, count, frames):
    size = count * frames
    full = torch.zeros(size, size, dtype=torch.float64)
    for row in range(2 * count + 1):
        full += torch.diag_embed(band[row, : size - row], -row) if row else torch.diag(band[0])
    return full + full.tril(-1).T


def test_banded_solution_is_the_dense_one():
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    frames, count, shared = 5, 4, 3
    half = random(frames, count, count)
    below = 0.3 * random(frames - 1, count, count)
    times = torch.tensor([0.0, 0.1, 0.3, 0.35, 0.5], dtype=torch.float64)
    factors, precision = accelerations(times), torch.rand(count, generator=generator, dtype=torch.float64)
    band = banded(half @ half.mT + 5 * torch.eye(count), below)
    expected = torch.block_diag(*(half @ half.mT + 5 * torch.eye(count)))
    for step in range(frames - 1):
        rows, columns = slice((step + 1) * count, (step + 2) * count), slice(step * count, (step + 1) * count)
        expected[rows, columns] = below[step]
        expected[columns, rows] = below[step].T
    rows = torch.zeros(frames - 2, frames, dtype=torch.float64)
    for inner in range(frames - 2):
        rows[inner, inner : inner + 3] = factors[inner]
    expected += torch.kron(rows.T @ rows, torch.diag(precision))
    add_accelerations(band, factors, precision)
    assert torch.allclose(dense(band, count, frames), expected)
    border, corner = random(frames * count, shared), 50 * torch.eye(shared, dtype=torch.float64)
    right, right_shared = random(frames * count), random(shared)
    own, common = solve_arrow(band, border, corner, right, right_shared)
    whole = torch.cat([torch.cat([expected, border], 1), torch.cat([border.T, corner], 1)])
    assert torch.allclose(whole @ torch.cat([own, common]), torch.cat([right, right_shared]))


def test_accelerations_of_a_parabola_at_uneven_times():
    times = torch.tensor([0.0, 0.1, 0.4, 0.5], dtype=torch.float64)
    factors, values = accelerations(times), 3 * times**2 + times
    second = (factors * torch.stack([values[:-2], values[1:-1], values[2:]], -1)).sum(-1)
    assert torch.allclose(second, torch.full((2,), 6.0, dtype=torch.float64))


def test_projection_and_its_derivative():
    camera = guessed_intrinsics(WIDTH, HEIGHT)
    points = torch.tensor([[0.3, 0.5, -2.5], [0.0, 0.0, -1.0]], dtype=torch.float64)
    world = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
    expected, _ = Camera(camera, world, WIDTH, HEIGHT).project(points)
    assert torch.allclose(project(points, camera), expected)
    found = torch.autograd.functional.jacobian(lambda p: project(p, camera), points)
    assert torch.allclose(projection_jacobian(points, camera), torch.stack([found[0, :, 0], found[1, :, 1]]))


def test_placed_points_meet_their_pixels():
    truth = squats(load_anny(), frames=3)
    points, camera = truth.markers.double(), truth.intrinsics.double()
    shift = torch.tensor([0.2, -0.4, 1.1], dtype=torch.float64)
    weights = torch.ones(points.shape[:2], dtype=torch.float64)
    assert torch.allclose(
        placed(points + shift, project(points, camera), weights, camera), -shift.expand(3, 3), atol=1e-4
    )


def test_feet_stand_only_while_still():
    truth = squats(load_anny(), frames=6)
    pixels = project(truth.markers, truth.intrinsics).double()
    pixels[:, FEET] = pixels[:1, FEET]
    pixels[3:, FEET] += 80.0
    ones = torch.ones(6, 33, dtype=torch.float64)
    contact = Contact.of(torch.from_numpy(truth.times), pixels, ones, 600 * ones[:, 0])
    assert (contact.weights > 0).all(1).tolist() == [True, True, False, True, True]
    still = truth.markers[:1].repeat(6, 1, 1).double()
    assert contact.energy(still) == 0


def test_masks_tell_the_shape():
    model = load_anny()
    truth = squats(model, frames=4)
    betas = torch.tensor([0.0, 1.5, -1.5])
    surface = model.body(betas).pose_vertices(truth.poses, truth.translations)
    world = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    camera = Camera(truth.intrinsics, world, WIDTH, HEIGHT).resized(WIDTH // 2, HEIGHT // 2)
    masks = [render_mesh(vertices, model.faces, camera).mask.numpy() for vertices in surface]

    def overlap(track):
        vertices = model.body(track.betas).pose_vertices(track.poses, track.translations)
        found = [render_mesh(v, model.faces, camera).mask.numpy() > 0.5 for v in vertices]
        return np.mean([(f & (m > 0.5)).sum() / (f | (m > 0.5)).sum() for f, m in zip(found, masks, strict=True)])

    without = track_body(model, seen(truth), truth.times, WIDTH, HEIGHT, truth.intrinsics)
    given = track_body(
        model, seen(truth), truth.times, WIDTH, HEIGHT, truth.intrinsics, mask_of=lambda index: masks[index]
    )
    assert overlap(given) > overlap(without)
    empty = track_body(model, seen(truth), truth.times, WIDTH, HEIGHT, truth.intrinsics, mask_of=lambda index: None)
    assert torch.equal(empty.betas, without.betas)


def test_detector_closes_twice():
    pytest.importorskip("mediapipe")
    with BodyDetector() as detector:
        detector.close()
