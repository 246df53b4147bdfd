"""Batteries: what they list, what they render, and the stage that writes them."""

import json
import re

import numpy as np
import pytest
import torch

from workflow_scripts.in_silico.battery import battery_display, battery_table, render_clips
from workflow_scripts.in_silico.grids import (
    ApertureGrid,
    BarGrid,
    DotGrid,
    GratingGrid,
    NaturalGrid,
    PlaidGrid,
    SecondOrderGrid,
    StaticGratingGrid,
)
from workflow_scripts.make_battery import make_battery
from workflow_scripts.stimuli.display import Display
from workflow_scripts.stimuli.dots import DotField, random_dot_kinematogram
from workflow_scripts.stimuli.gratings import drifting_grating
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.table_store import read_table

SCREEN = {"pixels_per_degree": 4.0, "frame_rate_hz": 15.0, "size_px": 24, "n_frames": 6}
DISPLAY = Display(**SCREEN)
GRATINGS = GratingGrid(16, [0.25, 0.5], [1.875, 3.75])
DOTS = DotGrid(8, [5.0], [0.0, 0.5, 1.0], dots=DotField(noise="walk"))
ALL = [GRATINGS, PlaidGrid(12, [0.5], [2.0]), StaticGratingGrid(8, [0.5]), DOTS]
RARE = [
    ApertureGrid(4, [0.5], [2.0], diameter_deg=[[0.0, 2.0], [2.0, 4.0]]),
    SecondOrderGrid(4, [0.25], [1.875], element_deg=0.5),
    BarGrid(4, [2.0, 4.0], [0.5]),
    NaturalGrid(2),
]


class Films:
    """Three clips of drifting noise, larger than the screen."""

    def __len__(self):
        return 3

    def read(self, rows):
        frames = [np.random.default_rng(row).integers(256, size=(1, 7, 30, 40)) for row in rows]
        return torch.as_tensor(np.stack(frames), dtype=torch.uint8)


def test_lists_every_combination_once_after_a_blank():
    table = battery_table(ALL, DISPLAY, n_repeats=4)
    assert table.family.value_counts().to_dict() == {
        "blank": 1, "drifting_grating": 64, "plaid": 12, "static_grating": 8, "dots": 24,
    }  # fmt: skip
    assert table.family[0] == "blank"
    assert (table.condition == np.arange(len(table))).all()
    assert not table.drop(columns=["condition", "first_seed"]).duplicated().any()
    gratings = table[table.family == "drifting_grating"]
    assert set(gratings.direction_deg) == set(np.arange(16) * 22.5)
    assert (
        gratings.speed_deg_s == gratings.temporal_frequency_hz / gratings.spatial_frequency_cpd
    ).all()
    assert gratings[["coherence", "orientation_deg", "lifetime_s"]].isna().all(axis=None)
    assert battery_display(table) == DISPLAY


def test_components_of_plaids_are_among_their_directions():
    plaids = battery_table([PlaidGrid(12, [0.5], [2.0])], DISPLAY, 4).query("family == 'plaid'")
    components = {(d + side) % 360 for d in plaids.direction_deg for side in (-60, 60)}
    assert components == set(plaids.direction_deg)
    assert plaids.speed_deg_s.to_numpy() == pytest.approx(2 / 0.5 / np.cos(np.pi / 3))


def test_dots_share_their_noise_with_those_in_other_directions_alone():
    table = battery_table([DOTS], DISPLAY, n_repeats=3)
    dots = table.query("family == 'dots'")
    displays = dots.groupby(["coherence", "speed_deg_s", "contrast"]).first_seed
    assert (displays.nunique() == 1).all()
    first = np.sort(displays.first())
    assert len(first) > 1
    assert (np.diff(first) >= 3).all()

    still = dots.query("coherence == 0")
    assert len(still) > 1
    shown = render_clips(table, still.condition.to_numpy(), np.ones(len(still), int)).luminance
    assert (shown == shown[0]).all()


def test_renders_a_shuffled_mixture_as_each_clip_by_itself():
    table = battery_table([*ALL, *RARE], DISPLAY, n_repeats=4)
    rng = np.random.default_rng(0)
    condition = np.append(rng.permutation(len(table))[:20], np.arange(len(table) - 24, len(table)))
    repeat = rng.integers(4, size=len(condition))
    mixture = render_clips(table, condition, repeat, natural=Films())
    for index in range(len(condition)):
        alone = render_clips(table, condition[[index]], repeat[[index]], natural=Films())
        torch.testing.assert_close(mixture.luminance[[index]], alone.luminance, atol=1e-6, rtol=0)
        np.testing.assert_equal(mixture.realised_coherence[[index]], alone.realised_coherence)
    is_dots = (table.family == "dots").to_numpy()[condition]
    assert (np.isfinite(mixture.realised_coherence) == is_dots).all()


