import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from avatars.models.avatar import AvatarInfo
from avatars.models.file import load, load_avatar, load_head, save
from avatars.models.head_avatar import HeadTracks
from avatars.models.nerface_avatar import NerfaceAvatar
from body_models import InputError
from tests.avatars.small_nerface import front_camera, small_model, small_nerface


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("nerface") / "bob.avatar"
    save(small_nerface(), path)
    return path


def with_header(path, target, changes):
    with safe_open(path, framework="pt") as file:
        header = {**file.metadata(), **changes}
    save_file(load_file(path), target, metadata={k: v for k, v in header.items() if v is not None})
    return target


def test_round_trip(whole):
    head, again = small_nerface(), load_avatar(whole)
    assert isinstance(again, NerfaceAvatar)
    assert isinstance(load_head(whole), NerfaceAvatar)
    assert (again.info, again.skeleton) == (head.info, head.skeleton)
    assert (again.model.options, again.model.sizes) == (head.model.options, head.model.sizes)
    assert torch.equal(again.tracks.poses, head.tracks.poses)
    assert again.expression_names == head.expression_names
    state = head.model.state_dict()
    for name, value in again.model.state_dict().items():
        grid = "tables" in name or name == "expected"
        assert torch.equal(state[name].half().float() if grid else state[name], value), name
    assert not any(parameter.requires_grad for parameter in again.model.parameters())


def test_saving_again_changes_nothing(whole, tmp_path):
    save(load_avatar(whole), tmp_path / "again.avatar")
    first, second = load_file(whole), load_file(tmp_path / "again.avatar")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_body_is_asked_for_in_vain(whole):
    with pytest.raises(InputError, match="a head"):
        load(whole)


@pytest.mark.parametrize("key", ["options", "skeleton", "info", "sizes", "tracks"])
@pytest.mark.parametrize("value", [None, "", "null", "[]", "{}", '{"names": 1}'])
def test_headers_with_nonsense_are_refused(whole, tmp_path, key, value):
    if (key, value) == ("options", "{}"):
        value = json.dumps({"width": 13})
    with pytest.raises(InputError, match=r"odd\.avatar"):
        load_avatar(with_header(whole, tmp_path / "odd.avatar", {key: value}))


def test_truncated_files_and_missing_tensors_are_refused(whole, tmp_path):
    (tmp_path / "odd.avatar").write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"odd\.avatar"):
        load_avatar(tmp_path / "odd.avatar")
    with safe_open(whole, framework="pt") as file:
        header = file.metadata()
    for name in ("poses", "model.box", "model.expected", "model.field.told.weight"):
        tensors = {key: value for key, value in load_file(whole).items() if key != name}
        save_file(tensors, tmp_path / "odd.avatar", metadata=header)
        with pytest.raises(InputError, match=r"odd\.avatar"):
            load_avatar(tmp_path / "odd.avatar")


def test_it_is_driven_and_rendered_as_any_head():
    head, camera = small_nerface(), front_camera(24)
    image = head.frame(1).render(camera)
    named = head.pose({"jawOpen": 0.8}, head.tracks.poses[1], head.tracks.translations[1])
    assert torch.equal(named.render(camera).rgb, image.rgb)
    assert float(image.mask.max()) > 0.1
    dark = head.frame(1).render(camera, background=0.0)
    assert torch.allclose(dark.mask, image.mask)
    assert (dark.rgb <= image.rgb + 1e-6).all()
    assert torch.allclose(head.to_device("cpu").frame(1).render(camera).rgb, image.rgb)


def test_expressions_change_the_picture():
    head, camera = small_nerface(), front_camera(24)
    place = torch.tensor([0.0, 0.0, -0.7])
    rest, open_mouth = (head.pose({"jawOpen": value}, None, place).render(camera).rgb for value in (0.0, 1.0))
    assert not torch.allclose(rest, open_mouth, atol=1e-4)


def test_meshes_are_refused():
    head = small_nerface()
    asked = (head.proxy, head.frame(0).mesh, head.frame(0).vertex_colours)
    for ask in asked:
        with pytest.raises(InputError, match=r"no mesh.*avatars animate"):
            ask()


def test_unfitting_poses_and_tracks_are_refused():
    head = small_nerface()
    with pytest.raises(InputError, match=r"'jawOpn'.*jawOpen"):
        head.pose({"jawOpn": 1.0})
    with pytest.raises(InputError, match="pose has shape"):
        head.pose(None, torch.zeros(6, 3))
    tracks = HeadTracks(torch.zeros(1, 6, 3), torch.zeros(1, 3), torch.zeros(1, 52))
    with pytest.raises(InputError, match="6 joints"):
        NerfaceAvatar(small_model(), tracks, AvatarInfo(("a",), "anny-head"))
