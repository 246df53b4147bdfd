"""The stage: every format becomes a whole store, bad input leaves nothing behind."""

import json
import shutil
import typing
from pathlib import Path

import numpy as np
import pytest

from workflow_scripts.read_session import Format, ReadSessionOptions, read_session
from workflow_scripts.recordings.sessions import continuous_session
from workflow_scripts.recordings.splits import SplitOptions
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import input_hash
from workflow_scripts.stores.zarr_store import open_store, write_store

RESOURCES = Path(__file__).parents[2] / "resources"
RETINA = RESOURCES / "retina_onken2017"
PARK = RESOURCES / "v1_gratings_park2024" / "230809_mrcuts28_fov4.mat"
SUITE2P = Path(__file__).parent / "data" / "suite2p_1.1"
PARK_OPTIONS = {
    "session_id": "park", "format": "park", "species": "mouse", "area": "V1",
    "window_s": [0.25, 2.0], "split": {"rule": "blocks", "block": 8, "gap": 8},
}  # fmt: skip


def test_park_by_the_command_line(tmp_path):
    arguments = [
        "--recording",
        PARK,
        "--session",
        tmp_path / "s.zarr",
        "--options",
        json.dumps(PARK_OPTIONS),
    ]
    run_stage(read_session, [str(argument) for argument in arguments])
    session = open_store(tmp_path / "s.zarr", load=True)
    assert session["response"].shape == (56, 128)
    assert session.attrs["species"] == "mouse"
    assert session.attrs["stage"] == "read_session"
    assert str(PARK) in session.attrs["inputs"]
    labels = session["split"].to_numpy()
    assert set(labels) == {"train", "validation", "test", "gap"}
    trained = session["response"].to_numpy()[:, labels == "train"]
    np.testing.assert_allclose(session["response_std"], trained.std(axis=1), rtol=1e-5)
    assert session["split_half_r"].notnull().all()


def spike_session(folder):
    """Two units that fire after their own stimulus, 12 stimuli shown 10 times."""
    rng = np.random.default_rng(0)
    stimulus = np.tile(np.arange(12), 10)
    onset_s = 1 + 0.5 * np.arange(120)
    spikes = [
        np.sort(np.concatenate([t + rng.uniform(0, 0.3, 1 + (s * (unit + 1)) % 5)
                                for t, s in zip(onset_s, stimulus, strict=True)]))
        for unit in range(2)
    ]  # fmt: skip
    np.savez(folder / "spikes.npz", unit=np.repeat([0, 1], [len(one) for one in spikes]),
             time=np.concatenate(spikes))  # fmt: skip
    lines = [f"{t}\t{s}" for t, s in zip(onset_s, stimulus, strict=True)]
    (folder / "trials.tsv").write_text("\n".join(["onset_s\tstimulus", *lines]) + "\n")
    np.save(folder / "images.npy", rng.integers(0, 255, (12, 6, 8), np.uint8))
    return stimulus


def test_spike_times_with_trials_and_images(tmp_path):
    stimulus = spike_session(tmp_path)
    read_session(
        tmp_path / "spikes.npz", tmp_path / "s.zarr",
        ReadSessionOptions("spikes", "spike_times", window_s=(0.0, 0.3), bin_s=0.1),
        trials=tmp_path / "trials.tsv", stimuli=tmp_path / "images.npy",
    )  # fmt: skip
    session = open_store(tmp_path / "s.zarr", load=True)
    names = session["stimulus_name"].to_numpy()[session["stimulus_id"].to_numpy()].astype(int)
    np.testing.assert_array_equal(names, stimulus)
    for unit in range(2):
        np.testing.assert_array_equal(session["response"][unit], 1 + (stimulus * (unit + 1)) % 5)
    shown = session["image"].to_numpy()[session["stimulus_id"].to_numpy()[17]]
    np.testing.assert_array_equal(shown[0], np.load(tmp_path / "images.npy")[17 % 12])
    assert "image_mean" in session
    assert session["fev"][0] == pytest.approx(1)


def test_traces_stay_continuous_without_trials(tmp_path):
    read_session(SUITE2P, tmp_path / "s.zarr", ReadSessionOptions("s2p", "suite2p"))
    session = open_store(tmp_path / "s.zarr", load=True)
    assert session["response"].dims == ("unit", "time")
    assert "split" not in session


def test_stores_of_traces_are_cut_into_trials(tmp_path):
    traces = np.random.default_rng(0).random((3, 4000))
    session = continuous_session(traces, np.arange(4000) / 20, response_units="a.u.",
                                 attributes={"session_id": "x"})  # fmt: skip
    write_store(tmp_path / "traces.zarr", session, {"stage": "extract_traces"})
    lines = [f"{10 + k}\t{k % 12}\t{30 * (k % 12)}" for k in range(120)]
    (tmp_path / "t.tsv").write_text("\n".join(["onset_s\tstimulus\tdirection_deg", *lines]) + "\n")
    read_session(
        tmp_path / "traces.zarr", tmp_path / "s.zarr",
        ReadSessionOptions("calcium", "traces", window_s=(0.0, 1.0)), trials=tmp_path / "t.tsv",
    )  # fmt: skip
    cut = open_store(tmp_path / "s.zarr", load=True)
    np.testing.assert_allclose(cut["response"][:, 5], traces[:, 300:320].mean(axis=1), rtol=1e-5)
    assert set(cut["direction_deg"].to_numpy()) == set(range(0, 360, 30))
    assert cut.attrs["session_id"] == "calcium"


