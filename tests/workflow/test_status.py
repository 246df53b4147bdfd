"""``make status``: what Snakemake knows, as a person reads it."""

import io
import subprocess
import sys

from rich.console import Console

from workflow_scripts.workflow.status import print_status, read_summary

SUMMARY = """Building DAG of jobs...
output_file\tdate\trule\tlog-file(s)\tstatus\tplan
results/a.zarr\tFri\tingest_videos\t-\tok\tno update
results/b.zarr\tFri\tingest_videos\t-\tparams changed\tupdate pending
results/clips.parquet\tFri\tindex_clips\t-\tok\tupdate pending
results/figures/clips.png\t-\tplot_clips\t-\tmissing\tupdate pending
results/figures/dots.png\tFri\tplot_dots\t-\tok\tno update
"""


def test_every_output_is_done_stale_or_missing():
    states = {output.path: output.state for output in read_summary(SUMMARY)}
    assert list(states.values()) == ["done", "stale", "stale", "missing", "done"]


def test_the_table_counts_by_stage_says_why_and_names_figures():
    shown = io.StringIO()
    print_status(read_summary(SUMMARY), Console(file=shown, width=100))
    lines = shown.getvalue().splitlines()
    assert lines[1].split() == ["plot_dots", "1"]
    assert "ingest_videos 1 1 options or code changed" in [" ".join(line.split()) for line in lines]
    assert "figures that are missing: " in lines
    assert "  results/figures/clips.png" in lines
    assert "  results/figures/dots.png" not in lines
    assert "2 done, 2 stale, 1 missing of 5 outputs, 2 of them figures" in lines


def test_results_that_the_config_has_left_behind_are_stale(finished):
    finished.edit_config(lambda config: config["figures"].update(dpi=99))
    done = subprocess.run(
        [sys.executable, "-m", "workflow_scripts.workflow.status"],
        cwd=finished.root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "plot_clips" in done.stdout
    assert "options or code changed" in done.stdout
    assert "figures that are stale" in done.stdout
    assert "missing:" not in done.stdout
