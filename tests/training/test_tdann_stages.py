"""train_tdann and place_units on a small video store, as their rules call them."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from workflow_scripts.place_units import PlaceUnitsOptions, place_units
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import input_hash
from workflow_scripts.stores.table_store import write_table
from workflow_scripts.stores.weights import load_weights
from workflow_scripts.stores.zarr_store import open_store, variable, write_store
from workflow_scripts.train_tdann import ContrastOptions, TrainTdannOptions, train_tdann
from workflow_scripts.training import loop
from workflow_scripts.training.augmentation import AugmentationOptions
from workflow_scripts.training.loop import TrainingOptions
from workflow_scripts.training.machine import MachineOptions
from workflow_scripts.training.state import save_state
from workflow_scripts.training.tdann import SpatialLossOptions

VIEWS = AugmentationOptions(crop_px=32, n_frames=4)
CPU = MachineOptions(device="cpu", precision="32-true", torch_threads=1)
TRAINING = TrainingOptions(steps=3, batch_size=8, learning_rate=1e-3, log_every_steps=1)
LAYERS = ["layer1", "layer2"]
PROVENANCE = {"stage": "test", "created": "now", "git_commit": "abc"}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Twelve clips of moving noise; returns the folder with clips.parquet and batch.zarr."""
    folder = tmp_path_factory.mktemp("clips")
    frames = np.random.default_rng(0).integers(0, 256, (60, 48, 64, 1), dtype=np.uint8)
    dims = ("time", "y", "x", "channel")
    dataset = xr.Dataset({"frames": variable(dims, frames, "1", "frames")})
    write_store(folder / "batch.zarr", dataset, PROVENANCE)
    table = pd.DataFrame({"batch": 0, "start": range(0, 60, 5), "n_frames": 5, "stride": 1})
    write_table(folder / "clips.parquet", table, PROVENANCE)
    return folder


def call(folder, name, clips, positions=(), **changes):
    """Arguments of one training."""
    spatial = SpatialLossOptions(alpha=1.0 if positions else 0.0, queue_length=16)
    options = {
        "seed": 0, "backbone": "resnet3d", "width": 4, "layers": LAYERS, "neighbourhoods": 20,
        "max_units": 40, "contrast": ContrastOptions(queue_length=16), "spatial": spatial,
        "augmentation": VIEWS, "machine": CPU,
        "training": TRAINING,
    } | changes  # fmt: skip
    return {
        "clips": clips / "clips.parquet", "batches": [clips / "batch.zarr"],
        "positions": list(positions), "start": [], "model": folder / name / "model.safetensors",
        "config": folder / name / "model.json", "metrics": folder / name / "m.jsonl",
        "snapshots": folder / name / "snapshots",
        "state": folder / name / "state", "options": TrainTdannOptions(**options),
    }  # fmt: skip


def train(*arguments, **changes):
    called = call(*arguments, **changes)
    train_tdann(**called)
    return [called[name] for name in ("model", "config", "metrics")]


@pytest.fixture(scope="module")
def network(clips):
    return train(clips, "alpha0", clips)


def place(clips, network, method, gratings=()):
    options = PlaceUnitsOptions(
        method=method, seed=0, sheet_mm=dict.fromkeys(LAYERS, 5.7), n_views=24, rounds=40,
        max_units=60, mask_same_channel=True, augmentation=VIEWS, machine=CPU,
    )  # fmt: skip
    store = clips / f"{method}.zarr"
    place_units(
        clips / "clips.parquet",
        [clips / "batch.zarr"],
        *network[:2],
        list(gratings),
        store,
        options,
    )
    return open_store(store, load=True)


def places(store, layer):
    units = store.isel(unit=store["layer"].to_numpy() == layer)
    return units[["x_mm", "y_mm"]].to_array().to_numpy().T


@pytest.fixture(scope="module")
def placed(clips, network):
    return {method: place(clips, network, method) for method in ("random", "optimised", "shuffled")}


def test_every_method_hands_out_the_same_places(placed):
    for layer in LAYERS:
        sets = [set(map(tuple, places(store, layer).tolist())) for store in placed.values()]
        assert sets[0] == sets[1] == sets[2]
    random, optimised, shuffled = (places(store, "layer2") for store in placed.values())
    assert not np.array_equal(random, optimised)
    assert not np.array_equal(optimised, shuffled)


def test_shuffling_stays_within_an_anchor(placed):
    store = placed["optimised"]
    anchor = np.stack([store["row"].to_numpy(), store["column"].to_numpy()], axis=1)
    of_layer = store["layer"].to_numpy() == "layer2"
    for row, column in ((0, 0), (1, 3)):
        units = (anchor[of_layer] == (row, column)).all(axis=1)
        kept, dealt = (places(placed[name], "layer2")[units] for name in ("optimised", "shuffled"))
        assert sorted(kept.tolist()) == sorted(dealt.tolist())


def test_grating_responses_can_place_units(clips, network, placed):
    store = placed["random"]
    units = {name: store[name] for name in ("layer", "channel", "row", "column")}
    responses = np.random.default_rng(1).random((store.sizes["unit"], 6, 2), dtype=np.float32)
    dims = ("unit", "condition", "repeat")
    dataset = xr.Dataset({"response": variable(dims, responses, "1", "response")}, units)
    write_store(clips / "responses.zarr", dataset, PROVENANCE)
    control = place(clips, network, "gratings", [clips / "responses.zarr"])
    assert not np.array_equal(places(control, "layer2"), places(placed["optimised"], "layer2"))


