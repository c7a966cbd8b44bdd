import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from avatars.cli import main
from body_models import load_motion, load_poses
from body_models.motion.amass_writer import write_amass
from body_models.motion.bvh_writer import write_bvh
from tests.body_models.motion.test_clips import files
from tests.body_models.motion.test_motion import random_motion

ROOT = Path(__file__).resolve().parents[2]


def says(capsys, *arguments: str | Path) -> str:
    assert main(["motion", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def fails(capsys, *arguments: str | Path) -> str:
    assert main(["motion", *map(str, arguments)]) == 2
    message = capsys.readouterr().err
    assert message.startswith("Error: ")
    return message


@pytest.mark.parametrize("verb", [(), ("info",), ("convert",)])
def test_help_needs_no_torch(verb):
    code = (
        "import sys; from avatars.cli import main\n"
        f"try: main(['motion', *{verb!r}, '--help'])\n"
        "finally: print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0
    assert "usage: avatars motion" in done.stdout
    assert done.stderr == "False\n"


def test_info_of_every_format(tmp_path, capsys):
    for path in files(tmp_path):
        text = says(capsys, "info", path)
        assert all(word in text for word in (str(path), "joints", "frames", "travel", "height", "expression"))


def test_info_tells_family_hands_and_conversions(tmp_path, capsys):
    motion = random_motion()
    write_bvh(tmp_path / "clip.bvh", motion)
    text = says(capsys, "info", tmp_path / "clip.bvh")
    assert "24, names as in SMPL" in text
    assert "12 at 30 a second, 0.37 s" in text
    assert "2 joints, moving" in text
    assert "centimetres" in text
    np.savez(tmp_path / "a.npz", poses=np.zeros((2, 165)), trans=np.zeros((2, 3)), fps=30, expression=np.zeros((2, 10)))
    text = says(capsys, "info", tmp_path / "a.npz")
    assert "at rest" in text
    assert "10 parameters" in text
    assert "Z up" in text


def test_info_of_an_unknown_skeleton(tmp_path, capsys):
    write_bvh(tmp_path / "clip.bvh", random_motion())
    text = (tmp_path / "clip.bvh").read_text().replace("left_knee", "left_kneee")
    (tmp_path / "clip.bvh").write_text(text)
    said = says(capsys, "info", tmp_path / "clip.bvh")
    assert "unknown" in said
    assert "left_kneee" in said


def test_convert_there_and_back(tmp_path, capsys):
    motion = random_motion(31)
    write_amass(tmp_path / "a.npz", motion, torch.ones(3), gender="female")
    says(capsys, "convert", tmp_path / "a.npz", tmp_path / "b.bvh")
    order = [load_motion(tmp_path / "b.bvh").skeleton.index(name) for name in motion.skeleton.joint_names]
    again = load_motion(tmp_path / "b.bvh").joint_positions()[:, order]
    torch.testing.assert_close(again, motion.joint_positions(), atol=1e-4, rtol=0)
    says(
        capsys,
        "convert",
        tmp_path / "a.npz",
        tmp_path / "c.npz",
        "--frame-rate",
        "15",
        "--start",
        "0.2",
        "--stop",
        "0.8",
    )
    poses = load_poses(tmp_path / "c.npz")
    assert (len(poses.motion), poses.motion.frame_rate, poses.body_model) == (10, 15.0, "anny")
    assert poses.betas is not None
    says(capsys, "convert", tmp_path / "a.npz", tmp_path / "d.npz", "--loop", "2")
    assert len(load_motion(tmp_path / "d.npz")) == 50


def test_every_format_becomes_npz(tmp_path, capsys):
    for path in files(tmp_path):
        says(capsys, "convert", path, tmp_path / "out.npz")
        assert len(load_motion(tmp_path / "out.npz")) == len(load_motion(path))
    (tmp_path / "out.npz").unlink()
    assert len(list(tmp_path.iterdir())) == 5


def test_lost_expressions_are_told(tmp_path, capsys):
    files(tmp_path)
    said = says(capsys, "convert", tmp_path / "face.csv", tmp_path / "out.bvh")
    assert "Note: " in said
    assert "out.bvh: a BVH file holds no expression; the clip's 52 parameters" in said
    assert "Note" not in says(capsys, "convert", tmp_path / "face.csv", tmp_path / "out.npz")
    there, back = load_motion(tmp_path / "face.csv"), load_motion(tmp_path / "out.npz")
    assert back.expression_names == there.expression_names
    assert torch.equal(back.expression, there.expression)


def test_joints_with_two_names_count_once(tmp_path, capsys):
    np.savez(tmp_path / "a.npz", poses=np.zeros((2, 156)), trans=np.zeros((2, 3)), fps=30)
    said = says(capsys, "info", tmp_path / "a.npz")
    assert "52, names as in SMPL; 52 known to us" in said
    assert "30 joints, at rest" in said


def test_a_missing_rate_names_the_option(tmp_path, capsys):
    np.savez(tmp_path / "a.npz", poses=np.zeros((2, 156)), trans=np.zeros((2, 3)))
    assert "--frame-rate 30" in fails(capsys, "info", tmp_path / "a.npz")
    assert "2 at 24 a second" in says(capsys, "info", tmp_path / "a.npz", "--frame-rate", "24")


def test_degrees_are_noted(tmp_path, capsys):
    np.savez(tmp_path / "a.npz", poses=np.full((2, 156), 30.0), trans=np.zeros((2, 3)), fps=30)
    assert "look like degrees" in says(capsys, "info", tmp_path / "a.npz")


def test_a_folder_is_told_as_one(tmp_path, capsys):
    assert f"{tmp_path}: a folder" in fails(capsys, "info", tmp_path)


def test_bad_requests(tmp_path, capsys):
    write_amass(tmp_path / "a.npz", random_motion())
    assert ".bvh" in fails(capsys, "convert", tmp_path / "a.npz", tmp_path / "b.glb")
    assert "0.37 s" in fails(capsys, "convert", tmp_path / "a.npz", tmp_path / "b.bvh", "--start", "9")
    assert "frames" in fails(capsys, "convert", tmp_path / "a.npz", tmp_path / "b.bvh", "--loop", "-1")
    assert "none.bvh" in fails(capsys, "info", tmp_path / "none.bvh")
    np.savez(tmp_path / "bad.npz", poses=np.zeros((2, 71)), trans=np.zeros((2, 3)), fps=30)
    assert "'poses' has shape (2, 71)" in fails(capsys, "info", tmp_path / "bad.npz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "bad.npz"]
