"""What figures take: one class for all that show the same kind of thing."""

from __future__ import annotations

from dataclasses import dataclass

from workflow_scripts.analysis.networks import Network, NetworkMap
from workflow_scripts.plotting.fits import Fit


@dataclass(frozen=True)
class FigureOptions:
    """How a figure is drawn.

    Parameters
    ----------
    dpi : int
        Pixels per inch.
    """

    dpi: int = 150


@dataclass(frozen=True, kw_only=True)
class NetworksFigureOptions(FigureOptions):
    """A figure of networks.

    Parameters
    ----------
    networks : list of Network
        The networks, in the order of their files.
    """

    networks: list[Network]


@dataclass(frozen=True, kw_only=True)
class MapsFigureOptions(FigureOptions):
    """A figure of maps.

    Parameters
    ----------
    maps : list of NetworkMap
        The maps, in the order of their files.
    """

    maps: list[NetworkMap]


@dataclass(frozen=True, kw_only=True)
class FitsFigureOptions(FigureOptions):
    """A figure of encoders of retinal cells.

    Parameters
    ----------
    fits : list of Fit
        The encoders, in the order of their files.
    """

    fits: list[Fit]


@dataclass(frozen=True, kw_only=True)
class AlignmentFigureOptions(FigureOptions):
    """A figure of one alignment of images and responses.

    Parameters
    ----------
    alignment : str
        Its name, for the title.
    """

    alignment: str
