"""The forward model: the power each pixel receives from all facets it sees at once.

Every facet is placed by range-Doppler and spread over the pixels it covers. Power adds up where facets share
a slant range, which is foreshortening and, when far slopes overtake near ones, layover; a facet in shadow
adds nothing. Facet power is sigma0 times true area over the ground area of a pixel on the ellipsoid, so level
ground comes out with exactly the sigma0 it was given.

Source: D. Small, "Flattening Gamma", IEEE TGRS 49(8), 2011, section III (area summation in radar geometry).
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from avalanche_assets.sentinel1.geocoding import zero_doppler
from avalanche_assets.simulation.facets import ROWS_AT_ONCE, Facets
from avalanche_assets.simulation.image_geometry import ImageGeometry

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

SUBDIVISION_PER_PX = 2.0
"""Parts of a facet per pixel and direction: half-pixel steps under a bilinear kernel leave no ripple."""
AREA_STEP_PX = 256
BOOST_STEP_DB = 0.1
_BOOST_FACTORS = np.power(10.0, 0.1 * BOOST_STEP_DB * np.arange(256)).astype(np.float32)


@dataclass(frozen=True)
class Surface:
    """What the radar meets at one date.

    Attributes:
        sigma0: Backscatter at nodes for VV and VH, linear, referred to the true surface, (2, rows, cols).
        boost: Brightening on a 2 x 2 sub-grid of the cells around nodes, in steps of `BOOST_STEP_DB`,
            uint8 (2, 2 rows, 2 cols).
    """

    sigma0: Floats32
    boost: NDArray[np.uint8]


@dataclass(frozen=True)
class Placement:
    """Where the nodes fall in the image.

    Attributes:
        line: float32 (rows, cols).
        sample: float32 (rows, cols).
    """

    line: Floats32
    sample: Floats32


def place_nodes(facets: Facets, geometry: ImageGeometry) -> Placement:
    """Range-Doppler position of every node, fractional lines and samples (0.005 px at full size)."""
    shape = facets.points.shape[:2]
    line, sample = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for start in range(0, shape[0], ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        time, slant = zero_doppler(geometry.orbit, facets.points[rows])
        line[rows], sample[rows] = geometry.line_sample(time, slant)
    return Placement(line, sample)


def received_power(
    facets: Facets, placement: Placement, surface: Surface, geometry: ImageGeometry, first: int, last: int
) -> tuple[Floats32, NDArray[np.bool_]]:
    """Backscatter of the lines `first` to `last` - 1, before sensor and speckle.

    Returns:
        sigma0 referred to the ellipsoid, linear, VV and VH, float32 (2, last - first, samples); and which
        pixels any facet covers, lit or not, bool (last - first, samples).
    """
    power = np.zeros((2, last - first, geometry.samples), np.float32)
    covered = np.zeros(power.shape[1:], np.bool_)
    _splat(
        placement.line,
        placement.sample,
        facets.area,
        facets.lit,
        surface.sigma0,
        surface.boost,
        _BOOST_FACTORS,
        first,
        power,
        covered,
    )
    power /= _pixel_area(geometry, first, last)
    return power, covered


def _pixel_area(geometry: ImageGeometry, first: int, last: int) -> Floats32:
    """Pixel areas of a block of lines, interpolated between exact ones; (last - first, samples)."""
    lines = _knots(first, last - 1)
    samples = _knots(0, geometry.samples - 1)
    exact = geometry.pixel_area(lines, samples)
    along = np.stack([np.interp(np.arange(geometry.samples), samples, row) for row in exact])
    before = np.clip(np.searchsorted(lines, np.arange(first, last), side="right") - 1, 0, len(lines) - 2)
    share = (np.arange(first, last) - lines[before]) / (lines[before + 1] - lines[before])
    share32 = share.astype(np.float32)[:, None]
    along32 = along.astype(np.float32)
    return (1.0 - share32) * along32[before] + share32 * along32[before + 1]


def _knots(first: int, last: int) -> Floats:
    count = max(2, int(np.ceil((last - first) / AREA_STEP_PX)) + 1)
    return np.linspace(first, max(last, first + 1), count)


@njit(cache=True, nogil=True)
def _splat(
    line: Floats32,
    sample: Floats32,
    area: Floats32,
    lit: NDArray[np.bool_],
    sigma0: Floats32,
    boost: NDArray[np.uint8],
    factors: Floats32,
    first: int,
    power: Floats32,
    covered: NDArray[np.bool_],
) -> None:
    """Spreads each facet, cut into parts smaller than a pixel, over its pixels by bilinear weights."""
    rows, cols = area.shape
    count, width = power.shape[1:]
    for r in range(rows):
        for c in range(cols):
            l00, l01, l10, l11 = line[r, c], line[r, c + 1], line[r + 1, c], line[r + 1, c + 1]
            if max(l00, l01, l10, l11) < first - 1 or min(l00, l01, l10, l11) > first + count:
                continue
            s00, s01, s10, s11 = sample[r, c], sample[r, c + 1], sample[r + 1, c], sample[r + 1, c + 1]
            down = max(np.hypot(l10 - l00, s10 - s00), np.hypot(l11 - l01, s11 - s01))
            across = max(np.hypot(l01 - l00, s01 - s00), np.hypot(l11 - l10, s11 - s10))
            # Even numbers, so that no part straddles the border between two cells.
            n_down = 2 * max(1, int(np.ceil(0.5 * SUBDIVISION_PER_PX * down)))
            n_across = 2 * max(1, int(np.ceil(0.5 * SUBDIVISION_PER_PX * across)))
            part = area[r, c] / (n_down * n_across) if lit[r, c] else 0.0
            for i in range(n_down):
                u = (i + 0.5) / n_down
                half_row = 1 if u > 0.5 else 0
                for j in range(n_across):
                    v = (j + 0.5) / n_across
                    half_col = 1 if v > 0.5 else 0
                    row = (1 - u) * ((1 - v) * l00 + v * l01) + u * ((1 - v) * l10 + v * l11) - first
                    col = (1 - u) * ((1 - v) * s00 + v * s01) + u * ((1 - v) * s10 + v * s11)
                    y, x = int(np.floor(row)), int(np.floor(col))
                    if y < -1 or y >= count or x < -1 or x >= width:
                        continue
                    fy, fx = row - y, col - x
                    vv = part * sigma0[0, r + half_row, c + half_col]
                    vh = part * sigma0[1, r + half_row, c + half_col]
                    vv *= factors[boost[0, 2 * r + 1 + half_row, 2 * c + 1 + half_col]]
                    vh *= factors[boost[1, 2 * r + 1 + half_row, 2 * c + 1 + half_col]]
                    for dy in range(2):
                        yy = y + dy
                        if yy < 0 or yy >= count:
                            continue
                        wy = fy if dy == 1 else 1.0 - fy
                        for dx in range(2):
                            xx = x + dx
                            if xx < 0 or xx >= width:
                                continue
                            weight = wy * (fx if dx == 1 else 1.0 - fx)
                            power[0, yy, xx] += weight * vv
                            power[1, yy, xx] += weight * vh
                            covered[yy, xx] = True
