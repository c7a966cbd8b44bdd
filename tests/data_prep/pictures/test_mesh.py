import math

import pytest
import torch
import trimesh

from body_models.errors import InputError
from data_prep.camera import look_at
from data_prep.pictures import RenderedImage, frame_camera, render_mesh, render_surface
from data_prep.pictures.mesh import BACKGROUND, CLAY, LIT, linear_to_srgb, merged, srgb_to_linear
from data_prep.surface import Surface

UP = torch.tensor([0.0, 1.0, 0.0])


def ball() -> tuple[torch.Tensor, torch.Tensor]:
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=0.5)
    return torch.tensor(mesh.vertices, dtype=torch.float32), torch.tensor(mesh.faces)


def front(width: int = 65, height: int = 65):
    return look_at(torch.tensor([0.0, 0.0, 3.0]), torch.zeros(3), UP, 30.0, width, height)


def test_a_ball_has_its_size_depth_and_normals():
    image = render_mesh(*ball(), front())
    assert image.rgb.shape == (65, 65, 3)
    radius = 65 / 2 / math.tan(math.radians(15)) * math.tan(math.asin(0.5 / 3))
    assert image.mask.sum().item() == pytest.approx(math.pi * radius**2, rel=0.03)
    assert image.depth[32, 32].item() == pytest.approx(2.5, abs=2e-3)
    assert torch.allclose(image.normal[32, 32], torch.tensor([0.0, 0.0, 1.0]), atol=0.01)
    assert image.normal[32, 48, 0] > 0.5
    assert image.normal[16, 32, 1] > 0.5


def test_the_background_is_plain_and_marked():
    image = render_mesh(*ball(), front())
    empty = image.mask == 0
    assert empty[0, 0]
    assert (image.rgb[empty] == BACKGROUND).all()
    assert image.depth[empty].isinf().all()
    assert (image.normal[empty] == 0).all()
    assert image.depth[~empty].isfinite().all()
    assert (image.rgb >= 0).all()
    assert (image.rgb <= 1).all()


def test_supersampling_smooths_edges_only():
    plain, smooth = render_mesh(*ball(), front()), render_mesh(*ball(), front(), supersampling=3)
    assert set(plain.mask.unique().tolist()) == {0.0, 1.0}
    assert ((smooth.mask > 0) & (smooth.mask < 1)).any()
    core = smooth.mask == 1
    assert (plain.rgb - smooth.rgb)[core].abs().max() < 0.2
    assert smooth.mask.sum() == pytest.approx(plain.mask.sum().item(), rel=0.03)


def test_vertex_colours_show():
    vertices, faces = ball()
    red = torch.tensor([0.8, 0.05, 0.05]).expand_as(vertices)
    pixel = render_mesh(vertices, faces, front(), colors=red).rgb[32, 32]
    assert pixel[0] > 4 * pixel[1]


def test_the_normal_style_encodes_camera_normals_exactly():
    image = render_mesh(*ball(), front(), style="normal")
    expected = ((image.normal + 1) / 2 * 255).round()
    shown = torch.tensor(image.to_uint8()).float()
    assert (shown - expected)[image.mask > 0].abs().max() <= 1
    side = look_at(torch.tensor([3.0, 0.0, 0.0]), torch.zeros(3), UP, 30.0, 65, 65)
    assert torch.tensor(render_mesh(*ball(), side, style="normal").to_uint8())[32, 32, 2] > 250


def test_inside_out_meshes_look_the_same():
    vertices, faces = ball()
    flipped = render_mesh(vertices, faces.flip(-1), front())
    assert torch.allclose(flipped.rgb, render_mesh(vertices, faces, front()).rgb, atol=1e-4)


def test_the_ground_darkens_below_and_leaves_the_mesh():
    vertices, faces = ball()
    camera = frame_camera(vertices.amin(0), vertices.amax(0), elevation=0.4, margin=1.5, width=80, height=80)
    with_floor, without = render_mesh(vertices, faces, camera, ground=True), render_mesh(vertices, faces, camera)
    change = without.rgb - with_floor.rgb
    assert (change[with_floor.mask > 0] == 0).all()
    assert change[45:].max() > 0.05
    assert change[:20].abs().max() < 1e-6


