"""What `python -m avatars export` writes, as a user types it, before the eyes of other people's programs."""

import subprocess
import sys
from pathlib import Path

import pytest

from avatars.models import save
from body_models.gltf import Document
from tests.avatars.head_drivers import acting_head
from tests.avatars.small_avatar import small_avatar_file
from tests.avatars.tiny_bvh import write_bvh
from tests.tools import validator_messages

SMALL = ("--faces", "1500", "--resolution", "48", "--texture", "64")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A body, a head and a walk."""
    made = tmp_path_factory.mktemp("avatars")
    small_avatar_file(made)
    save(acting_head(), made / "head.avatar")
    write_bvh(made / "walk.bvh")
    return made


def typed(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command typed in a folder."""
    command = [sys.executable, "-m", "avatars", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def exports(folder: Path, avatar: str, out: str, *words: str) -> Path:
    done = typed(folder, "export", avatar, "--out", out, *words, *SMALL)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert out in done.stdout
    return folder / out


@pytest.fixture(scope="module")
def walking(folder) -> Path:
    """The body as a GLB that walks."""
    return exports(folder, "small.avatar", "body.glb", "--rig", "mixamo", "--motion", "walk.bvh")


def is_valid(path: Path, clips: int, morphs: int) -> bool:
    """Whether the validator has no errors and warnings for a file with so many clips and morph targets."""
    said = validator_messages(path)
    assert (said["numErrors"], said["numWarnings"]) == (0, 0), said["messages"][:10]
    document = Document(path).gltf
    assert len(document.animations) == clips
    assert len(document.meshes[0].primitives[0].targets or []) == morphs
    return True


def test_a_body_that_walks_is_valid(walking):
    assert is_valid(walking, clips=1, morphs=0)


def test_a_vrm_is_valid(folder):
    path = exports(folder, "small.avatar", "body.vrm")
    assert is_valid(path, clips=0, morphs=0)
    assert Document(path).gltf.extensionsUsed == ["VRMC_vrm"]


def test_a_head_in_its_own_video_is_valid(folder):
    assert is_valid(exports(folder, "head.avatar", "head.glb", "--training-poses"), clips=1, morphs=52)


def test_usd_opens_with_its_bones_and_walk(folder):
    usd = pytest.importorskip("pxr.Usd", reason="pip install '.[usd]' gives USD")
    from pxr import UsdSkel

    path = exports(folder, "small.avatar", "body.usdz", "--motion", "walk.bvh")
    stage = usd.Stage.Open(str(path))
    skeletons = [UsdSkel.Skeleton(prim) for prim in stage.Traverse() if prim.IsA(UsdSkel.Skeleton)]
    assert [len(one.GetJointsAttr().Get()) for one in skeletons] == [24]
    assert stage.GetEndTimeCode() > stage.GetStartTimeCode()


def test_a_file_that_was_written_drives_an_avatar(folder, walking):
    done = typed(folder, "animate", "small.avatar", "--motion", str(walking), "--size", "48", "--out", "frames")
    assert done.returncode == 0, done.stderr
    assert len(list((folder / "frames").glob("*.png"))) > 1
