import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from avatars.fields.grid import GridSpec
from avatars.fields.surface_colour import BlockGrid, SurfaceColour
from avatars.models import load, save
from body_models import InputError
from tests.avatars.small_avatar import small_avatar


def coloured():
    """The small avatar in random colours."""
    avatar = small_avatar().to_device("cpu")
    points = avatar.body(64).canonical()
    grid = BlockGrid.about(points, GridSpec.covering(avatar.model.box[0], avatar.model.box[1], 0.03), 0.03)
    avatar.colour = SurfaceColour(GridSpec.covering(avatar.model.box[0], avatar.model.box[1], 0.2), [grid])
    with torch.no_grad():
        for values in avatar.colour.parameters():
            values.copy_(torch.rand(values.shape, generator=torch.Generator().manual_seed(1)))
    avatar.colour.quantise()
    return avatar


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("colour") / "whole.avatar"
    save(coloured(), path)
    return path


def test_round_trip_is_exact(whole):
    avatar, again = coloured(), load(whole)
    points = avatar.body(64).canonical()
    assert torch.equal(avatar.colours(points), again.colours(points))
    assert not any(value.requires_grad for value in again.colour.parameters())
    assert torch.equal(again.to_device("cpu").colours(points), again.colours(points))


def test_avatars_without_colours_stay_so(tmp_path):
    save(small_avatar(), tmp_path / "plain.avatar")
    avatar = load(tmp_path / "plain.avatar")
    assert avatar.colours(torch.zeros(2, 3)) is None
    assert avatar.face_colours(64) is None
    assert avatar.training_pose(0).vertex_colours(64) is None
    assert not any(name.startswith("colour") for name in load_file(tmp_path / "plain.avatar"))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("colour.0.blocks", torch.tensor([10**7], dtype=torch.int32)),
        ("colour.0.values", torch.zeros(5, 3, dtype=torch.uint8)),
        ("colour.backdrop", torch.zeros(5, 3, dtype=torch.uint8)),
        ("colour.0.values", None),
    ],
)
def test_damaged_colours_are_refused(whole, tmp_path, name, wrong):
    with safe_open(whole, framework="pt") as file:
        header = file.metadata()
    tensors = {key: value for key, value in load_file(whole).items() if key != name}
    save_file(tensors if wrong is None else {**tensors, name: wrong}, tmp_path / "broken.avatar", metadata=header)
    with pytest.raises(InputError, match=r"broken\.avatar"):
        load(tmp_path / "broken.avatar")


def test_meshes_and_films_show_the_colours(tmp_path):
    import trimesh

    from avatars.cli.descriptions import description
    from avatars.export import VideoOptions, animate
    from avatars.export.meshes import export
    from data_prep.pictures.mesh import linear_to_srgb

    avatar = coloured()
    save(avatar, tmp_path / "a.avatar")
    assert "mm about the surface" in description(avatar, tmp_path / "a.avatar")["colours"]
    export(avatar, tmp_path / "a.ply", pose=1, resolution=48, exact=False)
    read = trimesh.load(tmp_path / "a.ply", process=False)
    expected = (linear_to_srgb(avatar.training_pose(1).vertex_colours(48)) * 255).round()
    assert abs(read.visual.vertex_colors[:, :3].astype(int) - expected.numpy()).max() <= 1
    export(avatar, tmp_path / "b.ply", pose=1, resolution=48)
    assert trimesh.load(tmp_path / "b.ply").visual.vertex_colors[:, :3].std() > 10

    def greyness(colours: bool) -> float:
        import imageio.v3 as iio

        folder = tmp_path / f"film_{colours}"
        options = VideoOptions(fps=1, size=64, resolution=48, supersampling=1, end=0.5, turntable=True, colours=colours)
        animate(avatar, None, folder, options, quiet=True)
        picture = iio.imread(sorted(folder.iterdir())[0]).astype(float)
        return float((picture.max(2) - picture.min(2)).max())

    assert greyness(colours=True) > 60
    assert greyness(colours=False) < 40
