"""What a track sees of the terrain: incidence, local incidence, layover and shadow, the same on every date.

Along a line of constant azimuth, going away from the radar, slant range and look angle both grow on ground
that is seen properly. A cell lies in layover when a cell nearer to the track has a larger slant range, or a
farther one a smaller; it lies in shadow when a nearer cell has a larger look angle. Each cell is compared
with the cells that its height and the relief let come into question.

Source: G. Schreier (ed.), SAR Geocoding: Data and Systems, Wichmann, 1993, for layover and shadow by range
and look angle; local incidence as defined in D. Small, "Flattening Gamma", IEEE TGRS 49(8), 2011.
"""

import math
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pyproj import Transformer

from avalanche_assets.grid import TILE_PX, Grid
from avalanche_assets.sentinel1.geocoding import (
    ellipsoid_normal,
    geodetic_to_ecef,
    incidence_deg,
    zero_doppler,
)
from avalanche_assets.sentinel1.orbit import Orbit

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Flags = NDArray[np.uint8]


class Visibility(IntFlag):
    """Why a cell is not seen, or not seen well; 0 is visible."""

    LAYOVER = 1
    SHADOW = 2
    BORDER = 4
    OUTSIDE = 8
    NOISE_LIMITED = 16


LAYOVER = int(Visibility.LAYOVER)
SHADOW = int(Visibility.SHADOW)
OUTSIDE = int(Visibility.OUTSIDE)


def unobstructed(flags: NDArray[np.integer] | NDArray[np.floating]) -> NDArray[np.bool_]:
    """Where `Visibility` bits (as stored in a raster, maybe as float) hold neither layover nor shadow."""
    bits = np.nan_to_num(flags).astype(np.uint8)
    clear: NDArray[np.bool_] = (bits & (LAYOVER | SHADOW)) == 0
    return clear


@dataclass(frozen=True)
class TrackGeometry:
    """Geometry of one track on the analysis grid; every array has the grid's shape.

    Attributes:
        incidence_deg: Angle between the look vector and the ellipsoid normal, NaN outside.
        local_incidence_deg: Angle between the look vector and the DEM's surface normal, NaN outside; above 90
            where the slope faces away from the radar.
        visibility: `Visibility` bits LAYOVER, SHADOW and OUTSIDE.
    """

    incidence_deg: Float32s
    local_incidence_deg: Float32s
    visibility: Flags


def track_geometry(orbit: Orbit, dem: Float32s, grid: Grid) -> TrackGeometry:
    """Computes incidence, local incidence, layover and shadow for one track.

    Terrain beyond the grid's edge is unknown, so what it hides is not flagged.

    Args:
        orbit: Path of the platform on any date of the track.
        dem: Heights on the grid in metres over the ellipsoid, NaN where unknown (flagged OUTSIDE).
        grid: The analysis grid; its shape is a multiple of 64.
    """
    incidence = np.empty(grid.shape, np.float32)
    local_incidence = np.empty(grid.shape, np.float32)
    slant_range = np.empty(grid.shape, np.float32)
    look_angle = np.empty(grid.shape, np.float32)
    transformer = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    near_range = float(np.linalg.norm(orbit.position(orbit.centre)) - 6378137.0)
    for first in range(0, grid.height, TILE_PX):
        rows = slice(first, first + TILE_PX)
        points, normals, surface_normals = _strip(dem, grid, transformer, first)
        time, distance = zero_doppler(orbit, points)
        sight = points - orbit.position(time)
        incidence[rows] = incidence_deg(orbit, time, points, normals)
        local_incidence[rows] = incidence_deg(orbit, time, points, surface_normals)
        # Less a constant, so that single precision resolves a millimetre or two.
        slant_range[rows] = distance - near_range
        look_angle[rows] = _look_angle(orbit.position(time), sight, distance)
    visibility = np.zeros(grid.shape, np.uint8)
    directions = _range_directions(orbit, grid, transformer)
    _march(dem, slant_range, look_angle, incidence, directions, grid.resolution, visibility)
    return TrackGeometry(incidence, local_incidence, visibility)


