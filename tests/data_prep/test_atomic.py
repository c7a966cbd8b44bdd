import os
import stat
import sys

import pytest

from body_models.errors import InputError
from data_prep.atomic import check_place, remove_leftovers, replacing


def test_a_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "new" / "a.json"
    for text in ("first", "second"):
        with replacing(path) as temporary:
            temporary.write_text(text)
            assert temporary.parent == path.parent
            assert temporary.suffix == ".json"
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_takes_the_place_of_the_old_one_whole(tmp_path):
    path = tmp_path / "frames"
    for name in ("old", "new"):
        with replacing(path) as temporary:
            temporary.mkdir()
            (temporary / name).write_text(name)
        assert [file.name for file in path.iterdir()] == [name]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("folder", [False, True])
def test_a_failed_block_leaves_what_was_there(tmp_path, folder):
    path = tmp_path / "a.txt"
    path.write_text("kept")

    def fail(temporary):
        if folder:
            temporary.mkdir()
            (temporary / "part").write_text("half")
        else:
            temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        fail(temporary)
    assert path.read_text() == "kept"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    message = r"Cannot write .*file.a\.txt.*Choose another place"
    with pytest.raises(InputError, match=message), replacing(tmp_path / "file" / "a.txt") as temporary:
        temporary.write_text("")
    with pytest.raises(InputError, match="Cannot write"), replacing(tmp_path / "nothing.txt"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permissions of this kind")
def test_others_may_read_the_file_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.touch(mode=0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_leftovers_of_a_killed_run_are_removed_and_nothing_else(tmp_path):
    kept = ("a.png", ".hidden", ".gitignore", ".cache.json", "frames/.hidden", "000004.058438fb.png", ".a.zzzzzzzz.png")
    left = (".000004.058438fb.png", "frames/.000005.0a1b2c3d.png", ".people.12345678.json", ".frames.12345678.old")
    (tmp_path / "frames").mkdir()
    for name in kept + left:
        (tmp_path / name).write_text("")
    folder = tmp_path / "frames" / ".masks.89abcdef"
    folder.mkdir()
    (folder / "0.png").write_text("")
    remove_leftovers(tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == set(kept)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["000004.png", "people.json", "frames", "a.b.tar.gz", "x"])
def test_every_temporary_name_is_known_as_a_leftover(tmp_path, name):
    with replacing(tmp_path / name) as temporary:
        temporary.write_text("")
        leftover = tmp_path / "elsewhere" / temporary.name
    leftover.parent.mkdir()
    leftover.write_text("")
    remove_leftovers(tmp_path)
    assert not leftover.exists()
    assert (tmp_path / name).exists()


def test_leftovers_of_no_folder(tmp_path):
    remove_leftovers(tmp_path / "none")


def test_a_place_is_checked_before_the_work(tmp_path):
    check_place(tmp_path / "new" / "a.glb")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not a folder"):
        check_place(tmp_path / "file" / "a.glb")
    with pytest.raises(InputError, match="is a folder"):
        check_place(tmp_path)
    assert not (tmp_path / "new").exists()
