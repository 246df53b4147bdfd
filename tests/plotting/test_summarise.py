import json
import math

import numpy as np
import pytest

from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_table
from workflow_scripts.summarise import SummariseOptions, summarise


@pytest.fixture(scope="module")
def summary(summary_file):
    return json.loads(summary_file.read_text())


def test_the_headline_names_the_level_of_every_layer(summary):
    assert summary["verdict"] == ("direction map of full (2 seeds): suggested in layer1, layer2")
    levels = {(one["layer"], one["preference"]): one["level"] for one in summary["verdicts"]}
    assert levels.keys() == {
        (layer, p) for layer in ("layer1", "layer2") for p in ("direction", "axis", "orientation")
    }


def test_numbers_of_maps_are_those_of_the_statistics(study, summary):
    assert len(summary["maps"]) == 8
    for of_map, path in zip(study.maps, study.statistics, strict=True):
        record = summary["maps"][f"{of_map.network.name}_on_{of_map.positions}"]
        measured = json.loads(path.read_text())["layers"]["layer2"]
        assert record["role"] == of_map.role
        assert record["layers"]["layer2"]["axis"]["near"] == measured["axis"]["near"]
        spacing = record["layers"]["layer2"]["direction"]["spacing_spectrum_mm"]
        assert spacing == measured["direction"]["pattern"]["spacing_spectrum_mm"]


def test_numbers_of_networks_are_those_of_their_files(study, summary):
    training = summary["networks"]["full_s1"]["training"]
    assert training["chance_loss"] == pytest.approx(math.log(1025))
    assert training["last_tenth"]["contrastive_accuracy"] == pytest.approx(0.6 * 100 / 160)
    assert training["last_tenth"]["spatial_loss_layer1"] == pytest.approx(0.5 - 0.3 * 100 / 160)
    table = read_table(study.tuning[3])
    inner = table[~table.border & (table.layer == "layer2")]
    tuning = summary["networks"]["full_s1"]["tuning"]["layer2"]
    medians = inner.groupby("channel").dsi.median()
    assert tuning["dsi"]["value"] == pytest.approx(float(np.median(medians)))
    assert tuning["dsi"]["low"] < tuning["dsi"]["value"] < tuning["dsi"]["high"]
    assert (tuning["n_units"], tuning["n_channels"]) == (len(inner), 12)


def test_networks_without_their_files_are_an_error(study, tmp_path):
    options = SummariseOptions(study.networks[1:], study.maps)
    with pytest.raises(InputError, match="--tuning: 4 files for the 3"):
        summarise(study.statistics, study.tuning, study.metrics, tmp_path / "summary.json", options)
    assert not (tmp_path / "summary.json").exists()
