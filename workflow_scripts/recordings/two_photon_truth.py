"""What a simulated two-photon movie is made of: its parameters, and all that is true in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

# Half cycles along the rows and along the columns of the cosines that make up the bend.
BEND_MODES = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0))


@dataclass(frozen=True)
class TwoPhotonParameters:
    """What is simulated. The defaults are a layer 2/3 field of view with GCaMP6 at 30 frames/s.

    Attributes
    ----------
    n_frames, height_px, width_px : int
        Size of the movie.
    rate_hz : float
        Frames per second.
    pixel_um : float
        Side of a pixel, µm.
    n_cells : int
        Active somata; fewer where they find no room.
    cell_diameter_um : float
        Diameter of a soma, µm.
    spikes_hz : float
        Mean firing rate of the median cell; rates are log-normal over cells and change over time.
    transient : float
        ΔF/F at the peak of a single spike's transient.
    rise_s, decay_s : float
        Time constants of the transient, s.
    photons : float
        Mean photons per pixel and frame from the neuropil; a soma adds about as many at rest.
    neuropil_sd : float
        Standard deviation over time of the neuropil's ΔF/F.
    neuropil_fraction : float
        Neuropil light within a soma relative to its surround: the coefficient to subtract with.
    rigid_px, nonrigid_px : float
        Standard deviation of the shift of each axis, and of the bend on top of it, pixels.
    seed : int
        Seed of all random numbers.
    """

    n_frames: int = 3000
    height_px: int = 256
    width_px: int = 256
    rate_hz: float = 30.0
    pixel_um: float = 1.4
    n_cells: int = 60
    cell_diameter_um: float = 14.0
    spikes_hz: float = 0.4
    transient: float = 0.4
    rise_s: float = 0.1
    decay_s: float = 1.0
    photons: float = 4.0
    neuropil_sd: float = 0.15
    neuropil_fraction: float = 0.7
    rigid_px: float = 2.0
    nonrigid_px: float = 0.7
    seed: int = 0


@dataclass(frozen=True)
class TwoPhotonTruth:
    """Everything that makes a movie.

    The scene is the still tissue: the field of view and a margin of `margin_px` all around, which
    motion brings into view.

    Attributes
    ----------
    parameters : TwoPhotonParameters
    margin_px : int
    still : (scene row, scene column)
        Photons of what does not change.
    patches : (patch, scene row, scene column)
        Photons of each patch of neuropil at ΔF/F 1.
    footprints : csr_array, (cell, scene pixel)
        Photons of each soma at rest.
    spikes : (cell, time)
        Spike counts.
    calcium : (cell, time)
        ΔF/F of each cell.
    neuropil : (patch, time)
        ΔF/F of each patch.
    shift_px : (time, 2)
        Rigid displacement (row, column) of the tissue in each frame.
    bend_px : (time, mode, 2)
        Amplitudes of `BEND_MODES`, the displacement on top of the shift.
    """

    parameters: TwoPhotonParameters
    margin_px: int
    still: NDArray[np.float32]
    patches: NDArray[np.float32]
    footprints: csr_array
    spikes: NDArray[np.float32]
    calcium: NDArray[np.float32]
    neuropil: NDArray[np.float32]
    shift_px: NDArray[np.float64]
    bend_px: NDArray[np.float64]

    def visible_footprints(self) -> csr_array:
        """Footprints cut to the still field of view, (cell, pixel), each with largest weight 1."""
        inner = np.zeros(self.still.shape, bool)
        inner[self.margin_px : -self.margin_px, self.margin_px : -self.margin_px] = True
        visible = self.footprints[:, np.flatnonzero(inner)]
        return csr_array(visible / visible.max(axis=1).toarray()[:, None])

    def displacement_px(self, frame: int, rows: NDArray, columns: NDArray) -> NDArray[np.float64]:
        """Displacement in one frame of the tissue at `rows` × `columns`, (2, row, column).

        The point at p of the still field of view appears in the frame at p + displacement(p).
        """
        size = self.parameters.height_px, self.parameters.width_px
        bend = np.zeros((2, len(rows), len(columns)))
        for mode, amplitude in zip(BEND_MODES, self.bend_px[frame], strict=True):
            wave = [
                np.cos(np.pi * halves * (points + 0.5) / extent)
                for halves, points, extent in zip(mode, (rows, columns), size, strict=True)
            ]
            bend += amplitude[:, None, None] * np.outer(*wave)
        return self.shift_px[frame][:, None, None] + bend
