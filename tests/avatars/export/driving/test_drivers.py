import pytest
import torch

from avatars.export import drive
from avatars.export.driving.drivers import read_driver
from body_models import InputError, write_head_motion
from data_prep.video_dataset import write_video_dataset
from tests.avatars.head_drivers import acting_head, talker
from tests.data_prep.test_video_dataset import anny_dataset, edit_frame


def test_a_tracked_video_is_a_driver(tmp_path):
    dataset = anny_dataset(tmp_path / "other.tracked")
    write_video_dataset(dataset, tmp_path / "other.tracked")
    driver = read_driver(tmp_path / "other.tracked")
    assert driver.model == "anny-head"
    assert torch.equal(driver.motion.rotations, dataset.poses)
    assert len(drive(acting_head(), tmp_path / "other.tracked")) == len(dataset)


def test_useless_frames_are_filled_in(tmp_path):
    folder = tmp_path / "other.tracked"
    dataset = anny_dataset(folder)
    write_video_dataset(dataset, folder)
    edit_frame(folder, 1, use=False)
    motion = read_driver(folder).motion
    assert torch.allclose(motion.expression[1], (dataset.expressions[0] + dataset.expressions[2]) / 2)
    assert torch.equal(motion.rotations[0], dataset.poses[0])
    for frame in (0, 2):
        edit_frame(folder, frame, use=False)
    with pytest.raises(InputError, match="usable"):
        read_driver(folder)


def test_a_rate_of_ones_own(tmp_path):
    write_head_motion(tmp_path / "talk.npz", talker(31))
    assert len(read_driver(tmp_path / "talk.npz", 10.0).motion) == 11
    assert len(read_driver(talker(31), 10.0).motion) == 11


def test_a_video_has_to_be_tracked_first(tmp_path):
    (tmp_path / "my talk.mp4").write_bytes(b"0")
    with pytest.raises(InputError, match=r"avatars prepare '.*my talk.mp4' --out '.*my talk.tracked'"):
        read_driver(tmp_path / "my talk.mp4")


def test_folders_that_are_no_dataset(tmp_path):
    with pytest.raises(InputError, match="no dataset that is known"):
        read_driver(tmp_path)
    write_head_motion(tmp_path / "talk.npz", talker(31))
    with pytest.raises(InputError, match=r"give one motion file.*talk\.npz"):
        read_driver(tmp_path)
    for name in ("nowhere.mp4", "nobody.tracked"):
        with pytest.raises(InputError, match=f"nothing at .*{name}.*avatars prepare"):
            read_driver(tmp_path / name)
