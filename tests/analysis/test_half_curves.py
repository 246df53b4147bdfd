import itertools

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workflow_scripts.analysis.half_curves import read_half_curves
from workflow_scripts.analysis.permutation import permuted_sd
from workflow_scripts.analysis.tuning import split_half_tuning
from workflow_scripts.stores.errors import InputError


def test_permuted_sd_is_that_of_all_orders():
    values = np.random.default_rng(0).gamma(2, size=(3, 4, 2))
    orders = list(itertools.permutations(range(4)))
    means = np.array(
        [
            (values[:, first, 0] + values[:, second, 1]) / 2
            for first, second in itertools.product(orders, orders)
        ]
    )  # (order, unit, direction)
    np.testing.assert_allclose(means.std(axis=0), np.tile(permuted_sd(values)[:, None], 4))
    halves = permuted_sd(values[..., :1], values[..., 1:])
    np.testing.assert_allclose(halves, permuted_sd(values))


@pytest.fixture
def store():
    rng = np.random.default_rng(1)
    directions = np.arange(0, 360, 45.0)
    conditions = pd.DataFrame(
        [("blank", np.nan, np.nan)]
        + [("drifting_grating", cpd, d) for cpd in (0.5, 1.0) for d in directions],
        columns=["family", "spatial_frequency_cpd", "direction_deg"],
    )
    units = pd.DataFrame({"layer": ["a"] * 4 + ["b"] * 4, "channel": [0, 0, 1, 1] * 2,
                          "row": [0, 1] * 4, "column": 0})  # fmt: skip
    coords = {name: ("unit", units[name].to_numpy()) for name in units}
    coords |= {name: ("condition", conditions[name].to_numpy()) for name in conditions}
    response = rng.gamma(2, size=(len(units), len(conditions), 6)).astype("f4")
    return xr.Dataset({"response": (("unit", "condition", "repeat"), response)}, coords), units


def test_curves_are_those_of_the_tuning_table_in_the_order_asked_for(store, tmp_path):
    dataset, units = store
    chosen = units.iloc[[6, 1, 3]]
    measured = read_half_curves(dataset, chosen, tmp_path)
    blank = dataset.response.to_numpy()[:, 0].mean(axis=1)[:, None, None, None]
    values = dataset.response.to_numpy()[:, 1:].reshape(8, 2, 8, 6) - blank
    table = split_half_tuning(values, measured.directions_deg).iloc[[6, 1, 3]]
    expected = table.filter(regex="^response_at_").to_numpy()
    np.testing.assert_allclose(measured.curves.mean(axis=1), expected, atol=1e-6)


def test_a_unit_that_is_not_there_is_an_error(store, tmp_path):
    dataset, units = store
    with pytest.raises(InputError, match="lacks units"):
        read_half_curves(dataset, units.assign(row=7), tmp_path)
