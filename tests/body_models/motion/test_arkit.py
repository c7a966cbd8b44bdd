from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from body_models.errors import InputError
from body_models.motion.arkit import load_arkit
from body_models.motion.arkit_writer import write_arkit
from body_models.motion.head_tracks import head_joints
from body_models.motion.motion import Motion
from body_models.names import ARKIT_EXPRESSIONS, HEAD_SKELETON

ANGLES = [f"{part}{turn}" for part in ("Head", "LeftEye", "RightEye") for turn in ("Yaw", "Pitch", "Roll")]
CAPITAL = [name[0].upper() + name[1:] for name in ARKIT_EXPRESSIONS]


def smile(seconds: float) -> list[float]:
    """All actions at once, each with its own linear ramp."""
    return [min(1.0, 0.01 * place + 0.1 * seconds) for place in range(52)]


def write_rows(path: Path, header: list[str], rows: list[list], delimiter: str = ",") -> Path:
    lines = [delimiter.join(str(cell) for cell in row) for row in [header, *rows]]
    path.write_text("\n".join(lines) + "\n")
    return path


def live_link(path: Path, frames: int = 90, angles: tuple[float, ...] = (0.0,) * 9) -> Path:
    rows = [
        [f"10:59:59:{frame}.250" if frame < 60 else f"11:00:00:{frame - 60}.250", 61, *smile(frame / 60), *angles]
        for frame in range(frames)
    ]
    return write_rows(path, ["Timecode", "BlendshapeCount", *CAPITAL, *ANGLES], rows)


def clip(frames: int = 12, rate: float = 60.0) -> Motion:
    generator = torch.Generator().manual_seed(1)
    rotations = torch.zeros(frames, 5, 3)
    rotations[:, [1, 3, 4]] = 0.4 * torch.randn(frames, 3, 3, generator=generator)
    return Motion(
        name="clip",
        skeleton=HEAD_SKELETON,
        rest_joints=head_joints(),
        rotations=rotations,
        translations=torch.zeros(frames, 3),
        frame_rate=rate,
        expression=torch.rand(frames, 52, generator=generator),
        expression_names=ARKIT_EXPRESSIONS,
    )


def test_live_link_face_is_read(tmp_path):
    motion = load_arkit(live_link(tmp_path / "take.csv"))
    assert (len(motion), motion.frame_rate, motion.expression_names) == (90, 60.0, ARKIT_EXPRESSIONS)
    assert torch.allclose(motion.expression[30], torch.tensor(smile(0.5)), atol=1e-5)
    assert not motion.rotations.any()


@pytest.mark.parametrize(("angle", "axis"), [("HeadYaw", (0, 1, 0)), ("HeadPitch", (1, 0, 0)), ("HeadRoll", (0, 0, 1))])
def test_angles_turn_about_our_axes(tmp_path, angle, axis):
    angles = tuple(0.3 if name == angle else 0.0 for name in ANGLES)
    motion = load_arkit(live_link(tmp_path / "take.csv", 2, angles))
    assert torch.allclose(motion.rotations[0, HEAD_SKELETON.index("neck")], 0.3 * torch.tensor(axis), atol=1e-6)
    in_degrees = tuple(17.188734 if name == angle else 0.0 for name in ANGLES)
    same = load_arkit(live_link(tmp_path / "degrees.csv", 2, in_degrees))
    assert torch.allclose(same.rotations, motion.rotations, atol=1e-6)


def test_eyes_have_their_own_angles(tmp_path):
    angles = tuple(0.2 if name == "LeftEyeYaw" else -0.1 if name == "RightEyePitch" else 0.0 for name in ANGLES)
    motion = load_arkit(live_link(tmp_path / "take.csv", 2, angles))
    assert torch.allclose(motion.rotations[0, 3], torch.tensor([0.0, 0.2, 0.0]), atol=1e-6)
    assert torch.allclose(motion.rotations[0, 4], torch.tensor([-0.1, 0.0, 0.0]), atol=1e-6)


