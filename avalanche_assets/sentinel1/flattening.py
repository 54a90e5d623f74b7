"""Terrain flattening: the factor from sigma0 to gamma0 by the illuminated area of the terrain.

A radar pixel holds the echo of all facets of the terrain that share its slant range and azimuth. gamma0 in
the sense of Small refers the echo to their illuminated area A_gamma in the plane at right angles to the look
direction, summed over facets and so over the sheets of layover, instead of to the area A_beta of the pixel
in the slant-range plane:

    gamma0_T = beta0 A_beta / A_gamma,    beta0 = sigma0 / sin(theta),

with theta the ellipsoid incidence, as in the annotation's own tables. Geometry alone makes the factor, so
it is one raster for the whole track.

With u the look direction and v that of flight, a facet of normal n outside layover has A_gamma / A_beta =
|n . u| / |n . (u x v)| (Ulander, IEEE TGRS 34(5), 1996): 1 / tan(theta) on level ground, so that gamma0_T
= sigma0 / cos(theta) there.

Source: D. Small, "Flattening Gamma: Radiometric Terrain Correction for SAR Imagery", IEEE TGRS 49(8), 2011.
"""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from numpy.typing import NDArray

from avalanche_assets.grid import TILE_PX
from avalanche_assets.machine import usable_cores
from avalanche_assets.sentinel1.block_model import BlockModels, quadratic
from avalanche_assets.sentinel1.visibility import Visibility

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Flags = NDArray[np.uint8]
Indices = NDArray[np.int64]

AZIMUTH_BIN_M, RANGE_BIN_M = 20.0, 12.0
"""Bins of azimuth and slant range: the resolution of IW GRDH, 20 m x 22 m on the ground."""
BAND_BINS = 512
"""Azimuth bins that one thread fills at a time."""
MARGIN_BINS = 4
MIN_COVERAGE = 0.1
MIN_AREA_RATIO = 0.01
"""Below these, terrain is not known or not illuminated, and there is no gamma0."""

SHADOW = int(Visibility.SHADOW)


def flattening_factor(
    dem: Float32s, models: BlockModels, incidence_deg: Float32s, flags: Flags, resolution: float
) -> Float32s:
    """gamma0_T over sigma0, linear.

    Facets span the centres of four cells, in as many parts as keep them below a third of a bin; each part's
    area is shared among the four nearest bins, and a cell takes its value from the four bins nearest to it.
    Where the known terrain ends, bins are filled in part, which the facets' own slant-range area tells.

    Args:
        dem: Heights in metres over the ellipsoid, NaN where unknown.
        models: Azimuth time and slant range of the grid's blocks.
        incidence_deg: Ellipsoid incidence of the cells.
        flags: `Visibility` bits; facets in SHADOW are not illuminated.
        resolution: Cell size in metres.

    Returns:
        Array of the grid's shape; NaN in shadow and where there is no height.
    """
    out = np.full(dem.shape, np.nan, np.float32)
    seen = np.isfinite(models.time[:, 0] + models.slant_range[:, 0])
    half = TILE_PX / 2 * resolution
    pace = np.median(np.hypot(models.time[seen, 1], models.time[seen, 2])) / half
    time_bin = AZIMUTH_BIN_M * float(pace)
    first = np.floor(models.node_time.min(axis=1) / time_bin) - MARGIN_BINS
    last = np.ceil(models.node_time.max(axis=1) / time_bin) + MARGIN_BINS

    def flatten(start: int) -> None:
        members = np.flatnonzero(seen & (first < start + BAND_BINS) & (last > start))
        if not len(members):
            return
        near = math.floor(models.node_range[members].min() / RANGE_BIN_M) - MARGIN_BINS
        far = math.ceil(models.node_range[members].max() / RANGE_BIN_M) + MARGIN_BINS
        # One bin more on both sides of the band, for the cells between its bins and the next band's.
        areas = np.zeros((BAND_BINS + 2, far - near, 2), np.float32)
        origin, bins = (start - 1.0, float(near)), (time_bin, RANGE_BIN_M)
        _accumulate(dem, models, members, flags, resolution, origin, bins, areas)
        _factor(dem, models, members, flags, incidence_deg, origin, bins, areas, out)

    starts = range(int(first[seen].min()), int(last[seen].max()) + 1, BAND_BINS)
    with ThreadPoolExecutor(usable_cores()) as threads:
        list(threads.map(flatten, starts))
    return out


