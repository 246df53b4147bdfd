"""Responses: ordering, averaging and independence of how the work is cut; known detectors."""

import json

import numpy as np
import pytest
import torch

from workflow_scripts.in_silico.battery import battery_table, render_clips
from workflow_scripts.in_silico.grids import DotGrid, GratingGrid
from workflow_scripts.in_silico.responses import layer_shapes, response_blocks, unit_table
from workflow_scripts.models.backbones import (
    build_backbone,
    load_backbone,
    normalise_pixels,
)
from workflow_scripts.models.files import save_model
from workflow_scripts.stimulate import StimulateOptions, stimulate
from workflow_scripts.stimuli.display import Display
from workflow_scripts.stimuli.dots import DotField
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import write_table
from workflow_scripts.stores.zarr_store import open_store
from workflow_scripts.training.machine import MachineOptions

CPU = MachineOptions(device="cpu", precision="32-true", torch_threads=1)
DISPLAY = Display(pixels_per_degree=4.0, frame_rate_hz=16.0, size_px=32, n_frames=8)
DOTS = DotGrid(4, [4.0], [0.0, 1.0], dots=DotField(density_per_deg2_s=8.0))
BATTERY = battery_table([GratingGrid(4, [0.5], [2.0]), DOTS], DISPLAY, n_repeats=3)


class Detectors:
    """Correlation detectors for motion right, up, left and down (Hassenstein & Reichardt 1956)."""

    def responses(self, clips):
        before, now = clips[:, :, :-1], clips[:, :, 1:]
        channels = []
        for shift, axis in ((1, -1), (-1, -2), (-1, -1), (1, -2)):
            there = torch.roll(before, shift, axis) * now
            back = before * torch.roll(now, shift, axis)
            channels.append((there - back).relu())
        opponent = torch.cat(channels, dim=1)
        return {"early": clips.relu(), "late": opponent[..., ::2, ::2]}


def collect(
    conditions_per_block, batch_size, layers=("late",), network=None, in_channels=1, margin_px=0
):
    blocks = response_blocks(
        network or Detectors(), BATTERY, list(layers), conditions_per_block=conditions_per_block,
        margin_px=margin_px, batch_size=batch_size, in_channels=in_channels, device="cpu",
    )  # fmt: skip
    return np.concatenate([block.response for block in blocks], axis=1)


def test_detectors_prefer_the_labelled_direction_of_gratings_and_dots():
    response = collect(100, 100).reshape(4, 16, 16, len(BATTERY), 3).mean((1, 2, 4))
    for family in ("drifting_grating", "dots"):
        rows = BATTERY[(BATTERY.family == family) & ~(BATTERY.coherence == 0)]
        best = response[:, rows.condition].argmax(axis=1)
        assert list(rows.direction_deg.iloc[best]) == [0, 90, 180, 270]


def test_how_the_work_is_cut_does_not_matter():
    whole = collect(100, 1000)
    assert whole.shape == (4 * 16 * 16, len(BATTERY), 3)
    for conditions_per_block, batch_size in ((1, 2), (5, 7), (4, 64)):
        np.testing.assert_allclose(collect(conditions_per_block, batch_size), whole, atol=1e-5)


def test_units_are_in_the_order_of_their_table():
    shapes = layer_shapes(Detectors(), BATTERY, ["late", "early"], 0, 1, "cpu")
    assert shapes == {"late": (4, 16, 16), "early": (1, 32, 32)}
    units = unit_table(shapes, {"late": 1, "early": 0})
    response = collect(3, 4, layers=tuple(shapes))
    condition, repeat = 3, 2
    clip = render_clips(BATTERY, np.array([condition]), np.array([repeat])).luminance
    outputs = Detectors().responses(normalise_pixels(clip[:, None]))
    for index in np.random.default_rng(0).integers(len(units), size=50):
        layer, channel, row, column, _ = units.iloc[index]
        expected = outputs[layer][0, channel, :, row, column].mean()
        assert response[index, condition, repeat] == pytest.approx(float(expected), abs=1e-5)


def test_units_in_the_margin_of_the_screen_are_left_out():
    shapes = layer_shapes(Detectors(), BATTERY, ["late", "early"], 8, 1, "cpu")
    assert shapes == {"late": (4, 8, 8), "early": (1, 16, 16)}
    whole = collect(100, 100).reshape(4, 16, 16, len(BATTERY), 3)
    inner = collect(100, 100, margin_px=8).reshape(4, 8, 8, len(BATTERY), 3)
    np.testing.assert_array_equal(inner, whole[:, 4:12, 4:12])
    for margin_px in (7, 16):
        with pytest.raises(InputError, match=rf"margin_px: {margin_px}"):
            layer_shapes(Detectors(), BATTERY, ["late"], margin_px, 1, "cpu")