@pytest.mark.parametrize("rate", [60.0, 30.0, 24.0, 10.0, 120.0])
def test_round_trip(tmp_path, rate):
    motion = clip(130, rate)
    write_arkit(tmp_path / "clip.csv", motion)
    back = load_arkit(tmp_path / "clip.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.csv"]
    assert back.frame_rate == rate
    assert torch.allclose(back.expression, motion.expression, atol=1e-5)
    turned = roma.rotvec_geodesic_distance(back.rotations.flatten(0, 1), motion.rotations.flatten(0, 1))
    assert turned.max() < 1e-3


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("spell", [str.lower, lambda n: n.replace("Left", "_L").replace("Right", "_R")])
def test_any_delimiter_order_and_spelling(tmp_path, delimiter, spell):
    order = np.random.default_rng(0).permutation(52)
    header = ["time (s)", *(spell(ARKIT_EXPRESSIONS[place]) for place in order)]
    rows = [[frame / 25, *(smile(frame / 25)[place] for place in order)] for frame in range(10)]
    if delimiter == ";":
        rows = [[str(cell).replace(".", ",") for cell in row] for row in rows]
    motion = load_arkit(write_rows(tmp_path / "any.csv", header, rows, delimiter))
    assert motion.frame_rate == 25.0
    assert torch.allclose(motion.expression[5], torch.tensor(smile(0.2)), atol=1e-5)


def test_milliseconds_are_seen_by_name_or_size(tmp_path):
    for column in ("time_ms", "Timestamp"):
        rows = [[1000 + 40 * frame, *smile(frame / 25)] for frame in range(10)]
        assert load_arkit(write_rows(tmp_path / "ms.csv", [column, *CAPITAL], rows)).frame_rate == 25.0


def test_uneven_and_lost_frames_are_filled_in(tmp_path):
    times = [frame / 30 for frame in range(60) if frame not in (7, 8, 40)]
    times = [time + 0.004 * (place % 2) for place, time in enumerate(times)]
    rows = [[time, 61, *smile(time)] for time in times]
    rows.insert(7, [7 / 30, 0])
    motion = load_arkit(write_rows(tmp_path / "gaps.csv", ["time", "BlendshapeCount", *CAPITAL], rows), frame_rate=30.0)
    assert len(motion) in (59, 60, 61)
    expected = torch.tensor([smile(frame / 30) for frame in range(len(motion))])
    assert torch.allclose(motion.expression, expected, atol=1e-4)


def test_midnight_is_no_step_back(tmp_path):
    stamps = ["23:59:59:58", "23:59:59:59", "00:00:00:00", "00:00:00:01"]
    path = write_rows(tmp_path / "night.csv", ["Timecode", *CAPITAL], [[stamp, *smile(0)] for stamp in stamps])
    assert (len(load_arkit(path)), load_arkit(path).frame_rate) == (4, 60.0)


def test_without_times_the_rate_is_an_argument(tmp_path):
    path = write_rows(tmp_path / "bare.csv", CAPITAL, [smile(frame) for frame in range(3)])
    assert load_arkit(path, frame_rate=24.0).frame_rate == 24.0
    with pytest.raises(InputError, match=r"no column of times.*frame_rate=30.*--frame-rate"):
        load_arkit(path)


def test_halves_are_joined_and_the_tongue_may_be_absent(tmp_path):
    names = [n for n in ARKIT_EXPRESSIONS if n not in ("browInnerUp", "tongueOut")] + ["browInnerUp_L", "browInnerUp_R"]
    motion = load_arkit(write_rows(tmp_path / "ict.csv", names, [[0.0] * 50 + [0.2, 0.4]]), 60.0)
    assert motion.expression[0, ARKIT_EXPRESSIONS.index("browInnerUp")] == pytest.approx(0.3)
    assert motion.expression[0, ARKIT_EXPRESSIONS.index("tongueOut")] == 0


