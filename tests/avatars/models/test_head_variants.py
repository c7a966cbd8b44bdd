"""The baselines of IMavatar: what carries canonical points into frames, and geometries told of pose and expression."""

from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from avatars.deform.roots import SearchOptions
from avatars.deform.sampled import SampledSkinning
from avatars.deform.search import search
from avatars.deform.skinning import forward_skin
from avatars.fit.video_options import load_video_preset
from avatars.models.file import load_head, save
from avatars.models.head_avatar import HeadAvatar
from avatars.models.imavatar import ImavatarOptions
from avatars.render import Proxy, SurfaceField, TraceOptions, trace
from body_models import InputError
from data_prep.surface import Surface
from tests.avatars.small_head import COARSE, SMALL_MLP, expression, front_camera, head_body, small_head, small_model

VARIANTS = {
    "c_net": replace(COARSE, deformation="none", conditioned=True),
    "d_net": replace(COARSE, deformation="displacement", displacement_width=8),
    "b_morph": replace(COARSE, deformation="nearest"),
    "fwd_skin": replace(COARSE, deformation="skinning", conditioned=True),
}
EVERY = pytest.mark.parametrize("name", VARIANTS)
TOLD = {"c_net": "geometry", "d_net": "motion", "fwd_skin": "geometry"}
"""What of the variants is told expression and pose by a network."""


def model_of(name, moved=False):
    """An untrained variant; where `moved`, its networks are not at their silent start."""
    model = small_model(VARIANTS[name])
    if moved:
        last = model.geometry.residual if model.options.conditioned else getattr(model.motion, "displacement", None)
        last = getattr(last, "last", last)
        if last is not None:
            torch.nn.init.normal_(last.weight, 0.0, 0.5)
    return model


def still(model, **shapes):
    """The canonical pose without expression, or with one."""
    return model.canonical_pose[None], torch.zeros(1, 3), expression(**shapes)


