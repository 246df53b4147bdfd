import errno
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError

CALLS = []


@dataclass(frozen=True)
class Nested:
    rate: float = 1.0
    name: str | None = None


@dataclass(frozen=True)
class Options:
    steps: int
    nested: Nested = field(default_factory=Nested)
    sheets_mm: dict[str, float] = field(default_factory=dict)


def stage(clips: list[Path], model: Path, options: Options, config: Path | None = None) -> None:
    """Record a call."""
    CALLS.append((clips, model, options, config))


def failing_stage(model: Path) -> None:
    """Refuse the input."""
    raise InputError(f"{model}: no such model; train it first")


def test_values_survive_the_command_line():
    options = {"steps": 3, "nested": {"rate": 0.5, "name": None}, "sheets_mm": {"layer1": 5.7}}
    words = ["--clips", "a b.zarr", "$(x);'\".zarr", "--model", "é model", "--config", "m.json"]
    run_stage(stage, [*words, "--options", json.dumps(options)])
    clips, model, parsed, config = CALLS.pop()
    assert clips == [Path("a b.zarr"), Path("$(x);'\".zarr")]
    assert model == Path("é model")
    assert config == Path("m.json")
    assert parsed == Options(3, Nested(0.5, None), {"layer1": 5.7})


def test_an_empty_list_is_a_list():
    run_stage(stage, ["--clips", "--model", "m", "--options", '{"steps": 1}'])
    assert CALLS.pop()[0] == []


@pytest.mark.parametrize("options", ['{"steps": "many"}', '{"step": 3}', "{}", '{"steps": 1'])
def test_wrong_options_are_refused(options, capsys):
    with pytest.raises(SystemExit) as stop:
        run_stage(stage, ["--clips", "a", "--model", "m", "--options", options])
    assert stop.value.code == 2
    assert "step" in capsys.readouterr().err
    assert CALLS == []


def test_bad_input_gives_one_message_and_no_traceback(capsys, monkeypatch):
    with pytest.raises(SystemExit) as stop:
        run_stage(failing_stage, ["--model", "m.json"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: m.json: no such model; train it first\n"
    monkeypatch.setenv("TRACEBACK", "1")
    with pytest.raises(InputError):
        run_stage(failing_stage, ["--model", "m.json"])


def full_disk(model: Path) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", str(model))


def interrupted(model: Path) -> None:
    raise KeyboardInterrupt


def faulty(model: Path) -> None:
    raise OSError(errno.EIO, "Input/output error", str(model))


@pytest.mark.parametrize(
    ("stage", "status", "message"),
    [
        (full_disk, 2, "m.json: No space left on device; make room"),
        (interrupted, 130, "interrupted; the same command"),
    ],
)
def test_what_is_no_fault_of_the_code_gives_one_message(stage, status, message, capsys):
    with pytest.raises(SystemExit) as stop:
        run_stage(stage, ["--model", "m.json"])
    assert stop.value.code == status
    assert message in capsys.readouterr().err


def test_what_was_not_foreseen_keeps_its_traceback():
    with pytest.raises(OSError, match="Input/output error"):
        run_stage(faulty, ["--model", "m.json"])
