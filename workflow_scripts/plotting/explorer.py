"""The explorer of maps: one page that holds its data, draws them and needs no network.

The page is made of Bokeh's models; what a choice or a click changes is redrawn by `explorer.js`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from bokeh.document import Document
from bokeh.embed import file_html
from bokeh.events import DocumentReady, Tap
from bokeh.layouts import column, row
from bokeh.models import (
    BasicTickFormatter,
    ColorBar,
    ColumnDataSource,
    CustomJS,
    Div,
    FixedTicker,
    HoverTool,
    LinearColorMapper,
    Model,
    Range1d,
    Scatter,
    Select,
    Title,
)
from bokeh.palettes import Category10, Viridis256
from bokeh.plotting import figure
from bokeh.resources import INLINE
from numpy.typing import NDArray

from workflow_scripts.plotting.colours import BLACK, BLUE, GREY, VERMILION
from workflow_scripts.plotting.direction_colours import direction_colours

_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
SHEET_PX, PANEL_PX = 390, 570
AXIS_PX = 70  # of numbers and label: where they are narrow too, or a click would move the plots
ODD, EVEN, MEAN, OPPOSITE = BLUE, VERMILION, BLACK, GREY
_STYLE = """
:host { font: 12px sans-serif; color: #222; }
table { border-collapse: collapse; display: inline-block; margin-right: 30px; vertical-align: top; }
td, th { padding: 1px 6px; text-align: right; font-weight: normal; }
tr:first-child th { border-bottom: 1px solid #999; }
.fact { display: inline-block; margin-right: 10px; }
p { margin: 4px 0; }
"""


@dataclass(frozen=True)
class Colouring:
    """What the colour of a unit may show.

    Attributes
    ----------
    label : str
        For people, with the unit.
    column : str
        Of the networks' columns, or ``layer`` or ``channel``.
    low, high : float
        Bounds of the colours.
    palette : list of str
    ticks : list of float
        On the bar of colours.
    unit : str
        Of the values; empty where they are names.
    digits : int
        Of the values, where they are written.
    map : str
        The smoothed map that goes with it, if any.
    """

    label: str
    column: str
    low: float
    high: float
    palette: list[str]
    ticks: list[float]
    unit: str = "1"
    digits: int = 2
    map: str = ""


def wheel_colours() -> NDArray[np.uint8]:
    """Colours of 255 directions around the circle, (direction, 3); as in the figures."""
    turn = np.exp(2j * np.pi * np.arange(255) / 255)
    return np.round(255 * direction_colours(turn)).astype(np.uint8)


def turning(label: str, column: str, period_deg: int, of_map: str = "") -> Colouring:
    """Colour angles of a period by the wheel."""
    palette = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in wheel_colours()]
    ticks = [period_deg * quarter / 4 for quarter in range(5)]
    return Colouring(label, column, 0, period_deg, palette, ticks, "°", 0, of_map)


def rising(label: str, column: str, low: float, high: float, unit: str = "1") -> Colouring:
    """Colour numbers from dark to light."""
    ticks = np.round(np.linspace(low, high, 5), 3).tolist()
    return Colouring(label, column, low, high, list(Viridis256), ticks, unit)


def named(label: str, column: str, n: int) -> Colouring:
    """Colour names by number."""
    palette = [Category10[10][index % 10] for index in range(n)]
    ticks = np.unique(np.linspace(0, n - 1, 5).astype(int)).tolist()
    return Colouring(label, column, -0.5, n - 0.5, palette, ticks, "")


def write_explorer(
    path: Path, study: dict[str, Any], colourings: Sequence[Colouring], first: tuple[int, int]
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        HTML to write.
    study : dict
        What `explore_maps` gathers: ``layers examples sheet_mm units networks positions maps
        map_pixels fields screen directions_deg coherences``.
    colourings : sequence of Colouring
        The first is shown first.
    first : (int, int)
        The maps that are shown first, side by side.
    """
    labels = [one["label"] for one in study["maps"]]
    chosen = {
        "layer": _select("layer", [*study["layers"], "all layers"], study["layers"][-2:][0]),
        "colour": _select("colour of units", [one.label for one in colourings]),
        "show": _select("show", ["units", "smoothed map", "both"]),
    }
    panels = [_panel(*shown, labels, study) for shown in zip("AB", first, strict=True)]
    grey = np.round(255 * direction_colours(0)).astype(int).tolist()
    data = {
        **study,
        "colourings": [vars(one) for one in colourings],
        "wheel": wheel_colours().tolist(),
        "grey": grey,
        "sizes": [_dot_px(study["units"]["layer"], index) for index in range(len(study["layers"]))],
        "unit": -1,
    }
    models = [{name: one for name, one in panel.items() if name != "view"} for panel in panels]
    script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    redraw = CustomJS(args={"study": data, "chosen": chosen, "panels": models}, code=script)
    for one in (*chosen.values(), *(panel["choice"] for panel in panels)):
        one.js_on_change("value", redraw)
    for panel in panels:
        panel["sheet"].js_on_event(Tap, redraw)
    page = column(
        Div(text=_INTRODUCTION, width=2 * PANEL_PX, stylesheets=[_STYLE]),
        row(*chosen.values()),
        row(*(panel["view"] for panel in panels), spacing=20),
    )
    document = Document()
    document.add_root(page)
    document.js_on_event(DocumentReady, redraw)
    text = file_html(document, INLINE, "Maps of motion: explorer")
    # Bokeh names the page's elements at random; the same input should give the same file.
    for index, name in enumerate(dict.fromkeys(_UUID.findall(text))):
        text = text.replace(name, f"explorer-{index}")
    path.write_text(text, encoding="utf-8")


_INTRODUCTION = """
<h2 style="margin: 4px 0">Units on the cortical sheet</h2>
Every dot is a unit of a network at its place on the sheet. <b>Click</b> at one, or at a pinwheel
for the unit next to it, to see its tuning; point at one for its numbers. Choose two maps to
compare: the same unit is marked in both. Grey band: where 95 % of values lie when the labels of
directions change places within each phase. On the screen: the square that convolutions connect
with the unit (dashed: what is recorded) and, where it was measured, a circle as wide as the
grating that the channel prefers. Grey dots: units that no direction drives above the blank
screen. Units at the border of their feature map are left out, as from every measure.
"""


def _select(title: str, options: list[str], value: str | None = None, width: int = 240) -> Select:
    return Select(title=title, options=list(options), value=value or options[0], width=width)


def _dot_px(layer_of_unit: NDArray[np.integer], layer: int) -> float:
    n_units = int((layer_of_unit == layer).sum())
    return float(np.clip(0.55 * SHEET_PX / np.sqrt(max(n_units, 1)), 3, 14))


def _panel(side: str, first: int, labels: list[str], study: dict[str, Any]) -> dict[str, Any]:
    """Make one column of the page: a map above the curves of the unit that is clicked."""
    choice = _select(f"map {side}", labels, labels[first], PANEL_PX)
    parts: dict[str, Any] = {"choice": choice, **_sheet(side, study)}
    tuning, parts["curve"] = _tuning()
    dots, parts["dots"] = _dots()
    screen, parts["field"], parts["aperture"] = _screen(study["screen"])
    parts["facts"] = Div(width=PANEL_PX, stylesheets=[_STYLE], css_classes=[f"facts_{side}"])
    parts["view"] = column(
        choice, parts["sheet"], tuning, row(dots, screen), parts["facts"], width=PANEL_PX
    )
    return parts


def _sheet(side: str, study: dict[str, Any]) -> dict[str, Model]:
    sheet_mm, n_pixels = max(study["sheet_mm"]), study["map_pixels"]
    units = ColumnDataSource(
        {name: [] for name in ("x", "y", "value", "layer", "channel", "row", "column",
                               "direction", "dsi", "reliability")},
        name=f"units_{side}",
    )  # fmt: skip
    pixels = np.zeros((n_pixels, n_pixels), np.uint32)
    image = ColumnDataSource({"image": [pixels], "side": [sheet_mm]})
    pinwheels = ColumnDataSource(
        {"x": [], "y": [], "fill": [], "line": [], "turn": []}, name=f"pinwheels_{side}"
    )
    marker = ColumnDataSource({"x": [], "y": []})
    mapper = LinearColorMapper(palette=list(Viridis256), low=0, high=1, nan_color="#dddddd")
    sheet = figure(
        frame_width=SHEET_PX, frame_height=SHEET_PX, x_range=Range1d(start=0, end=sheet_mm),
        y_range=Range1d(start=sheet_mm, end=0), tools="pan,wheel_zoom,reset,save",
        x_axis_label="place on the sheet (mm)", active_scroll="wheel_zoom", name=f"sheet_{side}",
        min_border_left=AXIS_PX, frame_align=False,
    )  # fmt: skip
    sheet.grid.visible = False
    sheet.image_rgba("image", x=0, y=0, dw="side", dh="side", source=image)
    glyph = Scatter(
        x="x", y="y", size=5, line_color=None, fill_color={"field": "value", "transform": mapper}
    )
    drawn = sheet.add_glyph(units, glyph)
    turns = sheet.scatter("x", "y", source=pinwheels, size=9, fill_color="fill", line_color="line")
    sheet.scatter("x", "y", source=marker, size=16, fill_color=None, line_color="black",
                  line_width=2.5)  # fmt: skip
    ticker = FixedTicker(ticks=[0, 1])
    bar = ColorBar(color_mapper=mapper, ticker=ticker, title=" ", width=14)
    sheet.add_layout(bar, "right")
    sheet.add_tools(
        HoverTool(renderers=[drawn], limit=1, tooltips=[
            ("unit", "@layer, channel @channel, row @row, column @column"),
            ("colour", "@value{0.00}"), ("direction", "@direction{0}°"), ("DSI", "@dsi{0.00}"),
            ("reliability", "@reliability{0.00}"),
        ]),
        HoverTool(renderers=[turns], tooltips="pinwheel, preference turns @turn around it"),
    )  # fmt: skip
    return {"sheet": sheet, "units": units, "glyph": glyph, "mapper": mapper, "ticker": ticker,
            "bar": bar, "image": image, "pinwheels": pinwheels, "marker": marker}  # fmt: skip


def _tuning() -> tuple[figure, ColumnDataSource]:
    source = ColumnDataSource({
        name: [0.0] for name in ("direction", "odd", "even", "mean", "low", "high")
    })  # fmt: skip
    plot = figure(
        width=PANEL_PX, height=190, tools="hover", toolbar_location=None,
        x_range=Range1d(start=-5, end=365), x_axis_label="direction of drift (°)",
        y_axis_label="response − blank", tooltips="@direction°: @mean{0.000}",
    )  # fmt: skip
    plot.xaxis.ticker = FixedTicker(ticks=[0, 90, 180, 270, 360])
    plot.varea("direction", "low", "high", source=source, fill_color="#dddddd",
               legend_label="shuffled")  # fmt: skip
    for name, colour in (("odd", ODD), ("even", EVEN)):
        plot.line("direction", name, source=source, line_color=colour, line_dash=[4, 2],
                  legend_label=f"{name} phases")  # fmt: skip
    plot.line("direction", "mean", source=source, line_color=MEAN, line_width=2,
              legend_label="mean")  # fmt: skip
    plot.scatter("direction", "mean", source=source, fill_color=MEAN, line_color=None, size=5)
    _show_plainly(plot)
    _beside(plot)
    return plot, source


def _dots() -> tuple[figure, ColumnDataSource]:
    source = ColumnDataSource({"coherence": [0.0], "preferred": [0.0], "opposite": [0.0]})
    plot = figure(
        width=PANEL_PX // 2 + 20, height=190, tools="hover", toolbar_location=None,
        x_range=Range1d(start=-0.05, end=1.05), x_axis_label="coherence of dots (channel)",
        y_axis_label="response − blank",
        tooltips="@coherence: @preferred{0.000}, opposite @opposite{0.000}",
    )  # fmt: skip
    for name, colour in (("preferred", MEAN), ("opposite", OPPOSITE)):
        plot.line("coherence", name, source=source, line_color=colour, legend_label=name)
        plot.scatter("coherence", name, source=source, fill_color=colour, line_color=None, size=6)
    _show_plainly(plot)
    _beside(plot, "above")
    return plot, source


def _show_plainly(plot: figure) -> None:
    """Write the responses' axis in plain numbers, at one place whatever they are."""
    plot.min_border_left = AXIS_PX
    plot.yaxis.formatter = BasicTickFormatter(use_scientific=False)


def _beside(plot: figure, place: Literal["above", "right"] = "right") -> None:
    """Move the legend out of the plot."""
    legend = plot.legend[0]
    legend.update(label_text_font_size="9px", border_line_color=None, padding=0, margin=2,
                  glyph_width=14)  # fmt: skip
    if place == "above":
        legend.orientation = "horizontal"
    plot.add_layout(legend, place)


def _screen(screen: dict[str, float]) -> tuple[figure, ColumnDataSource, ColumnDataSource]:
    """Draw the screen, the part whose units are recorded, and the fields on it."""
    field = ColumnDataSource({"x": [], "y": [], "size": []})
    aperture = ColumnDataSource({"x": [], "y": [], "radius": []})
    side = screen["size_px"] / screen["pixels_per_degree"]
    seen = side - 2 * screen["margin_px"] / screen["pixels_per_degree"]
    edge = 0.52 * side
    plot = figure(
        frame_width=150, frame_height=150, tools="", toolbar_location=None,
        x_range=Range1d(start=-edge, end=edge), y_range=Range1d(start=-edge, end=edge),
        x_axis_label="screen (°)",
        title=Title(text="reached by convolutions", text_font_size="10px"),
    )  # fmt: skip
    plot.grid.visible = False
    plot.rect(0, 0, side, side, fill_color="#f3f3f3", line_color="#888888")
    plot.rect(0, 0, seen, seen, fill_color=None, line_color="#888888", line_dash=[3, 3])
    plot.rect("x", "y", "size", "size", source=field, fill_color=EVEN, fill_alpha=0.3,
              line_color=EVEN)  # fmt: skip
    plot.circle("x", "y", "radius", source=aperture, fill_color=None, line_color=ODD, line_width=2)
    return plot, field, aperture
