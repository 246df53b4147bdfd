"""Tables of a study: what is switched off has none."""

from pathlib import Path

import pytest

from workflow_scripts.workflow.study import Study
from workflow_scripts.workflow.tables import LONG, tables

ROOT = Path(__file__).resolve().parents[2]
ALWAYS = ["training", "verdicts", "maps", "tuning", "in_vivo", "performance", "provenance"]


def test_every_record_of_a_table_has_its_name(config):
    study = Study.from_config(config, [ROOT / "config.yaml"], ROOT)
    found = tables(study)
    assert list(found) == [
        *ALWAYS[:5], "encoders", "cross_validated", "vist", LONG, "decoding", *ALWAYS[5:],
    ]  # fmt: skip
    assert found["encoders"].records[0] == "results/encoders/v1t_s0/statistics.json"
    assert found["vist"].names[0] == "simulated_1_to_2/ln_s0"
    assert found["cross_validated"].names[0].split("/on_")[1] in study.sessions
    chapters = [int(one.chapter.split()[0]) for one in found.values()]
    assert chapters == sorted(chapters)
    for one in found.values():
        assert all(Path(path).parts[0] == "results" for path in one.records)


@pytest.mark.parametrize(
    ("edits", "gone"),
    [
        ({"v1t": {"run_variants": []}}, {"encoders"}),
        ({"v1t": {"cross_validated": []}}, {"cross_validated"}),
        ({"vist": {"run_tasks": []}}, {"vist"}),
        ({"dina": {"run_variants": []}}, {"decoding"}),
    ],
)
def test_what_is_switched_off_has_no_table(config, edits, gone):
    before = tables(Study.from_config(config, [ROOT / "config.yaml"], ROOT))
    for section, values in edits.items():
        config[section].update(values)
    after = tables(Study.from_config(config, [ROOT / "config.yaml"], ROOT))
    assert before.keys() - after.keys() == gone


def test_without_recordings_only_tables_of_networks_are_left(config):
    config["sessions"]["source"] = None
    assert list(tables(Study.from_config(config, [ROOT / "config.yaml"], ROOT))) == ALWAYS


def test_the_plan_asks_for_the_tables_that_there_are(pristine):
    shipped = pristine.planned()
    assert shipped["tabulate"] == len(ALWAYS) + 4
    own = pristine.planned("--profile", "profiles/own", "--config", "videos={source: videos}")
    assert own["tabulate"] == len(ALWAYS)
