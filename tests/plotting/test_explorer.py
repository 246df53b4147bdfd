"""The explorer in a real browser: what a click shows is what the stores hold."""

import re
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_doctree

from workflow_scripts.analysis.conditions import UNIT
from workflow_scripts.analysis.half_curves import read_half_curves
from workflow_scripts.analysis.networks import read_tuning
from workflow_scripts.explore_maps import ExploreMapsOptions, explore_maps
from workflow_scripts.plotting.explorer_data import ROLES, quantised, scaled
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_table, write_json, write_table
from workflow_scripts.stores.zarr_store import open_store

# One browser and one study for all, on a machine that may be busy.
pytestmark = [pytest.mark.timeout(900)]


class Explored(NamedTuple):
    """The planted study with what else the page needs."""

    study: Any
    physiology: pd.DataFrame
    arguments: dict[str, Any]

    def table(self, network):
        return read_tuning(self.study.tuning[self._number(network)], ["row", "column"])

    def halves(self, network, units):
        path = self.study.gratings[self._number(network)]
        with open_store(path) as store:
            return read_half_curves(store, units, path)

    def _number(self, network):
        return [one.name for one in self.study.networks].index(network)


@pytest.fixture(scope="module")
def explored(study, tmp_path_factory) -> Explored:
    folder = tmp_path_factory.mktemp("explored")
    channels = read_tuning(study.tuning[0], [])[["layer", "channel"]].drop_duplicates()
    rng = np.random.default_rng(0)
    physiology = channels.assign(
        speed_preferred=rng.uniform(1, 20, len(channels)),
        preferred_diameter_deg=rng.choice([2.0, np.nan], len(channels)),
    )
    write_table(folder / "full_s0.parquet", physiology, {})
    backbone = {"name": "resnet3d", "width": 4, "in_channels": 1}
    write_json(folder / "model.json", {"backbone": backbone}, {})
    options = ExploreMapsOptions(study.maps, ["full_s0"])
    names = [one.name for one in study.networks]
    assert options.networks == names
    arguments = {
        "maps": study.stores,
        "pinwheels": study.pinwheels,
        "positions": [study.tuning[0].with_name(f"{one}.zarr") for one in options.positions],
        "tuning": study.tuning,
        "gratings": study.gratings,
        "physiology": [folder / "full_s0.parquet"],
        "config": folder / "model.json",
        "page": folder / "explorer.html",
        "caption": folder / "explorer.rst",
        "options": options,
    }
    explore_maps(**arguments)
    return Explored(study, physiology.set_index(["layer", "channel"]), arguments)


def test_numbers_survive_their_two_bytes():
    values = np.array([-3.0, np.nan, 0.1, 12.5])
    steps, low, high = quantised(values).values()
    back = np.where(steps == 65535, np.nan, low + (high - low) * steps / 65534)
    np.testing.assert_allclose(back, values, atol=15.5 / 65534)
    assert (quantised([np.nan, np.nan])["values"] == 65535).all()
    steps, largest = scaled(np.array([[0.5, -2.0], [0.0, 0.0]]))
    np.testing.assert_allclose(steps.reshape(2, 2) / 32767 * largest[:, None],
                               [[0.5, -2.0], [0, 0]], atol=2 / 32767)  # fmt: skip


def test_the_page_stays_what_it_is_and_asks_for_nothing(explored, tmp_path):
    page = explored.arguments["page"]
    text = page.read_text()
    assert len(text) < 15e6
    assert not re.search(r"""<(script|link|img)[^>]+(src|href)=["']?http""", text)
    again = {"page": tmp_path / "explorer.html", "caption": tmp_path / "explorer.rst"}
    explore_maps(**{**explored.arguments, **again})
    counted = re.compile('"p[0-9]+"')  # Bokeh counts its models through all pages of a process
    assert counted.sub("", again["page"].read_text()) == counted.sub("", text)
    publish_doctree(again["caption"].read_text(), settings_overrides={"halt_level": 2})


def test_a_network_without_its_file_is_an_error(explored):
    short = explored.arguments["gratings"][:3]
    with pytest.raises(InputError, match="3 files for the 4"):
        explore_maps(**{**explored.arguments, "gratings": short})


class Browser:
    """The page as a person sees and clicks it."""

    def __init__(self, page, file):
        self.page, self.requests, self.problems = page, [], []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._note)
        page.set_default_timeout(120_000)
        page.goto(file.as_uri())
        page.wait_for_selector(".unit")

    def _note(self, message):
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def choose(self, title, label):
        self.page.get_by_label(title, exact=True).select_option(label)

    def data(self, source, column):
        found = self.page.evaluate(
            "([source, column]) => Array.from(Bokeh.documents[0].get_model_by_name(source)"
            ".data[column], (v) => Number.isNaN(v) ? null : v)", [source, column],
        )  # fmt: skip
        return np.array(found, float) if column not in ("layer", "turn") else found

    def click(self, side, source, index):
        """Click at the place where a mark is drawn."""
        x, y = self.page.evaluate(PLACE, [f"sheet_{side}", f"{source}_{side}", index])
        self.page.mouse.click(x, y)

    def unit(self, side):
        return int(self.page.locator(f".facts_{side} .unit").get_attribute("data-unit"))

    def columns(self, side):
        found = self.page.locator(f".facts_{side} b[data-column]").all()
        return {one.get_attribute("data-column"): float(one.text_content()) for one in found}

    def table(self, side, name):
        """Rows of a table of numbers, by the value that they are for."""
        rows = self.page.locator(f".facts_{side} table.{name} tr[data-row]").all()
        return {
            float(row.get_attribute("data-row")): list(
                map(float, row.locator("td").all_text_contents())
            )
            for row in rows
        }


