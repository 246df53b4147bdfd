import copy
import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from workflow_scripts.stores.errors import InputError
from workflow_scripts.workflow.configuration import (
    SCHEMA,
    canonical_json,
    check_config,
    merge,
    resolve_variant,
)
from workflow_scripts.workflow.document_config import config_reference, sheet_reference
from workflow_scripts.workflow.sessions import list_sessions
from workflow_scripts.workflow.validation import load_schema
from workflow_scripts.workflow.videos import list_videos

ROOT = Path(__file__).resolve().parents[2]


def problems(config, files=()):
    with pytest.raises(InputError) as caught:
        check_config(config, files, ROOT)
    return str(caught.value)


def test_shipped_config_is_valid(config):
    check_config(config, [ROOT / "config.yaml"], ROOT)


def test_halves_of_the_phases_have_no_harmonic_of_their_own(config):
    """Of what a unit's response owes to the phase, the first two harmonics cancel in each half."""
    stimuli = config["stimuli"]
    for name in ("gratings", *config["physiology"]["batteries"]):
        n_phases = stimuli["batteries"][name]["n_repeats"]
        phase = 2 * math.pi * np.arange(n_phases) / n_phases
        for half in (phase[::2], phase[1::2]):
            assert abs(np.exp(1j * half).mean()) < 1e-9
            assert abs(np.exp(2j * half).mean()) < 1e-9


def test_clips_of_gratings_hold_whole_half_cycles_and_step_well_under_180_degrees(config):
    display = config["stimuli"]["display"]
    for battery in ("gratings", "physiology"):
        for grid in config["stimuli"]["batteries"][battery]["drifting_gratings"]:
            cycles_a_frame = np.array(grid["temporal_frequency_hz"]) / display["frame_rate_hz"]
            assert (2 * cycles_a_frame * display["n_frames"] % 1 == 0).all()
            assert cycles_a_frame.max() <= 0.4


def test_every_problem_is_named_at_once_with_field_value_and_remedy(config):
    config["tdann"]["network"]["width"] = 0
    config["tdann"]["network"]["bakcbone"] = config["tdann"]["network"].pop("backbone")
    config["runtime"]["torch"]["device"] = "gpu"
    config["tdann"]["seeds"] = [0, 0]
    message = problems(config)
    assert "5 problem(s)" in message
    assert "tdann.network.width: value 0: give at least 1" in message
    assert "tdann.network.bakcbone: unknown field; did you mean 'backbone'?" in message
    assert "tdann.network.backbone: missing; add it" in message
    assert 'runtime.torch.device: value "gpu": choose one of ["auto", "cpu", "cuda"]' in message
    assert "tdann.seeds: value [0, 0]: list each only once" in message


def test_the_file_that_set_a_bad_value_is_named(config, tmp_path):
    overlay = tmp_path / "my.yaml"
    overlay.write_text("videos: {batch_size: 0}\n")
    merged = merge(config, yaml.safe_load(overlay.read_text()))
    assert f"{overlay}: videos.batch_size" in problems(merged, [ROOT / "config.yaml", overlay])


def test_the_file_that_should_set_a_missing_field_is_named(config, tmp_path):
    del config["videos"]["source"]
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    assert f"{file}: videos.source: missing" in problems(config, [file])


def test_a_bad_value_of_the_command_line_is_said_to_be_one(config):
    config["videos"]["batch_size"] = "8"  # --config makes texts of nested numbers
    assert "--config: videos.batch_size" in problems(config, [ROOT / "config.yaml"])


def test_yaml_text_that_looks_like_a_number_gets_a_hint(config):
    config["stimuli"]["display"]["pixels_per_degree"] = yaml.safe_load("1e-4")
    assert "write 0.0001" in problems(config)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_numbers_are_refused(config, value):
    config["tdann"]["network"]["alpha"] = value
    assert "tdann.network.alpha" in problems(config)


def test_a_misspelt_override_of_a_variant_is_refused(config):
    config["tdann"]["variants"]["full"] = {"training": {"stesp": 3}}
    assert "tdann.variants.full.training.stesp: unknown field" in problems(config)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("tdann", "run_variants"), ["alpha0", "fulll"], "did you mean 'full'?"),
        (("comparisons", "other_seed", "positions"), "optimized", "did you mean 'optimised'?"),
        (("comparisons", "other_seed", "variant"), "alpha", "did you mean 'alpha0'?"),
        (("positions", "kinds", "random", "source"), "full", "needs a variant of alpha 0"),
        (("tdann", "seeds"), [3], "needs two seeds"),
    ],
)
def test_names_that_lead_nowhere_are_refused(config, path, value, expected):
    *parents, last = path
    section = config
    for key in parents:
        section = section[key]
    section[last] = value
    assert expected in problems(config)


