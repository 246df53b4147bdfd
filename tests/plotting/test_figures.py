import dataclasses
import json
import math
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_doctree
from matplotlib.figure import Figure
from matplotlib.image import imread

from workflow_scripts import plot_direction_map as direction_map_stage
from workflow_scripts.plot_clips import plot_clips
from workflow_scripts.plot_direction_map import plot_direction_map
from workflow_scripts.plot_dots import plot_dots
from workflow_scripts.plot_selectivity import INDICES, plot_selectivity
from workflow_scripts.plot_smoothness import plot_smoothness
from workflow_scripts.plot_training import plot_training
from workflow_scripts.plot_tuning_curves import plot_tuning_curves
from workflow_scripts.plotting import style
from workflow_scripts.plotting.captions import interval, number
from workflow_scripts.plotting.direction_colours import direction_colours
from workflow_scripts.plotting.options import (
    FigureOptions,
    MapsFigureOptions,
    NetworksFigureOptions,
)
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_table, write_table
from workflow_scripts.stores.zarr_store import open_store, write_store

DPI = 60


def of_networks(study):
    return NetworksFigureOptions(networks=study.networks, dpi=DPI)


def of_maps(study):
    return MapsFigureOptions(maps=study.maps, dpi=DPI)


def drawn(out) -> np.ndarray:
    """Read a figure back after checking that it is one, and that its caption is well formed."""
    image = imread(out["figure"])[..., :3]
    assert (image.min(axis=-1) < 0.9).mean() > 0.02
    assert out["figure"].stat().st_size < style.LARGEST_BYTES
    publish_doctree(caption_of(out), settings_overrides={"report_level": 1, "halt_level": 2})
    return image


def caption_of(out) -> str:
    return out["caption"].read_text().replace("\\", "")


def draw_direction_map(study, out, **changed):
    files = {"maps": study.stores, "pinwheels": study.pinwheels, "statistics": study.statistics}
    options = of_maps(study)
    plot_direction_map(**{**files, **out, "options": options, **changed})


class TestClips:
    def test_motion_energy_is_told(self, videos, out):
        clips, batches = videos
        plot_clips(clips, batches, **out, options=FigureOptions(DPI))
        drawn(out)
        assert "27 clips of 3 videos" in caption_of(out)
        assert "Median 2.0 grey levels, 5th and 95th percentile 1.0 and 4.0" in caption_of(out)

    def test_frames_are_those_of_the_clip(self, videos):
        from workflow_scripts.plot_clips import _frames  # noqa: PLC0415

        clips, batches = videos
        table = read_table(clips)
        frames, times_s = _frames(table.iloc[13], batches)
        with open_store(batches[0]) as store:
            start = table.start[13]
            np.testing.assert_array_equal(frames[-1], store["frames"].to_numpy()[start + 9])
        np.testing.assert_allclose(times_s[[0, -1]], [0, 9 / 15])

    def test_a_clip_of_a_store_that_is_not_given_is_an_error(self, videos, out, tmp_path):
        clips, batches = videos
        table = read_table(clips).assign(batch=1)
        write_table(tmp_path / "clips.parquet", table, {})
        with pytest.raises(InputError, match="2 video stores"):
            plot_clips(tmp_path / "clips.parquet", batches, **out, options=FigureOptions(DPI))
        assert not out["figure"].exists()


class TestTraining:
    def test_chance_and_last_values_are_told(self, study, out):
        plot_training(study.metrics, **out, options=of_networks(study))
        drawn(out)
        caption = caption_of(out)
        assert "4 networks, 100 steps (all equally long)" in caption
        assert f"{math.log(1025):.2f}; {1 / 1025:.4f}" in caption
        last = 0.6 * 100 / 160  # the only line within the last tenth
        assert caption.count(number(last, 3)) == 4
        assert caption.count(number(0.5 - 0.3 * 100 / 160, 3)) == 4  # two layers, two seeds

    def test_unequal_training_is_called_out(self, study, out, tmp_path):
        short = tmp_path / "short.jsonl"
        short.write_text("".join(study.metrics[0].read_text().splitlines(keepends=True)[:2]))
        files = [short, *study.metrics[1:]]
        plot_training(files, **out, options=of_networks(study))
        assert "NOT equally long" in caption_of(out)

    def test_untrained_networks_are_named_not_drawn(self, study, out, tmp_path):
        (tmp_path / "none.jsonl").touch()
        files = [tmp_path / "none.jsonl", *study.metrics[1:]]
        plot_training(files, **out, options=of_networks(study))
        assert "Without a training step: alpha0 (α = 0), seed 0." in caption_of(out)

    @pytest.mark.parametrize("text", ["{not json", '{"step": 1}'])
    def test_bad_metrics_are_an_error(self, study, out, tmp_path, text):
        bad = tmp_path / "bad.jsonl"
        bad.write_text(text)
        files = [bad, *study.metrics[1:]]
        with pytest.raises(InputError, match=r"bad\.jsonl"):
            plot_training(files, **out, options=of_networks(study))


