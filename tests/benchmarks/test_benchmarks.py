"""The benchmark at its smallest size: ours and the peer compute the same, whatever the speed."""

from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.__main__ import AREAS
from benchmarks.growth import Growth, grow, growths, peak_mb
from benchmarks.harness import Absent, Comparison, close, measure
from benchmarks.pipeline import Budget, Job, budget_lines, critical_path, read_jobs, sum_by_rule
from benchmarks.report import comparison_line, comparison_lines, document, rounded


@pytest.mark.parametrize("area", AREAS)
def test_ours_and_the_peer_agree(area, tmp_path):
    rows = list(import_module(f"benchmarks.{area}").rows(True, tmp_path))
    assert rows
    for row in rows:
        if isinstance(row, Absent):
            assert row.why
            continue
        measured = measure(row, repeats=1)  # raises where they do not agree
        assert row.part in comparison_line(measured)


def comparison(ours, theirs, agree, **options):
    return Comparison("part", "work", "peer", 2.0, ours, theirs, agree, "calls", **options)


def test_a_peer_that_computes_something_else_is_refused():
    ones = lambda: torch.ones(3)  # noqa: E731
    with pytest.raises(AssertionError, match=r"off by 0\.5"):
        measure(comparison(ones, lambda: 2 * torch.ones(3), close(1e-3)), repeats=1)
    with pytest.raises(AssertionError, match="shapes"):
        measure(comparison(ones, lambda: torch.ones(4), close(1e-3)), repeats=1)


def test_ratios_count_the_work_of_each_side(monkeypatch):
    monkeypatch.setattr("benchmarks.harness.cpu_seconds", lambda call, calls: calls * call())
    # 10 units in 2 s are 5 a second; 1 unit in 4 s are a quarter: 20 times as fast
    sides = comparison(lambda: 2.0, lambda: 4.0, lambda *_: None, n_ours=10, n_theirs=1)
    measured = measure(sides)
    assert measured.ratios == [20.0] * 5
    assert measured.reached
    assert "20 (20–20)" in comparison_line(measured)


def test_growth_is_the_exponent_of_time_and_memory():
    def prepare(n):
        def call():
            block = np.ones(n * 500_000)  # 4 MB a unit
            for _ in range(2):
                block *= 1.5

        return call

    grown = grow(Growth("squares", "units", 4, prepare), repeats=3)
    assert grown.sizes == [4, 8, 16, 32]
    np.testing.assert_allclose(grown.memory_mb, [16, 32, 64, 128], rtol=0.1)
    assert grown.memory_exponent == pytest.approx(1, abs=0.1)


def test_memory_that_was_used_before_does_not_count():
    big = np.ones(8_000_000)
    del big
    assert peak_mb(lambda: None) < 3


@pytest.mark.parametrize("n", range(5))
def test_growth_runs_at_its_smallest_size(n, tmp_path):
    growth = list(growths(True, tmp_path))[n]
    grown = grow(growth, n_sizes=2, repeats=1)
    assert grown.seconds[0] > 0


JOBS = [
    Job("ingest/0", 10, 12, 100),
    Job("train/a", 50, 60, 900, frozenset({"ingest/0"})),
    Job("train/b", 20, 20, 800, frozenset({"ingest/0"})),
    Job("tune/b", 45, 40, 300, frozenset({"train/b"})),
    Job("summary", 1, 1, 50, frozenset({"train/a", "tune/b"})),
]


def test_the_critical_path_is_the_longest_chain_and_rules_are_summed():
    assert [job.name for job in critical_path(JOBS)] == ["ingest/0", "train/b", "tune/b", "summary"]
    rules = sum_by_rule(JOBS)
    assert rules.loc["train"].tolist() == [2, 70, 80, 900]
    assert list(rules.index)[:2] == ["train", "tune"]
    budget = Budget(100, 2, critical_path(JOBS), rules)
    assert (budget.critical_s, budget.job_s, budget.floor_s) == (76, 126, 76)
    assert "1.32 times" in budget_lines(budget)[0]


def test_benchmark_files_become_jobs(tmp_path):
    columns = ["s", "max_rss", "cpu_time"]
    (tmp_path / "train").mkdir()
    for name, row in {"train/a": [3.0, 200.0, 5.0], "index": [0.4, "-", "-"]}.items():
        table = pd.DataFrame([row], columns=columns)
        table.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False)
    jobs = {job.name: job for job in read_jobs(tmp_path, {"train/a": frozenset({"index"})})}
    assert jobs["train/a"] == Job("train/a", 3.0, 5.0, 200.0, frozenset({"index"}))
    assert jobs["index"].seconds == 0.4
    with pytest.raises(FileNotFoundError, match="make results"):
        read_jobs(tmp_path / "nothing", {})


def test_what_is_missed_is_listed_with_its_reason():
    missed = comparison(lambda: 1, lambda: 1, lambda *_: None, reason="memory is slow")
    measured = measure(missed, repeats=1)
    text = "\n".join(comparison_lines([measured, Absent("GPU", "not measured on a GPU")]))
    assert ("**missed**" in text) == (not measured.reached)
    assert ("memory is slow" in text) == (not measured.reached)
    assert "| GPU | | not measured on a GPU |" in text
    assert "a machine" in document("a machine", [measured], "", [], [])
    assert [rounded(value) for value in (0.123456, 12.34, 45678)] == ["0.123", "12.3", "45,700"]
