"""The same seeds and torch threads give the same results, however many jobs run side by side."""

import pytest

pytestmark = [pytest.mark.faults, pytest.mark.timeout(7200)]


def test_the_small_study_is_the_same_with_one_core_and_with_two(
    finished_study, small_study, tmp_path
):
    again = small_study(tmp_path / "two cores", "--cores", "2")
    again.run()
    assert again.hashes() == finished_study.hashes()
