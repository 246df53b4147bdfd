"""The retina's stages on a small recording whose cells are linear filters of a noise movie."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from safetensors.numpy import load_file

from workflow_scripts.evaluate_vist import EvaluateVistOptions, evaluate_vist
from workflow_scripts.models.retina_encoders import RetinaEncoderOptions
from workflow_scripts.plot_vist_correlation import Scored, differences, plot_vist_correlation
from workflow_scripts.plot_vist_filters import _direction_indices, plot_vist_filters
from workflow_scripts.plot_vist_rates import _first_of_colour, plot_vist_rates
from workflow_scripts.plotting.fits import Fit
from workflow_scripts.plotting.options import FitsFigureOptions
from workflow_scripts.probe_vist import ProbeVistOptions, probe_vist
from workflow_scripts.recordings.sessions import add_time_course, trial_session
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_json, read_table
from workflow_scripts.stores.zarr_store import open_store, variable, write_store
from workflow_scripts.train_vist import FoldOptions, TrainVistOptions, train_vist
from workflow_scripts.training.loop import TrainingOptions
from workflow_scripts.training.machine import MachineOptions
from workflow_scripts.training.retina import BatchOptions
from workflow_scripts.training.selection import Selection
from workflow_scripts.training.vist import LossOptions

RATE_HZ, SIDE, PIECE, N_PIECES, N_CELLS, N_TRIALS = 30.0, 16, 10, 40, 4, 20
LAGS = 4
KERNEL = np.array([0.2, 1.0, -0.6, 0.0])
CENTRES = [(5, 5), (5, 10), (10, 5), (10, 10)]
PROVENANCE = {"created": "", "git_commit": ""}


def noise_movie(seed):
    return np.random.default_rng(seed).standard_normal((N_PIECES * PIECE, 1, SIDE, SIDE))


def true_rate_hz(movie):
    padded = np.concatenate([movie[:1].repeat(LAGS - 1, 0), movie])[:, 0]
    drive = [padded[:, r : r + 1, c : c + 1].mean(axis=(1, 2)) for r, c in CENTRES]
    filtered = [np.convolve(one, KERNEL, mode="valid") for one in drive]
    return 40 + 12 * np.array(filtered)


def write_recording(folder, seed, disturbed=(), look_back=0):
    """Write session and features; responses of the disturbed splits are replaced by noise."""
    rng = np.random.default_rng([seed, 7])
    movie = noise_movie(seed)
    rate = np.maximum(true_rate_hz(movie), 0).reshape(N_CELLS, N_PIECES, PIECE)
    counts = rng.poisson(np.repeat(rate, N_TRIALS, axis=1) / RATE_HZ)
    split = np.array((["train"] * 6 + ["gap"] + ["test"] * 2 + ["gap"]) * 4, dtype=object)
    stimulus = np.repeat(np.arange(N_PIECES), N_TRIALS)
    other = np.random.default_rng(99).poisson(1.0, counts.shape)
    counts = np.where(np.isin(split[stimulus], disturbed)[None, :, None], other, counts)
    session = trial_session(
        counts.sum(axis=2), stimulus, response_units="spikes",
        stimulus_names=[f"piece{k}" for k in range(N_PIECES)],
        attributes={"session_id": f"noise{seed}", "onsets": "inferred"},
    )  # fmt: skip
    session = add_time_course(session, counts, np.arange(PIECE) / RATE_HZ, 1 / RATE_HZ)
    session = session.assign_coords(split=variable("trial", split[stimulus], "1", "split"))
    onset_s = np.arange(N_PIECES) * PIECE / RATE_HZ
    session["onset_s"] = variable("stimulus", onset_s, "s", "start in the movie")
    masks = np.zeros((N_CELLS, SIDE, SIDE), dtype=bool)
    for cell, (row, column) in enumerate(CENTRES):
        masks[cell, row : row + 1, column : column + 1] = True
    session["receptive_field"] = variable(("unit", "y", "x"), masks, "1", "inside")
    session["truth_kernel"] = variable(
        ("unit", "lag"), np.tile(KERNEL, (N_CELLS, 1)), "1", "temporal filter"
    )
    session["truth_polarity"] = variable("unit", np.ones(N_CELLS), "1", "polarity")
    folder.mkdir(parents=True)
    write_store(folder / "session.zarr", session, PROVENANCE)
    features = xr.Dataset(
        {
            "feature": variable(
                ("time", "channel", "row", "column"), movie.astype(np.float16), "1", "f"
            )
        },
        attrs={
            "frame_rate_hz": RATE_HZ,
            "shown_px_per_row": 4.0,
            "look_back_frames": look_back,
        },
    )
    write_store(folder / "features.zarr", features, PROVENANCE)
    return folder


def encoder(kind, **options):
    small = {"grid": 5, "width": 4, "channels": 3, "kinds": 2, "n_blocks": 1, "windows": [[1, 2]],
             "dropout": 0.0, "frames": LAGS, "blocks": 5}  # fmt: skip
    return RetinaEncoderOptions(kind=kind, **{**small, **options})


def options(kind, steps=4, seed=0, hide_test=False, **changes):
    grid = {"cnn": 9, "cnn3d": 9, "crnn": 9, "published_vist": 6}.get(kind, 5)
    plain = TrainVistOptions(
        seed=seed, hide_test=hide_test, encoder=encoder(kind, grid=grid),
        bin_px=None if kind == "published_vist" else 4.0,
        batch=BatchOptions(frames=10, cells=4),
        loss=LossOptions("published" if kind == "published_vist" else "poisson"),
        training=TrainingOptions(steps, 2, 0.01, warmup_steps=1, log_every_steps=1),
        selection=Selection(2, "correlation"), folds=FoldOptions(4, 1, 0.1),
        machine=MachineOptions("cpu", "32-true", 1),
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


def fit(folder, recording, chosen, start=()):
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / name for name in ("model.safetensors", "model.json", "metrics.jsonl")]
    train_vist(
        [recording / "session.zarr"], [recording / "features.zarr"], list(start), *files,
        folder / "state", chosen,
    )  # fmt: skip
    return files


def judge(folder, recording, files, only_test=False):
    outputs = [folder / name for name in ("cells.parquet", "statistics.json", "predictions.zarr")]
    evaluate_vist(
        recording / "session.zarr", recording / "features.zarr", *files[:2], *outputs,
        EvaluateVistOptions(only_test=only_test, n_permutations=20, n_bootstraps=20),
    )  # fmt: skip
    return outputs


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    root = tmp_path_factory.mktemp("movies")
    return write_recording(root / "one", 1), write_recording(root / "two", 2)


@pytest.fixture(scope="module")
def linear(movies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ln")
    files = fit(folder, movies[0], options("ln"))
    return files, judge(folder, movies[1], files)


def test_a_linear_model_recovers_linear_cells_on_another_movie(linear):
    _, (cells, statistics, predictions) = linear
    record, table = read_json(statistics), read_table(cells)
    assert (table["r"] > 0.9 * table["ceiling_r"]).all()
    # What the ceiling says of a perfect model holds of the rates that made the spikes.
    frames = slice(LAGS, None)
    true = np.maximum(true_rate_hz(noise_movie(2)), 0)[:, frames]
    recorded = open_store(predictions, load=True)["recorded"].to_numpy()[:, frames]
    reached = [np.corrcoef(*pair)[0, 1] for pair in zip(true, recorded, strict=True)]
    np.testing.assert_allclose(table["ceiling_r"], reached, atol=0.02)
    assert record["null"]["p"] < 0.1
    assert abs(record["null"]["mean"]) < 0.6 * record["r"]["value"]
    assert record["onsets"] == "inferred"
    store = open_store(predictions, load=True)
    r = np.corrcoef(store["predicted"][0], store["recorded"][0])[0, 1]
    np.testing.assert_allclose(table["r"][0], r, rtol=1e-6)
    assert record["no_peak_recorded"]["value"] == 0  # the pieces follow each other


@pytest.mark.parametrize("kind", ["vist", "cnn", "ln"])
def test_selection_and_training_never_see_the_test_split(kind, tmp_path):
    """Noise in the place of test responses changes nothing; in training responses it does."""
    folders = {
        name: write_recording(tmp_path / name, 1, disturbed)
        for name, disturbed in (
            ("as_is", ()),
            ("other_test", ("test", "gap")),
            ("other", ("train",)),
        )
    }
    weights = {
        name: load_file(fit(tmp_path / f"{name}_fit", folder, options(kind, hide_test=True))[0])
        for name, folder in folders.items()
    }
    for name, value in weights["as_is"].items():
        np.testing.assert_array_equal(value, weights["other_test"][name])
    assert any((weights["other"][name] != value).any() for name, value in weights["as_is"].items())


@pytest.mark.parametrize("kind", ["vist", "published_vist", "cnn", "cnn3d", "crnn"])
def test_every_encoder_trains_and_one_seed_gives_one_network(kind, movies, tmp_path):
    changes = {"batch": BatchOptions(frames=10, cells=3, jitter_px=1.0, mirror=True)}
    first, again, other = (
        fit(tmp_path / str(run), movies[0], options(kind, seed=seed, **changes))
        for run, seed in enumerate((0, 0, 1))
    )
    one, two, three = (load_file(files[0]) for files in (first, again, other))
    assert all((one[name] == two[name]).all() for name in one)
    assert any((one[name] != three[name]).any() for name in one)
    assert np.isfinite(
        judge(tmp_path, movies[1], first) and read_table(tmp_path / "cells.parquet")["r"]
    ).all()


def test_vist_learns_the_linear_cells(movies, tmp_path):
    files = fit(tmp_path, movies[0], options("vist", steps=60))
    _, statistics, _ = judge(tmp_path, movies[1], files)
    record = read_json(statistics)
    assert record["r"]["low"] > record["null"]["high"]


def test_members_are_selected_on_folds_of_their_own(movies, tmp_path):
    chosen = options("cnn", folds=FoldOptions(4, 2, 0.1))
    files = fit(tmp_path, movies[0], chosen)
    lines = [json.loads(line) for line in files[2].read_text().splitlines()]
    assert {line["member"] for line in lines} == {0, 1}
    description = json.loads(files[1].read_text())
    assert len(description["fold_correlation"]) == description["n_members"] == 2
    best = [
        max(line.get("validation_correlation", -1) for line in lines if line["member"] == member)
        for member in (0, 1)
    ]
    np.testing.assert_allclose(description["fold_correlation"], best, atol=1e-4)


def test_a_pretrained_start_is_where_training_starts(movies, tmp_path):
    source = fit(tmp_path / "source", movies[0], options("vist"))
    still = options("vist", steps=1, seed=5)
    still = dataclasses.replace(
        still, training=dataclasses.replace(still.training, learning_rate=1e-12, weight_decay=0.0)
    )
    end = load_file(fit(tmp_path / "end", movies[1], still, start=[source[0]])[0])
    for name, value in load_file(source[0]).items():
        if value.dtype.kind == "f" and "running" not in name:
            np.testing.assert_allclose(end[name], value, atol=1e-6)


def test_a_population_of_some_cells_is_judged_on_them(movies, tmp_path):
    files = fit(tmp_path, movies[0], options("vist", cells=2))
    cells, _, _ = judge(tmp_path, movies[1], files)
    trained = json.loads(files[1].read_text())["trained_cells"]
    assert [int(name) for name in read_table(cells)["unit_id"]] == trained
    assert len(trained) == 2


def test_a_gap_shorter_than_the_encoder_looks_back_is_refused(movies, tmp_path):
    longer = options("ln", hide_test=True, encoder=encoder("ln", frames=12))
    with pytest.raises(InputError, match="11 frames from a training one, but the encoder looks"):
        fit(tmp_path, movies[0], longer)


def test_a_prior_looks_back_too(tmp_path):
    chosen = options("ln", hide_test=True)  # looks back 4 frames; the gap is 11
    fit(tmp_path / "near", write_recording(tmp_path / "seven", 1, look_back=7), chosen)
    with pytest.raises(InputError, match="looks back 12, 8 of them through its prior"):
        fit(tmp_path / "far", write_recording(tmp_path / "eight", 1, look_back=8), chosen)


def test_negative_rates_have_no_poisson_likelihood():
    with pytest.raises(InputError, match="published_vist"):
        dataclasses.replace(options("published_vist"), loss=LossOptions("poisson"))


def test_sessions_of_other_cells_are_refused(movies, tmp_path):
    files = fit(tmp_path, movies[0], options("ln"))
    description = json.loads(files[1].read_text())
    files[1].write_text(json.dumps({**description, "cells": 5}))
    shutil.rmtree(tmp_path / "state", ignore_errors=True)
    with pytest.raises(InputError):
        judge(tmp_path, movies[1], files)


PROBE = ProbeVistOptions(
    px_per_degree=8, flicker_frames=600, flicker_contrast=0.2, n_lags=LAGS, n_directions=4,
    spatial_frequency_cpd=[0.25], temporal_frequency_hz=3.0, speed_deg_s=4.0,
    coherence=[0.0, 1.0], n_seeds=1, n_frames=10,
)  # fmt: skip


def test_reverse_correlation_finds_the_true_filter_and_figures_show_it(linear, movies, tmp_path):
    files, (cells, statistics, predictions) = linear
    probe = tmp_path / "probe.zarr"
    recording = movies[0]
    probe_vist(recording / "session.zarr", recording / "features.zarr", *files[:2], probe, PROBE)
    store = open_store(probe, load=True)
    assert (store["filter_r"] > 0.9).all()
    fits = [Fit("noise_1_to_2", "vist", 0), Fit("noise_1_to_2", "cells_4", 0, cells=4)]
    names = ("correlation", "rates", "filters")
    figures = {name: (tmp_path / f"{name}.png", tmp_path / f"{name}.rst") for name in names}
    plot_vist_correlation(
        [cells, cells], [statistics, statistics], *figures["correlation"],
        FitsFigureOptions(fits=fits, dpi=60),
    )  # fmt: skip
    plot_vist_rates(
        movies[1] / "session.zarr", [predictions, predictions], *figures["rates"],
        FitsFigureOptions(fits=fits, dpi=60),
    )  # fmt: skip
    plot_vist_filters([probe], *figures["filters"], FitsFigureOptions(fits=fits[:1], dpi=60))
    said = {name: caption.read_text() for name, (_, caption) in figures.items()}
    assert all(figure.stat().st_size > 5000 for figure, _ in figures.values())
    record = read_json(statistics)
    assert f"{record['r']['value']:.3f} [{record['r']['low']:.3f}" in said["correlation"]
    assert f"ceiling {record['ceiling_r']['value']:.3f}" in said["correlation"]
    assert "onsets inferred" in said["correlation"]
    assert "inferred" in said["rates"]
    assert "0.000 [0.000, 0.000]" in said["correlation"]  # the same cells, the same model


def test_dots_without_motion_tell_what_chance_gives():
    rates = np.ones((2, 4, 2, 3))  # cell, direction, coherence, seed
    rates[0, 1, 0], rates[0, 2, 1] = 3, 9
    store = xr.Dataset(
        {"grating_dsi": ("unit", [0.0, 0.0]), "dots_dsi": ("unit", [0.8, 0.0]),
         "dots_hz": (("unit", "direction", "coherence", "seed"), rates)},
        {"direction_deg": ("direction", [0.0, 90, 180, 270]),
         "coherence_level": ("coherence", [0.0, 1.0])},
    )  # fmt: skip
    measured = _direction_indices(store)
    assert measured["dots"].tolist() == [0.8, 0]
    assert measured["coherence 0"] == pytest.approx([0.5, 0])
    assert "coherence 0" not in _direction_indices(store.isel(coherence=[1]))


def test_population_sizes_are_compared_over_the_same_cells():
    """Which cells are drawn first, good or bad ones, is no effect of their number."""
    rng = np.random.default_rng(0)
    group = []
    for seed in range(2):
        r = pd.Series(rng.uniform(0, 1, 40), index=[str(unit) for unit in range(40)])
        order = rng.permutation(40)
        for n, cost in ((1, 0.2), (20, 0.1), (40, 0.0)):
            some = r.iloc[np.sort(order[:n])] - cost
            cells = some.rename_axis("unit_id").rename("r").reset_index()
            name, sized = ("vist", None) if n == 40 else (f"cells_{n}", n)
            group.append(Scored(Fit("task", name, seed, sized), cells, {}))
    found = differences(group)
    assert {name: one.value for name, one in found.items()} == pytest.approx(
        {"cells_1": -0.2, "cells_20": -0.1}
    )
    assert found["cells_20"].high - found["cells_20"].low == pytest.approx(0)


def test_a_line_is_drawn_for_each_kind_of_encoder():
    fits = [Fit("task", name, seed) for seed in range(2) for name in ("ln", "vist", "no_stem")]
    drawn = _first_of_colour(fits, [xr.Dataset(attrs={"n": n}) for n in range(len(fits))])
    assert [(fit.label, store.attrs["n"]) for fit, store in drawn] == [("LN", 0), ("Vi-ST", 1)]


def test_stimuli_are_refused_by_encoders_of_other_features(movies, tmp_path):
    files = fit(tmp_path, movies[0], options("published_vist"))
    recording = movies[0]
    with pytest.raises(InputError, match="the whole frame"):
        probe_vist(
            recording / "session.zarr", recording / "features.zarr", *files[:2],
            tmp_path / "probe.zarr", PROBE,
        )  # fmt: skip


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["vist", "cnn"])
def test_two_processes_train_as_one(movies, two_follow_one, kind):
    """Also where windows have unknown frames, and where the backward pass computes anew."""
    plain = options(kind)
    loss = LossOptions("published", dtw=0.01, dtw_frames=[4, 6])
    chosen = dataclasses.replace(
        plain, encoder=dataclasses.replace(plain.encoder, recompute=kind == "vist"),
        loss=loss if kind == "vist" else plain.loss, batch=BatchOptions(16, 3, 2.0, mirror=True),
        training=dataclasses.replace(plain.training, steps=20, batch_size=4),
        selection=Selection(5, "correlation"), folds=FoldOptions(4, 1, 0.1),
    )  # fmt: skip
    recording = {
        "sessions": [movies[0] / "session.zarr"], "features": [movies[0] / "features.zarr"],
    }  # fmt: skip
    # Biases before batch norm have no gradient but rounding, of which Adam makes whole steps; they
    # show where the running mean, which lags behind them, takes them out again.
    two_follow_one(
        train_vist, lambda folder: {**recording, "start": [], **outputs(folder)}, chosen,
        but=["validation_correlation"],
    )  # fmt: skip


def outputs(folder):
    names = {"model": "model.safetensors", "config": "model.json", "metrics": "metrics.jsonl"}
    return {"state": folder / "state"} | {key: folder / name for key, name in names.items()}
