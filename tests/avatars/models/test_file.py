import json
import pickle
from dataclasses import asdict

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from avatars.models import Avatar, AvatarInfo, Snarf, SnarfOptions, load, save
from body_models import InputError
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_body import small_body


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("avatar") / "whole.avatar"
    save(small_avatar(), path)
    return path


def with_header(path, target, changes, drop=()):
    """The avatar file with another header."""
    with safe_open(path, framework="pt") as file:
        header = {**file.metadata(), **changes}
    save_file(load_file(path), target, metadata={k: v for k, v in header.items() if k not in drop})
    return target


def test_round_trip(whole):
    avatar, again = small_avatar(), load(whole)
    assert again.info == avatar.info
    assert again.skeleton == avatar.skeleton
    assert again.model.options == avatar.model.options
    assert torch.equal(again.poses, avatar.poses)
    assert torch.equal(again.translations, avatar.translations)
    body = small_body()
    points = body.pose_vertices(avatar.poses[1], avatar.translations[1])[::50]
    points = points + 0.02 * torch.randn(points.shape, generator=torch.Generator().manual_seed(0))
    before, after = (a.training_pose(1).occupancy(points) for a in (avatar, again))
    assert torch.allclose(before, after, atol=0.1)
    assert not any(parameter.requires_grad for parameter in again.model.parameters())


def test_saving_again_changes_nothing(whole, tmp_path):
    save(load(whole), tmp_path / "again.avatar")
    first, second = load_file(whole), load_file(tmp_path / "again.avatar")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [path.name for path in tmp_path.iterdir()] == ["again.avatar"]


def test_mlp_avatar_round_trip(tmp_path):
    torch.manual_seed(0)
    options = SnarfOptions(network="mlp", width=32, depth=5, weight_width=16, pose_code=3)
    body = small_body()
    box = torch.tensor([[-1.0, -1, -1], [1.0, 1, 1]])
    model = Snarf(options, body.skeleton, body.joints, body.canonical_pose, box, body.joints)
    avatar = Avatar(model, model.canonical_pose[None], torch.zeros(1, 3), AvatarInfo(("a",)))  # shares memory
    save(avatar, tmp_path / "mlp.avatar")
    points = torch.rand(20, 3) - 0.5
    again = load(tmp_path / "mlp.avatar")
    assert again.model.options == options
    assert torch.allclose(
        again.training_pose(0).occupancy(points), avatar.training_pose(0).occupancy(points), atol=1e-5
    )


@pytest.mark.parametrize("share", [0.0, 1e-5, 1e-3, 0.1, 0.5, 0.999])
def test_truncated_files_are_refused(whole, tmp_path, share):
    content = whole.read_bytes()
    cut = tmp_path / "cut.avatar"
    cut.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"cut\.avatar"):
        load(cut)


def test_missing_files_and_folders_are_refused(tmp_path):
    for path in (tmp_path / "none.avatar", tmp_path):
        with pytest.raises(InputError, match="No avatar file"):
            load(path)


def test_newer_versions_are_refused(whole, tmp_path):
    with pytest.raises(InputError, match="newer"):
        load(with_header(whole, tmp_path / "new.avatar", {"version": "99"}))


def test_unknown_methods_are_refused(whole, tmp_path):
    with pytest.raises(InputError, match="'nerf'"):
        load(with_header(whole, tmp_path / "other.avatar", {"method": "nerf"}))


def test_foreign_safetensors_are_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "foreign.avatar")
    with pytest.raises(InputError, match="no avatar"):
        load(tmp_path / "foreign.avatar")


class _Trap:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


def test_pickles_are_refused_and_not_executed(tmp_path):
    (tmp_path / "trap.avatar").write_bytes(pickle.dumps(_Trap()))
    with pytest.raises(InputError, match=r"trap\.avatar"):
        load(tmp_path / "trap.avatar")
    torch.save({"a": torch.zeros(2)}, tmp_path / "torch.avatar")
    with pytest.raises(InputError, match=r"torch\.avatar"):
        load(tmp_path / "torch.avatar")


@pytest.mark.parametrize("key", ["options", "skeleton", "info"])
def test_headers_without_a_key_are_refused(whole, tmp_path, key):
    with pytest.raises(InputError, match=key):
        load(with_header(whole, tmp_path / "less.avatar", {}, drop=(key,)))


@pytest.mark.parametrize("key", ["options", "skeleton", "info"])
@pytest.mark.parametrize("value", ["", "{", "null", "[]", "{}", "3", '{"search": 1}', '{"names": 1}'])
def test_headers_with_nonsense_are_refused(whole, tmp_path, key, value):
    with pytest.raises(InputError, match=r"odd\.avatar"):
        load(with_header(whole, tmp_path / "odd.avatar", {key: value}))


def test_a_version_that_is_no_number_is_refused(whole, tmp_path):
    with pytest.raises(InputError, match=r"odd\.avatar"):
        load(with_header(whole, tmp_path / "odd.avatar", {"version": "latest"}))


def test_options_that_do_not_fit_the_tensors_are_refused(whole, tmp_path):
    options = asdict(small_avatar().model.options)
    for changes in ({"width": 7}, {"base_spacing": 0.05}, {"base_spacing": 0.0}, {"network": "mlp"}, {"unknown": 1}):
        with pytest.raises(InputError, match=r"odd\.avatar"):
            load(with_header(whole, tmp_path / "odd.avatar", {"options": json.dumps({**options, **changes})}))


def test_missing_tensors_are_refused(whole, tmp_path):
    with safe_open(whole, framework="pt") as file:
        header = file.metadata()
    tensors = load_file(whole)
    for name in ("poses", "model.joints", "model.occupancy.base"):
        save_file({k: v for k, v in tensors.items() if k != name}, tmp_path / "odd.avatar", metadata=header)
        with pytest.raises(InputError, match=r"odd\.avatar"):
            load(tmp_path / "odd.avatar")


def test_places_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="Cannot write"):
        save(small_avatar(), tmp_path / "file" / "a.avatar")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
