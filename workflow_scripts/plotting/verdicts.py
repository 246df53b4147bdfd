"""Verdicts on maps, in words."""

from __future__ import annotations

from dataclasses import astuple

from workflow_scripts.analysis.verdict import Verdict
from workflow_scripts.plotting.captions import interval, listed, p_value


def sentence(verdict: Verdict) -> str:
    """Write a verdict with its numbers."""
    p = list(verdict.p.values())
    parts = [f"{listed([p_value(one) for one in p])} ({len(p)} seeds)"]
    parts += [f"{name.replace('_', ' ')} {p_value(p)}" for name, p in verdict.control_p.items()]
    if verdict.beyond_same_positions is not None:
        difference = interval(*astuple(verdict.beyond_same_positions))
        parts.append(
            f"α = 0 on the same positions {p_value(verdict.same_positions_p)}; smoothness index "
            f"beyond it {difference}"
        )
    name = f"{verdict.preference} map of {verdict.label} in {verdict.layer}"
    return f"{name}: {verdict.level}; {'; '.join(parts)}"
