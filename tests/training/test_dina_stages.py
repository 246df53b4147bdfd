"""train_dina, decode_dina and interpret_dina on a population whose fields and decoys are known."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from workflow_scripts.analysis.interpretation import InterpretationOptions
from workflow_scripts.decode_dina import DecodeDinaOptions, decode_dina
from workflow_scripts.interpret_dina import InterpretDinaOptions, interpret_dina
from workflow_scripts.plot_dina_decoding import plot_dina_decoding
from workflow_scripts.plot_dina_images import plot_dina_images
from workflow_scripts.plot_dina_interpretation import (
    plot_dina_interpretation,
)
from workflow_scripts.plotting.options import AlignmentFigureOptions
from workflow_scripts.recordings.sessions import add_images, trial_session
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_json, read_table
from workflow_scripts.stores.zarr_store import open_store, variable, write_store
from workflow_scripts.train_dina import TowerOptions, TrainDinaOptions, train_dina
from workflow_scripts.training.loop import TrainingOptions
from workflow_scripts.training.machine import MachineOptions
from workflow_scripts.training.pairs import PairOptions, PairSource, read_pairs, same_images

CPU = MachineOptions(device="cpu", precision="32-true", torch_threads=1)
N_NEURONS, N_DECOYS = 40, 12
N_IMAGES = {"train": 400, "validation": 40, "test": 30}


def write_session(path, seed, images):
    """Cells that count spikes by the luminance in a disc; test images are shown four times."""
    rng = np.random.default_rng(seed)
    stimulus = np.repeat(np.arange(len(images)), np.repeat([1, 4], [440, 30]))
    split = np.repeat(list(N_IMAGES), [400, 40, 120])
    row, column = rng.uniform(1, 15, N_NEURONS), rng.uniform(1, 23, N_NEURONS)
    y, x = np.mgrid[:16, :24]
    field = np.exp(-((y - row[:, None, None]) ** 2 + (x - column[:, None, None]) ** 2) / 8)
    field /= field.sum(axis=(1, 2), keepdims=True)
    drive = np.einsum("nyx,iyx->ni", field, images[:, 0] / 127.5 - 1)
    rate = 8 * np.exp(1.2 * drive / drive.std(axis=1, keepdims=True))
    session = trial_session(
        rng.poisson(rate[:, stimulus]), stimulus, response_units="spikes",
        stimulus_names=[str(i) for i in range(len(images))],
        attributes={"session_id": path.stem, "truth": "simulated"},
    )  # fmt: skip
    session = add_images(session, images).assign_coords(
        split=variable("trial", split.astype(object), "1", "split")
    )
    for name, value in (("row", row), ("column", column)):
        session[f"truth_receptive_field_{name}"] = variable("unit", value, "px", name)
    left = images[:, 0, :, :12].mean(axis=(1, 2)) > images[:, 0, :, 12:].mean(axis=(1, 2))
    session["image_class"] = variable("stimulus", left.astype(float), "1", "brighter half")
    session["truth_width"] = variable("unit", np.full(N_NEURONS, 2.0), "px", "width")
    write_store(path, session, {})


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """Two populations; their training images differ and their test images do not."""
    folder = tmp_path_factory.mktemp("sessions")
    rng = np.random.default_rng(9)
    noise = gaussian_filter(rng.normal(size=(2 * 440 + 30, 1, 16, 24)), (0, 0, 2, 2))
    images = np.clip(127.5 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)
    for number in range(2):
        shown = np.concatenate([images[440 * number : 440 * (number + 1)], images[880:]])
        write_session(folder / f"cells{number}.zarr", number, shown)
    return [folder / "cells0.zarr", folder / "cells1.zarr"]


def align(folder, sessions, steps=160, **pairs):
    """Run the three stages as their rules do."""
    paths = {name: folder / name for name in ("model.safetensors", "model.json", "metrics.jsonl")}
    training = TrainingOptions(
        steps=steps, batch_size=24, learning_rate=3e-3, weight_decay=0.05, warmup_steps=10
    )
    towers = TowerOptions(scales=[1, 2], width=6, channels=4, dropout=0.2, dim=16, map_px=8)
    options = TrainDinaOptions(0, PairOptions(**pairs), towers, training, 40, CPU)
    train_dina(sessions, *paths.values(), folder / "state", options)
    model = [paths["model.safetensors"], paths["model.json"]]
    cnn = TrainingOptions(steps=60, batch_size=32, learning_rate=3e-3, warmup_steps=5)
    outputs = [folder / name for name in ("scores.parquet", "decoded.zarr", "decoding.json")]
    decode_dina(*model, sessions, *outputs, DecodeDinaOptions(300, 400, 0, cnn, CPU))
    names = ("neurons.parquet", "curves.parquet", "maps.zarr", "interpretation.json")
    outputs = [folder / name for name in names]
    asked = InterpretationOptions([0.1, 0.3, 0.6, 1.0], [1, 3], 2, 4, 24, 0)
    interpret_dina(*model, sessions, *outputs, InterpretDinaOptions(asked, 200, 300, 0, 1))
    return folder


@pytest.fixture(scope="module")
def aligned(sessions, tmp_path_factory):
    return align(tmp_path_factory.mktemp("aligned"), sessions, decoys=N_DECOYS)


@pytest.fixture(scope="module")
def shuffled(sessions, tmp_path_factory):
    return align(tmp_path_factory.mktemp("shuffled"), sessions, shuffle_pairs=True)


PIXEL_METHODS = ("latent", "ridge", "cnn")


def test_held_out_images_are_found_and_reconstructed(aligned):
    found = read_json(aligned / "decoding.json")
    decoding = found["decoding"]["all"]
    assert found["chance"]["top1"] == pytest.approx(1 / 30)
    assert decoding["dina"]["single"]["top1"]["low"] > 0.3
    assert found["permuted"]["dina"]["single"]["top1"]["high"] < 0.15
    assert found["decoding"]["pooled"]["dina"]["average"]["top1"]["value"] > 0.7
    for method in PIXEL_METHODS:
        measured = decoding[method]["average"]
        assert measured["pearson"]["low"] > 0.3 + measured["pearson_others"]["high"]
        assert measured["top1"]["low"] > found["chance"]["top1"]
    assert decoding["probe_latent"]["single"]["top1"]["low"] > 0.3
    classes = decoding["class_latent"]["average"]
    assert classes["top1"]["low"] > classes["commonest"]["value"]
    assert found["n_candidates"] == 30  # classes are no candidates


def test_with_shuffled_pairs_every_decoder_falls_to_chance(shuffled):
    found = read_json(shuffled / "decoding.json")
    for method in ("dina", *PIXEL_METHODS):
        measured = found["decoding"]["all"][method]["single"]
        for name in ("top1", "top5"):
            chance = found["permuted"][method]["single"][name]
            assert chance["low"] <= found["chance"][name] <= chance["high"]
            assert measured[name]["value"] <= chance["high"], (method, name)
        if method != "dina":
            assert abs(measured["pearson"]["value"] - measured["pearson_others"]["value"]) < 0.1


def test_informative_neurons_are_ranked_above_decoys(aligned):
    neurons = read_table(aligned / "neurons.parquet")
    assert neurons.groupby("session")["decoy"].sum().tolist() == [N_DECOYS, N_DECOYS]
    assert read_json(aligned / "interpretation.json")["informative_auc"] >= 0.9


def test_footprints_overlap_the_true_fields_above_the_permutation_null(aligned, shuffled):
    for tested in read_json(aligned / "interpretation.json")["footprints"]:
        assert tested["n_neurons"] == N_NEURONS
        assert tested["own"] > 1.5 * tested["null"]
        assert tested["p"] < 0.01
    for tested in read_json(shuffled / "interpretation.json")["footprints"]:
        assert tested["own"] < 1.2 * tested["null"]


def test_what_the_alignment_rests_on_is_consistent(aligned):
    found = read_json(aligned / "interpretation.json")
    assert found["completeness_error_nats"] < 1e-2
    curves = pd.DataFrame(found["curves"]).set_index(["curve", "x"])["value"]
    assert curves["attribution", 0.3] > curves["random", 0.3] > curves["reverse", 0.3]
    full = read_json(aligned / "decoding.json")["decoding"]["all"]["dina"]["average"]["top1"]
    assert curves["reverse", 1.0] == pytest.approx(full["value"])
    assert 0.1 <= found["share_for_90_percent"]["value"] <= 1


def test_stores_hold_what_the_tables_say(aligned, sessions):
    scores, found = read_table(aligned / "scores.parquet"), open_store(aligned / "decoded.zarr")
    assert found.sizes["group"] == len(sessions)
    nearest = (found["cosine"].argmax("image") == np.arange(30)).mean().item()
    rows = (scores["method"] == "dina") & (scores["query"] == "average")
    assert scores.loc[rows & (scores["session"] != "pooled"), "top1"].mean() == pytest.approx(
        nearest
    )
    attributes = json.loads((aligned / "model.json").read_text())
    assert attributes["dina"]["n_neurons"] == {"cells0": 52, "cells1": 52}


def test_figures_show_it_and_captions_say_what_is_simulated(aligned, tmp_path):
    names = {name.partition(".")[0]: aligned / name for name in (
        "metrics.jsonl", "scores.parquet", "decoded.zarr", "neurons.parquet", "maps.zarr",
    )}  # fmt: skip
    decoding, interpretation = aligned / "decoding.json", aligned / "interpretation.json"
    for draw, options, inputs in (
        (plot_dina_decoding, AlignmentFigureOptions,
         [names["metrics"], names["scores"], names["decoded"], decoding]),
        (plot_dina_images, AlignmentFigureOptions, [names["decoded"], decoding, names["maps"]]),
        (plot_dina_interpretation, AlignmentFigureOptions,
         [names["neurons"], names["maps"], interpretation]),
    ):  # fmt: skip
        figure, caption = tmp_path / f"{draw.__name__}.png", tmp_path / f"{draw.__name__}.rst"
        draw(*inputs, figure, caption, options(alignment="cells_s0", dpi=50))
        assert figure.read_bytes().startswith(b"\x89PNG")
        assert "cells\\_s0" in caption.read_text()
    assert "SIMULATED" in (tmp_path / "plot_dina_decoding.rst").read_text()
    assert "24 decoys" in (tmp_path / "plot_dina_interpretation.rst").read_text()


def test_no_test_image_is_trained_on_in_any_fold(sessions, tmp_path):
    with pytest.raises(InputError, match=r"only some images were repeated.* pairs\.folds"):
        read_pairs(sessions[:1], PairOptions(folds=5), 0)
    session = open_store(sessions[0], load=True)
    repeated = session.isel(trial=np.flatnonzero(session["split"].to_numpy() == "test"))
    write_store(tmp_path / "repeated.zarr", repeated, {})
    tested = []
    for fold in range(5):
        (one,) = read_pairs([tmp_path / "repeated.zarr"], PairOptions(folds=5), fold)
        images = {name: set(trials.image.tolist()) for name, trials in one.splits.items()}
        assert not images["train"] & (images["validation"] | images["test"])
        assert not images["validation"] & images["test"]
        seen = one.images[sorted(images["train"])]
        assert (seen.mean().item(), seen.std().item()) == pytest.approx((0, 1), abs=1e-4)
        tested += sorted(images["test"])
    assert sorted(tested) == list(range(440, 470))


@pytest.mark.parametrize("of", ["own", "other"])
def test_a_test_image_that_any_session_trains_on_is_refused(sessions, tmp_path, of):
    session = open_store(sessions[0], load=True)
    images = session["image"].to_numpy().copy()
    images[3] = images[450 if of == "own" else 3]
    changed = session.assign(image=session["image"].copy(data=images))
    if of == "other":
        split = session["split"].to_numpy().copy()
        split[440] = "train"  # a test image of the other session
        changed = changed.assign_coords(split=("trial", split, session["split"].attrs))
        changed = changed.isel(trial=np.r_[:441, 444:560])
    write_store(tmp_path / "changed.zarr", changed, {})
    with pytest.raises(InputError, match="an image of its test trials is one of the train trials"):
        read_pairs([tmp_path / "changed.zarr", *sessions[1:]], PairOptions(), 0)


def test_equal_images_of_two_sessions_are_positives_of_each_other(sessions):
    first, second = same_images(read_pairs(sessions, PairOptions(), 0))
    assert first[440:].tolist() == second[440:].tolist()
    assert not set(first[:440].tolist()) & set(second[:440].tolist())


def test_a_batch_holds_each_image_once_and_averages_its_trials(sessions):
    (one,) = read_pairs(sessions[:1], PairOptions(), 0)
    trials, swapped = one.splits["test"], {**one.splits, "train": one.splits["test"]}
    source = PairSource([replace(one, splits=swapped)], 30, None, seed=0)
    batch = source.batch(5)
    assert sorted(batch.image_id.tolist()) == list(range(440, 470))
    average = trials.averages()
    row = batch.image_id.tolist().index(443)
    assert batch.responses["cells0"][row].numpy() == pytest.approx(
        average.responses[3].numpy(), abs=1e-5
    )
    again = source.batch(5)
    assert (again.images == batch.images).all()
    assert (source.batch(6).image_id != batch.image_id).any()


def test_sessions_without_images_are_named(sessions, tmp_path):
    session = open_store(sessions[0], load=True).drop_vars("image")
    write_store(tmp_path / "blind.zarr", session, {})
    with pytest.raises(InputError, match=r"blind\.zarr: shows no images"):
        read_pairs([tmp_path / "blind.zarr"], PairOptions(), 0)


@pytest.mark.timeout(1200)
def test_two_processes_train_as_one(sessions, two_follow_one):
    """The loss is over the images of both sessions."""
    training = TrainingOptions(
        steps=20, batch_size=24, learning_rate=3e-3, warmup_steps=5, log_every_steps=1
    )
    towers = TowerOptions(scales=[1, 2], width=6, channels=4, dropout=0.0, dim=16, map_px=8)
    names = {"model": "model.safetensors", "config": "model.json", "metrics": "metrics.jsonl"}
    two_follow_one(
        train_dina,
        lambda folder: {
            "sessions": sessions, "state": folder / "state",
            **{key: folder / name for key, name in names.items()},
        },
        TrainDinaOptions(0, PairOptions(), towers, training, 5, CPU),
    )  # fmt: skip