def frames(model, count=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    poses = 0.2 * torch.randn(count, 5, 3, generator=generator)
    places = 0.1 * torch.randn(count, 3, generator=generator)
    return [value.to(model.joints) for value in (poses, places, 0.5 * torch.rand(count, 52, generator=generator))]


def avatar_of(name, moved=False):
    return HeadAvatar(model_of(name, moved), small_head().tracks, small_head().info)


def seen_points():
    """Points about the head model's surface, in canonical space."""
    points = head_body().canonical()[::60]
    return points + 2e-3 * torch.randn(points.shape, generator=torch.Generator().manual_seed(3))


@EVERY
def test_presets_name_the_variants(name):
    options, fast = load_video_preset(name), load_video_preset("fast")
    wanted = VARIANTS[name]
    expected = replace(fast.imavatar, deformation=wanted.deformation, conditioned=wanted.conditioned)
    assert options.imavatar == expected
    assert replace(options, imavatar=fast.imavatar) == fast


@EVERY
def test_the_canonical_pose_without_expression_shows_the_start_surface(name):
    model, ours, points = model_of(name), small_model(), seen_points()
    surface, frame = model.posed(*still(model)), torch.zeros(len(points), dtype=torch.long)
    assert isinstance(surface, SurfaceField)
    assert torch.allclose(forward_skin(surface.deformation, points, frame), points, atol=1e-5)
    assert torch.allclose(surface.sdf(points, frame), ours.sdf(points), atol=1e-5)
    assert torch.allclose(surface.shade(points, frame).normals.norm(dim=1), torch.ones(len(points)), atol=1e-4)


@EVERY
def test_the_root_places_all(name):
    model, points = model_of(name, moved=True), seen_points()
    frame, turn = torch.zeros(len(points), dtype=torch.long), torch.tensor([0.0, 0.6, 0.0])
    pose, place, shape = still(model, jawOpen=0.5)
    turned = pose.clone()
    turned[0, 0] = turn
    here, there = model.posed(pose, place, shape), model.posed(turned, place + 0.3, shape)
    ours = head_body().posed_from_canonical(turned[0], place[0] + 0.3)[0]
    only = [index for index in range(len(points)) if points[index, 1] > -0.02]  # above what the ghost bone moves
    carried = forward_skin(here.deformation, points, frame)[only] @ ours[:3, :3].T + ours[:3, 3]
    assert torch.allclose(forward_skin(there.deformation, points, frame)[only], carried, atol=2e-3)
    assert torch.allclose(here.sdf(points, frame)[only], there.sdf(points, frame)[only], atol=2e-3)


@pytest.mark.parametrize("name", TOLD)
def test_networks_that_are_told_change_with_the_frame(name):
    model, points = model_of(name, moved=True), seen_points()
    surface = model.posed(*frames(model))
    both = [torch.full((len(points),), number) for number in (0, 1)]
    moved = [forward_skin(surface.deformation, points, frame) for frame in both]
    told = [surface.sdf(points, frame) for frame in both]
    neutral = model.posed(*still(model)).sdf(points, both[0])
    if TOLD[name] == "geometry":
        assert (told[0] - told[1]).abs().max() > 1e-4
        assert torch.allclose(neutral, model.sdf(points))
    else:
        assert torch.equal(told[0], told[1])
        bones = surface.deformation.posed_from_canonical
        home = [(x - b[0, :3, 3]) @ b[0, :3, :3] for x, b in zip(moved, bones, strict=True)]
        assert (home[0] - home[1]).abs().max() > 1e-4


@EVERY
def test_searches_find_what_was_carried(name):
    model, points = model_of(name, moved=True), seen_points()
    field, frame = model.deformation(*frames(model)), torch.arange(len(points)) % 2
    assert isinstance(field, SampledSkinning)
    with torch.no_grad():
        roots = search(forward_skin(field, points, frame), frame, field, SearchOptions())
    found = (roots.canonical - points[roots.point]).norm(dim=1) < 1e-3
    assert roots.point[found].unique().numel() > 0.95 * len(points)


def test_the_nearest_vertex_brings_its_own_points_back():
    model = model_of("b_morph")
    pose, place, shape = still(model, jawOpen=0.7, mouthSmileLeft=0.5)
    surface, morph = model.posed(pose, place, shape), model.motion
    truth = head_body().pose_vertices(pose, place, shape)[0]
    known = torch.cdist(morph.vertices, head_body().canonical()).min(1)
    own = known.values < 1e-6  # all but the tube that carries the neck on
    there = surface.there[0, own]
    carried = (there[..., :3] * morph.vertices[own][:, None]).sum(2) + there[..., 3]
    assert torch.allclose(carried, truth[known.indices[own]], atol=2e-3)  # expressions do not shift joints here
    home = surface.canonical(carried, torch.zeros(len(carried), dtype=torch.long))
    assert (home - morph.vertices[own]).norm(dim=1).median() < 1e-5
    assert (home - morph.vertices[own]).norm(dim=1).quantile(0.95) < 1e-3


def test_gradients_in_head_space_are_slopes():
    model = model_of("b_morph").double()
    pose, place, shape = (value.double() for value in still(model, jawOpen=0.7))
    surface = model.posed(pose, place, shape)
    points = surface.morph.vertices[::40] + 1e-3
    frame = torch.zeros(len(points), dtype=torch.long)
    points.requires_grad_()
    (expected,) = torch.autograd.grad(surface.sdf(points, frame).sum(), points)
    assert torch.allclose(surface.sdf_gradient(points, frame), expected, atol=1e-8)


@EVERY
def test_gradients_reach_all_that_is_learned_and_the_tracks(name):
    model, points = model_of(name, moved=True), seen_points()
    given = [value.requires_grad_() for value in frames(model)]
    surface, frame = model.posed(*given), torch.arange(len(points)) % 2
    shade = surface.shade(points, frame)
    carried = forward_skin(surface.deformation, points, frame)
    (shade.colours.sum() + shade.normals.sum() + surface.sdf(points, frame).sum() + carried.sum()).backward()
    for value in given:
        assert bool(value.grad.any())
    for known, parameter in model.named_parameters():
        assert parameter.grad is not None, known
        assert bool(parameter.grad.any()), known
    if name == "b_morph":
        assert not list(model.motion.parameters())


@EVERY
def test_rays_meet_the_posed_surface(name):
    model = model_of(name, moved=True)
    poses, places, shapes = frames(model)
    places = torch.tensor([[0.0, 0.0, -0.6], [0.05, 0.0, -0.7]])
    surface = model.posed(0.5 * poses, places, shapes)
    mesh = small_head().proxy(64)
    own, posed = surface.placed(mesh.vertices)
    assert posed.shape == (2, len(mesh.vertices), 3)
    camera = front_camera(16)
    origins, directions = (rays.reshape(-1, 3).float() for rays in camera.rays())
    for number in (0, 1):
        frame = torch.full((len(origins),), number)
        given = (origins, directions, frame, surface, Proxy(own, mesh.faces, posed))
        fast = trace(*given)
        slow = trace(*given, TraceOptions(everywhere=True, samples=64))
        assert 0.05 < float(slow.hit.float().mean()) < 0.95
        assert float((fast.hit != slow.hit).float().mean()) < 0.02
        both = fast.hit & slow.hit
        assert float((fast.distance - slow.distance)[both].abs().median()) < 1e-4
        points = fast.canonical[fast.hit]
        assert float(surface.sdf(points, frame[fast.hit]).detach().abs().median()) < 1e-5


@EVERY
def test_files_bring_back_the_head(name, tmp_path):
    head = avatar_of(name, moved=True)
    save(head, tmp_path / "head.avatar")
    again = load_head(tmp_path / "head.avatar")
    assert again.model.options == head.model.options
    before, after = (avatar.frame(1).render(front_camera(24), resolution=48) for avatar in (head, again))
    assert float((before.mask - after.mask).abs().mean()) < 0.01
    assert float((before.rgb - after.rgb).abs().mean()) < 0.01
    save(again, tmp_path / "twice.avatar")
    assert (tmp_path / "twice.avatar").stat().st_size == (tmp_path / "head.avatar").stat().st_size


@pytest.mark.parametrize("part", ["vertices", "faces", "skinning", "basis"])
def test_a_morph_whose_parts_do_not_go_together_is_refused(part, tmp_path):
    save(avatar_of("b_morph"), tmp_path / "head.avatar")
    tensors = load_file(tmp_path / "head.avatar")
    with safe_open(tmp_path / "head.avatar", framework="pt") as file:
        header = file.metadata()
    broken = tensors[f"model.motion.{part}"]
    tensors[f"model.motion.{part}"] = broken + 9999 if part == "faces" else broken[1:]
    save_file(tensors, tmp_path / "odd.avatar", metadata=header)
    with pytest.raises(InputError, match=r"odd\.avatar.*do not go together"):
        load_head(tmp_path / "odd.avatar")


@EVERY
def test_meshes_and_both_kinds_of_pictures_agree(name):
    head, camera = avatar_of(name, moved=True), front_camera(32)
    posed = head.frame(1)
    mesh = posed.mesh(96)
    assert posed.vertex_colours(96).shape == mesh.vertices.shape
    fast, exact = posed.render(camera, resolution=96), posed.render(camera, exact=True, resolution=96)
    assert float((fast.mask - exact.mask).abs().mean()) < 0.02
    both = (fast.mask > 0) & (exact.mask > 0)
    assert float(both.float().mean()) > 0.1
    assert float((fast.depth - exact.depth)[both].abs().median()) < 1e-3
    assert float((fast.rgb - exact.rgb)[both].abs().mean()) < 0.02
    with pytest.raises(InputError, match="in every frame"):
        head.proxy(96)


def test_the_fixed_morph_follows_the_tracked_head():
    head = HeadAvatar(model_of("b_morph"), small_head().tracks, small_head().info)
    tracks = head.tracks
    posed = head.frame(1).mesh(96)
    truth = head_body().pose_vertices(tracks.poses[1], tracks.translations[1], tracks.expressions[1])
    distance = Surface(truth, head_body().faces).closest(posed.vertices[posed.vertices[:, 1] > -0.03]).distance
    assert float(distance.median()) < 3e-3


def test_unknown_and_impossible_deformations_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"'nerest'.*'nearest'"):
        ImavatarOptions(deformation="nerest")
    with pytest.raises(InputError, match="network: grid"):
        replace(SMALL_MLP, deformation="none")
    with pytest.raises(InputError, match="network: grid"):
        replace(SMALL_MLP, conditioned=True)
    path = tmp_path / "odd.yaml"
    path.write_text("imavatar: {deformation: wings}\n")
    with pytest.raises(InputError, match="wings"):
        load_video_preset(str(path))


def test_fields_that_a_variant_has_not_are_told():
    with pytest.raises(InputError, match="no skinning weights"):
        _ = model_of("c_net").weights
    with pytest.raises(InputError, match="no blendshapes"):
        _ = model_of("fwd_skin").offsets