def test_the_spatial_loss_trains_on_the_positions(clips, placed, tmp_path):
    assert placed
    model, config, metrics = train(tmp_path, "full", clips, [clips / "optimised.zarr"])
    records = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert all(0 <= records[-1][f"spatial_loss_{layer}"] <= 1 for layer in LAYERS)
    inputs = json.loads(config.read_text())["provenance"]["inputs"]
    positions = clips / "optimised.zarr"
    assert inputs[str(positions)] == input_hash(positions)
    again = train(tmp_path, "again", clips, [clips / "optimised.zarr"])
    assert again[0].read_bytes() == model.read_bytes()
    other = train(tmp_path, "other", clips, [clips / "random.zarr"])
    assert other[0].read_bytes() != model.read_bytes()


def test_what_does_not_fit_is_named(clips, placed, tmp_path):
    spatial = SpatialLossOptions(alpha=1.0)
    with pytest.raises(InputError, match="alpha: above 0, but there are no positions"):
        train(tmp_path, "none", clips, spatial=spatial)
    with pytest.raises(InputError, match=r"optimised\.zarr: layer1 has .* units, but the network"):
        train(tmp_path, "wider", clips, [clips / "optimised.zarr"], width=8)


KEPT_STEPS = [0, 2, 3]


@pytest.fixture(scope="module")
def kept(clips):
    train(clips, "kept", clips, snapshots=KEPT_STEPS)
    return clips / "kept"


class TestSnapshots:
    def test_keeping_weights_changes_nothing(self, kept, network):
        assert (kept / "model.safetensors").read_bytes() == network[0].read_bytes()

    def test_the_weights_are_those_of_the_steps(self, kept, clips, tmp_path):
        snapshots = kept / "snapshots"
        assert {path.name for path in snapshots.iterdir()} == {
            f"step_{step}.safetensors" for step in KEPT_STEPS
        }
        last, _ = load_weights(snapshots / "step_3.safetensors")
        final, _ = load_weights(kept / "model.safetensors")
        assert all(torch.equal(last[name], final[name]) for name in final)
        first, _ = load_weights(snapshots / "step_0.safetensors")
        training = dataclasses.replace(TRAINING, steps=0)
        untrained, *_ = train(tmp_path, "untrained", clips, training=training)
        expected, _ = load_weights(untrained)
        assert all(torch.equal(first[name], expected[name]) for name in expected)
        assert not all(torch.equal(first[name], final[name]) for name in final)

    def test_a_killed_run_keeps_the_same_weights(self, kept, clips, tmp_path, monkeypatch):
        """Killed before its third step is saved, it goes on after the second."""
        training = dataclasses.replace(TRAINING, save_every_s=0)
        called = call(tmp_path, "killed", clips, snapshots=KEPT_STEPS, training=training)

        def save_two_steps(folder, step, *rest):
            if step > 2:
                raise KeyboardInterrupt
            save_state(folder, step, *rest)

        monkeypatch.setattr(loop, "save_state", save_two_steps)
        with pytest.raises(KeyboardInterrupt):
            train_tdann(**called)
        monkeypatch.undo()
        assert not called["snapshots"].exists()
        train_tdann(**called)
        for step in KEPT_STEPS:
            name = f"step_{step}.safetensors"
            again = called["snapshots"] / name
            assert again.read_bytes() == (kept / "snapshots" / name).read_bytes()


def lines(metrics):
    return [json.loads(line) for line in metrics.read_text().splitlines()]


TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "--"]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param(["-m"], id="launched by itself"),
        pytest.param(TORCHRUN, id="launched by torchrun", marks=pytest.mark.cluster),
    ],
)
def test_two_processes_train_as_one(clips, placed, tmp_path, launcher):
    assert placed
    positions = [clips / "optimised.zarr"]
    training = TrainingOptions(
        steps=20, batch_size=8, learning_rate=1e-3, warmup_steps=5, log_every_steps=1
    )
    one = lines(train(tmp_path, "one", clips, positions, training=training)[2])
    machine = dataclasses.replace(CPU, devices=2)
    called = call(tmp_path, "two", clips, positions, training=training, machine=machine)
    options = json.dumps(dataclasses.asdict(called.pop("options")))
    words = [word for name, value in called.items() for word in (f"--{name}", *words_of(value))]
    command = [sys.executable, *launcher, "workflow_scripts.train_tdann", *words]
    subprocess.run([*command, "--options", options], check=True)
    two = lines(called["metrics"])
    assert len(one) == len(two) == 20
    worst = {
        name: max(abs(b[name] - a[name]) / abs(a[name] or 1) for a, b in zip(one, two, strict=True))
        for name in one[0]
    }
    print("largest relative differences:", {name: f"{value:.0e}" for name, value in worst.items()})
    assert worst.pop("gradient_norm") < 1e-3  # sums of many roundings
    assert max(worst.values()) < 1e-4


def words_of(value):
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]
