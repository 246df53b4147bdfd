"""The commands of the rules against the stages' signatures."""

import importlib
import inspect
import re
import shlex

import jsonargparse
import pytest

from workflow_scripts.stores.command_line import _join_lists
from workflow_scripts.workflow.stage_options import STAGES


@pytest.fixture(scope="module")
def commands(pristine):
    """One command of each stage."""
    said = pristine.snakemake("--dry-run", "--printshellcmds")
    found = re.findall(r"python -m workflow_scripts\.(\w+) (.*) 2>&1 \| tee", said)
    return {stage: shlex.split(words) for stage, words in found}


def test_every_stage_is_in_the_plan(commands):
    assert set(commands) == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_takes_the_command_of_its_rule(commands, stage):
    function = getattr(importlib.import_module(f"workflow_scripts.{stage}"), stage)
    names = {word.removeprefix("--") for word in commands[stage] if word.startswith("--")}
    assert names == set(inspect.signature(function).parameters)
    parser = jsonargparse.auto_parser(function, as_positional=False, exit_on_error=False)
    parser.parse_args(_join_lists(function, commands[stage]))
