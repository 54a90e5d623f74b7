"""Channels that follow from a corridor's stored terrain: worked out when asked for, never stored.

Aspect is a direction, so 359 and 1 degrees are neighbours: networks take its sine and cosine. What the radar
sees of it is its angle to the look direction: cosine 1 faces away from the radar, -1 towards it.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Patches32 = NDArray[np.float32]
Named = Callable[[str], Patches32]


def _turned(patch: Named, turn: Callable[[Patches32], Patches32], from_deg: Patches32 | float) -> Patches32:
    """Sine or cosine of the aspect from a direction; 0 on flat ground, NaN where there is no slope."""
    aspect = patch("aspect")
    value = turn(np.radians(aspect - from_deg))
    return np.where(np.isnan(aspect) & (patch("slope") == 0), np.float32(0.0), value).astype(np.float32)


def _curvature(elevation: Patches32, pixel_m: Patches32) -> Patches32:
    """Negative Laplacian in 1/100 m: positive on ridges, negative in gullies; NaN on the frame.

    Source: Zevenbergen and Thorne (1987), Quantitative analysis of land surface topography, total curvature.
    """
    bend = np.full(elevation.shape, np.nan, np.float32)
    here = elevation[:, 1:-1, 1:-1]
    sides = elevation[:, :-2, 1:-1] + elevation[:, 2:, 1:-1] - 2 * here
    sides += elevation[:, 1:-1, :-2] + elevation[:, 1:-1, 2:] - 2 * here
    bend[:, 1:-1, 1:-1] = -100.0 * sides / pixel_m**2
    return bend


def _above_floor(elevation: Patches32) -> Patches32:
    """Metres above the lowest pixel of the patch, which spans 1.3 km: the valley floor or nearly so."""
    known = np.isfinite(elevation)
    lowest = np.where(known, elevation, np.inf).min(axis=(1, 2), keepdims=True)
    return np.asarray(np.where(known, elevation - lowest, np.nan), np.float32)


def _runout(place: Named, size: int) -> Patches32:
    """Horizontal metres from the corridor's highest pixel."""
    offset = np.arange(size, dtype=np.float32) - size // 2
    east = offset[None, None, :] * place("pixel_m") - place("top_east_m")
    north = -offset[None, :, None] * place("pixel_m") - place("top_north_m")
    return np.asarray(np.hypot(east, north), np.float32)


DERIVED: dict[str, Callable[[Named, Named], Patches32]] = {
    "aspect_sin": lambda patch, place: _turned(patch, np.sin, 0.0),
    "aspect_cos": lambda patch, place: _turned(patch, np.cos, 0.0),
    "aspect_look_sin": lambda patch, place: _turned(patch, np.sin, place("look_azimuth_deg")),
    "aspect_look_cos": lambda patch, place: _turned(patch, np.cos, place("look_azimuth_deg")),
    "curvature": lambda patch, place: _curvature(patch("elevation"), place("pixel_m")),
    "height_above_floor": lambda patch, place: _above_floor(patch("elevation")),
    "runout_distance": lambda patch, place: _runout(place, patch("elevation").shape[-1]),
}
"""Name to what it makes of stored patches (n, 64, 64) and of values of the corridor (n, 1, 1)."""

PLACES = ("pixel_m", "look_azimuth_deg", "top_east_m", "top_north_m")
"""Values of a corridor that `DERIVED` needs, columns of `tables.TERRAIN_PATCHES`."""
