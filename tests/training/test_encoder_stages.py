"""From sessions to figures, with networks that learn next to nothing."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from safetensors.torch import load_file

from workflow_scripts.add_mouse import add_mouse
from workflow_scripts.cross_validate_encoder import (
    CrossValidateEncoderOptions,
    carry_over,
    cross_validate_encoder,
    measure_folds,
)
from workflow_scripts.evaluate_encoder import EvaluateEncoderOptions, evaluate_encoder
from workflow_scripts.in_silico.battery import StaticGratingGrid
from workflow_scripts.make_battery import MakeBatteryOptions, make_battery
from workflow_scripts.measure_attention import MeasureAttentionOptions, measure_attention
from workflow_scripts.measure_encoder import MeasureEncoderOptions, measure_encoder
from workflow_scripts.models.cortex_encoders import ConvolutionalOptions, EncoderOptions, V1TOptions
from workflow_scripts.plot_attention import _draw_trials, plot_attention
from workflow_scripts.plot_cross_validated import (
    Pair,
    PlotCrossValidatedOptions,
    plot_cross_validated,
)
from workflow_scripts.plot_encoder_predictions import (
    plot_encoder_predictions,
)
from workflow_scripts.plot_encoders import PlotEncodersOptions, plot_encoders
from workflow_scripts.plot_twins import plot_twins
from workflow_scripts.plotting.options import FigureOptions
from workflow_scripts.recordings.splits import SplitOptions
from workflow_scripts.stimulate_encoder import StimulateEncoderOptions, stimulate_encoder
from workflow_scripts.stimuli.display import Display
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_json, read_table, write_table
from workflow_scripts.stores.zarr_store import open_store, write_store
from workflow_scripts.train_encoder import train_encoder
from workflow_scripts.training.encoders import FitOptions, PenaltyOptions
from workflow_scripts.training.encoding_sessions import StimulusOptions
from workflow_scripts.training.loop import TrainingOptions
from workflow_scripts.training.machine import MachineOptions
from workflow_scripts.training.selection import Selection

V1T = EncoderOptions(
    v1t=V1TOptions(stride_px=4, dim=6, n_blocks=2, n_heads=2, mlp_dim=8, behaviour_hidden=4)
)
CNN = EncoderOptions(core="convolutional", convolutional=ConvolutionalOptions(2, 4))
STIMULUS = StimulusOptions()
CPU = MachineOptions(device="cpu", precision="32-true", torch_threads=1)
DPI = 50


def fit(encoder, steps=4):
    return FitOptions(
        seed=0,
        encoder=encoder,
        stimulus=STIMULUS,
        penalty=PenaltyOptions(0.1),
        training=TrainingOptions(
            steps=steps, batch_size=16, learning_rate=1e-2, weight_decay=0.0, warmup_steps=1
        ),
        selection=Selection(every_steps=2, metric="correlation"),
        machine=CPU,
    )


def outputs(folder):
    return {
        "model": folder / "model.safetensors",
        "config": folder / "model.json",
        "metrics": folder / "metrics.jsonl",
        "state": folder / "state",
    }


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("core", ["v1t", "convolutional"])
def test_two_processes_train_as_one(mice, two_follow_one, core):
    encoder = {
        "v1t": replace(V1T, v1t=replace(V1T.v1t, patch_dropout=0.0, block_dropout=0.0)),
        "convolutional": CNN,
    }[core]
    two_follow_one(
        train_encoder, lambda folder: {"sessions": mice, **outputs(folder)}, logged(fit(encoder))
    )


@pytest.mark.timeout(1200)
def test_two_processes_add_a_mouse_as_one(mice, study, two_follow_one):
    core = study / "cnn_s0"
    files = {"core": core / "model.safetensors", "core_config": core / "model.json"}
    two_follow_one(
        add_mouse, lambda folder: {"sessions": mice[:1], **files, **outputs(folder)},
        logged(fit(CNN)),
    )  # fmt: skip


def logged(options):
    training = replace(options.training, steps=20, log_every_steps=1)
    return replace(options, training=training, selection=replace(options.selection, every_steps=5))


@pytest.fixture(scope="module")
def study(mice, tmp_path_factory):
    """Two encoders, evaluated; one of them stimulated and interpreted."""
    folder = tmp_path_factory.mktemp("study")
    for name, encoder in {"v1t_s0": V1T, "cnn_s0": CNN}.items():
        files = outputs(folder / name)
        train_encoder(mice, **files, options=fit(encoder))
        evaluate_encoder(
            mice, files["model"], files["config"],
            folder / name / "units.parquet", folder / name / "statistics.json",
            folder / name / "predictions.zarr", EvaluateEncoderOptions(STIMULUS, CPU, 20),
        )  # fmt: skip
    battery = MakeBatteryOptions(
        Display(1, 1, 24, 1), 2, static_gratings=[StaticGratingGrid(4, [0.1, 0.2])]
    )
    make_battery(folder / "battery.parquet", battery)
    v1t = folder / "v1t_s0"
    files = [v1t / "model.safetensors", v1t / "model.json"]
    stimulate_encoder(
        mice, *files, folder / "battery.parquet", v1t / "responses.zarr",
        StimulateEncoderOptions(STIMULUS, CPU),
    )  # fmt: skip
    measure_encoder(
        mice, v1t / "responses.zarr", v1t / "twins.parquet", v1t / "twins.json",
        MeasureEncoderOptions(20),
    )  # fmt: skip
    measure_attention(
        mice, *files, v1t / "responses.zarr", v1t / "attention.zarr", v1t / "attention.parquet",
        v1t / "attention.json", MeasureAttentionOptions(STIMULUS, CPU, 20),
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def cross_validated(mice, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cross_validated")
    options = CrossValidateEncoderOptions(
        fit(V1T), SplitOptions(rule="blocks", block=8, gap=4, test=0.5), n_bootstraps=20
    )
    cross_validate_encoder(
        mice[0], folder / "units.parquet", folder / "statistics.json",
        folder / "predictions.zarr", folder / "state", options,
    )  # fmt: skip
    return folder


def test_evaluation_covers_every_unit_and_condition(study):
    cells = read_table(study / "v1t_s0/units.parquet")
    conditions = {
        "intact", "mean_response", "shuffled_behaviour", "shuffled_pupil_centre",
        "shuffled_running_speed", "shuffled_pupil_dilation", "shuffled_pupil_dilation_change",
    }  # fmt: skip
    assert set(cells["condition"]) == conditions
    assert len(cells) == len(conditions) * 24
    intact = cells[cells["condition"] == "intact"]
    assert intact["truth_single_trial_r"].between(0, 1).all()
    mean = cells[cells["condition"] == "mean_response"]
    assert mean["single_trial_r"].isna().all()  # a constant correlates with nothing
    assert (mean["feve"].dropna() < 0.2).all()
    true = cells.groupby("condition")["truth_single_trial_r"].mean()
    assert true["shuffled_behaviour"] < true["intact"]


def test_statistics_are_of_all_mice_and_of_each(study):
    statistics = read_json(study / "v1t_s0/statistics.json")
    assert {"all", "mouse0", "mouse1"} <= set(statistics)
    measure = statistics["all"]["intact"]["single_trial_r"]
    cells = read_table(study / "v1t_s0/units.parquet")
    values = cells[cells["condition"] == "intact"]["single_trial_r"]
    assert measure["value"] == pytest.approx(values.mean())
    assert measure["low"] <= measure["value"] <= measure["high"]
    assert measure["n"] + measure["n_undefined"] == 24


def test_predictions_are_of_test_trials_only(study, mice):
    store = open_store(study / "v1t_s0/predictions.zarr", load=True)
    session = open_store(mice[0], load=True)
    test = np.flatnonzero(session["split"].to_numpy() == "test")
    std = session["response_std"].to_numpy()
    std = np.maximum(std, 0.01 * std.mean())
    expected = session["response"].to_numpy()[:, test] / std[:, None]
    assert store["response_mouse0"].to_numpy() == pytest.approx(expected, rel=1e-4)
    assert (store["prediction_mouse0"].to_numpy() >= 0).all()


def test_twins_of_two_mice_are_measured_against_their_own_truth(study, mice):
    twins = read_table(study / "v1t_s0/twins.parquet")
    assert twins.groupby("session").size().to_dict() == {"mouse0": 12, "mouse1": 12}
    truth = open_store(mice[1], load=True)["truth_receptive_field_row"].to_numpy()
    of_second = twins[twins["session"] == "mouse1"].sort_values("unit_id")
    assert of_second["true_row_px"].to_numpy() == pytest.approx(truth)
    assert twins["orientation_error_deg"].dropna().between(0, 90).all()
    assert "chance_field_error_px" in read_json(study / "v1t_s0/twins.json")


def test_attention_is_a_share_and_its_tests_name_the_behaviour(study):
    maps = open_store(study / "v1t_s0/attention.zarr", load=True)
    assert maps["attention"].sum(("row", "column")).to_numpy() == pytest.approx(1, abs=1e-5)
    tests = read_json(study / "v1t_s0/attention.json")
    assert set(tests["mouse0"]) == {
        "attention_on_fields", "column_follows_pupil", "row_follows_pupil",
        "contrast_follows_running", "contrast_follows_dilation",
    }  # fmt: skip


def test_a_core_without_attention_is_refused(study, mice, tmp_path):
    files = [study / "cnn_s0/model.safetensors", study / "cnn_s0/model.json"]
    out = [tmp_path / name for name in ("a.zarr", "a.parquet", "a.json")]
    with pytest.raises(InputError, match="no attention"):
        measure_attention(
            mice,
            *files,
            study / "v1t_s0/responses.zarr",
            *out,
            MeasureAttentionOptions(STIMULUS, CPU),
        )


def test_a_mouse_is_added_to_a_core_that_stays(study, mice, tmp_path):
    core = study / "v1t_s0/model.safetensors"
    files = outputs(tmp_path)
    add_mouse([mice[1]], core, study / "v1t_s0/model.json", **files, options=fit(V1T))
    before, after = load_file(core), load_file(files["model"])
    names = [name for name in after if name.startswith("core.")]
    assert names
    assert all((before[name] == after[name]).all() for name in names)
    assert not any("mouse0" in name for name in after)
    with pytest.raises(InputError, match="another architecture"):
        add_mouse([mice[1]], core, study / "v1t_s0/model.json", **files, options=fit(CNN))


def test_every_trial_is_held_out_once_and_away_from_its_training(cross_validated, mice):
    store = open_store(cross_validated / "predictions.zarr", load=True)
    assert set(store["fold"].to_numpy()) == {0, 1}
    assert np.isfinite(store["model"].to_numpy()).all()
    response = open_store(mice[0], load=True)["response"].to_numpy()
    held = store["fold"].to_numpy() == 0
    mean = store["mean_response"].to_numpy()[:, held]
    assert np.ptp(mean, axis=1).max() == 0
    # the mean is not of the held-out trials, nor of those in the gap
    assert not np.allclose(mean[:, 0], response[:, ~held].mean(axis=1))
    statistics = read_json(cross_validated / "statistics.json")
    assert set(statistics["carry_over"]) == {"lag_1", "lag_4"}


def test_held_out_images_are_claimed_only_where_they_are(study, mice, tmp_path):
    cnn, out = study / "cnn_s0", tmp_path / "figure.rst"

    def told(units):
        plot_encoders(
            [units], [cnn / "metrics.jsonl"], tmp_path / "figure.png", out,
            PlotEncodersOptions(encoders=["cnn_s0"], dpi=DPI),
        )  # fmt: skip
        return out.read_text()

    assert (read_table(cnn / "units.parquet")["share_trained"] == 0).all()
    assert "test images shown to no model before" in told(cnn / "units.parquet")
    # One presentation of one of the eight test images, as blocks of trials would have it.
    session = open_store(mice[0], load=True)
    split = session["split"].to_numpy().copy()
    split[np.flatnonzero(split == "test")[0]] = "train"
    changed = session.assign_coords(split=("trial", split, session["split"].attrs))
    write_store(tmp_path / "mouse0.zarr", changed, {})
    evaluate_encoder(
        [tmp_path / "mouse0.zarr"], cnn / "model.safetensors", cnn / "model.json",
        tmp_path / "units.parquet", tmp_path / "s.json", tmp_path / "p.zarr",
        EvaluateEncoderOptions(STIMULUS, CPU, 20),
    )  # fmt: skip
    assert (read_table(tmp_path / "units.parquet")["share_trained"] == 1 / 8).all()
    text = told(tmp_path / "units.parquet")
    assert "Prediction of held-out trials" in text
    assert "up to 12.5 % of a mouse's test images" in text


def test_models_that_were_shown_no_behaviour_are_drawn(study, tmp_path):
    cnn, (table, figure, caption) = (
        study / "cnn_s0",
        (tmp_path / n for n in ("u.parquet", "f.png", "f.rst")),
    )
    units = read_table(cnn / "units.parquet")
    write_table(table, units[units["condition"].isin(["intact", "mean_response"])], {})
    plot_encoders(
        [table], [cnn / "metrics.jsonl"], figure, caption,
        PlotEncodersOptions(encoders=["cnn_s0"], dpi=DPI),
    )  # fmt: skip
    assert figure.stat().st_size > 5000


def test_every_figure_is_drawn(study, cross_validated, tmp_path):
    v1t = study / "v1t_s0"
    both = [study / name for name in ("v1t_s0", "cnn_s0")]

    def out(name):
        return {"figure": tmp_path / f"{name}.png", "caption": tmp_path / f"{name}.rst"}

    plot_encoders(
        [one / "units.parquet" for one in both], [one / "metrics.jsonl" for one in both],
        **out("encoders"), options=PlotEncodersOptions(encoders=["v1t_s0", "cnn_s0"], dpi=DPI),
    )  # fmt: skip
    plot_encoder_predictions(
        v1t / "predictions.zarr", **out("predictions"), options=FigureOptions(DPI)
    )
    plot_attention(
        v1t / "attention.zarr", v1t / "attention.parquet", v1t / "attention.json",
        **out("attention"), options=FigureOptions(DPI),
    )  # fmt: skip
    plot_twins(
        v1t / "twins.parquet", v1t / "twins.json", v1t / "responses.zarr",
        **out("twins"), options=FigureOptions(DPI),
    )  # fmt: skip
    pairs = [Pair("park_s0", "mouse0"), Pair("park_no_behaviour_s0", "mouse0")]
    plot_cross_validated(
        [cross_validated / "units.parquet"] * 2, [cross_validated / "statistics.json"] * 2,
        [cross_validated / "predictions.zarr"] * 2, **out("cross_validated"),
        options=PlotCrossValidatedOptions(cross_validated=pairs, dpi=DPI),
    )  # fmt: skip
    for image in tmp_path.glob("*.png"):
        assert image.stat().st_size > 10_000
        text = image.with_suffix(".rst").read_text()
        assert "list-table" in text or "Example" in text
        assert "nan" not in text
    ceiling = read_table(v1t / "units.parquet").groupby("condition")["truth_single_trial_r"].mean()
    assert f"{ceiling['intact']:.3f}" in (tmp_path / "encoders.rst").read_text()


def test_options_are_plain(study):
    described = read_json(study / "v1t_s0/model.json")["encoder"]
    assert described["options"] == asdict(V1T)
    assert {name: one["n_units"] for name, one in described["mice"].items()} == {
        "mouse0": 12, "mouse1": 12,
    }  # fmt: skip


@pytest.mark.parametrize("left_out", [[], ["running_speed"], ["running_speed", "pupil_dilation"]])
def test_attention_is_drawn_against_what_the_label_says(study, left_out):
    trials = read_table(study / "v1t_s0/attention.parquet").drop(columns=left_out)
    axes = Figure().subplots()
    _draw_trials(axes, trials)
    if len(left_out) == 2:
        assert not axes.lines
        return
    name = axes.get_xlabel().removesuffix(" (standard deviations)").replace(" ", "_")
    assert name not in left_out
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), trials[name])


@pytest.mark.parametrize("by_stimulus", [False, True])
def test_noise_is_predicted_by_nothing(by_stimulus):
    """Means of the other folds' trials, on independent noise: chance is 0, whatever is pooled."""
    rng = np.random.default_rng(0)
    stimulus = np.tile(np.arange(8), 16)  # cyclic, as in Park et al.
    fold = stimulus // 2 if by_stimulus else np.repeat(np.arange(4), 32)
    response = rng.gamma(1.0, 1.0, (400, 128))
    overall, of_stimulus = np.empty(response.shape), np.empty(response.shape)
    for one in range(4):
        test, others = fold == one, fold != one
        overall[:, test] = response[:, others].mean(axis=1, keepdims=True)
        for shown in np.unique(stimulus[test]):
            # Where whole stimuli are held out, that of the next one, which knows nothing either.
            other = (shown + 2 * by_stimulus) % 8
            same = response[:, others & (stimulus == other)].mean(axis=1, keepdims=True)
            of_stimulus[:, test & (stimulus == shown)] = same
    table = measure_folds(response, of_stimulus, stimulus, fold, np.ones(response.shape))
    for name in ("single_trial_r", "correlation_to_average"):
        r = table[name].to_numpy()
        assert abs(r.mean()) < 4 * r.std() / np.sqrt(len(r)), name
    constant = measure_folds(response, overall, stimulus, fold, np.ones(response.shape))
    assert constant["single_trial_r"].isna().all()
    assert np.isfinite(constant["poisson_nll"]).all()


@pytest.mark.parametrize("lag", [1, 8])
def test_carry_over_is_none_in_noise_and_there_in_drift(lag):
    rng = np.random.default_rng(0)
    stimulus = np.tile(np.arange(8), 10)  # cyclic: trials 8 apart show the same
    noise = rng.normal(size=(1000, 80))
    found = carry_over(noise, stimulus, lag, n_permutations=30)
    assert abs(np.median(found)) < 4 * 1.25 * found.std() / np.sqrt(len(found))
    drift = np.sin(np.arange(80) / 12 + rng.uniform(0, 6, (1000, 1)))
    assert np.median(carry_over(noise + drift, stimulus, lag, n_permutations=30)) > 0.1
