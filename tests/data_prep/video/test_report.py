import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from body_models.errors import InputError
from data_prep.video.curves import Chart, chart_svg, flag_bands_svg, head_motion, runs
from data_prep.video.overlay import Overlay
from data_prep.video.report import write_report
from tests.data_prep.video.report_cases import COUNT, small_dataset

FILES = {"contact_sheet.png", "overlay.mp4", "summary.html"}
VOID = {"meta", "img", "br"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return small_dataset(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(dataset):
    errors = np.array([0.02, 0.03, np.nan, np.nan, 0.02, 0.05])
    figures = {"Eyes apart": "62 <mm>", "Focal length": "measured"}
    return write_report(dataset, dataset.folder, None, errors, figures, ("avatars view 'a & b'",)).read_text("utf-8")


class Balance(HTMLParser):
    """Raises for an element that is closed by another, and remembers what was seen."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_writes_its_three_files_and_no_other(dataset, page):
    names = {file.name for file in dataset.folder.iterdir()}
    assert names == FILES | {"frames", "masks"}
    assert Image.open(dataset.folder / "contact_sheet.png").width > 300


def test_page_is_well_formed_and_needs_nothing_from_outside(page):
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert "script" not in {tag for tag, _ in balance.seen}
    assert not re.search(r"https?:|@import|url\(", page)
    sources = [attributes["src"] for _, attributes in balance.seen if "src" in attributes]
    assert sources
    assert all(source.startswith("data:image/") for source in sources)


def test_page_escapes_what_it_was_given(page):
    assert "a hand covers &lt;the&gt; mouth &amp; chin" in page
    assert "62 &lt;mm&gt;" in page
    assert "avatars view &#x27;a &amp; b&#x27;" in page
    assert "<the>" not in page


def test_page_counts_frames_and_reasons(page):
    rows = dict(re.findall(r"<tr><td>([^<]*)</td><td class=\"n\">(\d+)</td></tr>", page))
    assert rows == {
        "in the dataset": "6",
        "used": "4",
        "left out": "2",
        "· hand over the face": "2",
        "· blurred": "1",
    }


def test_figures_replace_those_of_the_same_name(page):
    assert "<b>measured</b><span>Focal length</span>" in page
    assert "<b>2.5 %</b><span>Landmark error, median</span>" in page


def test_page_without_extras_says_that_all_is_well(dataset, tmp_path):
    calm = replace(dataset, warnings=(), notes=(), folder=None)
    for kind in ("frames", "masks"):
        (tmp_path / kind).symlink_to(dataset.folder / kind)
    page = write_report(calm, tmp_path).read_text("utf-8")
    assert "None: nothing in this video" in page
    assert "What to do next" not in page
    assert "Landmark error" not in page
    assert tmp_path.name in page


def test_body_dataset_gets_a_report_too(tmp_path):
    body = small_dataset(tmp_path, "anny", depth=2.8, height=0.9)
    page = write_report(body, tmp_path).read_text("utf-8")
    assert {file.name for file in tmp_path.iterdir()} >= FILES
    assert "Head turn" in page


@pytest.mark.parametrize("broken", ["model", "errors", "picture"])
def test_nothing_is_written_when_the_report_fails(broken, tmp_path):
    dataset, errors = small_dataset(tmp_path), None
    if broken == "model":
        dataset = replace(dataset, model="flume")
    elif broken == "errors":
        errors = np.zeros(COUNT + 1)
    else:
        (tmp_path / dataset.frames[4].image).write_bytes(b"no picture")
    with pytest.raises(InputError):
        write_report(dataset, tmp_path, landmark_errors=errors)
    assert {file.name for file in tmp_path.iterdir()} == {"frames", "masks"}


def test_head_motion_tells_turns_in_degrees_and_the_place_in_front_of_the_camera(dataset):
    poses = torch.zeros_like(dataset.poses)
    for axis in range(3):
        poses[axis, 0, axis] = 0.2
    angles, places = head_motion(Overlay(replace(dataset, poses=poses)))
    degrees = math.degrees(0.2)
    assert np.allclose(angles[:3], [[0, -degrees, 0], [degrees, 0, 0], [0, 0, degrees]], atol=1e-4)
    assert np.allclose(places[3:, 2], 0.6, atol=0.06)


def test_runs_are_first_and_last_frames():
    assert list(runs(np.array([True, True, False, True]))) == [(0, 1), (3, 3)]
    assert list(runs(np.zeros(3, bool))) == []


def test_curve_breaks_where_there_is_no_value():
    values = np.array([0.0, 1.0, np.nan, 2.0, 3.0])
    drawn = chart_svg(Chart("a", {"b": values}), np.zeros(5, bool), [0.0] * 5)
    path = re.search(r'class="curve c0" d="([^"]*)"', drawn).group(1)
    assert path.count("M") == 2
    assert path.count("L") == 2
    assert "nan" not in drawn


def test_chart_without_any_value_is_empty_but_there():
    drawn = chart_svg(Chart("a", {"b": np.full(4, np.nan)}), np.ones(4, bool), [0.0] * 4)
    assert "nan" not in drawn
    assert 'd=""' in drawn


def test_long_curve_keeps_its_peaks_in_little_room():
    values = np.zeros(50_000)
    values[31_234] = 7.0
    drawn = chart_svg(Chart("a", {"b": values}), np.zeros(50_000, bool), [0.0] * 50_000)
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", drawn)]
    assert len(heights) <= 800
    assert min(heights) < 0.1 * max(heights)


def test_bands_have_a_row_for_each_flag(dataset):
    drawn = flag_bands_svg(dataset)
    assert drawn.count('class="track"') == 3
    assert "hand over the face" in drawn
    assert "frames 2 to 3" in drawn
