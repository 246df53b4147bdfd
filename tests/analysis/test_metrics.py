import numpy as np
import pytest

from workflow_scripts.analysis.metrics import read_lines, read_metrics
from workflow_scripts.plotting.encoders import read_validation
from workflow_scripts.stores.errors import InputError


@pytest.fixture
def metrics(tmp_path):
    return tmp_path / "metrics.jsonl"


def test_lines_of_other_keys_are_rows(metrics):
    metrics.write_text('{"step": 1, "loss": 2.5}\n{"step": 2, "validation_correlation": 0.25}\n')
    lines = read_lines(metrics)
    assert lines.step.tolist() == [1, 2]
    assert lines.loss[0] == 2.5
    assert np.isnan(lines.loss[1])
    assert [values.tolist() for values in read_validation(metrics)] == [[2], [0.25]]


def test_a_run_without_steps_has_no_rows(metrics):
    metrics.touch()
    assert read_metrics(metrics).empty
    assert [values.tolist() for values in read_validation(metrics)] == [[], []]


@pytest.mark.parametrize("damaged", [b'{"step": 1, "lo', b"\xff\xfe"])
@pytest.mark.parametrize("read", [read_lines, read_metrics, read_validation])
def test_a_damaged_file_is_named(metrics, read, damaged):
    metrics.write_bytes(damaged)
    with pytest.raises(InputError, match=r"metrics\.jsonl: not readable metrics"):
        read(metrics)


def test_metrics_of_another_stage_are_named(metrics):
    metrics.write_text('{"step": 1, "loss": 2.5}\n')
    with pytest.raises(InputError, match="no contrastive_loss, contrastive_accuracy; rerun"):
        read_metrics(metrics)