def test_border_units_are_the_outermost_rows_and_columns():
    units = unit_table({"a": (2, 5, 7), "b": (3, 4, 4)}, {"a": 1, "b": 2})
    border = units[units.layer == "a"].border.to_numpy().reshape(2, 5, 7)
    assert not border[:, 1:-1, 1:-1].any()
    assert border.sum() == 2 * (5 * 7 - 3 * 5)
    assert units[units.layer == "b"].border.all()
    assert not unit_table({"a": (2, 5, 7)}, {"a": 0}).border.any()


def test_every_input_channel_sees_the_grey_clip():
    class Colour(Detectors):
        def responses(self, clips):
            assert clips.shape[1] == 3
            return super().responses(clips[:, 2:])

    colour = collect(100, 100, network=Colour(), in_channels=3)
    np.testing.assert_allclose(colour, collect(100, 100), atol=1e-6)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A small network and a battery, as the stages before leave them."""
    folder = tmp_path_factory.mktemp("network")
    torch.manual_seed(0)
    description = {"name": "resnet3d", "width": 8, "in_channels": 1}
    model, config = folder / "model.safetensors", folder / "model.json"
    save_model(build_backbone(**description), model, config, {"backbone": description}, {})
    battery = folder / "battery.parquet"
    write_table(battery, BATTERY, provenance("make_battery", {}, []))
    return model, config, battery


def test_the_stage_stores_what_the_network_answers(files, tmp_path, monkeypatch):
    monkeypatch.setattr("workflow_scripts.stimulate.BLOCK_BYTES", 4 * 3 * 5 * 2500)  # 5 conditions
    model, config, battery = files
    path = tmp_path / "responses.zarr"
    options = StimulateOptions(CPU, border_units={"layer3": 0, "layer1": 2}, batch_size=7)
    stimulate(model, config, battery, [], path, options)

    store = open_store(path, load=True)
    assert store.response.dims == ("unit", "condition", "repeat")
    assert store.response.dtype == np.float32
    assert store.response.shape == (32 * 4 * 4 + 8 * 16 * 16, len(BATTERY), 3)
    assert (store.response >= 0).all()
    for column in BATTERY:
        np.testing.assert_array_equal(store[column].values, BATTERY[column].to_numpy())
    assert store.attrs["size_px"] == 32
    assert str(battery) in store.attrs["inputs"]
    dots = (store.family == "dots").values
    assert (np.isfinite(store.realised_coherence.values).all(axis=1) == dots).all()
    assert store.realised_coherence.values[dots] == pytest.approx(
        np.repeat(store.coherence.values[dots, None], 3, axis=1)
    )

    unit = store.isel(unit=(store.layer == "layer1").values & (store.row == 5).values)
    clip = render_clips(BATTERY, np.array([6]), np.array([1])).luminance
    with torch.inference_mode():
        output = load_backbone(model, config).responses(normalise_pixels(clip[:, None]))
    expected = output["layer1"][0].mean(1)[unit.channel.values, 5, unit.column.values]
    np.testing.assert_allclose(unit.response[:, 6, 1], expected, atol=1e-5)


def test_the_stage_gives_the_same_store_twice(files, tmp_path):
    contents = []
    for name in ("one", "two"):
        stimulate(*files, [], tmp_path / name, StimulateOptions(CPU, border_units={"layer4": 0}))
        contents.append(json.loads((tmp_path / name / "manifest.json").read_text())["content_hash"])
    assert contents[0] == contents[1]


def test_the_stage_rejects_bad_input_and_leaves_nothing(files, tmp_path):
    model, config, battery = files
    cases = [
        (battery, {"layer9": 1}, "layer9; the network has layer1, layer2, layer3, layer4"),
        (config, {"layer1": 1}, "not a readable parquet"),
    ]
    for table, border_units, message in cases:
        options = StimulateOptions(CPU, border_units=border_units)
        with pytest.raises(InputError, match=message):
            stimulate(model, config, table, [], tmp_path / "responses.zarr", options)
    other = tmp_path / "other.parquet"
    frame = BATTERY.copy()
    frame.attrs = {}
    write_table(other, frame, {})
    with pytest.raises(InputError, match="make it with make_battery"):
        stimulate(model, config, other, [], tmp_path / "responses.zarr", StimulateOptions(CPU))
    assert sorted(tmp_path.iterdir()) == [other]