def test_a_kept_surface_renders_like_a_mesh():
    vertices, faces = ball()
    surface = Surface(vertices * 2, faces)
    surface.update(vertices)
    assert torch.allclose(
        render_surface(surface, front()).rgb, render_mesh(vertices, faces, front()).rgb, rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("azimuth", [0.0, 1.0, math.pi / 2, -2.5])
@pytest.mark.parametrize(("elevation", "width", "height"), [(0.0, 300, 200), (0.6, 200, 300), (-1.2, 100, 100)])
def test_framing_holds_the_box_tightly(azimuth, elevation, width, height):
    lower, upper = torch.tensor([-0.9, 0.0, -0.2]), torch.tensor([0.9, 1.8, 0.3])
    camera = frame_camera(lower, upper, azimuth, elevation, width, height)
    corners = torch.cartesian_prod(*torch.stack([lower, upper], dim=-1).unbind())
    pixels, depth = camera.project(corners)
    size = torch.tensor([width, height])
    assert (depth > 0).all()
    assert (pixels > 0).all()
    assert (pixels < size).all()
    assert ((pixels / size - 0.5).abs().amax() * 2) > 0.85


def test_azimuth_zero_sees_the_front():
    lower, upper = torch.zeros(3), torch.ones(3)
    assert frame_camera(lower, upper).center[2] > 1
    assert frame_camera(lower, upper, azimuth=math.pi / 2).center[0] > 1
    assert frame_camera(lower, upper, elevation=0.5).center[1] > 1


def test_srgb_round_trip():
    values = torch.linspace(0, 1, 100)
    assert torch.allclose(srgb_to_linear(linear_to_srgb(values)), values, atol=1e-5)


def test_bad_requests_teach():
    with pytest.raises(InputError, match="'shaded' or 'normal'"):
        render_mesh(*ball(), front(), style="toon")
    with pytest.raises(InputError, match="Supersampling 0"):
        render_mesh(*ball(), front(), supersampling=0)
    with pytest.raises(InputError, match="Elevation"):
        frame_camera(torch.zeros(3), torch.ones(3), elevation=math.pi / 2)
    with pytest.raises(InputError, match="with a size"):
        frame_camera(torch.ones(3), torch.ones(3))


def test_merged_pixels_are_means_of_finer_ones():
    rgb = torch.tensor([[[0.0] * 3, [1.0] * 3], [[0.0] * 3, [1.0] * 3]])
    normal = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]], [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    depth = torch.tensor([[torch.inf, 2.0], [torch.inf, 3.0]])
    image = merged(RenderedImage(rgb, (rgb[..., 0] > 0).float(), depth, normal), 2)
    assert image.to_uint8().tolist() == [[[188, 188, 188]]]
    assert image.mask.tolist() == [[0.5]]
    assert image.depth.tolist() == [[2.0]]
    assert torch.allclose(image.normal, torch.tensor([0.0, 0.5**0.5, 0.5**0.5]))


def test_lamps_move_with_the_camera_or_stand_still():
    surface = Surface(*ball())
    lower, upper = surface.vertices.amin(0), surface.vertices.amax(0)
    front, back = (frame_camera(lower, upper, azimuth, 0.0, 40, 40) for azimuth in (0.0, math.pi))
    seen = {light: [render_surface(surface, c, light=light).rgb for c in (front, back)] for light in LIT}
    assert torch.allclose(*seen["camera"], atol=0.02)
    assert torch.allclose(seen["world"][0], seen["camera"][0], atol=1e-4)
    assert float((seen["world"][0] - seen["world"][1]).abs().max()) > 0.1
    assert torch.allclose(seen["none"][1][20, 20], torch.tensor(CLAY))
    with pytest.raises(InputError, match="camera, world, none"):
        render_surface(surface, front, light="sun")
