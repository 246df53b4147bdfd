"""Phy folders and files of spike times."""

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from workflow_scripts.recordings.readers.phy import read_phy
from workflow_scripts.recordings.readers.spike_times import read_spike_times
from workflow_scripts.recordings.spikes import session_from_spikes
from workflow_scripts.recordings.trials import check_trials
from workflow_scripts.stores.errors import InputError

RATE_HZ = 30_000.0
TRAINS = {3: np.array([0.5, 1.25, 8.0]), 5: np.array([0.25, 2.0]), 8: np.array([1.0])}


@pytest.fixture
def phy(tmp_path):
    """A folder as Kilosort writes it (column vectors) and Phy curates it."""
    unit = np.concatenate([np.full(len(times), unit) for unit, times in TRAINS.items()])
    samples = np.rint(np.concatenate(list(TRAINS.values())) * RATE_HZ).astype(np.uint64)
    order = np.argsort(samples)
    np.save(tmp_path / "spike_times.npy", samples[order, None])
    np.save(tmp_path / "spike_clusters.npy", unit[order].astype(np.int32))
    groups = {"cluster_id": [3, 5, 8, 9], "group": ["good", "good", "mua", "good"]}
    pd.DataFrame(groups).to_csv(tmp_path / "cluster_group.tsv", sep="\t", index=False)
    (tmp_path / "params.py").write_text(
        f"dat_path = r'x.bin'\nn_channels_dat = 4\nsample_rate = {RATE_HZ}\nhp_filtered = False\n"
    )
    return tmp_path


def test_phy_gives_the_good_clusters_in_seconds(phy):
    trains = read_phy(phy)
    assert list(trains.units["unit_id"]) == [3, 5]
    for read, written in zip(trains.times_s, (TRAINS[3], TRAINS[5]), strict=True):
        np.testing.assert_allclose(read, written)
    assert len(read_phy(phy, label="mua").times_s) == 1


def test_a_place_on_the_probe_is_no_depth_below_the_surface(phy):
    """Neuropixels count from the tip, others from the surface; the folder does not say which."""
    np.save(phy / "channel_positions.npy", np.array([[0.0, 10], [0, 20], [0, 30], [0, 40]]))
    templates = np.zeros((9, 5, 4))
    templates[3, 2, 2], templates[5, 1, 0] = -3, 2
    np.save(phy / "templates.npy", templates)
    np.save(phy / "spike_templates.npy", np.load(phy / "spike_clusters.npy"))
    trials = check_trials(pd.DataFrame({"onset_s": [0.5, 1.0], "stimulus": ["a", "b"]}), phy)
    session = session_from_spikes(read_phy(phy), trials, (0.0, 0.5), 0.1, {"session_id": "s"})
    assert np.isnan(session["z_um"]).all()


def test_kilosort_labels_serve_before_curation(phy):
    (phy / "cluster_group.tsv").unlink()
    labels = {"cluster_id": [3, 5, 8], "KSLabel": ["mua", "good", "good"]}
    pd.DataFrame(labels).to_csv(phy / "cluster_KSLabel.tsv", sep="\t", index=False)
    assert list(read_phy(phy).units["unit_id"]) == [5, 8]


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def many_in_a_moment(folder):
    np.save(folder / "spike_times.npy", np.arange(200))
    np.save(folder / "spike_clusters.npy", np.full(200, 3))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "params.py").unlink(), r"params\.py: not a readable parameter file"),
        (lambda f: (f / "params.py").write_text("dat_path = 1\n"), "no line 'sample_rate"),
        (lambda f: (f / "params.py").write_text("sample_rate = 0\n"), "not between 0.1 Hz"),
        (lambda f: (f / "params.py").write_text("sample_rate = open('x')\n"), "no line 'sample_r"),
        (lambda f: cut(f / "spike_times.npy"), r"spike_times\.npy: not a readable numeric"),
        (lambda f: np.save(f / "spike_times.npy", np.arange(4)), "6 entries for 4 spike times"),
        (lambda f: np.save(f / "spike_times.npy", np.linspace(0, 9, 6)), "expected whole samples"),
        (lambda f: np.save(f / "spike_times.npy", np.arange(-1, 5)), "from -1; expected whole"),
        (lambda f: np.save(f / "spike_times.npy", np.ones((6, 2), int)), r"shape \(6, 2\)"),
        (lambda f: np.save(f / "spike_times.npy", np.full(6, np.nan)), "type float64"),
        (many_in_a_moment, r"spike_times\.npy: .*check their unit \(sample_rate in params"),
        (lambda f: (f / "cluster_group.tsv").unlink(), "neither cluster_group.tsv nor"),
        (lambda f: (f / "cluster_group.tsv").write_text("id\tgroup\n3\tgood\n"), "expected col"),
        (lambda f: (f / "cluster_group.tsv").write_text("cluster_id\tgroup\n3\tmua\n"), "labelled"),
        (lambda f: (f / "spike_clusters.npy").unlink(), r"spike_templates\.npy: not a readable"),
    ],
)  # fmt: skip
def test_damaged_phy_folders_are_refused(phy, damage, message):
    damage(phy)
    with pytest.raises(InputError, match=message):
        read_phy(phy)


