"""What a track sees of the terrain: incidence, layover, shadow, flattening, the same on every date.

Everything follows from two smooth functions of easting, northing and height, azimuth time and slant range,
which `block_model` fits: on the zero-Doppler surface the gradient of the slant range is the look direction,
a unit vector. Its vertical part is the cosine of the incidence, its horizontal part gives the ground metres
in a metre of the grid as well, and with the slope of the elevation model it gives the local incidence.

Source: local incidence as defined in D. Small, "Flattening Gamma", IEEE TGRS 49(8), 2011; layover and shadow
in `range_sweep`, terrain flattening in `flattening`.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from avalanche_assets.grid import TILE_PX, Grid
from avalanche_assets.machine import usable_cores
from avalanche_assets.sentinel1.block_model import FIT, BlockModels, control_points, fit_blocks
from avalanche_assets.sentinel1.flattening import flattening_factor, look_direction, scaled_place
from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.sentinel1.range_sweep import flag_obstructed
from avalanche_assets.sentinel1.visibility import Visibility

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Flags = NDArray[np.uint8]

OUTSIDE = int(Visibility.OUTSIDE)


@dataclass(frozen=True)
class TrackGeometry:
    """Geometry of one track on the analysis grid; every array has the grid's shape.

    Attributes:
        incidence_deg: Angle between the look vector and the ellipsoid normal, NaN outside.
        local_incidence_deg: Angle between the look vector and the DEM's surface normal, NaN outside; above 90
            where the slope faces away from the radar.
        visibility: `Visibility` bits LAYOVER, SHADOW and OUTSIDE.
        flattening: Terrain-flattened gamma0 over sigma0, linear; NaN in shadow and outside.
    """

    incidence_deg: Float32s
    local_incidence_deg: Float32s
    visibility: Flags
    flattening: Float32s


def track_geometry(orbit: Orbit, dem: Float32s, grid: Grid) -> TrackGeometry:
    """Computes incidence, local incidence, layover, shadow and flattening for one track.

    Terrain beyond the grid's edge is unknown, so what it hides or lays over is not known either.

    Args:
        orbit: Path of the platform on any date of the track.
        dem: Heights on the grid in metres over the ellipsoid, NaN where unknown (flagged OUTSIDE).
        grid: The analysis grid; its shape is a multiple of 64.

    Raises:
        TerrainError: The radar sees nothing of the grid, or the grid's rows run along the track.
    """
    blocks = np.ones((grid.height // TILE_PX, grid.width // TILE_PX), np.bool_)
    models = fit_blocks(orbit, dem, grid, blocks)
    incidence, local_incidence = (np.full(grid.shape, np.nan, np.float32) for _ in range(2))
    visibility = np.full(grid.shape, OUTSIDE, np.uint8)

    def fill(members: NDArray[np.int64]) -> None:
        _angles(dem, models, members, grid.resolution, incidence, local_incidence, visibility)

    workers = usable_cores()
    with ThreadPoolExecutor(workers) as threads:
        list(threads.map(fill, np.array_split(np.arange(len(models.corners)), 8 * workers)))
    flag_obstructed(dem, models, _look_angle(orbit, models, grid), visibility)
    factor = flattening_factor(dem, models, incidence, visibility, grid.resolution)
    return TrackGeometry(incidence, local_incidence, visibility, factor)


def _look_angle(orbit: Orbit, models: BlockModels, grid: Grid) -> Floats:
    """Coefficients (n, 10) of the angle in radians at the platform between the Earth's centre and a point."""
    position = orbit.position(models.node_time)
    sight = control_points(models.corners, models.height_m, grid) - position
    cosine = -np.sum(position * sight, axis=-1) / (np.linalg.norm(position, axis=-1) * models.node_range)
    return np.asarray(np.arccos(cosine) @ FIT.T)


@njit(cache=True, nogil=True)
def _angles(
    dem: Float32s,
    models: BlockModels,
    members: NDArray[np.int64],
    resolution: float,
    incidence: Float32s,
    local_incidence: Float32s,
    flags: Flags,
) -> None:
    for member in members:
        row0, col0 = models.corners[member]
        centre, relief = models.height_m[member]
        for row in range(row0, row0 + TILE_PX):
            for col in range(col0, col0 + TILE_PX):
                x, y = scaled_place(row - row0 + 0.5, col - col0 + 0.5)
                h = (dem[row, col] - centre) / relief
                terms = models.slant_range[member]
                rx, ry, rh, metric = look_direction(terms, x, y, h, relief, resolution)
                if math.isnan(rh):
                    continue
                flags[row, col] = 0
                incidence[row, col] = math.degrees(math.acos(-rh))
                rise_x = _rise(dem, row, col, 0, 1) / resolution
                rise_y = -_rise(dem, row, col, 1, 0) / resolution
                area = math.sqrt(metric * (metric + rise_x * rise_x + rise_y * rise_y))
                cosine = (rise_x * rx + rise_y * ry - metric * rh) / area
                local_incidence[row, col] = math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))


@njit(cache=True, nogil=True, inline="always")
def _rise(dem: Float32s, row: int, col: int, down: int, right: int) -> float:
    """Height difference per cell, central where both neighbours are known, else one-sided, else NaN."""
    before, after = math.nan, math.nan
    if row >= down and col >= right:
        before = dem[row - down, col - right]
    if row + down < dem.shape[0] and col + right < dem.shape[1]:
        after = dem[row + down, col + right]
    if math.isnan(before):
        return float(after - dem[row, col])
    if math.isnan(after):
        return float(dem[row, col] - before)
    return float(after - before) / 2.0
