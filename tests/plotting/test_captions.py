import math

import pytest
from docutils.core import publish_doctree

from workflow_scripts.plotting.captions import (
    interval,
    listed,
    number,
    p_value,
    span,
    table,
    write_caption,
)


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0004, "p < .001"), (0.001, "p = .001"), (0.0116, "p = .012"), (0.5, "p = .500"),
     (1.0, "p = 1.000"), (10 / 1001, "p = .00999"), (0.0499, "p = .0499"), (0.05, "p = .050"),
     (0.0101, "p = .010"), (None, "p = –"), (math.nan, "p = –")],
)  # fmt: skip
def test_p_values(p, text):
    assert p_value(p) == text


def test_numbers_carry_intervals_and_units():
    assert interval(77.04, 66, 88.96, 1, "°") == "77.0° [66.0, 89.0]"
    assert interval(None, None, math.nan, 1, "°") == "–"
    assert interval(77.04, math.nan, None, 1, "°") == "77.0°"
    assert interval(77.04, 66, None, 1, "°") == "77.0° [66.0, –]"
    assert number(-0.126) == "-0.13"


def test_spans():
    assert span([3, 1, 2], unit=" mm") == "1–3 mm"
    assert span([1.001, 1.002], 2) == "1.00"
    assert span([math.nan]) == "–"


def test_lists():
    assert [listed(["a", "b", "c"][:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]


def test_a_table_shows_markup_signs_as_they_are(tmp_path):
    cells = ["|z| of *x*", "full_s0_", "`code` \\", "<b>", "a_b_"]
    path = tmp_path / "caption.rst"
    write_caption(path, "**Title.** Text.", table("a|b|", ["A", "B", "C", "D", "E"], [cells]))
    tree = publish_doctree(
        path.read_text(), settings_overrides={"report_level": 1, "halt_level": 2}
    )
    found = [entry.astext() for entry in tree.findall() if entry.tagname == "entry"]
    assert found == ["A", "B", "C", "D", "E", *cells]
    assert next(n for n in tree.findall() if n.tagname == "title").astext() == "a|b|"
