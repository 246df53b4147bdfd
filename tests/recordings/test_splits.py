import numpy as np
import pytest

from workflow_scripts.recordings.splits import SplitOptions, split_by_stimulus, split_in_blocks
from workflow_scripts.stores.errors import InputError


def test_no_stimulus_is_in_two_splits():
    stimulus = np.random.default_rng(0).permutation(np.repeat(np.arange(60), 30))
    labels = split_by_stimulus(stimulus, SplitOptions())
    for one in range(60):
        assert len(set(labels[stimulus == one])) == 1
    per_stimulus = [labels[stimulus == one][0] for one in range(60)]
    assert {name: per_stimulus.count(name) for name in set(per_stimulus)} == {
        "train": 42, "validation": 6, "test": 12,
    }  # fmt: skip


def test_repeated_stimuli_are_the_test_split():
    stimulus = np.concatenate([np.arange(100), np.repeat(np.arange(100, 110), 10)])
    labels = split_by_stimulus(stimulus, SplitOptions())
    assert (labels[100:] == "test").all()
    assert "test" not in labels[:100]
    assert (labels == "validation").sum() == 10


def test_folds_test_every_stimulus_once():
    stimulus = np.arange(60)
    tested = [split_by_stimulus(stimulus, SplitOptions(fold=k)) == "test" for k in range(5)]
    np.testing.assert_array_equal(np.sum(tested, axis=0), 1)


def test_the_seed_draws_the_split():
    first, again, other = (
        split_by_stimulus(np.arange(50), SplitOptions(seed=s)) for s in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_too_few_stimuli_or_folds_are_refused():
    with pytest.raises(InputError, match="no trial is left for"):
        split_by_stimulus([0, 1, 0, 1], SplitOptions())
    with pytest.raises(
        InputError, match=r"fold 5 does not exist; a test share of 0.2 makes 5 folds"
    ):
        split_by_stimulus(np.arange(50), SplitOptions(fold=5))


@pytest.mark.parametrize("fold", range(5))
def test_blocks_stay_whole_and_apart(fold):
    # The Park design: 16 cycles of 8 directions.
    trial = np.arange(128)
    options = SplitOptions(rule="blocks", block=8, gap=8, fold=fold)
    labels = split_in_blocks(trial, options)
    for cycle in range(16):
        assert len(set(labels[cycle * 8 : cycle * 8 + 8]) - {"gap"}) <= 1
    for one, other in (("train", "test"), ("train", "validation"), ("validation", "test")):
        distance = np.abs(np.subtract.outer(trial[labels == one], trial[labels == other]))
        assert distance.min() >= 8
    # The test part is never thinned out by gaps.
    assert (labels == "test").sum() % 8 == 0


def test_block_folds_test_every_trial_once():
    options = [SplitOptions(rule="blocks", block=8, gap=2, fold=k) for k in range(5)]
    tested = [split_in_blocks(np.arange(128), one) == "test" for one in options]
    np.testing.assert_array_equal(np.sum(tested, axis=0), 1)


def test_blocks_in_seconds_use_the_positions_not_the_order():
    onset_s = 3.8 + 0.8 * np.repeat(np.arange(45), 30)
    shuffled = np.random.default_rng(0).permutation(len(onset_s))
    options = SplitOptions(rule="blocks", block=2.4, gap=1.5)
    labels = split_in_blocks(onset_s, options)
    np.testing.assert_array_equal(split_in_blocks(onset_s[shuffled], options), labels[shuffled])
    nearest = np.abs(np.subtract.outer(onset_s[labels == "train"], onset_s[labels == "test"])).min()
    assert nearest >= 1.5


def test_without_gap_no_trial_is_lost():
    labels = split_in_blocks(np.arange(100), SplitOptions(rule="blocks", block=5))
    assert "gap" not in labels


def test_gaps_that_leave_nothing_are_refused():
    with pytest.raises(InputError, match=r"no trial is left for (train|validation).*gaps of 100"):
        split_in_blocks(np.arange(128), SplitOptions(rule="blocks", block=8, gap=100))
