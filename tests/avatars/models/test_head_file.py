import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from avatars.models.avatar import Avatar, AvatarInfo
from avatars.models.file import load, load_avatar, load_head, save
from avatars.models.head_avatar import HeadAvatar, HeadTracks
from avatars.models.head_file import head_tensors
from avatars.models.imavatar import HeadSizes, Imavatar, ImavatarOptions
from body_models import InputError
from tests.avatars.small_avatar import small_avatar_file
from tests.avatars.small_head import SMALL_MLP, front_camera, head_body, small_head, small_model


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("head") / "head.avatar"
    save(small_head(), path)
    return path


def with_header(path, target, changes):
    with safe_open(path, framework="pt") as file:
        header = {**file.metadata(), **changes}
    save_file(load_file(path), target, metadata={k: v for k, v in header.items() if v is not None})
    return target


def test_round_trip(whole):
    head, again = small_head(), load_head(whole)
    assert (again.info, again.skeleton) == (head.info, head.skeleton)
    assert (again.model.options, again.model.sizes) == (head.model.options, head.model.sizes)
    tracks, other = head.tracks, again.tracks
    for name in ("poses", "translations", "expressions"):
        assert torch.equal(getattr(tracks, name), getattr(other, name))
    assert (other.expression_names, other.frame_rate) == (tracks.expression_names, 30.0)
    assert (other.camera.width, other.camera.height) == (48, 48)
    assert torch.equal(other.camera.intrinsics, tracks.camera.intrinsics)
    assert torch.allclose(again.frame(1).mesh(48).vertices.mean(0), head.frame(1).mesh(48).vertices.mean(0), atol=1e-4)
    assert not any(parameter.requires_grad for parameter in again.model.parameters())


def test_all_but_grids_come_back_bit_for_bit(whole):
    state, again = small_head().model.state_dict(), load_head(whole).model.state_dict()
    assert state.keys() == again.keys()
    for name, value in state.items():
        grid = any(part in name.split(".") for part in ("base", "tables", "logits", "basis"))
        assert torch.equal(value.half().float() if grid else value, again[name]), name


def test_saving_again_changes_nothing(whole, tmp_path):
    save(load_head(whole), tmp_path / "again.avatar")
    first, second = load_file(whole), load_file(tmp_path / "again.avatar")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_default_heads_stay_below_30_megabytes():
    body, options = head_body(), ImavatarOptions()
    like = small_head().model
    model = Imavatar(options, body.skeleton, HeadSizes(52), body.joints, body.canonical_pose, like.box, like.parts)
    size = sum(
        v.numel() * v.element_size()
        for v in head_tensors(HeadAvatar(model, small_head().tracks, small_head().info)).values()
    )
    assert size < 30e6


def test_networks_without_names_or_camera_round_trip(tmp_path):
    model = small_model(SMALL_MLP)
    tracks = HeadTracks(torch.zeros(1, 5, 3), torch.zeros(1, 3), torch.zeros(1, 52))
    save(HeadAvatar(model, tracks, AvatarInfo(("a",), "flame")), tmp_path / "mlp.avatar")
    again = load_head(tmp_path / "mlp.avatar")
    assert again.model.options == SMALL_MLP
    assert again.tracks.camera is None
    assert again.expression_names == ()
    assert all(torch.equal(v, again.model.state_dict()[n]) for n, v in model.state_dict().items())


def test_bodies_and_heads_are_told_apart(whole, tmp_path):
    body = small_avatar_file(tmp_path)
    assert isinstance(load_avatar(whole), HeadAvatar)
    assert isinstance(load_avatar(body), Avatar)
    with pytest.raises(InputError, match="a head"):
        load(whole)
    with pytest.raises(InputError, match="a body"):
        load_head(body)


@pytest.mark.parametrize("share", [1e-3, 0.5, 0.999])
def test_truncated_files_are_refused(whole, tmp_path, share):
    content = whole.read_bytes()
    (tmp_path / "cut.avatar").write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"cut\.avatar"):
        load_head(tmp_path / "cut.avatar")


