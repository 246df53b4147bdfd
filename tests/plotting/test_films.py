import json
import math
from dataclasses import replace

import av
import numpy as np
import pytest
import xarray as xr
from docutils.core import publish_doctree

from workflow_scripts import film_gratings as grating_stage
from workflow_scripts.analysis.networks import Network
from workflow_scripts.analysis.sheet_units import responses_on_sheets
from workflow_scripts.film_gratings import FilmGratingsOptions, film_gratings
from workflow_scripts.film_training import (
    HELD_FRAMES,
    FilmedNetwork,
    FilmTrainingOptions,
    film_training,
)
from workflow_scripts.plotting.films import write_film
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.zarr_store import open_store, write_store

LAYERS = {"layer1": 0.3, "layer2": 0.3}


def read_film(path):
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        return np.stack(frames), float(stream.average_rate), film.metadata["comment"]


def test_a_film_holds_its_frames_and_its_provenance(tmp_path):
    grey = np.linspace(30, 220, 12).astype(np.uint8)
    frames = [np.full((48, 64, 3), value) for value in grey]
    provenance = {"stage": "test", "created": "now"}
    for name in ("one", "two"):
        write_film(tmp_path / f"{name}.mp4", frames, 12.5, provenance)
    film, rate_hz, comment = read_film(tmp_path / "one.mp4")
    other, *described = read_film(tmp_path / "two.mp4")
    assert rate_hz == 12.5
    assert json.loads(comment) == {"stage": "test"}
    np.testing.assert_allclose(film.mean(axis=(1, 2, 3)), grey, atol=3)
    # What is seen, not the bytes, which are the encoder's.
    np.testing.assert_array_equal(other, film)
    assert described == [rate_hz, comment]


@pytest.fixture(scope="module")
def files(study):
    maps = [one for one in study.maps if one.positions == "optimised_s0"][:2]
    names = [one.name for one in study.networks]
    gratings = [study.gratings[names.index(one.network.name)] for one in maps]
    positions = [study.tuning[0].with_name("optimised_s0.zarr")] * 2
    return gratings, positions, FilmGratingsOptions(maps, LAYERS)


class TestGratings:
    def test_units_that_prefer_the_direction_light_up(self, files):
        """Where the planted map prefers the direction the activity is high, opposite it low."""
        gratings, positions, options = files
        shown = grating_stage._read_shown(gratings[1])
        assert options.filmed[1].network.alpha > 0
        for sheet in responses_on_sheets(gratings[1], positions[1]):
            found = grating_stage._measure(sheet, options)
            strong = found.map.roi & (np.abs(found.map.z) > 0.5)
            for index, direction_deg in enumerate(shown.directions_deg):
                along = np.cos(np.angle(found.map.z[strong]) - math.radians(direction_deg))
                activity = found.activity[index].mean(axis=0)[strong]
                assert activity[along > 0.7].mean() > 2 * activity[along < -0.7].mean()

    def test_one_grating_is_chosen_of_several_grids_and_contrasts(self, files, tmp_path):
        """The coarsest is not shown at the slowest rate, and a fainter one is shown as well."""
        gratings, positions, options = files
        with open_store(gratings[1], load=True) as store:
            drifting = store.isel(condition=np.flatnonzero(store.family == "drifting_grating"))
            faint = drifting.assign(response=0.5 * drifting.response)
            faint = faint.assign_coords(contrast=0.5 * drifting.contrast)
            mixed = xr.concat([store, faint], "condition", data_vars="minimal", coords="minimal",
                              compat="override", join="override")  # fmt: skip
            faster = mixed.temporal_frequency_hz.where(mixed.spatial_frequency_cpd != 0.1, 4.0)
            write_store(tmp_path / "g.zarr", mixed.assign_coords(temporal_frequency_hz=faster),
                        dict(store.attrs))  # fmt: skip
        shown = grating_stage._read_shown(tmp_path / "g.zarr")
        assert (shown.contrast, shown.cpd, shown.hz) == (1.0, 0.1, 4.0)
        both = (
            responses_on_sheets(path, positions[1]) for path in (gratings[1], tmp_path / "g.zarr")
        )
        for sheets in zip(*both, strict=True):
            alone, among = (grating_stage._measure(sheet, options).activity for sheet in sheets)
            np.testing.assert_allclose(among, alone)

    def test_the_stimulus_drifts_the_way_of_the_arrow(self, files):
        """Successive frames of a grating to the right are the first one, moved to the right."""
        shown = grating_stage._read_shown(files[0][0])
        first, second = (grating_stage._middle_frame(0.0, phase, shown) for phase in (3, 2))
        step_px = shown.display.pixels_per_degree / shown.cpd / shown.n_phases
        assert step_px == int(step_px)
        np.testing.assert_allclose(second[:, int(step_px) :], first[:, : -int(step_px)], atol=1e-5)

    def test_the_film_shows_every_direction_and_phase(self, files, tmp_path):
        options, shown = files[2], grating_stage._read_shown(files[0][0])
        film_gratings(*files[:2], tmp_path / "film.mp4", tmp_path / "film.rst", options)
        frames, rate_hz, _ = read_film(tmp_path / "film.mp4")
        assert len(frames) == 16 * 4
        assert rate_hz == 4 * 2.0  # phases times Hz: real time
        caption = (tmp_path / "film.rst").read_text()
        publish_doctree(caption, settings_overrides={"halt_level": 2})
        assert "on the same positions" in caption
        apart = [options.filmed[0], replace(options.filmed[1], positions="random_s0")]
        caption = "".join(grating_stage._describe(shown, replace(options, filmed=apart)))
        assert "on positions of their own" in caption
        with pytest.raises(InputError, match="--gratings: 1 files for the 2"):
            film_gratings(files[0][:1], *files[1:2], tmp_path / "a", tmp_path / "b", files[2])


def test_the_map_that_forms_is_measured_and_filmed(study, tmp_path):
    """A network without a map at first, and with the planted one in the end."""
    network = Network("full_s0", 8.0, 100, 1024)
    filmed = [FilmedNetwork("full", network, "optimised_s0", "spatial", [0, 100])]
    options = FilmTrainingOptions(filmed, LAYERS, near_mm=0.4, n_pixels=32, seed=0)
    names = [one.name for one in study.networks]
    responses = [study.gratings[names.index(name)] for name in ("alpha0_s0", "full_s0")]
    positions = [study.tuning[0].with_name("optimised_s0.zarr")]
    film_training(responses, positions, tmp_path / "film.mp4", tmp_path / "film.rst", options)
    frames, _, _ = read_film(tmp_path / "film.mp4")
    assert len(frames) == HELD_FRAMES * (1 + 3)
    held = frames[HELD_FRAMES:].astype(float)
    assert np.abs(held[0] - held[-1]).mean() < 1
    assert np.abs(frames[0].astype(float) - held[0]).mean() > 3
    caption = (tmp_path / "film.rst").read_text()
    publish_doctree(caption, settings_overrides={"halt_level": 2})
    cells = caption[caption.index("list-table") :].replace("\\", "").split("- ")
    indices = [float(cell.split(" (")[0]) for cell in cells if " (p " in cell]
    assert len(indices) == 4
    assert max(map(abs, indices[:2])) < 0.25
    assert min(indices[2:]) > 0.4
    with pytest.raises(InputError, match="--responses: 1 files for the 2"):
        film_training(responses[:1], positions, tmp_path / "a", tmp_path / "b", options)
