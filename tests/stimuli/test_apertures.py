import numpy as np
import pytest
import torch

from workflow_scripts.stimuli.apertures import through_aperture
from workflow_scripts.stores.errors import InputError

WHITE = torch.ones(1, 1, 80, 80)


@pytest.mark.parametrize(("inner", "outer"), [(0.0, 4.0), (0.0, 2.37), (2.0, 5.0)])
def test_shows_the_area_of_the_disc_or_ring(inner, outer):
    shown = through_aperture(WHITE, inner, outer, pixels_per_degree=10)
    area_deg2 = float((shown - 0.5).sum()) * 2 / 10**2
    assert area_deg2 == pytest.approx(np.pi * (outer**2 - inner**2) / 4, rel=0.01)


def test_disc_and_ring_of_one_diameter_make_the_whole():
    noise = torch.rand(1, 2, 80, 80)
    disc, ring = (
        through_aperture(noise, *diameters, pixels_per_degree=10)
        for diameters in ((0, 3.3), (3.3, 7))
    )
    whole = through_aperture(noise, 0, 7, pixels_per_degree=10)
    torch.testing.assert_close(disc + ring - 0.5, whole)


@pytest.mark.parametrize(("inner", "outer"), [(3.0, 2.0), (0.0, 9.0), (-1.0, 2.0)])
def test_impossible_apertures_are_refused(inner, outer):
    with pytest.raises(InputError, match="apertures"):
        through_aperture(WHITE, inner, outer, pixels_per_degree=10)