def _strip(dem: Float32s, grid: Grid, transformer: Transformer, first: int) -> tuple[Floats, Floats, Floats]:
    """Points, ellipsoid normals and surface normals of one row of blocks, each (64, columns, 3)."""
    rows = np.clip(np.arange(first - 1, first + TILE_PX + 1), 0, grid.height - 1)
    cols = np.clip(np.arange(-1, grid.width + 1), 0, grid.width - 1)
    easting = grid.west + (cols + 0.5) * grid.resolution
    northing = grid.north - (rows + 0.5) * grid.resolution
    lon, lat = transformer.transform(*np.meshgrid(easting, northing))
    points = geodetic_to_ecef(lon, lat, dem[np.ix_(rows, cols)])
    centre = points[1:-1, 1:-1]

    def neighbour(down: int, right: int) -> Floats:
        beside = points[1 + down : TILE_PX + 1 + down, 1 + right : grid.width + 1 + right]
        return np.where(np.isnan(beside), centre, beside)

    normals = np.cross(neighbour(0, 1) - neighbour(0, -1), neighbour(-1, 0) - neighbour(1, 0))
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    length[length == 0] = np.nan
    return centre, ellipsoid_normal(lon, lat)[1:-1, 1:-1], normals / length


def _look_angle(position: Floats, sight: Floats, distance: Floats) -> Floats:
    """Angle in radians at the platform between the Earth's centre and the point."""
    cosine = -np.sum(position * sight, axis=-1) / (np.linalg.norm(position, axis=-1) * distance)
    return np.asarray(np.arccos(cosine))


def _range_directions(orbit: Orbit, grid: Grid, transformer: Transformer) -> Floats:
    """Unit steps in rows and columns away from the radar at constant azimuth, (blocks, blocks, 2)."""
    half = TILE_PX / 2 * grid.resolution
    east = grid.west + np.arange(half, grid.width * grid.resolution, 2 * half)
    north = grid.north - np.arange(half, grid.height * grid.resolution, 2 * half)
    x, y = np.meshgrid(east, north)

    def at(dx: float, dy: float) -> tuple[Floats, Floats]:
        lon, lat = transformer.transform(x + dx, y + dy)
        return zero_doppler(orbit, geodetic_to_ecef(lon, lat, 0.0))

    (time_e, range_e), (time_w, range_w) = at(half, 0), at(-half, 0)
    (time_n, range_n), (time_s, range_s) = at(0, half), at(0, -half)
    # Along (dx, dy) the time stands still; the sign is chosen so that the range grows.
    dx, dy = time_s - time_n, time_e - time_w
    outward = np.sign(dx * (range_e - range_w) + dy * (range_n - range_s))
    steps = np.stack([-dy, dx], axis=-1) * outward[..., None]
    return np.asarray(steps / np.linalg.norm(steps, axis=-1, keepdims=True))


@njit(cache=True, nogil=True)
def _march(
    dem: Float32s,
    slant_range: Float32s,
    look_angle: Float32s,
    incidence: Float32s,
    steps: Floats,
    resolution: float,
    flags: Flags,
) -> None:
    low, high = np.nanmin(dem), np.nanmax(dem)
    for row in range(dem.shape[0]):
        for col in range(dem.shape[1]):
            if math.isnan(slant_range[row, col]):
                flags[row, col] = OUTSIDE
                continue
            down, right = steps[row // TILE_PX, col // TILE_PX]
            below, above = dem[row, col] - low, high - dem[row, col]
            tangent = math.tan(math.radians(incidence[row, col]))
            near = max(below / tangent, above * tangent)
            flags[row, col] = _compare(
                slant_range, look_angle, row, col, -down, -right, near / resolution, -1.0
            ) | _compare(slant_range, look_angle, row, col, down, right, above / tangent / resolution, 1.0)


@njit(cache=True, nogil=True)
def _compare(
    slant_range: Float32s,
    look_angle: Float32s,
    row: int,
    col: int,
    down: float,
    right: float,
    reach: float,
    outward: float,
) -> int:
    """Flags from the cells met in one direction within `reach` cells; `outward` is -1 towards the radar."""
    found = 0
    own_range, own_angle = slant_range[row, col], look_angle[row, col]
    for step in range(1, int(1.05 * reach) + 2):
        y, x = row + step * down, col + step * right
        if not (0.0 <= y <= slant_range.shape[0] - 1 and 0.0 <= x <= slant_range.shape[1] - 1):
            break
        # A comparison with NaN is false: unknown ground hides nothing.
        if outward * (_bilinear(slant_range, y, x) - own_range) < 0.0:
            found |= LAYOVER
        if outward < 0.0 and _bilinear(look_angle, y, x) > own_angle:
            found |= SHADOW
        if found == LAYOVER | SHADOW or (found == LAYOVER and outward > 0.0):
            break
    return found


@njit(cache=True, nogil=True)
def _bilinear(values: Float32s, y: float, x: float) -> float:
    top, left = min(int(y), values.shape[0] - 2), min(int(x), values.shape[1] - 2)
    down, right = y - top, x - left
    upper = (1.0 - right) * values[top, left] + right * values[top, left + 1]
    lower = (1.0 - right) * values[top + 1, left] + right * values[top + 1, left + 1]
    return float((1.0 - down) * upper + down * lower)
