import numpy as np
import pytest
from scipy.stats import pearsonr

from workflow_scripts.analysis.plaid_tuning import plaid_tuning
from workflow_scripts.stores.errors import InputError

DIRECTIONS = np.arange(12) * 30.0


def simulated(n, noise, seed=0):
    """Gratings and plaids of pattern and component cells, full widths of 75–105° at half height."""
    rng = np.random.default_rng(seed)
    peak = rng.uniform(0, 360, (n, 1))
    kappa = np.log(2) / (1 - np.cos(np.deg2rad(rng.uniform(75, 105, (n, 1)) / 2)))

    def tuning(theta):
        return np.exp(kappa * (np.cos(np.deg2rad(theta - peak)) - 1))

    gratings = tuning(DIRECTIONS)
    components = (tuning(DIRECTIONS - 60) + tuning(DIRECTIONS + 60)) / 2

    def measured(curve):
        return curve + noise * rng.normal(size=curve.shape)

    return [(measured(gratings), measured(plaids)) for plaids in (gratings, components)]


def test_simulated_cells_are_classified_right():
    cells = simulated(2000, noise=0.05)
    for (gratings, plaids), name in zip(cells, ("pattern", "component"), strict=True):
        assert (plaid_tuning(gratings, plaids, DIRECTIONS).plaid_class == name).mean() >= 0.95


def test_unrelated_responses_are_unclassified():
    rng = np.random.default_rng(1)
    gratings = simulated(2000, 0.1)[0][0]
    classes = plaid_tuning(gratings, rng.normal(size=gratings.shape), DIRECTIONS).plaid_class
    assert (classes == "unclassified").mean() > 0.75  # the criterion is one-sided p = .1 for each


def test_z_is_the_partial_correlation_of_the_residuals():
    gratings, plaids = simulated(5, 0.3)[1]
    table = plaid_tuning(gratings, plaids, DIRECTIONS)
    for i in range(5):
        component = np.roll(gratings[i], 2) + np.roll(gratings[i], -2)
        residuals = []
        for values in (plaids[i], gratings[i]):  # both without what components explain
            design = np.stack([np.ones(12), component], axis=1)
            residuals.append(values - design @ np.linalg.lstsq(design, values, rcond=None)[0])
        r = pearsonr(*residuals).statistic
        assert table.z_pattern[i] == pytest.approx(np.arctanh(r) * 3, rel=1e-6)
    assert (table.n_plaid_directions == 12).all()


def test_flat_curves_have_no_class_and_grids_must_hold_the_components():
    table = plaid_tuning(np.ones((1, 12)), np.ones((1, 12)), DIRECTIONS)
    assert table.plaid_class[0] == ""
    with pytest.raises(InputError, match="60"):
        plaid_tuning(np.ones((1, 16)), np.ones((1, 16)), np.arange(16) * 22.5)
