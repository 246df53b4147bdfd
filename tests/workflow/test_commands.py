"""The commands of the rules against the stages' signatures."""

import dataclasses
import functools
import importlib
import inspect
import re
import shlex
from collections import defaultdict

import pytest

from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.workflow.stage_options import STAGES


@pytest.fixture(scope="module")
def commands(pristine):
    """Every command of each stage."""
    # What `all` leaves out; adding a mouse to a trained core is one line of the config away.
    targets = "all", "sweep", "movies", "results/encoders/added_mouse0_s0/model.safetensors"
    said = pristine.snakemake("--dry-run", "--printshellcmds", *targets)
    found = re.findall(r"python -m workflow_scripts\.(\w+) (.*) 2>&1 \| tee", said)
    commands = defaultdict(list)
    for stage, words in found:
        commands[stage].append(shlex.split(words))
    return commands


def test_every_stage_is_in_the_plan(commands):
    assert set(commands) == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_takes_the_command_of_its_rule(commands, stage):
    function = getattr(importlib.import_module(f"workflow_scripts.{stage}"), stage)
    for command in commands[stage]:
        taken = {}
        run_stage(functools.wraps(function)(lambda **given: taken.update(given)), command)  # noqa: B023
        # Where nothing can be chosen there are no options.
        assert "options" not in taken or dataclasses.is_dataclass(taken["options"])
        named = {word.removeprefix("--") for word in command if word.startswith("--")}
        assert named == set(inspect.signature(function).parameters)
