"""Angles, layover and shadow of every cell by exact zero-Doppler solutions and rays marched from each cell.

Slow and plain: nothing is fitted, nothing swept. The reference for `track_geometry`.
"""

from dataclasses import dataclass

import numpy as np
from pyproj import Transformer
from scipy.ndimage import map_coordinates

from avalanche_assets.grid import Grid
from avalanche_assets.sentinel1.geocoding import (
    ellipsoid_normal,
    geodetic_to_ecef,
    incidence_deg,
    zero_doppler,
)
from avalanche_assets.sentinel1.orbit import Orbit


@dataclass(frozen=True)
class ExactGeometry:
    incidence_deg: np.ndarray
    local_incidence_deg: np.ndarray
    layover: np.ndarray
    shadow: np.ndarray


def exact_geometry(orbit: Orbit, dem: np.ndarray, grid: Grid, step_px: float = 0.5) -> ExactGeometry:
    """A height has to be known everywhere; the outermost cells have no local incidence."""
    rows, cols = np.indices(grid.shape)
    transformer = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)

    def solve(rows, cols, height):
        x, y = grid.west + (cols + 0.5) * grid.resolution, grid.north - (rows + 0.5) * grid.resolution
        lon, lat = transformer.transform(x, y)
        points = geodetic_to_ecef(lon, lat, height)
        return lon, lat, points, *zero_doppler(orbit, points)

    lon, lat, points, time, distance = solve(rows, cols, dem)
    normals = np.full(points.shape, np.nan)
    east, north = points[1:-1, 2:] - points[1:-1, :-2], points[:-2, 1:-1] - points[2:, 1:-1]
    normals[1:-1, 1:-1] = np.cross(east, north)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    platform = orbit.position(time)
    cosine = -np.sum(platform * (points - platform), axis=-1) / np.linalg.norm(platform, axis=-1) / distance
    level = np.full(dem.shape, float(dem.mean()))
    down = solve(rows + 8, cols, level)[3] - solve(rows - 8, cols, level)[3]
    right = solve(rows, cols + 8, level)[3] - solve(rows, cols - 8, level)[3]
    outward = np.stack([-right, down]) * np.sign(
        solve(rows, cols + 8, level)[4] - solve(rows, cols - 8, level)[4]
    )
    outward *= np.sign(down) / np.hypot(down, right)
    layover, shadow = _march(
        distance, np.arccos(cosine), outward, step_px, float(np.ptp(dem)) / grid.resolution
    )
    return ExactGeometry(
        incidence_deg(orbit, time, points, ellipsoid_normal(lon, lat)),
        incidence_deg(orbit, time, points, normals),
        layover,
        shadow,
    )


def _march(distance, look_angle, outward, step_px, relief_px):
    """A ray from each cell in both directions, as far as the whole relief can hide or lay over."""
    layover, shadow = np.zeros(distance.shape, bool), np.zeros(distance.shape, bool)
    places = np.indices(distance.shape)
    for step in np.arange(1.0, 1.3 * relief_px + 1, step_px):
        nearer, farther = places - step * outward, places + step * outward
        for place, sign in ((nearer, -1.0), (farther, 1.0)):
            met = map_coordinates(distance, place, order=1, cval=np.nan)
            layover |= sign * (met - distance) < 0
        shadow |= map_coordinates(look_angle, nearer, order=1, cval=np.nan) > look_angle
    return layover, shadow
