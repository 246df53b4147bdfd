"""Two layers of known physiology: the battery's measures must find in them what was built in."""

from dataclasses import replace

import moten
import numpy as np
import pytest
import torch

from workflow_scripts.analysis.plaid_tuning import plaid_tuning
from workflow_scripts.analysis.tuning import tuning_indices
from workflow_scripts.models.backbones import load_backbone, normalise_pixels
from workflow_scripts.models.files import save_model
from workflow_scripts.models.v1_mt_cascade import V1MTCascade
from workflow_scripts.stimuli.display import Display
from workflow_scripts.stimuli.gratings import drifting_grating
from workflow_scripts.stimuli.plaids import plaid

torch.set_num_threads(1)
SCREEN = Display(pixels_per_degree=8.0, frame_rate_hz=16.0, size_px=64, n_frames=8)
SETTINGS = {
    "n_directions": 12, "spatial_frequency_cpd": [0.5, 1.0], "temporal_frequency_hz": [2.0, 4.0],
    "speed_deg_s": [8.0, 4.0], "pixels_per_degree": 8.0, "frame_rate_hz": 16.0,
}  # fmt: skip
DIRECTIONS = np.arange(12) * 30.0


@pytest.fixture(scope="module")
def cascade():
    return V1MTCascade(**SETTINGS).eval()


@torch.inference_mode()
def middle(cascade, clips):
    """Mean responses in the middle of the screen, by layer: (channel, clip)."""
    outputs = cascade.responses(normalise_pixels(clips[:, None]))
    return {name: one.mean(dim=2)[:, :, 4, 4].T.numpy() for name, one in outputs.items()}


@pytest.fixture(scope="module")
def tuned(cascade):
    """Responses to gratings and plaids of the frequencies of the first V1 cells."""
    phases = torch.tensor([0.0, 90.0, 180.0, 270.0]).repeat(12)
    directions = torch.tensor(DIRECTIONS).repeat_interleave(4)
    return [
        {
            name: one.reshape(len(one), 12, 4).mean(axis=2)
            for name, one in middle(
                cascade, stimulus(directions, 0.5, 2.0, phases, 1.0, display=SCREEN)
            ).items()
        }
        for stimulus in (drifting_grating, plaid)
    ]


def test_cells_prefer_the_direction_that_they_were_built_for(tuned):
    for layer in ("v1", "mt"):
        indices = tuning_indices(tuned[0][layer][:12], DIRECTIONS)
        error = (indices.preferred_direction_deg - DIRECTIONS + 180) % 360 - 180
        assert np.abs(error).max() < 5
        assert indices.dsi.min() > 0.8


def test_v1_cells_are_component_cells_and_mt_cells_pattern_cells(tuned):
    # The MT cells of the gratings' speed; those of a higher one prefer slow gratings on either side
    # of their direction, where the plane of their velocity is.
    gratings, plaids = tuned
    v1 = plaid_tuning(gratings["v1"][:12], plaids["v1"][:12], DIRECTIONS)
    mt = plaid_tuning(gratings["mt"][-12:], plaids["mt"][-12:], DIRECTIONS)
    assert (v1.plaid_class == "component").all()
    assert (mt.plaid_class == "pattern").all()


def test_v1_cells_prefer_their_own_frequencies(cascade):
    frequencies = [(cpd, hertz) for cpd in (0.5, 1.0) for hertz in (2.0, 4.0)]
    cpd, hertz = torch.tensor(frequencies).T
    responses = middle(cascade, drifting_grating(90.0, cpd, hertz, 0.0, 1.0, display=SCREEN))["v1"]
    upward = responses[3::12]
    assert (upward.argmax(axis=1) == np.arange(4)).all()


def test_an_opponent_model_tells_direction_and_one_blind_to_it_does_not(cascade):
    rng = np.random.default_rng(0)
    directions = torch.tensor(rng.choice([0.0, 180.0], 40))
    clips = drifting_grating(
        directions, 0.5, 2.0, torch.tensor(rng.uniform(0, 360, 40)), 1.0, display=SCREEN
    )
    v1 = middle(cascade, clips)["v1"]
    right, left = v1[0], v1[6]
    assert ((right > left) == (directions == 0).numpy()).mean() == 1
    blind = right + left
    by_direction = [blind[(directions == one).numpy()] for one in (0, 180)]
    assert abs(by_direction[0].mean() - by_direction[1].mean()) < 0.02 * blind.mean()


def test_agrees_with_pymoten_up_to_its_convention(cascade):
    # pymoten's strongest filter is the label + 180°.
    pyramid = moten.pyramids.MotionEnergyPyramid(
        stimulus_vhsize=(64, 64), stimulus_fps=16, filter_temporal_width=8,
        spatial_frequencies=[4], temporal_frequencies=[2],
    )  # fmt: skip
    labels = np.array([one["direction"] for one in pyramid.filters])
    for direction in (0.0, 90.0, 225.0):
        clip = drifting_grating(
            direction, 0.5, 2.0, 30.0, 1.0, display=replace(SCREEN, n_frames=32)
        )
        energy = pyramid.project_stimulus(clip[0].numpy()).mean(axis=0)
        theirs = {label: energy[labels == label].mean() for label in np.unique(labels)}
        v1 = middle(cascade, clip)["v1"][:12, 0]
        strongest = max(theirs, key=theirs.get)
        ours = np.rad2deg(np.angle(v1 @ np.exp(1j * np.deg2rad(DIRECTIONS))))
        assert abs((strongest - 180 - direction + 180) % 360 - 180) < 1e-6
        assert abs((ours - direction + 180) % 360 - 180) < 10


def test_uniform_light_drives_no_cell(cascade):
    outputs = middle(cascade, torch.full((1, 8, 64, 64), 0.9))
    assert outputs["v1"].max() < 1e-6


def test_comes_back_from_its_files(cascade, tmp_path):
    record = {"backbone": {"name": "v1_mt_cascade", "in_channels": 1, "settings": SETTINGS}}
    save_model(cascade, tmp_path / "m.safetensors", tmp_path / "m.json", record, {})
    again = load_backbone(tmp_path / "m.safetensors", tmp_path / "m.json")
    torch.testing.assert_close(again.filters, cascade.filters)