class TestDirectionMap:
    def test_statistics_and_verdict_are_told(self, study, out):
        draw_direction_map(study, out)
        drawn(out)
        caption = caption_of(out)
        for of_map, path in zip(study.maps, study.statistics, strict=True):
            near = json.loads(path.read_text())["layers"]["layer2"]["direction"]["near"]
            told = interval(near["mean_deg"], near["low_deg"], near["high_deg"], 1, "°")
            assert (told in caption) == (of_map.role != "control")
        assert "direction map of full in layer1: suggested" in caption
        assert "(2 seeds)" in caption
        assert "full (α = 8) 100 steps from scratch" in caption

    @pytest.mark.parametrize("direction_deg", [0, 90])
    def test_colours_follow_direction(self, study, out, tmp_path, direction_deg):
        z = np.exp(1j * np.deg2rad(direction_deg))
        stores = []
        for path in study.stores:
            of_map = open_store(path, load=True)
            for name in ("z1", "z2", "z_orientation"):
                of_map[name][:] = z
            of_map["roi"][:] = True
            stores.append(tmp_path / f"{path.parent.name}.zarr")
            write_store(stores[-1], of_map, {})
        draw_direction_map(study, out, maps=stores)
        image = drawn(out)
        share = (np.abs(image - direction_colours(z)) < 0.01).all(axis=-1).mean()
        assert share > 0.3

    def test_pinwheels_lie_where_colours_meet(self, study):
        """Around a marked pinwheel of the planted map every direction occurs, elsewhere not."""
        one, measured = 2, direction_map_stage.read_maps(study.maps, study.statistics)[2]
        table = read_table(study.pinwheels[one])
        drawn_map = direction_map_stage._Drawn(
            study.maps[one], direction_map_stage._read_map(study.stores[one], measured), table,
            measured,
        )  # fmt: skip
        axes = Figure().subplots()
        direction_map_stage._draw_map(axes, drawn_map, "layer2", "direction", 1.0)
        marks = np.concatenate([np.asarray(m.get_offsets()) for m in axes.collections])
        expected = table[(table.layer == "layer2") & (table["map"] == "direction")]
        assert len(marks) == len(expected) > 5
        z = drawn_map.store["z1"].sel(layer="layer2").to_numpy()
        row, column = np.rint(marks[:, ::-1] / 4.0 * len(z) - 0.5).astype(int).T
        assert np.median(np.abs(z[row, column])) < 0.5 * np.median(np.abs(z))

    def test_a_map_of_other_layers_is_an_error(self, study, out, tmp_path):
        store = open_store(study.stores[0], load=True).isel(layer=[0])
        write_store(tmp_path / "map.zarr", store, {})
        with pytest.raises(InputError, match="layers"):
            draw_direction_map(study, out, maps=[tmp_path / "map.zarr", *study.stores[1:]])

    def test_a_damaged_store_is_an_error(self, study, out, tmp_path):
        broken = tmp_path / "map.zarr"
        shutil.copytree(study.stores[0], broken)
        next(path for path in (broken / "z1" / "c").rglob("*") if path.is_file()).unlink()
        with pytest.raises(InputError, match="missing"):
            draw_direction_map(study, out, maps=[broken, *study.stores[1:]])

    def test_the_command_line_takes_nested_options(self, study, out):
        options = dataclasses.asdict(of_maps(study))
        words = [
            "--maps", *study.stores, "--pinwheels", *study.pinwheels,
            "--statistics", *study.statistics, "--figure", out["figure"],
            "--caption", out["caption"], "--options", json.dumps(options),
        ]  # fmt: skip
        run_stage(plot_direction_map, [str(word) for word in words])
        drawn(out)


