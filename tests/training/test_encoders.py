"""Sessions as encoders see them, and what reaches training."""

import numpy as np
import pytest
import torch
import xarray as xr

from workflow_scripts.models.cortex_encoders import EncoderOptions, V1TOptions, build_encoder
from workflow_scripts.models.encoder import Population
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.zarr_store import open_store, variable, write_store
from workflow_scripts.training.encoders import (
    EncoderObjective,
    FitOptions,
    PenaltyOptions,
    architecture,
    fit_encoder,
    poisson_loss,
    predict,
)
from workflow_scripts.training.encoding_sessions import (
    StimulusOptions,
    draw_batches,
    read_encoding_session,
)
from workflow_scripts.training.loop import TrainingOptions
from workflow_scripts.training.machine import MachineOptions, launch_fabric
from workflow_scripts.training.selection import Selection

PROVENANCE = {"stage": "test", "created": "now", "git_commit": "abc"}
CPU = MachineOptions(device="cpu", precision="32-true", torch_threads=1)
SMALL = EncoderOptions(
    v1t=V1TOptions(stride_px=4, dim=6, n_blocks=1, n_heads=2, mlp_dim=8, behaviour_hidden=4)
)


def fit_options(**changes):
    options = {
        "seed": 0, "encoder": SMALL, "stimulus": StimulusOptions(), "penalty": PenaltyOptions(),
        "training": TrainingOptions(
            steps=6, batch_size=8, learning_rate=1e-2, weight_decay=0.0, warmup_steps=1,
        ),
        "selection": Selection(every_steps=2, metric="correlation"), "machine": CPU,
    } | changes  # fmt: skip
    return FitOptions(**options)


def read(path, **options):
    return read_encoding_session(path, StimulusOptions(**options))


def edited(store, path, edit):
    dataset = open_store(store, load=True)
    edit(dataset)
    for name in dataset.variables:
        dataset[name].encoding = {}
    write_store(path, dataset, PROVENANCE)
    return path


def test_training_trials_are_standardised_and_others_by_the_same_numbers(mice):
    session = read(mice[0])
    training = session.trials("train")
    assert session.response[training].std(dim=0, correction=0).numpy() == pytest.approx(1, abs=1e-4)
    images = session.images[np.unique(session.stimulus_id[training])]
    assert images.mean().item() == pytest.approx(0, abs=1e-5)
    assert images.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    pupil = session.pupil[training]
    assert pupil.mean(dim=0).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert pupil.std(dim=0, correction=0).tolist() == pytest.approx([1, 1], abs=1e-4)
    state = session.behaviour[training][:, :3]  # scaled, not centred
    assert state.std(dim=0, correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-4)
    assert session.variables[3:] == ("pupil_horizontal", "pupil_vertical")


def test_a_silent_unit_is_not_blown_up(mice, tmp_path):
    def silence(dataset):
        dataset["response"][3] = 0.0
        dataset["response"][3, 5] = 1e-6

    session = read(edited(mice[0], tmp_path / "edited.zarr", silence))
    assert session.response[:, 3].abs().max() < 1e-3


def test_what_is_left_out_is_gone(mice):
    session = read(mice[0], leave_out=["running_speed", "pupil_centre"])
    assert session.variables == ("pupil_dilation", "pupil_dilation_change")
    assert not session.pupil.any()


def test_a_batch_depends_on_its_step_alone_and_holds_training_trials(mice):
    sessions = {one.name: one for one in map(read, mice)}
    first = draw_batches(sessions, 16, seed=0, step=5)
    again = draw_batches(sessions, 16, seed=0, step=5)
    other = draw_batches(sessions, 16, seed=0, step=6)
    for mouse, batch in first.items():
        assert all(torch.equal(a, b) for a, b in zip(batch, again[mouse], strict=True))
        assert not torch.equal(batch[3], other[mouse][3])
        training = sessions[mouse].response[sessions[mouse].trials("train")]
        matches = (batch[3][:, None] == training[None]).all(dim=2)
        assert matches.any(dim=1).all()


def of_test(dataset):
    return np.flatnonzero(dataset["split"].to_numpy() == "test")


def scramble_test_images(dataset):
    shown = np.unique(dataset["stimulus_id"].to_numpy()[of_test(dataset)])
    dataset["image"][shown] = 255 - dataset["image"][shown]


def scramble_test_responses(dataset):
    dataset["response"][:, of_test(dataset)] += 100.0


def scramble_test_behaviour(dataset):
    dataset["behaviour"][of_test(dataset)] *= 50
    dataset["pupil_centre"][of_test(dataset)] += 50


def forget_the_truth(dataset):
    for name in [name for name in dataset.variables if str(name).startswith("truth")]:
        dataset[name] = xr.zeros_like(dataset[name])


def forget_statistics_over_all_trials(dataset):
    for name in ("fev", "oracle_r", "split_half_r", "ceiling_single_trial_r"):
        dataset[name] = xr.zeros_like(dataset[name])


def scramble_a_training_response(dataset):
    dataset["response"][0, np.flatnonzero(dataset["split"].to_numpy() == "train")[0]] += 5.0


def weights(stores, folder):
    sessions = {one.name: one for one in map(read, stores)}
    encoder, _ = fit_encoder(sessions, fit_options(), launch_fabric(CPU), folder)
    return encoder.state_dict()


@pytest.fixture(scope="module")
def untouched(mice, tmp_path_factory):
    return weights(mice, tmp_path_factory.mktemp("untouched"))


