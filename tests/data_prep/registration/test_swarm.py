import pytest
import torch

from data_prep.registration.coarse import spread_vertices
from data_prep.registration.kinematics import PoseState, SurfacePoints, pose_jacobian, pose_points
from data_prep.registration.solve import PosePrior, normal_equations
from data_prep.registration.swarm import Probes, ScanPoints, _nearest, _normal_equations, icp_step, matching_cost
from data_prep.surface import Surface
from tests.data_prep.registration.cases import person

BODY = person()
NORMALS = Surface(BODY.vertices, BODY.faces).vertex_normals
CHOSEN = spread_vertices(BODY.vertices, 200)


@pytest.fixture(scope="module")
def probes() -> Probes:
    return Probes.of(BODY, PosePrior.of(BODY), NORMALS, CHOSEN)


def a_state(size: float, starts: int = 3) -> PoseState:
    generator = torch.Generator().manual_seed(5)
    pose = size * torch.randn(starts, 24, 3, generator=generator)
    return PoseState.from_pose(pose, torch.randn(starts, 3, generator=generator))


def random_metric(starts: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(6)
    root = torch.randn(starts, count, 3, 3, generator=generator)
    return root @ root.mT, torch.randn(starts, count, 3, generator=generator)


def test_poses_as_linear_blend_skinning_does(probes):
    transforms = probes.transforms(a_state(0.5))
    points = SurfacePoints(BODY.vertices[CHOSEN][None], BODY.skinning_weights[CHOSEN][None])
    posed, normals = probes.pose(transforms)
    torch.testing.assert_close(posed.permute(1, 2, 0), pose_points(points, transforms), atol=1e-5, rtol=0)
    torch.testing.assert_close(normals.norm(dim=0), torch.ones(3, 200))


@pytest.mark.parametrize("count", [7, 200])
def test_nearest_agrees_with_all_distances(probes, count):
    posed, normals = probes.pose(probes.transforms(a_state(0.3)))
    scan = ScanPoints(posed[:, 0, :count].T.contiguous() + 0.01, normals[:, 0, :count].T.contiguous())
    to_scan, to_body = _nearest(posed, normals, scan, 0.1)
    features = torch.cat([posed, 0.1 * normals]).permute(1, 2, 0)
    distance = torch.cdist(features, torch.cat([scan.points, 0.1 * scan.normals], 1).expand(3, -1, -1)) ** 2
    tight = {"atol": 3e-5, "rtol": 1e-3}
    torch.testing.assert_close(to_scan.squared, distance.amin(2), **tight)
    torch.testing.assert_close(to_body.squared.T, distance.amin(1), **tight)
    torch.testing.assert_close(distance.gather(2, to_scan.index[..., None])[..., 0], distance.amin(2), **tight)


def test_normal_equations_agree_with_the_jacobians_where_skinning_is_rigid():
    rigid = type(BODY)(**(vars(BODY) | {"skinning_weights": torch.eye(24)[BODY.skinning_weights.argmax(1)]}))
    probes = Probes.of(rigid, PosePrior.of(rigid), NORMALS, CHOSEN)
    transforms = probes.transforms(a_state(0.5))
    posed, _ = probes.pose(transforms)
    metric, pull = random_metric(3, 200)
    upper = metric.permute(2, 3, 0, 1)[tuple(torch.triu_indices(3, 3))]
    matrix, gradient = _normal_equations(probes, transforms, posed, upper, pull.permute(2, 0, 1))
    points = SurfacePoints(rigid.vertices[CHOSEN][None], rigid.skinning_weights[CHOSEN][None])
    jacobian = pose_jacobian(points, transforms, rigid.joints[None], rigid.skeleton.parents)
    exact_matrix, exact_gradient = normal_equations(jacobian, metric, pull)
    torch.testing.assert_close(matrix, exact_matrix, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(gradient, exact_gradient, rtol=1e-4, atol=1e-2)


def test_steps_approach_a_pose_nearby(probes):
    truth = PoseState.from_pose(
        0.1 * torch.randn(1, 24, 3, generator=torch.Generator().manual_seed(8)), torch.zeros(1, 3)
    )
    posed, normals = probes.pose(probes.transforms(truth))
    scan = ScanPoints(posed[:, 0].T.contiguous(), normals[:, 0].T.contiguous())
    state = PoseState.from_pose(torch.zeros(1, 24, 3), torch.full((1, 3), 0.03))
    before = matching_cost(probes, scan, state)
    for _ in range(12):
        state = icp_step(probes, scan, state, 0.1)
    assert matching_cost(probes, scan, state) < 0.2 * before
