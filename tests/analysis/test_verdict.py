import math

import numpy as np
import pytest

from workflow_scripts.analysis.networks import Method, Network, NetworkMap
from workflow_scripts.analysis.verdict import MeasuredMap, judge
from workflow_scripts.plotting.verdicts import sentence


def near(p, index=0.1, se=0.01, null=90.0):
    half_width = 1.96 * se * null
    mean = (1 - index) * null
    return {"p": p, "mean_deg": mean, "low_deg": mean - half_width, "high_deg": mean + half_width,
            "null_mean_deg": null, "smoothness_index": index}  # fmt: skip


def measured(
    role, seed, p, variant=None, comparison=None, method: Method = "optimised", **values
) -> MeasuredMap:
    alpha = 8.0 if role == "spatial" else 0.0
    variant = variant or ("full" if alpha else "alpha0")
    network = Network(f"{variant}_s{seed}", alpha, 100, 1024)
    of_map = NetworkMap(comparison or variant, network, f"{method}_s{seed}", role, method=method)
    statistics = {"near": near(p, **values)}
    return MeasuredMap(of_map, {"layer2": {"direction": statistics, "axis": statistics}})


def study(p, source_index=0.0, source_p=0.3, control_p=(0.5, 0.5, 0.5), index=0.1, se=0.01):
    maps = []
    for seed, (own, control) in enumerate(zip(p, control_p, strict=False)):
        maps += [
            measured("spatial", seed, own, index=index, se=se),
            measured("source", seed, source_p, index=source_index, se=se),
            measured("control", seed, control, comparison="other_seed"),
        ]
    return maps


@pytest.mark.parametrize(
    ("maps", "level"),
    [
        (study([0.001, 0.005, 0.009]), "present"),
        (study([0.001, 0.005]), "suggested"),  # no claim from two seeds
        (study([0.001, 0.005, 0.009], source_index=0.095), "suggested"),
        (study([0.001, 0.001, 0.02]), "inconsistent"),
        (study([0.02, 0.2, 0.8]), "absent"),
        (study([0.001] * 3, control_p=[0.5, 0.5, 0.001]), "not beyond controls"),
        (study([0.001] * 3, control_p=[0.04, 0.6, 0.9]), "present"),  # one in twenty will
        (study([0.001] * 3, source_index=0.05, source_p=0.001), "present"),
        (study([0.001] * 3, source_index=0.095, source_p=0.01), "not beyond controls"),
        (study([0.001] * 3, source_index=0.2, source_p=0.001), "not beyond controls"),
        (study([0.001, None, 0.001]), "not measured"),
        (study([0.001] * 3, source_p=None), "not measured"),
        ([one for one in study([0.001] * 3) if one.of.role != "control"], "suggested"),
        # the decisive control is missing: of all seeds, of one, and where there is none to miss
        ([one for one in study([0.001] * 3) if one.of.role != "source"], "not measured"),
        (study([0.001] * 3)[:-2], "not measured"),
        ([measured("spatial", seed, 0.001, method="random") for seed in range(3)], "suggested"),
    ],
)
def test_levels(maps, level):
    (verdict,) = judge(maps)
    assert verdict.level == level
    assert f"full in layer2: {level};" in sentence(verdict)


def test_positions_that_know_the_answer_are_said_to():
    maps = [
        measured(role, seed, p, method="gratings")
        for role, p in (("spatial", 0.001), ("source", 0.3)) for seed in range(3)
    ]  # fmt: skip
    (verdict,) = judge(maps)
    assert "full (a control: its positions were made of responses to gratings) in" in sentence(
        verdict
    )
    assert maps[3].of.label != measured("source", 0, 0.3).of.label


def test_the_difference_to_the_same_positions_has_the_standard_error_of_its_parts():
    (verdict,) = judge(study([0.001] * 3, source_index=0.03, index=0.1, se=0.02))
    difference = verdict.beyond_same_positions
    assert difference is not None
    standard_error = math.sqrt(6 * 0.02**2) / 3
    np.testing.assert_allclose(difference.mean, 0.07)
    np.testing.assert_allclose(difference.high - difference.mean, 1.96 * standard_error)
    np.testing.assert_allclose(difference.mean - difference.low, 1.96 * standard_error)


def test_one_seed_in_three_makes_no_map():
    maps = []
    for seed, index in enumerate((0.60, 0.05, 0.05)):  # each ± .10, so .23 ± .08 over channels
        maps += [
            measured("spatial", seed, 0.001, index=index, se=0.1 / 1.96 / math.sqrt(2)),
            measured("source", seed, 0.3, index=0.0, se=0.1 / 1.96 / math.sqrt(2)),
            measured("control", seed, 0.5, comparison="other_seed"),
        ]
    (verdict,) = judge(maps)
    assert verdict.level == "suggested"
    difference = verdict.beyond_same_positions
    assert difference is not None
    t = 4.3027  # of two degrees of freedom
    half_width = t * np.std([0.60, 0.05, 0.05], ddof=1) / math.sqrt(3)
    np.testing.assert_allclose(difference.high - difference.mean, half_width, rtol=1e-4)
    assert difference.low < 0


def test_the_difference_of_seeds_without_a_map_is_seldom_above_zero():
    """Seeds that differ by more than their channels tell leave 0 below in 2.5 % of studies."""
    rng = np.random.default_rng(0)
    lows = []
    for indices in rng.normal(0, 0.2, size=(2000, 3)):
        pairs = [
            (measured("spatial", seed, 0.001, index=index), measured("source", seed, 0.3, index=0))
            for seed, index in enumerate(indices)
        ]
        (verdict,) = judge([one for pair in pairs for one in pair])
        assert verdict.beyond_same_positions is not None
        lows.append(verdict.beyond_same_positions.low)
    assert np.mean(np.array(lows) > 0) < 0.025 + 4 * math.sqrt(0.025 * 0.975 / 2000)


def test_the_p_values_of_controls_are_combined_after_fisher():
    (verdict,) = judge(study([0.001, 0.001], control_p=[0.1, 0.2]))
    statistic = -2 * math.log(0.1 * 0.2)
    # survival function of χ² with four degrees of freedom
    expected = math.exp(-statistic / 2) * (1 + statistic / 2)
    np.testing.assert_allclose(verdict.control_p["other_seed"], expected)


def test_every_variant_with_a_spatial_loss_is_judged_and_no_other():
    maps = [*study([0.001] * 3), measured("spatial", 0, 0.9, variant="warm_start")]
    verdicts = {one.variant: one.level for one in judge(maps, "axis")}
    assert verdicts == {"full": "present", "warm_start": "absent"}