class TestTuningCurves:
    def test_examples_are_chosen_by_the_rule(self, study, out):
        plot_tuning_curves(
            study.gratings, study.tuning, **out,
            options=of_networks(study),
        )  # fmt: skip
        drawn(out)
        rows = re.findall(
            r"\* - (\S+) \(.*?\), seed (\d)\s+- (\w+)\s+- (\d+)\s+- (\S+)\s+- (\S+)\s+- (\S+)",
            caption_of(out),
        )
        assert {(variant, seed) for variant, seed, *_ in rows} == {("alpha0", "0"), ("full", "0")}
        table = read_table(study.tuning[0])
        inner = table[~table.border & (table.layer == "layer2")]
        shown = [row for row in rows if row[0] == "alpha0" and row[2] == "layer2"]
        strengths = [float(row[5]) for row in shown]
        reliable = inner[inner.reliability >= inner.reliability.quantile(0.9)]
        assert len({row[3] for row in shown}) == len(shown) == 5
        assert strengths == sorted(strengths)
        assert all(float(row[4]) >= round(reliable.reliability.min(), 2) for row in shown)

    def test_curves_point_in_the_preferred_direction(self, study):
        from workflow_scripts.plot_tuning_curves import _examples  # noqa: PLC0415

        found = _examples(study.networks[2], study.tuning[2], study.gratings[2])
        phasors = np.exp(1j * np.deg2rad(found.directions_deg))
        for half in range(2):
            angle = np.rad2deg(np.angle(np.maximum(found.curves[:, half], 0) @ phasors))
            error = (angle - found.units.preferred_direction_deg + 180) % 360 - 180
            assert np.abs(error).max() < 8

    def test_a_layer_without_responses_is_left_out(self, study, out, tmp_path):
        table = read_table(study.tuning[0])
        table.loc[table.layer == "layer1", "vector_strength"] = np.nan
        write_table(tmp_path / "t.parquet", table, {})
        tuning = [tmp_path / "t.parquet", *study.tuning[1:]]
        options = of_networks(study)
        plot_tuning_curves(study.gratings, tuning, **out, options=options)
        drawn(out)
        assert "alpha0 (α = 0), seed 0\n     - layer2" in caption_of(out)
        assert "alpha0 (α = 0), seed 0\n     - layer1" not in caption_of(out)

    def test_units_that_the_responses_lack_are_an_error(self, study, out, tmp_path):
        with open_store(study.gratings[0], load=True) as store:
            write_store(tmp_path / "gratings.zarr", store.isel(unit=slice(0, 20)), {})
        gratings = [tmp_path / "gratings.zarr", *study.gratings[1:]]
        with pytest.raises(InputError, match="lacks units"):
            plot_tuning_curves(gratings, study.tuning, **out, options=of_networks(study))


class TestSelectivity:
    def test_medians_over_channels_are_told(self, study, out):
        plot_selectivity(study.tuning, **out, options=of_networks(study))
        drawn(out)
        table = read_table(study.tuning[3])
        inner = table[~table.border & (table.layer == "layer1")]
        medians = [inner[inner.channel == c].vector_strength.median() for c in range(8)]
        assert f"- 8 of 8\n     - {number(float(np.median(medians)))} [" in caption_of(out)

    def test_dead_layers_are_told_as_such(self, study, out, tmp_path):
        table = read_table(study.tuning[0])
        measured = [*INDICES, "channel_vector_strength_q"]
        table.loc[table.layer == "layer1", measured] = np.nan
        write_table(tmp_path / "t.parquet", table, {})
        files = [tmp_path / "t.parquet", *study.tuning[1:]]
        plot_selectivity(files, **out, options=of_networks(study))
        drawn(out)
        assert "- 0 of 8\n     - –\n" in caption_of(out)

    def test_a_missing_column_is_an_error(self, study, out, tmp_path):
        write_table(tmp_path / "t.parquet", read_table(study.tuning[0]).drop(columns="dsi"), {})
        files = [tmp_path / "t.parquet", *study.tuning[1:]]
        with pytest.raises(InputError, match=r"t.parquet: no column dsi"):
            plot_selectivity(files, **out, options=of_networks(study))