@njit(cache=True, nogil=True, inline="always")
def gradient(c: Floats, x: float, y: float, h: float) -> tuple[float, float, float]:
    """Derivatives of a block's polynomial (`quadratic`) by scaled easting, northing and height."""
    return (
        c[1] + 2.0 * c[4] * x + c[7] * y + c[8] * h,
        c[2] + 2.0 * c[5] * y + c[7] * x + c[9] * h,
        c[3] + 2.0 * c[6] * h + c[8] * x + c[9] * y,
    )


@njit(cache=True, nogil=True, inline="always")
def scaled_place(down: float, right: float) -> tuple[float, float]:
    """Scaled easting and northing of a point so many cells from a block's upper left corner."""
    return right / (TILE_PX / 2) - 1.0, 1.0 - down / (TILE_PX / 2)


@njit(cache=True, nogil=True, inline="always")
def look_direction(
    c: Floats, x: float, y: float, h: float, relief: float, resolution: float
) -> tuple[float, float, float, float]:
    """Look direction in easting, northing and height, per metre, and the square of ground metres in one.

    The gradient of slant range is a unit vector: that gives metres of ground per metre of grid.

    Args:
        c: Polynomial of slant range.
        x: Scaled easting.
        y: Scaled northing.
        h: Scaled height.
        relief: Metres of scaled height 1.
        resolution: Cell size in metres.
    """
    rx, ry, rh = gradient(c, x, y, h)
    half = TILE_PX / 2 * resolution
    rx, ry, rh = rx / half, ry / half, rh / relief
    return rx, ry, rh, (rx * rx + ry * ry) / (1.0 - rh * rh)