PLACE = """([sheet, source, index]) => {
  const plot = Bokeh.documents[0].get_model_by_name(sheet)
  const view = Bokeh.index.find_one(plot)
  const {data} = Bokeh.documents[0].get_model_by_name(source)
  const box = view.canvas_view.el.getBoundingClientRect()
  return [box.left + view.frame.x_scale.compute(data.x[index]),
          box.top + view.frame.y_scale.compute(data.y[index])]
}"""

LARGE_RESPONSES = """() => {
  for (const one of Bokeh.documents[0]._all_models.values())
    if (one.data?.odd !== undefined)
      one.data = {...one.data, mean: one.data.mean.map((_, i) => -1e6 * i)}
}"""


@pytest.fixture(scope="module")
def browser(chromium, explored):
    page = chromium.new_page(viewport={"width": 1250, "height": 1300})
    return Browser(page, explored.arguments["page"])


def assert_shown(browser, explored, side, network, unit):
    """The numbers on the page are those of the stores."""
    table = explored.table(network)
    row, halves = table.iloc[unit], explored.halves(network, table.iloc[[unit]])
    shown = browser.table(side, "tuning")
    assert list(shown) == halves.directions_deg.tolist()
    mean = [row[f"response_at_{direction:g}_deg"] for direction in halves.directions_deg]
    shown_mean, *shown_halves = np.transpose(list(shown.values()))
    np.testing.assert_allclose(shown_mean, mean, atol=6e-4)
    odd, even = halves.curves[0]
    step = np.abs(odd - even).max() / 2 / 127
    np.testing.assert_allclose(shown_halves, [odd, even], atol=6e-4 + step)
    coherences = table.attrs["coherences"]
    dots = [
        [row[f"channel_dots_{name}_at_{c:g}"] for name in ("preferred", "null")] for c in coherences
    ]
    np.testing.assert_allclose(list(browser.table(side, "dots").values()), dots, atol=6e-4)
    columns = browser.columns(side)
    for name in ("dsi", "vector_strength", "reliability"):
        assert columns[name] == pytest.approx(row[name], abs=0.006)
    assert columns["preferred_direction_deg"] == pytest.approx(row.preferred_direction_deg, abs=0.6)
    assert ("speed_preferred" in columns) == (network == "full_s0")
    if network == "full_s0":
        speed = explored.physiology.speed_preferred[row.layer, row.channel]
        assert columns["speed_preferred"] == pytest.approx(speed, abs=0.006)


class TestBrowser:
    def test_a_click_shows_the_unit_in_both_maps(self, browser, explored):
        browser.choose("layer", "layer1")
        units = explored.table("full_s0")
        unit = int(units.index[(units.layer == "layer1") & (units.channel == 5)][20])
        browser.click("A", "units", unit)
        assert browser.unit("A") == browser.unit("B") == unit
        assert_shown(browser, explored, "A", "full_s0", unit)
        assert_shown(browser, explored, "B", "alpha0_s0", unit)
        other = next(one for one in explored.study.networks if one.name == "alpha0_s1")
        browser.choose("map B", f"{other.label} on optimised_s0: {ROLES['control']}")
        assert_shown(browser, explored, "B", "alpha0_s1", unit)

    def test_places_and_colours_are_those_of_the_stores(self, browser, explored):
        browser.choose("layer", "layer2")
        browser.choose("colour of units", "direction selectivity, DSI")
        table = explored.table("full_s0")
        inside = (table.layer == "layer2").to_numpy()
        np.testing.assert_allclose(browser.data("units_A", "value"), table.dsi, atol=1e-4)
        x = browser.data("units_A", "x")
        assert np.isnan(x[~inside]).all()
        places = explored.arguments["positions"][0]
        with open_store(places) as store:
            known = pd.DataFrame({name: store[name].to_numpy() for name in [*UNIT, "x_mm"]})
        expected = table.merge(known, on=UNIT, how="left").x_mm
        np.testing.assert_allclose(x[inside], expected[inside], atol=1e-4)

    def test_a_pinwheel_shows_the_nearest_unit(self, browser, explored):
        browser.choose("layer", "layer2")
        browser.choose("colour of units", "preferred direction (°)")
        browser.choose("show", "smoothed map")
        number = [one.network.name for one in explored.study.maps].index("full_s0")
        found = read_table(explored.study.pinwheels[number])
        found = found[(found.layer == "layer2") & (found["map"] == "direction")]
        x, y = browser.data("pinwheels_A", "x"), browser.data("pinwheels_A", "y")
        np.testing.assert_allclose(x, found.x_mm, atol=1e-3)
        browser.click("A", "pinwheels", 1)
        away = np.hypot(browser.data("units_A", "x") - x[1], browser.data("units_A", "y") - y[1])
        assert away[browser.unit("A")] == pytest.approx(np.nanmin(away), abs=0.02)  # a pixel

    def test_wide_numbers_on_an_axis_do_not_move_the_maps(self, browser):
        places = [["sheet_A", "units_A", 0], ["sheet_B", "units_B", 0]]
        browser.choose("layer", "all layers")
        before = [browser.page.evaluate(PLACE, one) for one in places]
        browser.page.evaluate(LARGE_RESPONSES)
        browser.page.wait_for_timeout(500)  # the layout follows the ticks
        assert [browser.page.evaluate(PLACE, one) for one in places] == before

    def test_nothing_is_fetched_and_nothing_fails(self, browser, explored):
        for layer in ("all layers", "layer1"):
            browser.choose("layer", layer)
        assert browser.requests == [explored.arguments["page"].as_uri()]
        assert browser.problems == []
