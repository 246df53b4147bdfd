import numpy as np
import pytest
import torch

from workflow_scripts.in_silico.battery import StaticGratingGrid, battery_table
from workflow_scripts.in_silico.encoder_responses import render_battery, spot_images, spot_maps
from workflow_scripts.stimuli.display import Display
from workflow_scripts.stores.errors import InputError


@pytest.fixture
def battery():
    return battery_table([StaticGratingGrid(4, [0.125])], Display(1, 1, 32, 1), n_repeats=4)


def test_battery_is_the_middle_of_the_screen_in_grey_levels(battery):
    images = render_battery(battery, (20, 32)).unflatten(0, (len(battery), 4))
    assert images.shape == (5, 4, 20, 32)
    assert (images[0] == 127.5).all()
    horizontal = images[1]  # orientation 0: rows differ, columns do not
    assert horizontal.std(dim=2).max() < 1e-3
    assert horizontal.std(dim=1).min() > 10
    assert torch.allclose(horizontal[0] + horizontal[2], torch.tensor(255.0), atol=1e-3)


def test_a_screen_smaller_than_the_image_is_refused(battery):
    with pytest.raises(InputError, match="size_px 32"):
        render_battery(battery, (20, 40))


def test_spots_cover_the_image_in_both_polarities():
    images, rows, columns = spot_images((12, 18), spot_px=6, step_px=3)
    assert len(images) == 1 + 2 * len(rows) * len(columns)
    assert rows.tolist() == [2.5, 5.5, 8.5]
    assert columns[-1] == 14.5
    covered = (images != 127.5).any(dim=0)
    assert covered.all()
    assert images[1, :6, :6].min() == 255
    assert images[2, :6, :6].max() == 0
    assert ((images[1:] != 127.5).sum(dim=(1, 2)) == 36).all()


@pytest.mark.parametrize("polarity", [1.0, -1.0, 0.0])
def test_maps_peak_where_a_filter_is(polarity):
    """A linear filter of either sign, and (0) an energy cell, at row 5.5 and column 8.5."""
    images, rows, columns = spot_images((12, 18), spot_px=6, step_px=3)
    centred = (images - 127.5) / 127.5
    drive = centred[:, 4:8, 7:11].mean(dim=(1, 2))
    response = drive.abs() if polarity == 0 else torch.relu(0.2 + polarity * drive)
    maps = spot_maps(response[None].numpy(), len(rows), len(columns))
    row, column = np.unravel_index(maps[0].argmax(), maps[0].shape)
    assert (rows[row], columns[column]) == (5.5, 8.5)
