"""Tables of networks and their maps, from the summary of a study and the comparison in vivo."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workflow_scripts.analysis.preferences import PREFERENCES
from workflow_scripts.plotting.captions import heading, listed, plain, span
from workflow_scripts.plotting.tables import Page, Row, Table, WithInterval
from workflow_scripts.stores.table_store import read_json, read_table

INDICES = ("dsi", "vector_strength", "orientation_strength", "reliability")
PATTERN = {
    "spacing (mm)": "spacing_spectrum_mm",
    "pinwheels": "n_pinwheels",
    "pinwheels per spacing²": "density_per_squared_spacing",
}
Record = Mapping[str, Any]


def training(summary: Path) -> Page:
    """List what each network has learned, beside chance."""
    networks = read_json(summary)["networks"]
    rows = [_training_row(name, one["training"]) for name, one in networks.items()]
    learned = [row for row in rows if row["contrastive loss"] is not None]
    losses = span([_float(row["contrastive loss"]) for row in learned], 2)
    chance = span([_float(row["loss at chance"]) for row in learned], 2)
    caption = (
        f"**Training.** {len(rows)} networks, {len(learned)} of them trained: contrastive loss "
        f"{losses} at the end, {chance} at chance."
    )
    note = "Means over the last tenth of the steps; at chance: ln(K + 1) and 1 / (K + 1)."
    return Page("Training", caption, [Table("Networks", note, rows)])


def _training_row(name: str, record: Record) -> Row:
    end = record["last_tenth"]
    spatial = {key: value for key, value in end.items() if key.startswith("spatial_loss_")}
    return {
        "network": name,
        "α": record["alpha"],
        "steps": record["steps_done"],
        "contrastive loss": end.get("contrastive_loss"),
        "loss at chance": record["chance_loss"],
        "accuracy": end.get("contrastive_accuracy"),
        "accuracy at chance": record["chance_accuracy"],
        **{key.replace("_", " "): value for key, value in spatial.items()},
    }


def verdicts(summary: Path) -> Page:
    """List the verdict on every variant, layer and preference with what it rests on."""
    record = read_json(summary)
    rows = [_verdict_row(one) for one in record["verdicts"]]
    levels = Counter(one["level"] for one in record["verdicts"])
    counted = listed([f"{level} {n}" for level, n in levels.items()])
    caption = (
        f"**Verdict.** {plain(record['verdict'])}.\n\n"
        f"{len(rows)} maps of a variant, a layer and a preference were judged"
        f"{': ' if counted else ''}{counted}. {plain(record['rule'])}"
    )
    return Page("Verdicts", caption, [Table("Verdicts on maps", record["rule"], rows)])


def _verdict_row(record: Record) -> Row:
    beyond = record["beyond_same_positions"]
    return {
        "variant": record["variant"],
        "positions": record["method"],
        "layer": record["layer"],
        "preference": record["preference"],
        "verdict": record["level"],
        "seeds": len(record["p"]),
        "largest p of a seed": max(_known(record["p"].values()), default=None),
        "smallest p of a seed": min(_known(record["p"].values()), default=None),
        **{f"p of {name.replace('_', ' ')}": p for name, p in record["control_p"].items()},
        "p of α = 0, same positions": record["same_positions_p"],
        "smoothness beyond it [95 %]": beyond and WithInterval.of(beyond, "mean"),
    }


def maps(summary: Path) -> Page:
    """List every map, controls too, with its statistics beside those of permuted channels."""
    record = read_json(summary)["maps"]
    rows = list(_map_rows(record))
    own = [row for row in rows if row["role"] == "spatial" and row["preference"] == "direction"]
    smoother = sum(_float(row["p"]) < 0.01 for row in own)
    reported = sum(row["density may be reported"] == "yes" for row in rows)
    caption = (
        f"**Maps.** {len(record)} maps, {len({row['layer'] for row in rows})} layers each, "
        f"controls too. Of {len(own)} direction maps of networks with a spatial loss, {smoother} "
        "are smoother than with permuted channels (p < .01, uncorrected). In "
        f"{reported} of {len(rows)} rows a pinwheel density may be reported."
    )
    note = (
        "Role: spatial, the spatial loss trained the network on these positions; source, they were "
        "optimised on its responses; control, neither. Difference: mean angle between the "
        "preferences of near units of different channels, [95 %] over resampled channels, beside "
        "the same with labels of channels permuted, [95 %] of permutations, and their p. Spacing "
        "and pinwheels: [95 %] over resampled channels, beside permuted channels."
    )
    return Page("Maps", caption, [Table("Statistics of maps", note, rows)])


def _map_rows(record: Record) -> Iterator[Row]:
    for one in record.values():
        for layer, statistics in one["layers"].items():
            for preference in PREFERENCES:
                yield {
                    "network": one["network"]["name"],
                    "positions": one["positions"],
                    "role": one["role"],
                    "layer": layer,
                    "preference": preference,
                    "channels": statistics["n_channels"],
                    **_near(statistics[preference]["near"]),
                    **_pattern(statistics[preference]),
                }


def _near(near: Record) -> Row:
    return {
        "difference (°)": WithInterval(near["mean_deg"], near["low_deg"], near["high_deg"]),
        "permuted (°)": WithInterval(
            near["null_mean_deg"], near["null_low_deg"], near["null_high_deg"]
        ),
        "p": near["p"],
        "smoothness": near["smoothness_index"],
    }


def _pattern(measured: Record) -> Row:
    row: dict[str, Any] = {}
    for label, name in PATTERN.items():
        row[label] = WithInterval.of(measured[name])
        row[f"{label}, permuted"] = WithInterval.of(measured[name]["permuted"], "mean")
    row["density may be reported"] = "yes" if measured["density_conditions"]["all"] else "no"
    return row


def tuning(summary: Path) -> Page:
    """List how selective and reliable the layers of each network are."""
    networks = read_json(summary)["networks"]
    rows = [
        _tuning_row(name, layer, measured)
        for name, one in networks.items()
        for layer, measured in one["tuning"].items()
    ]
    medians = [measured["dsi"]["value"] for one in networks.values()
               for measured in one["tuning"].values()]  # fmt: skip
    caption = (
        f"**Tuning to drifting gratings.** {len(networks)} networks, {len(rows)} layers of them: "
        f"median DSI {span(_known(medians), 2)}; "
        f"{sum(one['channels tuned'] for one in rows)} of {sum(one['channels'] for one in rows)} "
        "channels are tuned to direction (q < .05 within a layer)."
    )
    note = "Medians over channels [95 %, bootstrap over channels]; units at borders left out."
    return Page("Tuning", caption, [Table("Layers of networks", note, rows)])


def _tuning_row(name: str, layer: str, measured: Record) -> dict[str, Any]:
    return {
        "network": name,
        "layer": layer,
        "units": measured["n_units"],
        "channels": measured["n_channels"],
        "channels tuned": measured["n_direction_tuned_channels"],
        **{heading(one): WithInterval.of(measured[one]) for one in INDICES},
    }


def in_vivo(comparison: Path) -> Page:
    """List the networks' and the recorded cells' values beside those measured in vivo."""
    frame = read_table(comparison)
    rows = [
        {
            "property": one["label"],
            "kind": one["kind"],
            "of": one["subject"],
            "layer": one["layer"],
            "value": WithInterval(one["value"], one["low"], one["high"]),
            "n": int(one["n"]) if math.isfinite(one["n"]) else None,
            "source": one["source"],
            "certainty": one["certainty"],
        }
        for one in frame.to_dict("records")
    ]
    kinds = Counter(frame["kind"])
    caption = (
        f"**Beside values in vivo.** {frame['property'].nunique()} properties; rows: "
        f"{listed([f'{n} {plain(kind)}' for kind, n in kinds.items()])}."
    )
    note = (
        "Certainty of a value in vivo: read in the abstract, to be checked against the original, "
        "or none found. Intervals of networks: 95 % over channels. Preferred speeds are bounded by "
        "the speeds shown, and shares with a surround are those of group normalisation."
    )
    return Page("In vivo", caption, [Table("Values in vivo and in networks", note, rows)])


def _known(values: Any) -> list[float]:
    return [value for value in values if value is not None]


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)
