import numpy as np
import pytest
from scipy.io import savemat

from workflow_scripts.recordings.retina_simulator import draw_cells, firing_rate
from workflow_scripts.recordings.splits import SplitOptions
from workflow_scripts.simulate_retina import SimulateRetinaOptions, simulate_retina
from workflow_scripts.stores.zarr_store import open_store

SIZE, RATE_HZ = 40, 30.0


def discs(n=12, radius=4.0, seed=0):
    rng, (y, x) = np.random.default_rng(seed), np.mgrid[:SIZE, :SIZE]
    rows, columns = rng.uniform(10, 30, (2, n))
    return np.stack(
        [(y - r) ** 2 + (x - c) ** 2 < radius**2 for r, c in zip(rows, columns, strict=True)]
    )


@pytest.fixture(scope="module")
def cells():
    return draw_cells(discs(), RATE_HZ, np.random.default_rng(0))


@pytest.fixture(scope="module")
def movie():
    rng = np.random.default_rng(1)
    blocks = rng.integers(0, 256, (300, SIZE // 4, SIZE // 4))
    return np.kron(blocks, np.ones((1, 4, 4))).astype(np.uint8)


def test_rates_depend_on_the_past_only(cells, movie):
    rate = firing_rate(cells, movie)
    for changed_at in (40, 133, 298):
        changed = movie.copy()
        changed[changed_at:] = 255 - changed[changed_at:]
        after = firing_rate(cells, changed)
        np.testing.assert_allclose(after[:, :changed_at], rate[:, :changed_at], atol=1e-4)
        assert np.abs(after[:, changed_at:] - rate[:, changed_at:]).max() > 1


def test_memory_is_as_long_as_the_kernel(cells, movie):
    n_lags = cells.kernel.shape[1]
    changed = movie.copy()
    changed[100] = 0
    difference = np.abs(firing_rate(cells, changed) - firing_rate(cells, movie)).max(axis=0)
    assert (difference[:100] < 1e-3).all()
    assert difference[100 : 100 + n_lags].max() > 1
    assert (difference[100 + n_lags :] < 1e-3).all()


def test_rates_are_those_of_a_retina(cells, movie):
    rate = firing_rate(cells, movie)
    assert (rate >= 0).all()
    assert 1 < rate.mean() < 60
    assert np.quantile(rate, 0.99) > 20


def test_off_cells_answer_darkening_and_on_cells_lightening(cells):
    step = np.full((60, SIZE, SIZE), 128, np.uint8)
    step[30:] = 40
    down, up = firing_rate(cells, step), firing_rate(cells, 255 - step)
    off = cells.polarity < 0
    assert off.any()
    assert (~off).any()
    first = slice(30, 35)  # before the rebound of the other cells
    for rate, preferred in ((down, off), (up, ~off)):
        peak = rate[:, first].max(axis=1)
        assert peak[preferred].min() > 3 * peak[~preferred].max()


def test_a_grating_at_its_null_phase_drives_them_twice_per_cycle(cells):
    """As Y cells: subunits rectify before they are pooled, which no linear filter imitates."""
    x, turn = np.arange(SIZE), 2 * np.pi * np.arange(180) / 30
    once, twice = [], []
    for null in np.arange(8) * np.pi / 8:
        wave = np.sin(2 * np.pi * x / 8 + null)[None, None] * np.sin(turn)[:, None, None]
        frames = np.rint(127.5 + 120 * np.broadcast_to(wave, (180, SIZE, SIZE))).astype(np.uint8)
        power = np.abs(np.fft.rfft(firing_rate(cells, frames)[:, 60:], axis=1)) ** 2
        once.append(power[:, 4])
        twice.append(power[:, 8])
    quietest = np.argmin(once, axis=0)
    at = quietest, np.arange(len(quietest))
    assert np.median(np.array(twice)[at] / np.array(once)[at]) > 5


def test_receptive_fields_lie_at_their_outlines(cells, movie):
    masks = discs()
    y, x = np.mgrid[:SIZE, :SIZE]
    for cell in range(3):
        centre = np.argwhere(masks[cell]).mean(axis=0)
        near = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < 6**2
        inside, outside = movie.copy(), movie.copy()
        inside[:, near], outside[:, ~near] = 128, 128
        rate = firing_rate(cells, movie)[cell]
        without, alone = firing_rate(cells, inside)[cell], firing_rate(cells, outside)[cell]
        assert np.corrcoef(rate, alone)[0, 1] > 0.8
        assert without.std() < 0.2 * rate.std()


@pytest.fixture
def recording(tmp_path, write_video):
    rng = np.random.default_rng(2)
    frames = np.kron(rng.integers(0, 256, (310, 9, 9)), np.ones((1, 10, 10))).astype(np.uint8)
    outlines = np.empty((1, 5), object)
    angle = np.linspace(0, 2 * np.pi, 60)
    for cell in range(5):
        x, y = 388 + rng.uniform(-90, 90), 304 + rng.uniform(-90, 90)
        outlines[0, cell] = np.stack([x + 25 * np.cos(angle), y + 25 * np.sin(angle)])
    savemat(tmp_path / "outlines.mat", {"ReceptiveFields": outlines})
    return write_video("movie.mkv", frames), tmp_path / "outlines.mat"


def options(**changes):
    split = SplitOptions(rule="blocks", block=1.0, gap=0.0)
    return SimulateRetinaOptions(
        **({"session_id": "sim_movie1", "n_repeats": 40, "split": split} | changes)
    )


def test_the_stage_writes_a_session_with_its_truth(recording, tmp_path):
    simulate_retina(*recording, tmp_path / "s.zarr", options())
    session = open_store(tmp_path / "s.zarr", load=True)
    assert session["time_course"].shape == (5, 10 * 40, 30)
    np.testing.assert_allclose(session["onset_s"], np.arange(10.0), atol=1e-6)
    counts = session["time_course"].to_numpy().reshape(5, 10, 40, 30)
    expected = session["truth_rate"].to_numpy() / 30
    residual = (counts.mean(axis=2) - expected) / np.sqrt(expected / 40 + 1e-9)
    seen = expected > 0.02
    assert residual[seen].mean() == pytest.approx(0, abs=0.1)
    assert residual[seen].std() == pytest.approx(1, abs=0.1)
    assert session.attrs["truth"] == "simulated"
    assert set(session["split"].to_numpy()) == {"train", "validation", "test"}
    assert (session["ceiling_average_r"] > 0.8).all()


def test_one_retina_sees_two_movies_with_other_noise(recording, tmp_path):
    for name in ("a", "b"):
        simulate_retina(*recording, tmp_path / name, options(session_id=name))
    first, second = (open_store(tmp_path / name, load=True) for name in ("a", "b"))
    np.testing.assert_array_equal(first["truth_kernel"], second["truth_kernel"])
    np.testing.assert_array_equal(first["truth_rate"], second["truth_rate"])
    assert (first["response"].to_numpy() != second["response"].to_numpy()).any()
