import numpy as np
import pytest

from body_models.errors import InputError
from body_models.motion.amass_writer import write_amass
from body_models.motion.bvh_writer import write_bvh
from body_models.motion.clips import MOTION_FORMATS, load_motion
from body_models.names import ARKIT_EXPRESSIONS
from tests.body_models.motion.test_gltf_clips import Rig
from tests.body_models.motion.test_motion import random_motion


def files(folder):
    """One file of each kind, by what is in it."""
    write_amass(folder / "body.npz", random_motion())
    write_bvh(folder / "clip.bvh", random_motion())
    rig = Rig()
    rig.dance()
    rig.write(folder / "clip.gltf")
    rows = [
        f"00:00:00:{frame:02d}.000,{len(ARKIT_EXPRESSIONS)}" + ",0.1" * len(ARKIT_EXPRESSIONS) for frame in range(4)
    ]
    names = ",".join(["Timecode", "BlendShapeCount", *ARKIT_EXPRESSIONS])
    (folder / "face.csv").write_text("\n".join([names, *rows]) + "\n")
    tracks = {"expression": np.zeros((5, 50)), "jaw_pose": np.zeros((5, 3)), "fps": np.array(25.0)}
    np.savez(folder / "head.npz", **tracks)
    return sorted(folder.iterdir())


def test_every_format_is_read_at_the_rate_that_is_asked_for(tmp_path):
    paths = files(tmp_path)
    assert len(paths) == 5
    for path in paths:
        assert len(load_motion(path)) >= 4
        assert load_motion(path, frame_rate=15.0).frame_rate == 15.0
    assert load_motion(tmp_path / "head.npz").expression.shape[1] == 50
    assert load_motion(tmp_path / "face.csv").expression.shape[1] == 52


def test_unknown_suffix_lists_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"\.bvh.*\.npz.*\.glb.*\.csv.*'\.fbx'"):
        load_motion(tmp_path / "walk.fbx")
    with pytest.raises(InputError, match="no suffix"):
        load_motion(tmp_path / "walk")


def test_a_folder_lists_its_clips(tmp_path):
    files(tmp_path)
    with pytest.raises(InputError, match=r"a folder; give one motion file. In it: body\.npz, clip\.bvh"):
        load_motion(tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="none in it"):
        load_motion(tmp_path / "none")


def test_a_foreign_npz_hears_of_both_kinds(tmp_path):
    np.savez(tmp_path / "foreign.npz", pictures=np.zeros((3, 3)))
    with pytest.raises(InputError, match=r"no head motion.*'poses'.*Keys found: pictures"):
        load_motion(tmp_path / "foreign.npz")


@pytest.mark.parametrize("suffix", MOTION_FORMATS)
@pytest.mark.parametrize("content", [b"", b"\x00\xff junk \n", None])
def test_damaged_and_missing_files(tmp_path, suffix, content):
    path = tmp_path / f"clip{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="clip"):
        load_motion(path)


def test_a_clip_is_chosen_only_where_there_are_several(tmp_path):
    write_bvh(tmp_path / "clip.bvh", random_motion())
    with pytest.raises(InputError, match="several clips"):
        load_motion(tmp_path / "clip.bvh", clip="walk")
