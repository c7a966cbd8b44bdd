import shutil
from dataclasses import replace

import pytest
import torch
from PIL import Image

from avatars.fit.video_rays import load_pictures
from body_models import InputError
from data_prep.video_dataset import read_video_dataset
from tests.avatars.fit.tiny_video import FRAMES, SIZE


@pytest.fixture(scope="module")
def dataset(talking):
    return read_video_dataset(talking / "data")


@pytest.fixture(scope="module")
def pictures(dataset):
    return load_pictures(dataset, SIZE)


def test_pictures_keep_their_pixels_at_full_size(dataset, pictures):
    assert torch.equal(pictures.rgb[2], torch.from_numpy(dataset.image(2).copy()))
    assert pictures.size == (SIZE, SIZE)
    assert torch.allclose(pictures.alpha[2].float() / 255, torch.from_numpy(dataset.alpha(2)), atol=1 / 255)


def test_smaller_pictures_see_the_same_directions(dataset):
    small = load_pictures(dataset, SIZE // 2)
    assert small.size == (SIZE // 2, SIZE // 2)
    centre = torch.tensor([[SIZE // 4 * (SIZE // 2) + SIZE // 4]])
    found = small.at(torch.tensor([1]), centre)
    world = small.camera(1).rays()
    assert torch.allclose(found.directions[0], world[1][SIZE // 4, SIZE // 4], atol=1e-6)
    assert torch.allclose(found.origins[0], world[0][0, 0], atol=1e-6)


def test_rays_come_from_the_frames_that_were_asked_for(pictures):
    frames = torch.tensor([5, 1])
    rays = pictures.draw(frames, 300, 0.5, torch.Generator().manual_seed(0))
    assert rays.frame.tolist() == [0] * 150 + [1] * 150
    assert torch.allclose(rays.directions.norm(dim=1), torch.ones(300), atol=1e-5)
    assert 0 <= rays.rgb.min() <= rays.rgb.max() <= 1
    again = pictures.draw(frames, 300, 0.5, torch.Generator().manual_seed(0))
    assert torch.equal(rays.directions, again.directions)


def test_faces_lie_in_the_picture_and_on_the_person(pictures):
    for frame in range(FRAMES):
        top, left, bottom, right = pictures.faces[frame].tolist()
        assert 0 <= top < bottom <= SIZE
        assert 0 <= left < right <= SIZE
        assert pictures.alpha[frame, (top + bottom) // 2, (left + right) // 2] > 200


def test_edge_pixels_see_both_person_and_background(pictures):
    for frame in range(FRAMES):
        edge = pictures.edge[pictures.edge_start[frame] : pictures.edge_start[frame + 1]]
        alpha = pictures.alpha[frame].flatten()[edge]
        assert alpha.max() > 200
        assert alpha.min() < 50


def test_frames_without_masks_are_refused(dataset):
    frames = (replace(dataset.frames[0], mask=None), *dataset.frames[1:])
    with pytest.raises(InputError, match=r"1 of 8 frames have no mask .*avatars prepare"):
        load_pictures(replace(dataset, frames=frames), SIZE)


@pytest.mark.parametrize(
    ("grey", "painted", "told"),
    [
        (0, FRAMES, "no person in any frame.*--masks FOLDER"),
        (0, 2, "2 of 8 masks are empty .*the first is masks/.*`use`"),
        (255, FRAMES, "cover whole pictures"),
    ],
)
def test_masks_of_nobody_are_refused(dataset, tmp_path, grey, painted, told):
    shutil.copytree(dataset.folder, tmp_path / "data")
    for frame in dataset.frames[:painted]:
        Image.new("L", (SIZE, SIZE), grey).save(tmp_path / "data" / frame.mask)
    with pytest.raises(InputError, match=told):
        load_pictures(read_video_dataset(tmp_path / "data"), SIZE)


def test_a_single_frame_is_refused(dataset):
    with pytest.raises(InputError, match="1 usable frame"):
        load_pictures(dataset.subset([3]), SIZE)
