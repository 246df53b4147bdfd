"""The encoders of a study, as names."""

from pathlib import Path

import pytest
import yaml

from workflow_scripts.stores.errors import InputError
from workflow_scripts.workflow.encoders import CrossValidated, Encoders, check_encoder_sessions

ROOT = Path(__file__).resolve().parents[2]
SESSIONS = ["v1_mouse0", "v1_mouse1", "v1_mouse2", "v1_mouse3", "park_28_fov4", "park_30_fov1"]


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())["v1t"]


def test_every_variant_runs_with_every_seed(config):
    config |= {"seeds": [0, 2], "run_variants": ["v1t", "cnn"]}
    encoders = Encoders(config, SESSIONS)
    assert encoders.compared == ["v1t_s0", "v1t_s2", "cnn_s0", "cnn_s2"]
    assert encoders.interpreted == "v1t_s0"
    assert CrossValidated("park_s2", "park_30_fov1") in encoders.cross_validated


def test_a_mouse_is_added_to_a_core_that_has_not_seen_it(config):
    encoders = Encoders(config, SESSIONS)
    for name in encoders.added:
        (core,) = encoders.core_of(name)
        new = set(encoders.sessions_of(name))
        assert not new & set(encoders.sessions_of(core))
        assert encoders.core_of(core) == []
    assert len(encoders.added) == 4
    assert encoders.core_of("v1t_s0") == []
    assert encoders.sessions_of("v1t_s0") == config["sessions"]


def test_without_sessions_there_are_no_encoders(config):
    encoders = Encoders(config, [])
    assert encoders.compared == encoders.cross_validated == []
    check_encoder_sessions(config, [])


@pytest.mark.parametrize(
    ("missing", "field"), [("v1_mouse2", "v1t.sessions"), ("park_30_fov1", "v1t.cross_validated")]
)
def test_a_session_that_the_sheet_lacks_is_named(config, missing, field):
    sessions = [name for name in SESSIONS if name != missing]
    with pytest.raises(InputError, match=f"{field}: the sheet of sessions has no '{missing}'"):
        check_encoder_sessions(config, sessions)
