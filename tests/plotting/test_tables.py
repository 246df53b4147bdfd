"""Sortable tables: what a page says, and what a click in a real browser does to it."""

import math
from html.parser import HTMLParser

import pytest

from workflow_scripts.plotting.tables import Page, Table, WithInterval, shown, write_page

HOSTILE = "<script>document.title = 'ran'</script>"
ROWS = [
    {"layer": "layer10", "n": 9, "r": WithInterval(0.1234, 0.05, 0.2), "note": HOSTILE},
    {"layer": "layer2", "n": 120, "r": WithInterval(-0.5, -0.9, -0.1), "note": "a & b"},
    {"layer": "layer1", "n": 10, "r": WithInterval(None, None, None)},
    {"layer": "layer1", "n": 1000, "r": WithInterval(12.0, 11.0, 13.0), "q": 2e-7},
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "table.html"
    tables = [Table("First", HOSTILE, ROWS), Table("Second", "", ROWS[:2]), Table("None", "", [])]
    write_page(path, Page(f"Tables {HOSTILE}", "**Tables.**", tables))
    return path


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (0.75606, "0.756"), (1674.8, "1675"), (24.04, "24.0"), (-0.002, "-0.00200"), (0.0, "0.00"),
        (3.2e-7, "3.2e-07"), (17, "17"), (None, "–"), (math.nan, "–"), ("0.10", "0.10"),
        (WithInterval(86.91, 64.83, 100.03), "86.9 [64.8, 100.0]"),
        (WithInterval(0.00521, -0.20367, 0.2141), "0.005 [-0.204, 0.214]"),
        (WithInterval(0.0, 0.0, math.nan), "0.00 [0.00, –]"),
    ],
)  # fmt: skip
def test_cells_are_read_by_people(cell, text):
    assert shown(cell) == text


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.opened = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.opened.append((tag, dict(attrs)))


def test_text_is_escaped_and_nothing_is_fetched(page):
    tags = Tags(page.read_text()).opened
    assert [tag for tag, _ in tags].count("script") == 1
    assert not any({"src", "href"} & attributes.keys() for _, attributes in tags)


class Sorted:
    """The first table as a person sees it."""

    def __init__(self, browser, page):
        self.page, self.requests = browser.new_page(), []
        self.page.set_default_timeout(120_000)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(page.as_uri())
        self.section = self.page.locator("section").first

    def click(self, column):
        self.section.get_by_role("button", name=column, exact=True).click()
        return self.column(column)

    def column(self, name):
        place = self.section.locator("th").all_text_contents().index(name)
        rows = self.section.locator("tbody tr:visible").all()
        return [row.locator("td").nth(place).text_content() for row in rows]


@pytest.fixture
def table(chromium, page):
    return Sorted(chromium, page)


def test_a_click_sorts_numbers_as_numbers_and_another_turns_them(table):
    assert table.click("n") == ["9", "10", "120", "1000"]
    assert table.click("n") == ["1000", "120", "10", "9"]
    assert table.section.locator("th[aria-sort=descending]").all_text_contents() == ["n"]


def test_estimates_are_sorted_by_value_and_what_is_missing_stays_last(table):
    rising = ["-0.500 [-0.900, -0.100]", "0.123 [0.050, 0.200]", "12.0 [11.0, 13.0]"]
    assert table.click("r") == [*rising, "–"]
    assert table.click("r") == [*rising[::-1], "–"]
    assert table.click("q")[0] == table.click("q")[0] == "2.0e-07"


def test_names_are_sorted_with_their_numbers(table):
    assert table.click("layer") == ["layer1", "layer1", "layer2", "layer10"]


def test_words_leave_the_rows_that_have_them_all(table):
    table.section.get_by_role("searchbox").fill("LAYER1 [0.050")
    assert table.column("n") == ["9"]
    assert table.section.locator("output").text_content() == "1 of 4 rows"
    assert table.page.locator("section").nth(1).locator("tbody tr:visible").count() == 2


def test_a_wide_table_scrolls_in_its_place_under_its_heads(chromium, tmp_path):
    rows = [{f"column {c}": "a_word" * 3 for c in range(20)} for _ in range(200)]
    write_page(tmp_path / "wide.html", Page("Wide", "", [Table("Wide", "", rows)]))
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    page.goto((tmp_path / "wide.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
    page.locator(".scrolled").evaluate("one => one.scrollTo(500, 900)")
    frame = page.locator(".scrolled").bounding_box()
    corner = page.locator("th").first.bounding_box()
    below = page.locator("tbody tr").nth(100).locator("td").first.bounding_box()
    assert (corner["x"], corner["y"], below["x"]) == (frame["x"], frame["y"], frame["x"])


def test_what_a_cell_says_does_not_run(table, page):
    assert table.page.title() == f"Tables {HOSTILE}"
    assert table.click("note") == [HOSTILE, "a & b", "–", "–"]
    assert table.requests == [page.as_uri()]