@pytest.mark.parametrize("name", ["full_s0", "a_on_b", "Full", "a-b", "a b", "a{b}", "$(x)"])
def test_names_that_paths_could_not_tell_apart_are_refused(config, name):
    config["tdann"]["variants"][name] = {}
    assert "tdann.variants" in problems(config)


def test_a_variant_lays_its_overrides_over_those_it_inherits():
    tdann = {
        "network": {"alpha": 8, "training": {"steps": 10, "batch_size": 4}},
        "variants": {
            "base": {"training": {"steps": 20}},
            "child": {"inherits": "base", "alpha": 1, "training": {"batch_size": 2}},
        },
    }
    before = copy.deepcopy(tdann)
    assert resolve_variant(tdann, "child") == {
        "alpha": 1,
        "training": {"steps": 20, "batch_size": 2},
    }
    assert tdann == before


def test_a_variant_that_inherits_from_itself_is_refused():
    tdann = {"network": {}, "variants": {"a": {"inherits": "b"}, "b": {"inherits": "a"}}}
    with pytest.raises(InputError, match="inherits from itself"):
        resolve_variant(tdann, "a")


def test_merge_replaces_lists_and_leaves_its_arguments_alone():
    below, above = {"a": {"b": [1, 2], "c": 1}}, {"a": {"b": [3]}}
    assert merge(below, above) == {"a": {"b": [3], "c": 1}}
    assert below == {"a": {"b": [1, 2], "c": 1}}


def test_equal_options_are_equal_texts_and_swapped_ones_are_not():
    assert canonical_json({"a": 1, "b": 2}) == canonical_json({"b": 2, "a": 1})
    assert canonical_json({"a": 1, "b": 2}) != canonical_json({"a": 2, "b": 1})


def test_docs_hold_what_the_schema_says(config):
    schema = load_schema(ROOT / SCHEMA)
    written = (ROOT / "docs/config.md").read_text()
    assert written == config_reference(schema, config), "run `make docs-config`"


def test_docs_tell_null_from_fields_without_a_value_of_their_own(config):
    config["tdann"]["network"]["start"] = None
    text = config_reference(load_schema(ROOT / SCHEMA), config)
    assert "| `tdann.network.start` | `null` |" in text
    assert "| `vist.tasks` |  |" in text
    assert "| `vist.tasks.*.test` |  |" in text


def test_templates_explain_and_hold_every_column_of_the_sheets():
    folder = ROOT / "resources/templates"
    assert (folder / "README.md").read_text() == sheet_reference(ROOT), "run `make docs-config`"
    for name in ("videos", "sessions"):
        header = (folder / f"{name}.tsv").read_text().splitlines()[0].split("\t")
        schema = load_schema(ROOT / f"resources/schemas/{name}.schema.yaml")
        assert header == list(schema["properties"])


def test_the_rows_of_the_templates_lack_nothing_but_their_files():
    _, of_videos = list_videos({"source": "resources/templates/videos.tsv"}, ROOT)
    _, of_sessions = list_sessions("resources/templates/sessions.tsv", ROOT)
    problems = [*of_videos, *of_sessions]
    assert len(problems) > 5
    assert all("no file" in problem or "nothing at" in problem for problem in problems)


def test_every_field_is_closed_and_described():
    # overrides of a variant are checked once they are laid over the section's network
    exempt = {
        f".{section}.variants.additionalProperties takes any field"
        for section in ("tdann", "vist", "dina", "v1t")
    }
    assert set(_undescribed(load_schema(ROOT / SCHEMA), "")) == exempt


def _undescribed(schema, name):
    for key, field in schema.get("properties", {}).items():
        if "description" not in field and "$ref" not in field:
            yield f"{name}.{key}"
        yield from _undescribed(field, f"{name}.{key}")
    if schema.get("type") == "object" and "additionalProperties" not in schema:
        yield f"{name} takes any field"
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _undescribed(schema[key], f"{name}.{key}")
    for key, field in schema.get("$defs", {}).items():
        yield from _undescribed(field, f"$defs.{key}")
