import numpy as np
import pytest

from data_prep.video.shards import Shards


def rows(first: int, count: int) -> list[dict[str, np.ndarray]]:
    return [{"index": np.asarray(i), "points": np.full((3, 2), i, np.float32)} for i in range(first, first + count)]


def filled(folder, *counts: int) -> Shards:
    shards = Shards(folder, "faces")
    for count in counts:
        shards.append(rows(len(shards), count))
    return shards


def test_rows_come_back_in_order_whatever_the_parts(tmp_path):
    filled(tmp_path, 3, 1, 12)
    again = Shards(tmp_path, "faces")
    assert len(again) == 16
    stored = again.read()
    np.testing.assert_array_equal(stored["index"], np.arange(16))
    assert stored["points"].shape == (16, 3, 2)
    assert stored["points"].dtype == np.float32


def test_nothing_yet(tmp_path):
    shards = Shards(tmp_path / "missing", "faces")
    shards.append([])
    assert (len(shards), shards.read(), shards.finished, shards.notes) == (0, {}, False, [])
    assert not (tmp_path / "missing").exists()


def test_the_end_is_told_with_its_notes(tmp_path):
    shards = filled(tmp_path, 2)
    assert not shards.finished
    shards.append([], ["frame 1 is damaged: größer"])
    shards.append([], ["frame 1 is damaged: größer"])
    shards.finish()
    again = Shards(tmp_path, "faces")
    assert again.finished
    assert again.notes == ["frame 1 is damaged: größer"]


def test_names_that_begin_alike_are_kept_apart(tmp_path):
    filled(tmp_path, 2)
    other = Shards(tmp_path, "faces-more")
    other.append(rows(0, 5))
    other.finish()
    first = Shards(tmp_path, "faces")
    assert (len(first), first.finished) == (2, False)
    assert len(Shards(tmp_path, "faces-more")) == 5


@pytest.mark.parametrize("kept", [0, 100, -1])
def test_what_follows_a_torn_part_is_done_again(tmp_path, kept):
    filled(tmp_path, 4, 4, 4)
    torn = tmp_path / "faces-0000004-4.npz"
    torn.write_bytes(torn.read_bytes()[:kept])
    again = Shards(tmp_path, "faces")
    assert len(again) == 4
    again.append(rows(4, 4))
    assert len(again) == 8
    np.testing.assert_array_equal(again.read()["index"], np.arange(8))


def test_a_missing_part_ends_what_is_there(tmp_path):
    filled(tmp_path, 4, 4, 4)
    (tmp_path / "faces-0000004-4.npz").unlink()
    assert len(Shards(tmp_path, "faces")) == 4


def test_files_left_by_a_kill_while_writing_do_not_count(tmp_path):
    filled(tmp_path, 4)
    (tmp_path / ".faces-0000004-4.1234abcd.npz").write_bytes(b"half")
    (tmp_path / "faces-note.npz").write_bytes(b"")
    assert len(Shards(tmp_path, "faces")) == 4
