"""The benchmark of priors in small, as a user types it: every part runs, and its figures are numbers."""

import json
import sys
from pathlib import Path

import pytest

from avatars.assess.people_evaluation import naked_cloud
from tests.avatars.fit.tiny_people import write_bodies
from tests.avatars.small_prior import small_prior_file

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SMALL = ("--steps", "1", "--resolution", "48", "--cells", "48", "--mesh-resolution", "32", "--repeats", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def typed(folder):
    write_bodies(folder / "people")
    prior = small_prior_file(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        import bench_gdna

        def run(*words):
            start = ("--people", folder / "people", "--prior", prior, "--held-out", "2", "--threads", "1", *SMALL)
            patch.setattr(sys, "argv", ["bench_gdna.py", *map(str, (*start, *words))])
            bench_gdna.main()

        yield run


def test_reconstructions_and_pictures(typed, folder, capsys):
    typed(
        "--only",
        "reconstruction,normals,samples",
        "--json",
        folder / "out.json",
        "--coarse-prior",
        folder / "small.prior",
    )
    printed = capsys.readouterr().out
    told = ("seed 0", "Held out: the last 2 of 2", "| reconstruction | IoU", "| normals | sampled people, 9 pictures")
    assert all(what in printed for what in (*told, "by the prior of stage 1 alone", "left out: not a synthetic"))
    assert "nan" not in printed
    stored = json.loads((folder / "out.json").read_text())
    assert len(stored["reconstruction"]["iou"]) == 2
    assert stored["normals"]["the prior, sampled people"]["coarse"] > 0


def test_samples(typed, folder, capsys, monkeypatch):
    import bench_gdna

    monkeypatch.setattr(bench_gdna, "is_synthetic", lambda dataset: True)
    made = []

    def naked(model, dataset, number, assets):
        made.append(number)
        return naked_cloud(model, dataset.member(number).betas, number)

    monkeypatch.setattr(bench_gdna, "true_cloud", naked)
    for _ in range(2):
        typed("--only", "samples", "--clouds", folder / "clouds.safetensors")
    printed = capsys.readouterr().out
    assert "| samples | codes of noise, same builds | matching" in printed
    assert "fewer than two have a surface" in printed, "there is nobody whom the prior was trained on"
    assert made == [0, 1], "people made again are kept"


def test_times(typed, capsys, monkeypatch):
    import bench_gdna

    monkeypatch.setattr(bench_gdna, "SHEET", 1)
    typed("--only", "times")
    printed = capsys.readouterr().out
    assert "| times | sample to mesh of 32 cells" in printed
    assert "`avatars sample --count 1" in printed


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--only", "speed"), "--only speed"),
        (("--held-out", "1"), "--held-out 1"),
        (("--prior", "nowhere.prior"), "nowhere.prior"),
    ],
)
def test_bad_requests(typed, words, told):
    with pytest.raises(SystemExit, match=told):
        typed(*words)
