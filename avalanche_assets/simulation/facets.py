"""The ground as the radar sees it: small facets with area, local incidence and illumination.

Nodes are the cell centres of the elevation model, facets the quadrilaterals between four nodes. None of this
changes within a season: the orbits of one track differ by some tens of metres, the angles by 0.01 degrees.

Source: D. Small, "Flattening Gamma", IEEE TGRS 49(8), 2011, section II (facet area, shadow along the look).
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pyproj import Transformer

from avalanche_assets.grid import Grid
from avalanche_assets.sentinel1.geocoding import geodetic_to_ecef, zero_doppler
from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.simulation.image_geometry import geodetic

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

ROWS_AT_ONCE = 256
SIGHT_LENGTH_M = 2000.0


@dataclass(frozen=True)
class Facets:
    """Static radar geometry of an elevation model.

    Attributes:
        points: Nodes in Earth-fixed metres, float64 (rows, cols, 3).
        local_incidence: Angle between line of sight and surface normal at nodes, degrees, (rows, cols).
        area: True surface area of facets in m2, (rows - 1, cols - 1).
        lit: Whether the radar sees the facet, bool (rows - 1, cols - 1); false is radar shadow.
    """

    points: Floats
    local_incidence: Floats32
    area: Floats32
    lit: NDArray[np.bool_]


def build_facets(grid: Grid, elevation: Floats32, orbit: Orbit) -> Facets:
    """Facets of ellipsoidal heights (metres) on `grid`, seen from `orbit`."""
    points = _node_points(grid, elevation)
    rows, cols = grid.shape
    incidence = np.empty((rows, cols), np.float32)
    area = np.empty((rows - 1, cols - 1), np.float32)
    for start in range(0, rows, ROWS_AT_ONCE):
        # One row more on either side gives central differences at the block's edges.
        first, last = max(start - 1, 0), min(start + ROWS_AT_ONCE + 1, rows)
        block = points[first:last]
        normals = np.cross(np.gradient(block, axis=0), np.gradient(block, axis=1))
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        time, slant = zero_doppler(orbit, block)
        cosine = np.sum((orbit.position(time) - block) * normals, axis=-1) / slant
        angles = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
        stop = min(start + ROWS_AT_ONCE, rows)
        incidence[start:stop] = angles[start - first : stop - first]
        diagonals = np.cross(block[1:, 1:] - block[:-1, :-1], block[1:, :-1] - block[:-1, 1:])
        area[first : last - 1] = np.linalg.norm(diagonals, axis=-1) / 2.0
    lit = np.empty(area.shape, np.bool_)
    _illuminate(elevation, grid.resolution, _sight_model(grid, elevation, orbit), lit)
    return Facets(points, incidence, area, lit)


def pad_grid(grid: Grid, cells: int) -> Grid:
    """The grid with `cells` more on every side."""
    return Grid(
        grid.crs,
        grid.resolution,
        grid.west - cells * grid.resolution,
        grid.north + cells * grid.resolution,
        grid.height + 2 * cells,
        grid.width + 2 * cells,
    )


def _node_points(grid: Grid, elevation: Floats32) -> Floats:
    to_geodetic = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    points = np.empty((*grid.shape, 3))
    east = grid.west + (np.arange(grid.width) + 0.5) * grid.resolution
    for start in range(0, grid.height, ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, grid.height))
        north = grid.north - (rows + 0.5) * grid.resolution
        x, y = np.meshgrid(east, north)
        lon, lat = to_geodetic.transform(x, y)
        points[rows] = geodetic_to_ecef(lon, lat, elevation[rows])
    return points


def _sight_model(grid: Grid, elevation: Floats32, orbit: Orbit) -> Floats:
    """The horizontal direction to the radar and its rise, as quadratic functions of row and column.

    Returns:
        Shape (3, 6): rows, columns (in cells) and metres up for one cell of horizontal way, each a sum over
        1, row, col, row * col, row ** 2, col ** 2, with row and column scaled to 0..1.
    """
    row, col = np.meshgrid(
        np.linspace(0, grid.height - 1, 12), np.linspace(0, grid.width - 1, 12), indexing="ij"
    )
    to_geodetic = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    x = grid.west + (col + 0.5) * grid.resolution
    y = grid.north - (row + 0.5) * grid.resolution
    lon, lat = to_geodetic.transform(x, y)
    height = np.full(lon.shape, float(np.mean(elevation)))
    points = geodetic_to_ecef(lon, lat, height)
    time, slant = zero_doppler(orbit, points)
    ahead = points + SIGHT_LENGTH_M * (orbit.position(time) - points) / slant[..., None]
    lon_ahead, lat_ahead, height_ahead = geodetic(ahead)
    x_ahead, y_ahead = to_geodetic.transform(lon_ahead, lat_ahead, direction="INVERSE")
    way = np.hypot(x_ahead - x, y_ahead - y)
    values = np.stack(
        [-(y_ahead - y) / way, (x_ahead - x) / way, (height_ahead - height) / way * grid.resolution], axis=-1
    )
    terms = _terms(row.ravel() / grid.height, col.ravel() / grid.width)
    solution = np.linalg.lstsq(terms, values.reshape(-1, 3), rcond=None)[0]
    return np.ascontiguousarray(solution.T)


def _terms(row: Floats, col: Floats) -> Floats:
    return np.stack([np.ones_like(row), row, col, row * col, row**2, col**2], axis=-1)


@njit(cache=True, nogil=True)
def _model(coefficients: Floats, row: float, col: float) -> float:
    value: float = coefficients[0] + coefficients[1] * row + coefficients[2] * col
    value += coefficients[3] * row * col + coefficients[4] * row * row + coefficients[5] * col * col
    return value


@njit(cache=True, nogil=True)
def _illuminate(elevation: Floats32, resolution: float, sight: Floats, lit: NDArray[np.bool_]) -> None:
    """Marches from each facet's centre towards the radar until the ray clears the highest ground."""
    rows, cols = elevation.shape
    top = elevation.max()
    for r in range(rows - 1):
        for c in range(cols - 1):
            row, col = r + 0.5, c + 0.5
            d_row = _model(sight[0], row / rows, col / cols)
            d_col = _model(sight[1], row / rows, col / cols)
            rise = _model(sight[2], row / rows, col / cols)
            height = 0.25 * (
                elevation[r, c] + elevation[r + 1, c] + elevation[r, c + 1] + elevation[r + 1, c + 1]
            )
            lit[r, c] = True
            while height < top:
                row, col, height = row + d_row, col + d_col, height + rise
                if not (0.0 <= row < rows - 1 and 0.0 <= col < cols - 1):
                    break
                i, j = math.floor(row), math.floor(col)
                u, v = row - i, col - j
                ground = (1.0 - u) * ((1.0 - v) * elevation[i, j] + v * elevation[i, j + 1]) + u * (
                    (1.0 - v) * elevation[i + 1, j] + v * elevation[i + 1, j + 1]
                )
                if ground > height:
                    lit[r, c] = False
                    break