class TestSmoothness:
    def test_all_maps_and_controls_are_told(self, study, out):
        options = of_maps(study)
        plot_smoothness(study.smoothness, study.statistics, **out, options=options)
        drawn(out)
        caption = caption_of(out)
        for path in study.statistics:
            for preference in ("direction", "axis"):
                near = json.loads(path.read_text())["layers"]["layer1"][preference]["near"]
                told = interval(near["mean_deg"], near["low_deg"], near["high_deg"], 1, "°")
                assert f"{told}; {number(near['null_mean_deg'], 1)} ±" in caption
        assert "Verdict on the axis map" in caption

    def test_fewer_files_than_maps_are_an_error(self, study, out):
        options = of_maps(study)
        with pytest.raises(InputError, match="--smoothness: 7 files for the 8"):
            plot_smoothness(study.smoothness[1:], study.statistics, **out, options=options)


class TestDots:
    def test_responses_rise_with_coherence_and_are_told(self, study, out):
        plot_dots(study.tuning, **out, options=of_networks(study))
        drawn(out)
        rows = re.findall(r"- layer\d((?:\n     - .*){3})", caption_of(out))
        assert len(rows) == 8
        for row in rows:
            none, half, full = (float(cell) for cell in re.findall(r"- (-?[\d.]+) \[", row))
            assert abs(none) < 0.02
            assert half == pytest.approx(full / 2, rel=0.1)  # as planted

    def test_a_table_without_dots_is_an_error(self, study, out, tmp_path):
        table = read_table(study.tuning[0])
        table.attrs = {}
        write_table(tmp_path / "t.parquet", table, {})
        with pytest.raises(InputError, match="no dots"):
            plot_dots(
                [tmp_path / "t.parquet", *study.tuning[1:]], **out,
                options=of_networks(study),
            )  # fmt: skip


class TestWriting:
    def test_large_images_are_drawn_smaller(self, tmp_path, monkeypatch):
        monkeypatch.setattr(style, "LARGEST_BYTES", 60_000)
        noise = np.random.default_rng(0).uniform(size=(400, 400))
        with style.new_figure(tmp_path / "f.png", (4, 4), 100, {}) as figure:
            figure.subplots().imshow(noise, interpolation="nearest")
        assert (tmp_path / "f.png").stat().st_size <= 60_000

    def test_the_same_input_gives_the_same_file(self, study, tmp_path):
        for name in ("a", "b"):
            plot_dots(
                study.tuning, tmp_path / f"{name}.png", tmp_path / f"{name}.rst",
                of_networks(study),
            )  # fmt: skip
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

    def test_an_error_leaves_no_file(self, tmp_path):
        with pytest.raises(ZeroDivisionError), style.new_figure(tmp_path / "f.png", (1, 1), 50, {}):
            1 / 0  # noqa: B018
        assert list(tmp_path.iterdir()) == []


def test_seeds_and_variants_look_different(study):
    from workflow_scripts.plotting.networks import Look  # noqa: PLC0415

    look = Look.of(study.networks)
    assert len(set(look.colours.values())) == len(look.colours) == 2
    assert len(set(map(str, look.lines.values()))) == len(look.lines) == 2
    assert pd.Series(look.colours).index.tolist() == ["full", "alpha0"]


def test_points_of_networks_look_as_their_lines_and_others_like_none(study):
    from workflow_scripts.plotting.networks import Look, Mark  # noqa: PLC0415

    others = [f"session_{number}" for number in range(9)]
    subjects = ["cascade_s0", *(network.name for network in study.networks), *others]
    marks = Mark.of(subjects, study.networks)
    assert list(marks) == subjects
    assert len(set(marks.values())) == len(subjects)
    look = Look.of(study.networks)
    for network in study.networks:
        assert marks[network.name].colour == look.colours[network.variant]
    assert not {marks[name].colour for name in ["cascade_s0", *others]} & {*look.colours.values()}
