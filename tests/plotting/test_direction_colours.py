import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from workflow_scripts.plotting.direction_colours import direction_colours, draw_wheel
from workflow_scripts.stores.errors import InputError

# sRGB → linear → cone responses → Oklab, as published; the module has the way back.
TO_CONES = np.array([
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
])  # fmt: skip
TO_LAB = np.array([
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
])  # fmt: skip
# Machado, Oliveira & Fernandes 2009, deuteranopia, on linear sRGB
DEUTERANOPIA = np.array([
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
])  # fmt: skip
CIRCLE = np.exp(1j * np.deg2rad(np.arange(0, 360, 15)))


def _linear(rgb):
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _oklab(linear):
    return np.cbrt(linear @ TO_CONES.T) @ TO_LAB.T


def test_colour_differences_are_proportional_to_vector_differences():
    rng = np.random.default_rng(0)
    z = np.sqrt(rng.uniform(size=300)) * np.exp(2j * np.pi * rng.uniform(size=300))
    lab = _oklab(_linear(direction_colours(z)))
    distance = np.linalg.norm(lab[:, None] - lab, axis=-1)
    ratio = distance[np.triu_indices(300, 1)] / np.abs(z[:, None] - z)[np.triu_indices(300, 1)]
    assert ratio.std() / ratio.mean() < 0.005


def test_no_colour_of_the_disk_is_clipped():
    colours = direction_colours(CIRCLE)
    assert colours.min() > 0
    assert colours.max() < 1


def test_opposite_directions_stay_apart_without_red_green_vision():
    seen = np.clip(_linear(direction_colours(CIRCLE)) @ DEUTERANOPIA.T, 0, 1)
    lab = _oklab(seen)
    half = len(CIRCLE) // 2
    opposite = np.linalg.norm(lab[:half] - lab[half:], axis=-1)
    assert opposite.min() > 0.2  # ten just noticeable differences


def test_a_zero_vector_is_grey_and_long_vectors_look_alike():
    red, green, blue = direction_colours(np.array(0j))
    assert max(red, green, blue) - min(red, green, blue) < 1e-3
    np.testing.assert_allclose(
        direction_colours(3 * CIRCLE, 2.0), direction_colours(CIRCLE), atol=1e-12
    )
    np.testing.assert_allclose(
        direction_colours(0.5 * CIRCLE, 0.5), direction_colours(CIRCLE), atol=1e-12
    )


@pytest.mark.parametrize("full_at", [0, -1, float("nan")])
def test_full_colour_needs_a_positive_length(full_at):
    with pytest.raises(InputError, match="full_at"):
        direction_colours(CIRCLE, full_at)


@pytest.mark.parametrize("period_deg", [360, 180])
@pytest.mark.parametrize("angle_deg", [0, 45, 90, 180, 270])
def test_the_wheel_shows_a_directions_colour_where_the_direction_points(period_deg, angle_deg):
    figure = Figure(figsize=(3, 3), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    draw_wheel(axes, period_deg, 1.0)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3] / 255
    radius, angle = 0.9, np.deg2rad(angle_deg)
    x, y = axes.transData.transform((radius * np.cos(angle), radius * np.sin(angle)))
    expected = direction_colours(radius * np.exp(1j * angle * 360 / period_deg))
    np.testing.assert_allclose(image[-1 - int(y), int(x)], expected, atol=0.03)
