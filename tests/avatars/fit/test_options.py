from dataclasses import replace

import pytest

from avatars.fit import FitOptions, load_preset
from avatars.fit.options import LearningRates
from avatars.models import SnarfOptions
from body_models import InputError


@pytest.fixture
def preset(tmp_path):
    def write(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_fast_is_the_default():
    fast = load_preset("fast")
    assert fast == FitOptions()
    assert fast.snarf.network == "grid"


def test_paper_has_the_sizes_of_the_publication():
    paper = load_preset("paper")
    snarf, search = paper.snarf, paper.snarf.search
    assert (snarf.network, snarf.depth, snarf.width, snarf.octaves, snarf.weight_width) == ("mlp", 8, 256, 4, 128)
    assert (search.steps, search.tolerance, search.divergence, search.start_bones) == (50, 1e-5, 1.0, 9)
    assert (paper.steps, paper.scans_per_step, paper.points, paper.clip) == (100_000, 8, 2250, 0.1)
    assert (paper.rates.network, paper.rates.weights, paper.rates.final) == (1e-3, 1e-3, 1.0)
    assert paper.near_share == pytest.approx(8 / 9, abs=1e-3)
    assert not paper.soft_labels


def test_a_preset_changes_only_what_it_names(preset):
    found = load_preset(preset("steps: 5\nrates: {base: 0.5}\nsnarf:\n  search: {steps: 3}\n"))
    default = FitOptions()
    assert (found.steps, found.rates.base, found.snarf.search.steps) == (5, 0.5, 3)
    search = replace(default.snarf.search, steps=3)
    expected = replace(default, steps=5, rates=LearningRates(base=0.5), snarf=replace(default.snarf, search=search))
    assert found == expected


@pytest.mark.parametrize("text", ["", "# nothing\n", "rates:\n", "snarf: {search: }"])
def test_nothing_means_the_defaults(preset, text):
    assert load_preset(preset(text)) == FitOptions()


@pytest.mark.parametrize(("written", "value"), [("1", 1.0), ("1e-3", 1e-3), ("2E+0", 2.0), ("1.5e-3", 1.5e-3)])
def test_every_way_to_write_a_number_is_a_float(preset, written, value):
    found = load_preset(preset(f"clip: {written}")).clip
    assert found == value
    assert type(found) is float


def test_lists_become_tuples(preset):
    assert load_preset(preset("snarf: {feature_spacings: [1, 0.5]}")).snarf.feature_spacings == (1.0, 0.5)


@pytest.mark.parametrize("name", ["fats", "", "../fast", "fast.json"])
def test_unknown_presets_are_told_the_known_ones(name):
    with pytest.raises(InputError, match=r"fast, paper"):
        load_preset(name)


@pytest.mark.parametrize("name", ["none.yaml", "none.yml"])
def test_a_preset_file_that_is_not_there(tmp_path, name):
    with pytest.raises(InputError, match="No preset file"):
        load_preset(str(tmp_path / name))
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="No preset file"):
        load_preset(str(tmp_path / name))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stesp: 3", r"unknown option 'stesp'.*Options: steps, points"),
        ("rates: {bsae: 1.0}", r"rates: unknown option 'bsae'.*Options: base, features"),
        ("snarf: {search: {depth: 1}}", r"search: unknown option 'depth'.*tolerance"),
        ("{1: 2, b: 3}", "unknown option"),
        ("- a", "expected keys"),
        ("seventeen", "expected keys"),
        ("rates: 3", "expected keys"),
        ("steps: many", "steps: expected int"),
        ("steps: 1.5", "steps: expected int"),
        ("steps: true", "steps: expected int"),
        ("soft_labels: 1", "soft_labels: expected bool"),
        ("clip: true", "clip: expected float"),
        ("clip: '3'", "clip: expected float"),
        ("snarf: {network: 3}", "network: expected str"),
        ("snarf: {feature_spacings: 0.1}", "feature_spacings: expected a list of numbers"),
        ("snarf: {feature_spacings: [a]}", "feature_spacings: expected float"),
        ("steps: [", "no valid YAML"),
        ("!!python/object/apply:os.system ['true']", "no valid YAML"),
    ],
)
def test_keys_and_types_are_checked(preset, text, message):
    with pytest.raises(InputError, match=rf"(?s)mine\.yaml.*{message}"):
        load_preset(preset(text))


@pytest.mark.parametrize(
    "text",
    [
        "steps: -1",
        "steps: 0",
        "points: 0",
        "pool: 0",
        "scans_per_step: 0",
        "near_share: 2",
        "near_share: -0.1",
        "near_sigma: -0.01",
        "near_sigma: .nan",
        "pose_dropout: 1.1",
        "bootstrap: -1",
        "clip: .inf",
        "rates: {base: -1}",
        "rates: {pose: .nan}",
        "rates: {final: 1.5}",
        "snarf: {network: cnn}",
        "snarf: {width: 0}",
        "snarf: {pose_code: -1}",
        "snarf: {base_spacing: 0}",
        "snarf: {weight_spacing: -0.1}",
        "snarf: {feature_spacings: []}",
        "snarf: {feature_spacings: [0.1, 0]}",
        "snarf: {edge: 0}",
        "snarf: {margin: .inf}",
        "snarf: {search: {steps: 0}}",
        "snarf: {search: {tolerance: 0}}",
        "snarf: {search: {reach: .nan}}",
        "snarf: {network: mlp, depth: 2, width: 64}",
        "snarf: {network: mlp, width: 20}",
    ],
)
def test_impossible_values_are_refused_by_name(preset, text):
    key = text.replace("{", " ").replace("}", " ").split(":")[-2].split()[-1]
    with pytest.raises(InputError, match=rf"mine\.yaml.*{'' if 'mlp' in text else key}"):
        load_preset(preset(text))


def test_options_made_in_python_are_checked_too():
    with pytest.raises(InputError, match="near_share must be from 0"):
        FitOptions(near_share=2.0)
    with pytest.raises(InputError, match="base must be"):
        LearningRates(base=float("nan"))
    with pytest.raises(InputError, match="grid or mlp"):
        FitOptions(snarf=SnarfOptions(network="cnn"))


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00steps")
    with pytest.raises(InputError, match=r"a\.yaml"):
        load_preset(str(tmp_path / "a.yaml"))