@pytest.mark.parametrize(
    "edit",
    [
        scramble_test_images, scramble_test_responses, scramble_test_behaviour, forget_the_truth,
        forget_statistics_over_all_trials,
    ],
)  # fmt: skip
def test_nothing_of_the_test_trials_reaches_training(mice, untouched, tmp_path, edit):
    changed = weights([edited(mice[0], tmp_path / "m.zarr", edit), mice[1]], tmp_path / "state")
    for name, tensor in untouched.items():
        assert torch.equal(tensor, changed[name]), name


def test_a_training_response_does(mice, untouched, tmp_path):
    edit = scramble_a_training_response
    changed = weights([edited(mice[0], tmp_path / "m.zarr", edit), mice[1]], tmp_path / "state")
    assert any(not torch.equal(tensor, changed[name]) for name, tensor in untouched.items())


def test_loss_is_the_scaled_sum_over_mice_and_penalties(mice):
    sessions = {one.name: one for one in map(read, mice)}
    populations = {name: one.population() for name, one in sessions.items()}
    torch.manual_seed(0)
    encoder = build_encoder(SMALL, populations, **architecture(sessions))
    n_training = dict.fromkeys(sessions, 60)
    objective = EncoderObjective(encoder, n_training, PenaltyOptions(0.5, 0.01), seed=3).eval()
    batches = draw_batches(sessions, 15, 0, 0)
    loss, metrics = objective(batches, 0)
    expected = 0.5 * encoder.core.penalty()
    for name, (images, behaviour, pupil, response) in batches.items():
        rate = encoder(name, images, behaviour, pupil)
        nll = torch.nn.functional.poisson_nll_loss(rate, response, log_input=False, reduction="sum")
        expected = expected + 2 * nll + 0.01 * encoder.readouts[name].features.abs().sum()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert metrics["core_penalty"].item() == pytest.approx(encoder.core.penalty().item())


def test_poisson_loss_is_least_at_the_response():
    response = torch.full((1,), 2.0)
    rates = torch.tensor([1.9, 2.0, 2.1])
    assert poisson_loss(response, rates).argmin() == 1


def test_a_frozen_core_stays(mice, tmp_path):
    sessions = {one.name: one for one in map(read, mice)}
    first = {"mouse0": sessions["mouse0"]}
    encoder, _ = fit_encoder(first, fit_options(), launch_fabric(CPU), tmp_path / "a")
    core = {name: tensor.clone() for name, tensor in encoder.core.state_dict().items()}
    second = {"mouse1": sessions["mouse1"]}
    added, _ = fit_encoder(second, fit_options(), launch_fabric(CPU), tmp_path / "b", core=core)
    for name, tensor in added.core.state_dict().items():
        assert torch.equal(tensor, core[name]), name
    fresh = build_encoder(
        SMALL, {"mouse1": sessions["mouse1"].population()}, **architecture(second)
    )
    assert not torch.equal(added.readouts["mouse1"].features, fresh.readouts["mouse1"].features)


def test_mice_must_see_the_same_things(mice):
    sessions = {"a": read(mice[0]), "b": read(mice[1], leave_out=["running_speed"])}
    with pytest.raises(InputError, match=r"stimulus\.leave_out"):
        architecture(sessions)


def test_predictions_follow_the_behaviour_that_is_given(mice):
    session = read(mice[0])
    torch.manual_seed(0)
    encoder = build_encoder(SMALL, {"mouse0": session.population()}, (1, 18, 24), 5).eval()
    trials = session.trials("test")
    own = predict(encoder, session, trials)
    same = predict(encoder, session, trials, session.behaviour[trials], session.pupil[trials], 7)
    assert np.allclose(own, same, atol=1e-5)
    other = predict(encoder, session, trials, session.behaviour[trials] + 3)
    assert np.abs(own - other).max() > 1e-4


def test_still_gratings_of_opposite_directions_are_one_image(tmp_path):
    directions = np.arange(8) * 45.0
    stimulus = np.tile(np.arange(8), 6)
    rng = np.random.default_rng(0)
    dataset = xr.Dataset(
        {
            "response": variable(("unit", "trial"), rng.random((3, 48)), "a.u.", "response"),
            "direction_deg": variable("stimulus", directions, "deg", "direction"),
        },
        coords={
            "stimulus_id": variable("trial", stimulus, "1", "stimulus"),
            "split": variable("trial", np.repeat(["train", "test"], 24).astype(object), "1", "s"),
            **{f"{axis}_um": variable("unit", np.full(3, np.nan), "um", "p") for axis in "xy"},
        },
        attrs={"session_id": "gratings"},
    )
    write_store(tmp_path / "s.zarr", dataset, PROVENANCE)
    session = read(tmp_path / "s.zarr", size_px=(24, 32), grating_cpd=0.1)
    assert session.images.shape == (8, 1, 24, 32)
    for first in range(4):
        assert torch.allclose(session.images[first], session.images[first + 4], atol=1e-4)
        assert not torch.allclose(session.images[first], session.images[first + 1], atol=0.1)
    assert session.images[0, 0].std(dim=0).max() < 1e-4  # rightward: vertical bars
    assert isinstance(session.population(), Population)
    assert session.population().cortical_um is None


def test_measured_fields_are_where_readouts_start(mice, tmp_path):
    def add_fields(dataset):
        masks = np.zeros((12, 36, 48), dtype=bool)  # twice the size of the images
        masks[:, 10:14, 20:22] = True  # middle at row 11.5 and column 20.5
        dataset["receptive_field"] = variable(("unit", "rf_y", "rf_x"), masks, "1", "field")

    session = read(edited(mice[0], tmp_path / "m.zarr", add_fields))
    assert session.field_px is not None
    # a pixel of the image covers two of the mask's: 0 and 1 have their middle at 0
    assert session.field_px[0].tolist() == pytest.approx([5.5, 10.0])
