import torch

from data_prep.camera import look_at
from data_prep.surface import Surface
from data_prep.synthetic_heads.person import head_model
from data_prep.synthetic_heads.raster import rasterize


def test_the_same_is_seen_as_by_rays():
    model, _ = head_model()
    eye, target = torch.tensor([0.25, 0.1, 0.6]), torch.tensor([0.03, 0.02, 0.0])
    camera = look_at(eye, target, torch.tensor([0.0, 1.0, 0.0]), 25.0, 90, 70)  # parts of the head are cut off
    seen = rasterize(model.template, model.faces, camera)
    origins, directions = camera.rays()
    hits = Surface(model.template, model.faces).cast(origins.reshape(-1, 3), directions.reshape(-1, 3))
    same = seen.face == hits.face
    assert float(same.float().mean()) > 0.995  # rays through edges may take either side
    depth = hits.distance * (directions.reshape(-1, 3) @ camera.camera_from_world[2, :3])
    found = same & (seen.face >= 0)
    assert float((seen.depth - depth)[found].abs().max()) < 1e-4
    assert float((seen.barycentric - hits.barycentric)[found].abs().max()) < 0.02


def test_nothing_is_seen_beside_a_mesh():
    triangle = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [0.0, 0.1, 0.0]])
    camera = look_at(
        torch.tensor([5.0, 0.0, 1.0]), torch.tensor([5.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]), 20.0, 9, 9
    )
    seen = rasterize(triangle, torch.tensor([[0, 1, 2]]), camera)
    assert (seen.face == -1).all()
    assert seen.depth.isinf().all()