def test_equal_input_gives_equal_content(tmp_path):
    for name in ("a.zarr", "b.zarr"):
        read_session(SUITE2P, tmp_path / name, ReadSessionOptions("s2p", "suite2p"))
    assert input_hash(tmp_path / "a.zarr") == input_hash(tmp_path / "b.zarr")


def folder_of(path, name, content):
    (path / name).write_bytes(content)
    return path / name


def cut_park(folder):
    return folder_of(folder, "a.mat", PARK.read_bytes()[:50_000])


OUTLINED = {"outlines": "trials.tsv", "stimuli": "images.npy"}


def nan_trace(folder):
    traces = np.load(folder / "suite2p/spks.npy")
    traces[1, 5] = np.nan
    np.save(folder / "suite2p/spks.npy", traces)
    return folder / "suite2p"


RATE = {"sampling_rate_hz": 30.0}
# name: (recording, format, changed options, changed files, message)
BAD = {
    "missing": (lambda d: d / "none.mat", "park", {}, {}, "no such file"),
    "truncated": (cut_park, "park", {}, {}, "not a readable .mat"),
    "empty": (lambda d: folder_of(d, "a.npz", b""), "spike_times", {}, {}, "not an .npz file"),
    "no trials": (lambda d: d / "spikes.npz", "spike_times", {}, {"trials": None}, "needs the col"),
    "ms": (lambda d: d / "spikes.npz", "spike_times", {"time_unit": "ms"}, {}, "check .* unit"),
    "split": (lambda d: PARK, "park", {"split": SplitOptions("published")}, {}, "no split"),
    "window": (lambda d: PARK, "park", {"window_s": (7.0, 8.0)}, {}, "no bin lies in the window"),
    "rate": (lambda d: d / "suite2p", "suite2p", {}, {}, "give sampling_rate_hz"),
    "nan": (nan_trace, "suite2p", RATE, {}, r"/suite2p: s: response holds NaN"),
    "clock": (lambda d: d / "suite2p", "suite2p", RATE, {}, r"/suite2p: s: the window of trial"),
    "images": (lambda d: d / "spikes.npz", "spike_times", {}, {"stimuli": "few.npy"}, "3 images"),
    "store": (lambda d: d, "traces", {}, {}, "not a finished store"),
    "nwb traces": (cut_park, "nwb_traces", {}, {}, "not a readable NWB file"),
    "nwb units": (cut_park, "nwb_units", {}, {}, "not a readable NWB file"),
    "phy": (lambda d: d, "phy", {}, {}, r"params\.py: not a readable parameter file"),
    "2022": (lambda d: d, "sensorium2022", {}, {}, "no folders data/ and meta/"),
    "2023": (lambda d: d, "sensorium2023", {}, {}, "no folders data/ and meta/"),
    "flashes": (cut_park, "onken_flashes", {}, OUTLINED, r"a\.mat: not a readable \.mat"),
    "no outlines": (cut_park, "onken_flashes", {}, {}, "needs the column outlines"),
    "no movie": (cut_park, "onken_movie", {}, OUTLINED, r"images\.npy: a raw array has no time"),
}


def test_every_format_has_a_recording_that_leaves_nothing_behind():
    assert {case[1] for case in BAD.values()} == set(typing.get_args(Format))


@pytest.mark.parametrize("case", BAD)
def test_bad_input_leaves_nothing_behind(tmp_path, case):
    inputs, results = tmp_path / "inputs", tmp_path / "results"
    inputs.mkdir()
    results.mkdir()
    spike_session(inputs)
    np.save(inputs / "few.npy", np.zeros((3, 4, 4), np.uint8))
    shutil.copytree(SUITE2P, inputs / "suite2p")
    (inputs / "suite2p" / "settings.npy").unlink()
    make, kind, changes, files, message = BAD[case]
    options = ReadSessionOptions("s", kind, **({"bin_s": 0.1} | changes))
    named = {"trials": "trials.tsv"} | files
    files = {key: inputs / name if name else None for key, name in named.items()}
    with pytest.raises(InputError, match=message):
        read_session(make(inputs), results / "s.zarr", options, **files)
    assert list(results.iterdir()) == []


def test_the_retina_of_the_shipped_run(tmp_path):
    read_session(
        RETINA / "spikes" / "NaturalImages1.mat", tmp_path / "s.zarr",
        ReadSessionOptions("retina_images", "onken_flashes", bin_s=0.05),
        stimuli=RETINA / "natural_images.npz",
        outlines=RETINA / "receptivefields" / "NaturalImages1.mat",
    )  # fmt: skip
    session = open_store(tmp_path / "s.zarr", load=True)
    assert session["split_half_corrected_r"].mean() == pytest.approx(0.99, abs=0.005)
    stimulus, split = session["stimulus_id"].to_numpy(), session["split"].to_numpy()
    per_split = [len(set(stimulus[split == name])) for name in ("train", "validation", "test")]
    assert per_split == [42, 6, 12]
