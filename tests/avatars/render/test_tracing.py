from dataclasses import replace

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatars.deform.skinning import forward_skin
from avatars.render import Proxy, TraceOptions, attach_surface_gradient, posed_normals, trace
from body_models import InputError
from tests.avatars.render.head import camera, talking_head

SIZE = 64


def rays(azimuth: float, number: int) -> tuple[Float[Tensor, "ray 3"], Float[Tensor, "ray 3"], Int[Tensor, "ray"]]:
    origins, directions = camera(SIZE, azimuth).rays()
    return origins.reshape(-1, 3), directions.reshape(-1, 3), torch.full((SIZE * SIZE,), number)


@pytest.mark.parametrize(("azimuth", "number"), [(0.0, 1), (0.9, 1), (1.7, 0)])
def test_the_fast_way_agrees_with_marching_everywhere(azimuth: float, number: int) -> None:
    """Nose over cheek, mouth cavity and ear; those that differ graze, or lie where the search misses a folded root."""
    head, given = talking_head(), rays(azimuth, number)
    fast = trace(*given, head.field, head.proxy())
    slow = trace(*given, head.field, head.proxy(), TraceOptions(everywhere=True, samples=128))
    both = fast.hit & slow.hit
    assert int(both.sum()) > 800
    same = torch.where(both, (fast.distance - slow.distance).abs() < 1e-4, fast.hit == slow.hit)
    assert float(same.float().mean()) >= 0.995
    assert float((fast.hit == slow.hit).float().mean()) >= 0.998


def test_a_coarse_proxy_gives_the_same_hits() -> None:
    head, given = talking_head(), rays(0.4, 1)
    exact = head.proxy()
    noise = 1e-3 * torch.randn(head.vertices.shape, generator=torch.Generator().manual_seed(0))
    rough = Proxy(head.vertices + noise, head.faces, exact.posed + noise.flip(0))
    one, other = trace(*given, head.field, exact), trace(*given, head.field, rough)
    both = one.hit & other.hit
    assert float((one.hit == other.hit).float().mean()) > 0.998
    assert float(((one.distance - other.distance).abs()[both] < 1e-4).float().mean()) > 0.98


def test_hits_lie_on_ray_and_surface_and_misses_near_their_nearest_approach() -> None:
    head, (origins, directions, frame) = talking_head(), rays(0.3, 1)
    proxy = head.proxy()
    hits = trace(origins, directions, frame, head.field, proxy)
    posed = forward_skin(head.field.deformation, hits.canonical, frame)
    gap = (posed - origins - hits.distance[:, None] * directions).norm(dim=1)
    assert float(gap[hits.hit].max()) < 2e-5
    assert float((head.field.sdf(hits.canonical, frame).abs()[hits.hit] < 1e-5).float().mean()) > 0.99
    near = ~hits.hit & (proxy.surface(1).closest(origins + hits.distance[:, None] * directions).distance < 0.03)
    assert float(gap[near].quantile(0.95)) < 2e-3
    assert bool((head.field.sdf(hits.canonical, frame)[~hits.hit] > -1e-4).float().mean() > 0.99)


def test_frames_may_be_mixed() -> None:
    head, (origins, directions, _) = talking_head(), rays(0.3, 0)
    frame = torch.arange(len(origins)) % 2
    proxy = head.proxy()
    mixed = trace(origins, directions, frame, head.field, proxy)
    for number in (0, 1):
        own = frame == number
        alone = trace(origins[own], directions[own], frame[own], head.field, proxy)
        assert float((mixed.hit[own] == alone.hit).float().mean()) > 0.999
        both = mixed.hit[own] & alone.hit
        assert float(((mixed.distance[own] - alone.distance).abs()[both] < 1e-5).float().mean()) > 0.99


def test_a_moved_proxy_is_as_good_as_a_new_one() -> None:
    head, given = talking_head(), rays(0.5, 0)
    proxy = head.proxy()
    new = Proxy(head.vertices, head.faces, proxy.posed.flip(0))
    trace(*given, head.field, proxy)
    proxy.move(proxy.posed.flip(0))
    for cast in (Proxy.cast_shell, lambda *some: Proxy.cast(*some)[0]):
        assert torch.allclose(cast(proxy, *given), cast(new, *given), atol=1e-6)
    assert torch.equal(proxy.boxes, new.boxes)
    with pytest.raises(InputError, match="make a new Proxy"):
        proxy.move(proxy.posed[:1])


def test_normals_face_the_eye_and_gradients_arrive() -> None:
    head, (origins, directions, frame) = talking_head(), rays(0.0, 0)
    hits = trace(origins, directions, frame, head.field, head.proxy(), TraceOptions(misses=False))
    some = (origins[hits.hit], directions[hits.hit], frame[hits.hit])
    normals = posed_normals(head.field, hits.canonical[hits.hit], some[2])
    assert float(((normals * some[1]).sum(1) < 0).float().mean()) > 0.97  # but for folds between the closed lips
    table = head.field.table.clone().requires_grad_()
    points = attach_surface_gradient(hits.rows(hits.hit), *some, replace(head.field, table=table))
    points.sum().backward()
    assert table.grad is not None
    assert bool(table.grad.isfinite().all())
    assert float(table.grad.abs().max()) > 0


def test_rays_that_see_nothing_and_no_rays_at_all() -> None:
    head, (origins, directions, frame) = talking_head(), rays(0.0, 0)
    proxy = head.proxy()
    away = trace(origins, -directions, frame, head.field, proxy)
    assert not bool(away.hit.any())
    assert bool((away.canonical.isfinite().all(1) & away.distance.isfinite()).all())
    for options in (TraceOptions(), TraceOptions(everywhere=True)):
        assert len(trace(origins[:0], directions[:0], frame[:0], head.field, proxy, options).hit) == 0


def test_rays_that_do_not_fit_are_refused() -> None:
    head, (origins, directions, frame) = talking_head(), rays(0.0, 0)
    with pytest.raises(InputError, match="posed in 2"):
        trace(origins, directions, frame + 2, head.field, head.proxy())
    with pytest.raises(InputError, match="margin"):
        head.proxy(margin=0.0)
