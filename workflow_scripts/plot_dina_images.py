"""Draws images beside their reconstructions, where they are decoded, and what latents see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from workflow_scripts.plotting.captions import interval, number, plain, table, write_caption
from workflow_scripts.plotting.options import AlignmentFigureOptions
from workflow_scripts.plotting.style import new_figure, panels
from workflow_scripts.stores.command_line import run_stage
from workflow_scripts.stores.errors import InputError
from workflow_scripts.stores.provenance import provenance
from workflow_scripts.stores.table_store import read_json
from workflow_scripts.stores.zarr_store import open_store

N_IMAGES, N_PATCHES = 8, 12
METHODS = {"latent": "linear from latent", "ridge": "ridge from response", "cnn": "CNN"}


def plot_dina_images(
    decoded: Path,
    decoding: Path,
    maps: Path,
    figure: Path,
    caption: Path,
    options: AlignmentFigureOptions,
) -> None:
    """Draw originals, reconstructions and saliency of test images, and patches of latents.

    Parameters
    ----------
    decoded, decoding : Path
        Store and statistics from `decode_dina`.
    maps : Path
        Store from `interpret_dina`.
    figure, caption : Path
        Image (PNG) and text (reStructuredText) to write.
    options : AlignmentFigureOptions

    Raises
    ------
    InputError
        The two stores do not hold the same images.
    """
    found, seen = open_store(decoded, load=True), open_store(maps, load=True)
    summary = read_json(decoding)
    if not np.array_equal(found["stimulus"], seen["stimulus"], equal_nan=True):
        raise InputError(f"{maps}: not the images of {decoded}; rerun interpret_dina")
    attributes = provenance("plot_dina_images", options, [decoded, decoding, maps])
    chosen = _evenly_chosen(found)
    with new_figure(figure, (10.5, 8.0), options.dpi, attributes) as drawn:
        upper, lower = panels(drawn, 2, 1, height_ratios=(3.2, 1))
        _draw_images(upper, found, seen, chosen)
        _draw_patches(lower, seen)
    write_caption(caption, *_describe(options.alignment, summary, len(chosen)))


def _evenly_chosen(found: xr.Dataset) -> list[int]:
    """Images of the first group from the worst to the best reconstructed, evenly spaced."""
    original, latent = (
        values.to_numpy()[0].reshape(found.sizes["image"], -1)
        for values in (found["original"], _reconstructed(found, "latent"))
    )
    n = int(np.isfinite(original[:, 0]).sum())
    r = [np.corrcoef(one, other)[0, 1] for one, other in zip(original[:n], latent[:n], strict=True)]
    order = np.argsort(r)
    return order[np.linspace(0, n - 1, min(N_IMAGES, n)).round().astype(int)].tolist()


def _reconstructed(found: xr.Dataset, method: str) -> xr.DataArray:
    # Not `sel`: on an index of StringDType it returns all (xarray 2026.9).
    return found["reconstruction"].isel(method=found["method"].to_numpy().tolist().index(method))


def _draw_images(panel: SubFigure, found: xr.Dataset, seen: xr.Dataset, chosen: list[int]) -> None:
    rows = {"original": "image", **METHODS, "saliency": "where it is decoded"}
    grid = panel.subplots(len(rows), len(chosen), squeeze=False)
    margins = seen["margin"].to_numpy()[0][chosen]
    limit = float(np.quantile(np.abs(margins), 0.998)) or 1.0
    shades = None
    for column, image in enumerate(chosen):
        original = found["original"].to_numpy()[0, image].mean(axis=0)
        low, high = np.quantile(original, [0.01, 0.99])
        for axes, row in zip(grid[:, column], rows, strict=True):
            if row == "saliency":
                shades = _draw_saliency(axes, original, margins[column], limit)
                continue
            pixels = original
            if row in METHODS:
                one = _reconstructed(found, row).to_numpy()[0, image].mean(axis=0)
                r = np.corrcoef(one.ravel(), original.ravel())[0, 1]
                axes.set_title(f"r {number(float(r))}", fontsize=6, pad=2)
                pixels = one
            axes.imshow(pixels, cmap="gray", vmin=low, vmax=high)
    for axes in grid.ravel():
        axes.set_xticks([])
        axes.set_yticks([])
    for axes, label in zip(grid[:, 0], rows.values(), strict=True):
        axes.set_ylabel(label, fontsize=7)
    if shades is not None:
        panel.colorbar(
            shades,
            ax=list(grid[-1]),
            label="nats",
            extend="both",
            location="bottom",
            shrink=0.4,
            aspect=30,
        )
    panel.suptitle(
        f"{found['session'].to_numpy()[0]}: test images from the worst to the best reconstructed "
        "(linear from latent), averaged responses", fontsize=8,
    )  # fmt: skip


def _draw_saliency(axes: Axes, original: NDArray, margin: NDArray, limit: float) -> AxesImage:
    height, width = original.shape
    axes.imshow(original, cmap="gray", alpha=0.55)
    return axes.imshow(
        margin, cmap="RdBu_r", vmin=-limit, vmax=limit, alpha=0.6,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="bilinear",
    )  # fmt: skip


def _draw_patches(panel: SubFigure, seen: xr.Dataset) -> None:
    gradient, patch = seen["patch_gradient"].to_numpy()[0], seen["patch"].to_numpy()[0]
    shown = np.argsort(-np.abs(gradient).sum(axis=(1, 2)))[:N_PATCHES]
    grid = panel.subplots(2, len(shown), squeeze=False)
    for column, latent in enumerate(shown):
        limit = float(np.abs(gradient[latent]).max()) or 1.0
        grid[0, column].imshow(patch[latent], cmap="gray")
        grid[1, column].imshow(gradient[latent], cmap="RdBu_r", vmin=-limit, vmax=limit)
        grid[0, column].set_title(f"channel {latent}", fontsize=6, pad=2)
    for axes in grid.ravel():
        axes.set_xticks([])
        axes.set_yticks([])
    for axes, label in zip(grid[:, 0], ("patch", "gradient"), strict=True):
        axes.set_ylabel(label, fontsize=7)
    panel.suptitle(
        "latent channels of the steepest gradient: the patch that drives each most, and its "
        "gradient there", fontsize=8,
    )  # fmt: skip


def _describe(alignment: str, summary: dict[str, Any], n_shown: int) -> Iterator[str]:
    kind = "SIMULATED populations" if summary["simulated"] else "Real recording"
    yield (
        f"**Images of {plain(alignment)}.** {kind}. {n_shown} of the first session's (and fold's) "
        "test images, evenly from the worst to the best reconstructed, none of which any training "
        "trial showed; grey levels of a column share one scale. Colour, bottom row: each place's "
        "part in the logit of the shown image less the mean of the others (red: speaks for it); "
        "the parts sum to that margin exactly. Below: patches of test images that drive a latent "
        "channel of the image tower most above its mean, flat grey where they reach beyond the "
        "image, and the channel's gradient there (red: brighter drives it more; each in a scale of "
        "its own, white is 0)."
    )
    rows = []
    for method, label in METHODS.items():
        measured = summary["decoding"]["all"][method]["average"]
        rows.append([label, *(interval(*(measured[name][key] for key in ("value", "low", "high")))
                              for name in ("pearson", "pearson_others", "ssim"))])  # fmt: skip
    yield table(
        f"Over {summary['n_images']} images, averaged responses: mean [95 % interval over images]",
        ["decoder", "Pearson r", "r with other images", "SSIM"], rows,
    )  # fmt: skip


if __name__ == "__main__":
    run_stage(plot_dina_images)
