"""Tables of models of recorded neurons, from the records of their evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workflow_scripts.analysis.encoder_measures import MEASURES
from workflow_scripts.plotting.captions import (
    bullets,
    heading,
    interval,
    listed,
    number,
    plain,
    span,
)
from workflow_scripts.plotting.tables import Page, Row, Table, WithInterval
from workflow_scripts.stores.table_store import read_json

Records = Mapping[str, Path]
QUERIES = {"average": "averaged trials", "single": "single trials"}
_MEASURED = (
    "Single-trial r, r to average and Poisson NLL are means over neurons, FEVE and normalised r "
    "medians [95 %, bootstrap over neurons]; what is undefined for a neuron is left out."
)


def encoders(records: Records) -> Page:
    """List how well each encoder predicts each mouse, with and without its behaviour."""
    read = {name: _groups(path) for name, path in records.items()}
    rows = [
        _encoder_row({"encoder": name, "mouse": mouse, "condition": condition}, measured)
        for name, mice in read.items()
        for mouse, conditions in mice.items()
        for condition, measured in conditions.items()
    ]
    best = [
        f"{name} {_written(mice['all']['intact']['single_trial_r'])}" for name, mice in read.items()
    ]
    n_mice = len({row["mouse"] for row in rows} - {"all"})
    caption = (
        f"**Encoders of V1, mouse by mouse.** {len(read)} encoders, {n_mice} mice. Single-trial "
        f"r on test images, all mice: {plain(listed(best))}."
    )
    note = (
        "Condition: intact; behaviour shuffled over test trials, all of it or one variable; or the "
        f"neuron's mean response as the prediction. {_MEASURED} Single-trial r of the truth: of "
        "the true mean, where responses are simulated."
    )
    return Page("Encoders of V1", caption, [Table("Test images", note, rows)])


def cross_validated(records: Records) -> Page:
    """List how well encoders of small sessions predict trials that they were not trained on."""
    read = {name: _groups(path) for name, path in records.items()}
    rows = []
    for name, conditions in read.items():
        encoder, session = name.split("/on_")
        rows += [
            _encoder_row({"encoder": encoder, "session": session, "condition": one}, measured)
            for one, measured in conditions.items()
            if MEASURES[0] in measured
        ]
    sessions = {row["session"] for row in rows}
    scores = [one["model"]["single_trial_r"]["value"] for one in read.values()]
    caption = (
        f"**Encoders of small sessions.** {len(read)} cross-validations, {len(sessions)} sessions: "
        f"single-trial r of the models {span(_known(scores), 3)}."
    )
    note = (
        "Every trial is predicted by a model that was not trained on it; all but the likelihood is "
        "measured within folds. Condition: the model, the mean of the training trials of the "
        f"stimulus, or the neuron's mean response. {_MEASURED}"
    )
    return Page("Encoders of small sessions", caption, [Table("Cross-validation", note, rows)])


def _groups(path: Path) -> dict[str, Any]:
    record = read_json(path)
    return {name: one for name, one in record.items() if name not in ("content_hash", "provenance")}


def _encoder_row(first: Row, measured: Mapping[str, Any]) -> Row:
    found = {heading(name): WithInterval.of(one) for name, one in measured.items()}
    return {**first, "neurons": _n(measured["single_trial_r"]), **found}


def _n(summary: Mapping[str, Any]) -> int:
    return summary["n"] + summary["n_undefined"]


def vist(records: Records) -> Page:
    """List how well each encoder of each task predicts retinal cells."""
    rows = [_retina_row(name, read_json(path)) for name, path in records.items()]
    tasks = list(dict.fromkeys(str(row["task"]) for row in rows))
    highest = [
        f"{task}: {_highest([row for row in rows if row['task'] == task])}" for task in tasks
    ]
    caption = (
        f"**Encoders of the retina, task by task.** {len(rows)} fits, {len(tasks)} tasks; "
        f"correlation with recorded rates, mean over cells [95 %]:\n\n{bullets(highest)}"
    )
    note = (
        "Correlation, ceiling (the correlation of a perfect model), reliability (the recording's "
        "two halves, Spearman–Brown; about the ceiling's square) and SD-KL (lower is better; "
        "finite for so many cells): mean over cells [95 %, bootstrap over cells]. "
        "Permuted: outlines and gains permuted among cells, and how often that is as good."
    )
    return Page("Encoders of the retina", caption, [Table("Tasks and encoders", note, rows)])


def _retina_row(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    task, run = name.split("/")
    return {
        "task": task,
        "encoder": run,
        "judged on": record["session"],
        "onsets": record["onsets"],
        "cells": _n(record["r"]),
        "correlation": WithInterval.of(record["r"]),
        "ceiling": WithInterval.of(record["ceiling_r"]),
        "reliability": WithInterval.of(record["split_half_r"]),
        "training folds": float(np.mean(record["fold_correlation"])),
        "permuted": record["null"]["mean"],
        "p": record["null"]["p"],
        "SD-KL": WithInterval.of(record["sd_kl"]),
        "SD-KL finite": record["sd_kl"]["n"],
        "weights": record["n_weights"],
    }


def _highest(rows: list[dict[str, Any]]) -> str:
    known = [row for row in rows if row["correlation"].value is not None]
    if not known:
        return "not measured"
    one = max(known, key=lambda row: row["correlation"].value)
    return f"highest of {len(rows)}: {one['encoder']} {_written(vars(one['correlation']))}"


def decoding(records: Records) -> Page:
    """List which images each decoder finds, in each session of each alignment, beside chance."""
    read = {name: read_json(path) for name, path in records.items()}
    rows = [row for name, record in read.items() for row in _decoding_rows(name, record)]
    found = [
        f"{name} {_written(one['decoding']['all']['dina']['average']['top1'])} among "
        f"{one['n_candidates']} (chance {number(one['chance']['top1'], 3)})"
        for name, one in read.items()
    ]
    caption = (
        f"**Images found from responses.** {len(read)} alignments. Top-1 of DINA from averaged "
        f"trials: {plain(listed(found))}."
    )
    note = (
        "Share of test images found first (top-1) and among the first five (top-5) of the "
        "candidates [95 %, bootstrap over images]; permuted: with pairs of images and responses "
        "permuted, the upper end of 95 %. Pearson and SSIM: of reconstructed pixels and the image; "
        "others: and the other images. Identity probes are split by trial: a ceiling."
    )
    return Page("Decoding", caption, [Table("Decoders", note, rows)])


def _decoding_rows(alignment: str, record: Mapping[str, Any]) -> Iterator[Row]:
    for session, methods in record["decoding"].items():
        for method, queries in methods.items():
            for query, measured in queries.items():
                yield {
                    "alignment": alignment,
                    "session": session,
                    "decoder": method.replace("_", " "),
                    "from": QUERIES[query],
                    "candidates": record["n_candidates"],
                    **_retrieval(measured, record, session, method, query),
                    **{
                        label: WithInterval.of(measured[key]) if key in measured else None
                        for label, key in (("Pearson", "pearson"),
                                           ("Pearson, others", "pearson_others"), ("SSIM", "ssim"))
                    },
                }  # fmt: skip


def _retrieval(
    measured: Mapping[str, Any], record: Mapping[str, Any], session: str, method: str, query: str
) -> Row:
    """Top-1 and top-5 beside chance; permutations were done over all sessions together."""
    permuted = record["permuted"].get(method, {}).get(query) if session == "all" else None
    row: dict[str, Any] = {}
    for label, key in (("top-1", "top1"), ("top-5", "top5")):
        row[label] = WithInterval.of(measured[key])
        row[f"{label}, chance"] = record["chance"][key]
        row[f"{label}, permuted"] = permuted[key]["high"] if permuted else None
    return row


def _written(summary: Mapping[str, Any]) -> str:
    return interval(summary["value"], summary["low"], summary["high"], 3)


def _known(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None]