@pytest.mark.parametrize("key", ["options", "skeleton", "info", "sizes", "tracks"])
@pytest.mark.parametrize("value", [None, "", "null", "[]", "{}", "3", '{"names": 1}'])
def test_headers_with_nonsense_are_refused(whole, tmp_path, key, value):
    with pytest.raises(InputError, match=r"odd\.avatar"):
        load_head(with_header(whole, tmp_path / "odd.avatar", {key: value}))


def test_options_that_do_not_fit_the_tensors_are_refused(whole, tmp_path):
    for changes in ({"network": "mlp"}, {"network": "x"}, {"weight_spacing": 0.03}, {"geometry_width": 9}, {"odd": 1}):
        with safe_open(whole, framework="pt") as file:
            options = {**json.loads(file.metadata()["options"]), **changes}
        with pytest.raises(InputError, match=r"odd\.avatar"):
            load_head(with_header(whole, tmp_path / "odd.avatar", {"options": json.dumps(options)}))


def test_missing_tensors_are_refused(whole, tmp_path):
    with safe_open(whole, framework="pt") as file:
        header = file.metadata()
    tensors = load_file(whole)
    for name in ("poses", "model.box", "model.motion.offsets.basis", "camera_intrinsics"):
        save_file({k: v for k, v in tensors.items() if k != name}, tmp_path / "odd.avatar", metadata=header)
        with pytest.raises(InputError, match=r"odd\.avatar"):
            load_head(tmp_path / "odd.avatar")


def test_expressions_by_name_and_in_full_agree():
    head = small_head()
    named = head.pose({"jawOpen": 0.8}, head.tracks.poses[1], head.tracks.translations[1])
    assert torch.equal(named.expression, head.frame(1).expression)
    assert torch.equal(named.vertices(head.proxy(48)), head.frame(1).vertices(head.proxy(48)))
    assert torch.equal(head.pose().expression, torch.zeros(52))


def test_pictures_through_the_mesh_and_of_the_surface_agree():
    head, camera = small_head(), front_camera(40)
    fast, exact = head.frame(1).render(camera, resolution=96), head.frame(1).render(camera, exact=True, resolution=96)
    assert float((fast.mask - exact.mask).abs().mean()) < 0.01
    both = (fast.mask > 0) & (exact.mask > 0)
    assert float(both.float().mean()) > 0.1
    assert float((fast.depth - exact.depth)[both].abs().median()) < 1e-3
    assert float((fast.rgb - exact.rgb).abs().mean()) < 0.01
    assert float((fast.normal * exact.normal).sum(-1)[both].median()) > 0.95
    assert torch.equal(fast.rgb[fast.mask == 0], torch.ones(int((fast.mask == 0).sum()), 3))
    colours = head.frame(1).vertex_colours(96)
    assert colours.shape == head.frame(1).mesh(96).vertices.shape


def test_a_copy_on_a_device_is_the_same_head():
    head = small_head()
    moved = head.to_device("cpu")
    assert moved.model is not head.model
    assert torch.equal(moved.frame(0).vertices(moved.proxy(48)), head.frame(0).vertices(head.proxy(48)))


def test_unfitting_poses_are_refused():
    head = small_head()
    with pytest.raises(InputError, match=r"'jawOpn'.*jawOpen"):
        head.pose({"jawOpn": 1.0})
    with pytest.raises(InputError, match="expression has shape"):
        head.pose(torch.zeros(51))
    with pytest.raises(InputError, match="pose has shape"):
        head.pose(None, torch.zeros(6, 3))
    with pytest.raises(InputError, match="not finite"):
        head.pose({"jawOpen": float("nan")})
    with pytest.raises(InputError, match="No frame 2"):
        head.frame(2)


def test_unfitting_tracks_are_refused():
    tracks = small_head().tracks
    with pytest.raises(InputError, match="not one a frame"):
        HeadTracks(torch.zeros(0, 5, 3), torch.zeros(0, 3), torch.zeros(0, 52))
    with pytest.raises(InputError, match="1 expression names"):
        replace(tracks, expression_names=("a",))
    with pytest.raises(InputError, match="do not fit"):
        HeadAvatar(small_model(), replace(tracks, poses=torch.zeros(2, 6, 3)), small_head().info)