def test_face_cap_is_read(tmp_path):
    lines = ["info,a,b", "bs," + ",".join(ARKIT_EXPRESSIONS)]
    for frame in range(5):
        lines.append(",".join(map(str, ["k", 20 * frame, *([9.5] * 10), *smile(frame / 50)])))
    (tmp_path / "cap.txt").write_text("\n".join(lines))
    motion = load_arkit(tmp_path / "cap.txt")
    assert motion.frame_rate == 50.0
    assert torch.allclose(motion.expression[2], torch.tensor(smile(0.04)), atol=1e-6)


def with_cell(column: int, text: str) -> list[list]:
    rows: list[list] = [[frame / 60, *smile(0)] for frame in range(4)]
    rows[2][column] = text
    return rows


@pytest.mark.parametrize(
    ("header", "rows", "says"),
    [
        (["time", *CAPITAL], with_cell(3, "abc"), "line 4: 'abc' under 'BrowInnerUp'"),
        (["time", *CAPITAL], with_cell(3, "nan"), "line 4: 'nan'"),
        (["time", *CAPITAL], with_cell(3, ""), "line 4: ''"),
        (["time", *CAPITAL], with_cell(0, "0.0001"), "line 4: the time runs backward"),
        (["time", *CAPITAL], [*with_cell(0, "0.04"), [4000, *smile(0)]], "line 6: no frame for over"),
        (["time", *CAPITAL], [[0.0, *smile(0)[:-1]]], "line 2: 52 cells.*53"),
        (["time", *CAPITAL], [], "no frames"),
        (["time", *CAPITAL], [[0.0]], "no frame in which a face"),
        (["time", *CAPITAL, "jaw_open"], [[0.0, *smile(0), 0.0]], "more than one column for jawOpen"),
        (["time", *(n.replace("JawOpen", "JawOpn") for n in CAPITAL)], [[0.0, *smile(0)]], "jawOpen.*'JawOpn'"),
        (["time", *CAPITAL[:40]], [[0.0, *smile(0)[:40]]], "no column for mouthRollUpper|mouthRollUpper"),
        (["name", "age"], [["a", 3]], "not a CSV of facial actions.*name, age"),
        (["Timecode", *CAPITAL], [["1:2:3:4", *smile(0)], ["later", *smile(0)]], "line 3: 'later' is no timecode"),
    ],
)
def test_unusable_tables_are_refused_by_line_or_column(tmp_path, header, rows, says):
    with pytest.raises(InputError, match=says):
        load_arkit(write_rows(tmp_path / "bad.csv", header, rows))


def test_files_that_are_no_csv_are_refused(tmp_path):
    (tmp_path / "empty.csv").write_text("\n\n")
    (tmp_path / "binary.csv").write_bytes(b"PK\x03\x04\0\0\0\0")
    (tmp_path / "cap.csv").write_text("info,a\nbs,jawOpen\n")
    (tmp_path / "notes.csv").write_text("Shopping list\nbread\n\nbutter, and milk\n")
    messages = {"empty": "empty", "binary": "not a text", "cap": "0 'k' frames", "absent": "cannot be"}
    messages["notes"] = "not a CSV of facial actions.*first line: Shopping list"
    for name, says in messages.items():
        with pytest.raises(InputError, match=says):
            load_arkit(tmp_path / f"{name}.csv")
    with pytest.raises(InputError, match="frame rate of 0"):
        load_arkit(live_link(tmp_path / "take.csv"), frame_rate=0.0)


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        write_arkit(tmp_path / "none" / "clip.csv", clip())
    with pytest.raises(InputError, match="suffix"):
        write_arkit(tmp_path / "clip.npz", clip())
    with pytest.raises(InputError, match="no named facial actions"):
        write_arkit(tmp_path / "clip.csv", replace(clip(), expression_names=()))