def test_renders_what_the_table_says():
    table = battery_table(ALL, DISPLAY, n_repeats=4)
    repeat = np.array([3])
    blank = render_clips(table, np.array([0]), repeat).luminance
    assert (blank == 0.5).all()

    row = table.query("direction_deg == 67.5 and spatial_frequency_cpd == 0.25").iloc[1]
    clip = render_clips(table, np.array([row.condition]), repeat).luminance
    expected = drifting_grating(67.5, 0.25, 3.75, 270.0, 1.0, display=DISPLAY)
    torch.testing.assert_close(clip, expected, atol=1e-6, rtol=0)

    row = table.query("family == 'dots' and direction_deg == 45 and coherence == 0.5").iloc[0]
    clip = render_clips(table, np.array([row.condition]), repeat)
    seed = row.first_seed + 3
    expected = random_dot_kinematogram(45, 5.0, 0.5, 1.0, seed, field=DOTS.dots, display=DISPLAY)
    assert torch.equal(clip.luminance, expected.clips)
    assert clip.realised_coherence[0] == expected.realised_coherence.mean()


@pytest.mark.parametrize(
    ("grids", "n_repeats", "message"),
    [
        ([], 4, "empty"),
        ([GratingGrid(15, [0.5], [2.0])], 4, "n_directions is 15; .* multiple of 2"),
        ([PlaidGrid(16, [0.5], [2.0])], 4, "n_directions is 16; .* multiple of 6"),
        ([GRATINGS], 0, "n_repeats is 0"),
    ],
)
def test_rejects_grids_that_make_no_sense(grids, n_repeats, message):
    with pytest.raises(InputError, match=message):
        battery_table(grids, DISPLAY, n_repeats)


def options(**change):
    grating = {
        "n_directions": 4, "spatial_frequency_cpd": [0.5], "temporal_frequency_hz": [2.5],
    }  # fmt: skip
    dots = {
        "n_directions": 2, "speed_deg_s": [5], "coherence": [0.5], "dots": {"noise": "position"},
    }  # fmt: skip
    whole = {
        "display": SCREEN, "n_repeats": 2, "drifting_gratings": [grating], "dots": [dots],
    }  # fmt: skip
    return json.dumps(whole | change)


def test_the_stage_writes_the_table_and_its_display(tmp_path):
    path = tmp_path / "battery.parquet"
    run_stage(make_battery, ["--battery", str(path), "--options", options()])
    table = read_table(path)
    assert list(table.family) == ["blank", *["drifting_grating"] * 4, *["dots"] * 2]
    assert list(table.noise) == [*[""] * 5, "position", "position"]
    assert table.attrs == {**SCREEN, "n_repeats": 2}
    assert battery_display(table) == DISPLAY


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"display": {**SCREEN, "frame_rate_hz": 5}}, "temporal_frequency_hz 2.5 .* 180°"),
        (
            {"display": {**SCREEN, "pixels_per_degree": 0.5}, "dots": []},
            "spatial_frequency_cpd 0.5",
        ),
        ({"display": {**SCREEN, "size_px": 0}}, "size_px is 0"),
        ({"drifting_gratings": [], "dots": []}, "empty"),
    ],
)
def test_the_stage_says_what_cannot_be_shown_and_writes_nothing(tmp_path, capsys, change, message):
    path = tmp_path / "battery.parquet"
    with pytest.raises(SystemExit) as exit_:
        run_stage(make_battery, ["--battery", str(path), "--options", options(**change)])
    assert exit_.value.code == 2
    assert re.search(message, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_scrambled_sets_hold_the_clips_of_their_natural_sets():
    table = battery_table(RARE, DISPLAY, n_repeats=3)
    sets = {name: table.index[table.family == name].to_numpy() for name in ("natural", "scrambled")}
    repeat = np.array([0, 1, 2])
    for natural, scrambled in zip(*sets.values(), strict=True):
        seen, spectrum = (
            render_clips(table, np.full(3, one), repeat, natural=Films()).luminance
            for one in (natural, scrambled)
        )
        assert not torch.allclose(seen, spectrum, atol=0.1)
        torch.testing.assert_close(
            spectrum.mean(dim=(1, 2, 3)), seen.mean(dim=(1, 2, 3)), atol=0.01, rtol=0
        )


def test_natural_clips_must_be_given():
    table = battery_table(RARE, DISPLAY, n_repeats=1)
    with pytest.raises(InputError, match="natural clips"):
        render_clips(table, np.array([len(table) - 1]), np.array([0]))
