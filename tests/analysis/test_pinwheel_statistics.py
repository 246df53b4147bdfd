import numpy as np
import pandas as pd
import pytest

from workflow_scripts.analysis.maps import find_pinwheels
from workflow_scripts.analysis.pinwheel_statistics import (
    count_exponent,
    count_variance,
    nearest_neighbours,
)
from workflow_scripts.stores.errors import InputError


def lattice(step, n=12):
    """Signs alternate like the fields of a chessboard."""
    row, column = (i.ravel() for i in np.indices((n, n)))
    sign = np.where((row + column) % 2, 1, -1)
    return pd.DataFrame({"row": row * step + 10, "column": column * step + 10, "sign": sign})


def test_neighbours_on_a_chessboard():
    distances = nearest_neighbours(lattice(10.0))
    assert (distances.opposite == 10).all()
    assert distances.same.to_numpy() == pytest.approx(10 * np.sqrt(2))
    assert (distances["any"] == 10).all()


def test_neighbours_that_do_not_exist_are_nan():
    two = pd.DataFrame({"row": [0.0, 3.0], "column": [0.0, 4.0], "sign": [1, 1]})
    distances = nearest_neighbours(two)
    assert distances.same.tolist() == [5, 5]
    assert distances.opposite.isna().all()
    assert nearest_neighbours(two.iloc[:0]).empty


def test_random_places_have_the_neighbours_and_the_variance_of_poisson():
    rng = np.random.default_rng(0)
    n, density = 700, 0.01
    places = rng.uniform(0, n - 1, (2, round(density * n**2)))
    pinwheels = pd.DataFrame({
        "row": places[0], "column": places[1], "sign": rng.choice([-1, 1], places.shape[1]),
    })  # fmt: skip
    distances = nearest_neighbours(pinwheels)
    assert distances["any"].mean() == pytest.approx(0.5 / np.sqrt(density), rel=0.03)
    assert distances.same.mean() == pytest.approx(0.5 / np.sqrt(density / 2), rel=0.03)
    counts = count_variance(pinwheels, np.ones((n, n), bool), [10, 20, 40])
    assert counts["mean"].to_numpy() == pytest.approx(
        density * counts.area_px2.to_numpy(), rel=0.03
    )
    assert counts.sd.to_numpy() == pytest.approx(np.sqrt(counts["mean"].to_numpy()), rel=0.1)
    assert count_exponent(counts) == pytest.approx(0.5, abs=0.06)


def test_a_lattice_varies_less_than_poisson():
    pinwheels = lattice(12.0, n=30)
    counts = count_variance(pinwheels, np.ones((370, 370), bool), [20, 40, 80])
    assert (counts.sd < 0.4 * np.sqrt(counts["mean"])).all()


def test_counts_in_discs_agree_with_counting_one_by_one(ring_field):
    z = ring_field(64, 16.0, 0.2, seed=3).z
    roi = np.hypot(*(np.indices((64, 64)) - 31.5)) < 28
    pinwheels = find_pinwheels(z, roi)
    place = np.rint(pinwheels[["row", "column"]].to_numpy())
    counts = []
    for centre in np.argwhere(roi):
        disc = np.argwhere(np.ones((120, 120))) - 60 + centre
        disc = disc[np.hypot(*(disc - centre).T) <= 7]
        within = ((disc >= 0) & (disc < 64)).all(axis=1)
        if within.all() and roi[tuple(disc.T)].all():
            counts.append((np.hypot(*(place - centre).T) <= 7).sum())
    measured = count_variance(pinwheels, roi, [7]).iloc[0]
    assert measured["mean"] == pytest.approx(np.mean(counts), rel=0.02)
    assert measured.sd == pytest.approx(np.std(counts), rel=0.03)


def test_discs_that_do_not_fit_are_not_counted():
    counts = count_variance(lattice(5.0, n=3), np.ones((30, 30), bool), [8, 40])
    assert np.isfinite(counts["mean"][0])
    assert np.isnan(counts["mean"][1])
    assert np.isnan(count_exponent(counts))
    with pytest.raises(InputError, match="radius"):
        count_variance(lattice(5.0), np.ones((30, 30), bool), [0.2])
