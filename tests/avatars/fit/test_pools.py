import torch

from avatars.fit.options import FitOptions
from avatars.fit.pools import build_pools
from body_models import load_anny
from data_prep.registration.register import scan_surface
from data_prep.scans import Scan


def test_a_mouth_is_labelled_as_inside_and_all_else_by_its_distance():
    body = load_anny().body()
    scan = Scan("standing", body.vertices.double().numpy(), body.faces.numpy())
    options = FitOptions(pool=30_000)
    pools = build_pools([scan], options, 0)
    points, labels = pools.points[0], pools.labels[0]
    by_distance = torch.sigmoid(-scan_surface(scan).signed_distance(points) / options.snarf.edge)
    changed = labels - by_distance
    mouth = changed > 0.3
    assert mouth.sum() > 60, "points lie in the mouth, to fill what the avatar starts from"
    head = body.vertices[body.skinning_weights[:, body.skeleton.index("head")] > 0.5]
    assert ((points[mouth] > head.amin(0)) & (points[mouth] < head.amax(0))).all()
    assert labels[mouth].median() > 0.9
    assert changed.min() > -0.01, "nothing becomes outside"
    assert (changed.abs() > 0.01).float().mean() < 0.02