def test_params_are_never_run(phy):
    path = phy / "params.py"
    path.write_text(path.read_text() + f"open({str(phy / 'made')!r}, 'w').close()\n")
    read_phy(phy)
    assert not (phy / "made").exists()


def flat():
    unit = np.concatenate([np.full(len(times), unit) for unit, times in TRAINS.items()])
    time = np.concatenate(list(TRAINS.values()))
    order = np.random.default_rng(0).permutation(len(time))
    return unit[order], time[order]


def write_npy(path, scale=1.0):
    np.save(path.with_suffix(".npy"), np.column_stack(flat()) * [1, scale])
    return path.with_suffix(".npy")


def write_npz(path, scale=1.0):
    unit, time = flat()
    np.savez(path.with_suffix(".npz"), unit=unit, time=time * scale)
    return path.with_suffix(".npz")


def write_mat(path, scale=1.0):
    cells = np.empty((3, 1), object)
    cells[:, 0] = [times * scale for times in TRAINS.values()]
    savemat(path.with_suffix(".mat"), {"spike_times": cells})
    return path.with_suffix(".mat")


def write_mat73(path, scale=1.0):
    """As MATLAB's ``save -v7.3`` does: cells are references to transposed data sets."""
    with h5py.File(path.with_suffix(".mat"), "w", userblock_size=512) as file:
        references = np.empty((1, 3), h5py.ref_dtype)
        for number, times in enumerate(TRAINS.values()):
            file[f"#refs#/{number}"] = times[None] * scale
            file[f"#refs#/{number}"].attrs["MATLAB_class"] = np.bytes_("double")
            references[0, number] = file[f"#refs#/{number}"].ref
        file.create_dataset("spike_times", data=references, dtype=h5py.ref_dtype)
        file["spike_times"].attrs["MATLAB_class"] = np.bytes_("cell")
    return path.with_suffix(".mat")


@pytest.mark.parametrize("write", [write_npy, write_npz, write_mat, write_mat73])
@pytest.mark.parametrize("unit", ["s", "ms"])
def test_spike_times_of_every_format(tmp_path, write, unit):
    path = write(tmp_path / "spikes", {"s": 1.0, "ms": 1000.0}[unit])
    trains = read_spike_times(path, unit)
    for read, written in zip(trains.times_s, TRAINS.values(), strict=True):
        np.testing.assert_allclose(read, written)


def many_in_milliseconds(path):
    np.save(path / "a.npy", np.column_stack([np.zeros(5000), np.arange(5000) * 0.0002]))
    return path / "a.npy"


def changed_header(path):
    np.save(path / "a.npy", np.ones((4, 2)))
    content = (path / "a.npy").read_bytes()
    (path / "a.npy").write_bytes(content.replace(b"(4, 2), }", b"(4, 2), ("))
    return path / "a.npy"


def truncated_mat(path):
    file = write_mat(path / "spikes")
    cut(file)
    return file


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "none.npy", "no such file"),
        (lambda d: (d / "a.csv").write_text("1,2") and d / "a.csv", "ending '.csv'"),
        (lambda d: np.save(d / "a.npy", np.ones((4, 3))) or d / "a.npy", r"shape \(4, 3\)"),
        (lambda d: np.save(d / "a.npy", np.array([[0, np.nan]])) or d / "a.npy", "NaN, infinite"),
        (lambda d: np.save(d / "a.npy", np.array([[0.5, 1]])) or d / "a.npy", "columns swapped"),
        (lambda d: np.save(d / "a.npy", np.array([[1, -2.0]])) or d / "a.npy", "negative"),
        (lambda d: np.save(d / "a.npy", np.array([{}, 1], object)) or d / "a.npy", "arrays"),
        (lambda d: np.savez(d / "a.npz", time=[1.0]) or d / "a.npz", "with 'unit' and 'time'"),
        (lambda d: np.savez(d / "a.npz", unit=[1, 2], time=[1.0]) or d / "a.npz", "one per spike"),
        (lambda d: savemat(d / "a.mat", {"x": 1}) or d / "a.mat", "no variable 'spike_times'"),
        (lambda d: savemat(d / "a.mat", {"spike_times": [1.0]}) or d / "a.mat", "no cell array"),
        (lambda d: (d / "a.mat").write_bytes(b"MATLAB") and d / "a.mat", "not a readable"),
        (truncated_mat, "not a readable"),
        (changed_header, r"not a readable numeric \.npy file"),
        (many_in_milliseconds, "check their unit"),
    ],
)  # fmt: skip
def test_unusable_spike_times_are_refused(tmp_path, make, message):
    path = make(tmp_path)
    with pytest.raises(InputError, match=message):
        read_spike_times(path)
