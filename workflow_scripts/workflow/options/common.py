"""What the options of several stages have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workflow_scripts.workflow.study import Study

Options = dict[str, Any]
Wildcards = Mapping[str, str]
Builder = Callable[[Study, Wildcards], Options]


def one_device(study: Study) -> Options:
    """Where a network runs that is not trained: how many devices train it changes nothing."""
    torch = study.config["runtime"]["torch"]
    return {key: value for key, value in torch.items() if key not in ("devices", "nodes")}


def split_options(fields: Mapping[str, Any]) -> Options:
    """Options of the split, where the sheet has any."""
    prefix = "split_"
    split = {name.removeprefix(prefix): fields[name] for name in fields if name.startswith(prefix)}
    return {"split": split} if split else {}


def figure(study: Study, _wildcards: Wildcards) -> Options:
    """How figures are drawn."""
    return dict(study.config["figures"])
