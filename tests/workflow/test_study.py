import json
from pathlib import Path

import pytest
import yaml

from workflow_scripts.stores.errors import InputError
from workflow_scripts.workflow.names import Named
from workflow_scripts.workflow.stage_options import stage_options
from workflow_scripts.workflow.study import MapName, Study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def study():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["tdann"] |= {"seeds": [0, 3], "run_variants": ["alpha0", "full", "random_positions"]}
    config["comparisons"] = {
        "other_seed": {"variant": "alpha0", "positions": "optimised", "other_seed": True}
    }
    return Study(config, batches={})


def test_every_variant_runs_with_every_seed(study):
    variants = ("alpha0", "full", "random_positions")
    assert study.networks == [f"{variant}_s{seed}" for variant in variants for seed in (0, 3)]


def test_weights_are_kept_of_filmed_networks_only(study):
    study.config["movies"] = {"variants": ["full"], "seed": 3, "snapshots": [40, 0, 100_000]}
    last = study.settings("full_s3")["training"]["steps"]
    assert study.snapshots("full_s3") == [0, 40, last]
    assert study.snapshots("full_s0") == study.snapshots("alpha0_s3") == []
    assert [one.positions for one in study.filmed] == ["optimised_s3"]


def test_each_network_has_a_map_on_its_own_positions_and_controls_come_beside(study):
    assert study.maps == [
        MapName("alpha0", "alpha0_s0", "optimised_s0"),
        MapName("alpha0", "alpha0_s3", "optimised_s3"),
        MapName("full", "full_s0", "optimised_s0"),
        MapName("full", "full_s3", "optimised_s3"),
        MapName("random_positions", "random_positions_s0", "random_s0"),
        MapName("random_positions", "random_positions_s3", "random_s3"),
        MapName("other_seed", "alpha0_s3", "optimised_s0"),
        MapName("other_seed", "alpha0_s0", "optimised_s3"),
    ]


def test_the_decisive_control_is_mapped_wherever_a_spatial_loss_uses_positions(study):
    study.config["tdann"]["run_variants"] = ["full", "gratings_positions", "shuffled_positions"]
    study.config["comparisons"]["named"] = {
        "variant": "alpha0", "positions": "gratings", "other_seed": False
    }  # fmt: skip
    maps = [one for one in study.maps if study.role(one) == "source"]
    assert sorted(one[1:] for one in maps) == [
        ("alpha0_s0", "gratings_s0"),  # named, and not twice
        ("alpha0_s0", "optimised_s0"),
        ("alpha0_s3", "gratings_s3"),
        ("alpha0_s3", "optimised_s3"),
    ]
    options = json.loads(stage_options(study, "summarise")({}))
    methods = {one["positions"]: one["method"] for one in options["maps"]}
    assert methods["gratings_s0"] == "gratings"
    assert methods["shuffled_s3"] == "shuffled"


def test_maps_are_told_apart_by_what_they_may_show(study):
    roles = {(drawn.comparison, drawn.positions): study.role(drawn) for drawn in study.maps}
    assert roles[("full", "optimised_s3")] == "spatial"
    assert roles[("random_positions", "random_s0")] == "spatial"
    assert roles[("alpha0", "optimised_s3")] == "source"
    assert roles[("other_seed", "optimised_s0")] == "control"
    assert study.role(MapName("", "alpha0_s0", "random_s0")) == "control"
    assert study.role(MapName("", "untrained_s0", "optimised_s0")) == "control"


def test_only_a_spatial_loss_needs_positions(study):
    assert study.positions_of("full_s3") == ["optimised_s3"]
    assert study.positions_of("alpha0_s3") == []
    assert study.source_of("optimised_s3") == "alpha0_s3"


def test_a_warm_start_needs_the_network_of_its_own_seed(study):
    assert study.start_of("warm_start_s3") == ["alpha0_s3"]
    assert study.start_of("full_s3") == []


@pytest.mark.parametrize("name", ["full", "full_3", "full_s", "Full_s0", "full_s0_on_random_s0/x"])
def test_names_of_networks_are_read_strictly(name):
    with pytest.raises(InputError):
        Named.parse(name)


def test_options_of_two_variants_differ_in_their_overrides_and_nothing_else(study):
    options = stage_options(study, "train_tdann")
    full, no_pan = (
        json.loads(options({"network": network})) for network in ("full_s0", "no_ego_motion_s0")
    )
    assert no_pan.pop("snapshots") == []  # only of the networks of the movies
    assert full["augmentation"] | {"pan_px_per_frame": 0.0} == no_pan.pop("augmentation")
    assert all(full[key] == value for key, value in no_pan.items())


def test_the_network_that_all_else_depends_on_is_blind_to_settings_of_the_spatial_loss(study):
    options = stage_options(study, "train_tdann")
    before = options({"network": "alpha0_s0"}), options({"network": "full_s0"})
    study.config["tdann"]["network"]["spatial"]["queue_length"] = 7
    assert options({"network": "alpha0_s0"}) == before[0]
    assert options({"network": "full_s0"}) != before[1]


def test_an_alignment_needs_its_sessions_in_the_sheet(study):
    with pytest.raises(InputError, match=r"dina\.variants\.mice: the sheet .* no 'v1_mouse0'"):
        study.sessions_of("mice_s0")
    assert study.alignments == []  # without recordings
    study.sessions.update(dict.fromkeys(study.config["dina"]["network"]["sessions"]))
    assert study.sessions_of("mice_shuffled_s0") == study.config["dina"]["network"]["sessions"]


def test_a_control_of_an_alignment_differs_in_its_override_alone(study):
    options = stage_options(study, "train_dina")
    mice, shuffled = (
        json.loads(options({"alignment": name})) for name in ("mice_s2", "mice_shuffled_s2")
    )
    assert shuffled.pop("pairs") == mice.pop("pairs") | {"shuffle_pairs": True}
    assert mice == shuffled
    assert mice["seed"] == 2