@njit(cache=True, nogil=True)
def _accumulate(
    dem: Float32s,
    models: BlockModels,
    members: Indices,
    flags: Flags,
    resolution: float,
    origin: tuple[float, float],
    bins: tuple[float, float],
    areas: Float32s,
) -> None:
    """Sums the facets' A_gamma / A_beta and their share of the bin (without sign) into `areas`."""
    scale = TILE_PX / 2 * resolution
    side = TILE_PX + 1
    line, sample = np.empty((side, side)), np.empty((side, side))
    for member in members:
        row0, col0 = models.corners[member]
        centre, relief = models.height_m[member]
        time, distance = models.time[member], models.slant_range[member]
        height, width = min(side, dem.shape[0] - row0), min(side, dem.shape[1] - col0)
        for i in range(height):
            for j in range(width):
                x, y = scaled_place(i + 0.5, j + 0.5)
                h = (dem[row0 + i, col0 + j] - centre) / relief
                line[i, j] = quadratic(time, x, y, h) / bins[0] - origin[0]
                sample[i, j] = quadratic(distance, x, y, h) / bins[1] - origin[1]
        for i in range(height - 1):
            for j in range(width - 1):
                lowest = min(line[i, j], line[i, j + 1], line[i + 1, j], line[i + 1, j + 1])
                highest = max(line[i, j], line[i, j + 1], line[i + 1, j], line[i + 1, j + 1])
                # Written so that NaN in any corner leaves the facet out.
                if not (lowest < areas.shape[0] and highest > -1.0) or math.isnan(
                    line[i, j] + line[i, j + 1] + line[i + 1, j] + line[i + 1, j + 1]
                ):
                    continue
                row, col = row0 + i, col0 + j
                a, b, c, d = dem[row, col], dem[row, col + 1], dem[row + 1, col], dem[row + 1, col + 1]
                rise_x, rise_y = (b - a + d - c) / (2.0 * resolution), (a - c + b - d) / (2.0 * resolution)
                x, y = scaled_place(i + 1.0, j + 1.0)
                h = (0.25 * (a + b + c + d) - centre) / relief
                rx, ry, rh, metric = look_direction(distance, x, y, h, relief, resolution)
                tx, ty, th = gradient(time, x, y, h)
                tx, ty, th = tx / scale, ty / scale, th / relief
                gamma = (rise_x * rx + rise_y * ry - metric * rh) * resolution * resolution
                beta = bins[0] * bins[1] / math.sqrt((tx * tx + ty * ty) / metric + th * th)
                lit = 0
                for corner in range(4):
                    lit += flags[row + corner // 2, col + corner % 2] & SHADOW == 0
                _share(line, sample, i, j, max(gamma, 0.0) / beta * lit / 4.0, areas)


@njit(cache=True, nogil=True)
def _share(line: Floats, sample: Floats, i: int, j: int, ratio: float, areas: Float32s) -> None:
    """Shares one facet among the bins it covers."""
    la, lb, lc, ld = line[i, j], line[i, j + 1], line[i + 1, j], line[i + 1, j + 1]
    sa, sb, sc, sd = sample[i, j], sample[i, j + 1], sample[i + 1, j], sample[i + 1, j + 1]
    cover = 0.5 * abs((ld - la) * (sc - sb) - (lc - lb) * (sd - sa))
    across = max(abs(lb - la), abs(ld - lc), abs(sb - sa), abs(sd - sc))
    along = max(abs(lc - la), abs(ld - lb), abs(sc - sa), abs(sd - sb))
    parts_x, parts_y = int(3.0 * across) + 1, int(3.0 * along) + 1
    ratio /= parts_x * parts_y
    cover /= parts_x * parts_y
    for part_y in range(parts_y):
        v = (part_y + 0.5) / parts_y
        for part_x in range(parts_x):
            u = (part_x + 0.5) / parts_x
            t = (1.0 - v) * ((1.0 - u) * la + u * lb) + v * ((1.0 - u) * lc + u * ld)
            r = (1.0 - v) * ((1.0 - u) * sa + u * sb) + v * ((1.0 - u) * sc + u * sd)
            top, left = math.floor(t), math.floor(r)
            if left < 0 or left >= areas.shape[1] - 1:
                continue
            down, right = t - top, r - left
            for k in range(2):
                if 0 <= top + k < areas.shape[0]:
                    weight = down if k else 1.0 - down
                    areas[top + k, left, 0] += weight * (1.0 - right) * ratio
                    areas[top + k, left + 1, 0] += weight * right * ratio
                    areas[top + k, left, 1] += weight * (1.0 - right) * cover
                    areas[top + k, left + 1, 1] += weight * right * cover


@njit(cache=True, nogil=True)
def _factor(
    dem: Float32s,
    models: BlockModels,
    members: Indices,
    flags: Flags,
    incidence_deg: Float32s,
    origin: tuple[float, float],
    bins: tuple[float, float],
    areas: Float32s,
    out: Float32s,
) -> None:
    """Takes the factor of the cells whose azimuth lies in the band."""
    for member in members:
        row0, col0 = models.corners[member]
        centre, relief = models.height_m[member]
        for i in range(TILE_PX):
            for j in range(TILE_PX):
                row, col = row0 + i, col0 + j
                x, y = scaled_place(i + 0.5, j + 0.5)
                h = (dem[row, col] - centre) / relief
                t = quadratic(models.time[member], x, y, h) / bins[0] - origin[0]
                if not 1.0 <= t < areas.shape[0] - 1.0 or flags[row, col] & SHADOW:
                    continue
                r = quadratic(models.slant_range[member], x, y, h) / bins[1] - origin[1]
                top, left = int(t), int(r)
                down, right = t - top, r - left
                area = cover = 0.0
                for k in range(2):
                    weight = down if k else 1.0 - down
                    here, beside = areas[top + k, left], areas[top + k, left + 1]
                    area += weight * ((1.0 - right) * here[0] + right * beside[0])
                    cover += weight * ((1.0 - right) * here[1] + right * beside[1])
                area /= min(max(cover, MIN_COVERAGE), 1.0)
                if cover >= MIN_COVERAGE and area >= MIN_AREA_RATIO:
                    out[row, col] = 1.0 / (area * math.sin(math.radians(incidence_deg[row, col])))
