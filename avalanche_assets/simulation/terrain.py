"""Synthetic Alpine terrain: valleys cut by rivers, hillslopes at their angle of rest, rocky crests.

A ridged-noise surface is replaced again and again by the surface that its own drainage network would carve in
equilibrium (rivers by the stream-power law, hillslopes at a critical angle), from coarse to fine cells, so
that valleys and crests of every size fit together. Then valley floors are filled and crags added.

Source: Whipple, K. & Tucker, G. (1999), JGR 104(B8), equation 7 (steady-state channel slope ks A^-theta);
Cordonnier, G. et al. (2016), Large scale terrain generation from tectonic uplift and fluvial erosion.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from avalanche_assets.grid import Grid
from avalanche_assets.simulation.flow import drain, drainage_area
from avalanche_assets.simulation.noise import fractal_noise

Floats = NDArray[np.float32]

CHANNEL_STEEPNESS = 150.0
"""Channel steepness ks in m (concavity 0.5): a stream that drains 1 km2 falls 15 m in 100 m."""


def synthetic_terrain(grid: Grid, seed: int) -> Floats:
    """Heights of an Alpine landscape with drained valleys.

    Args:
        grid: Any size; features keep their size in metres.
        seed: Another seed gives another landscape.

    Returns:
        float32 `grid.shape`, metres, roughly 900 to 3,600.
    """
    levels = _levels(grid)
    margin = _margin_cells(grid, levels[0])
    heights = _initial(grid, levels[0], margin, seed)
    for index, factor in enumerate(levels):
        cell = grid.resolution * factor
        if index:
            ratio = levels[index - 1] // factor
            margin *= ratio
            heights = _refine(heights, ratio)
        tangent = _critical_tangent(heights.shape, cell, seed)
        for _ in range(20 if index == 0 else 3):
            _, receivers, order = drain(heights)
            area = drainage_area(receivers, order, cell * cell)
            _equilibrium(heights, receivers, order, area, tangent, cell, 0.7)
        heights = ndimage.gaussian_filter(heights, 0.6)
    return np.ascontiguousarray(
        heights[margin : margin + grid.height, margin : margin + grid.width], dtype=np.float32
    )


def _levels(grid: Grid) -> list[int]:
    """Cell sizes from coarse (about 160 m) to fine, in grid cells, each half the one before."""
    factor = 1
    while grid.resolution * factor < 120.0:
        factor *= 2
    return [factor // 2**k for k in range(factor.bit_length())]


def _margin_cells(grid: Grid, factor: int) -> int:
    """Coarse cells around the grid that keep its edge from being the rivers' end."""
    extent = min(grid.height, grid.width) * grid.resolution
    metres = min(max(0.25 * extent, 4000.0), 10000.0)
    return round(metres / (grid.resolution * factor))


def _initial(grid: Grid, factor: int, margin: int, seed: int) -> Floats:
    shape = (-(-grid.height // factor) + 2 * margin, -(-grid.width // factor) + 2 * margin)
    cell = grid.resolution * factor
    ranges = fractal_noise(shape, cell, 14000.0, 6, seed, True)
    base = fractal_noise(shape, cell, 30000.0, 2, seed + 50, False)
    return (1000.0 + 350.0 * (base + 0.5) + 900.0 * ranges).astype(np.float32)


def _refine(heights: Floats, ratio: int) -> Floats:
    """Heights on cells `ratio` times smaller, each coarse cell exactly covered."""
    rows, cols = heights.shape
    row = (np.arange(rows * ratio, dtype=np.float64) + 0.5) / ratio - 0.5
    col = (np.arange(cols * ratio, dtype=np.float64) + 0.5) / ratio - 0.5
    return _bilinear(heights, row, col)


@njit(cache=True)
def _bilinear(heights: Floats, row: NDArray[np.float64], col: NDArray[np.float64]) -> Floats:
    rows, cols = heights.shape
    out = np.empty((row.size, col.size), np.float32)
    for i in range(row.size):
        r = min(max(int(np.floor(row[i])), 0), rows - 2)
        u = min(max(row[i] - r, 0.0), 1.0)
        for j in range(col.size):
            c = min(max(int(np.floor(col[j])), 0), cols - 2)
            v = min(max(col[j] - c, 0.0), 1.0)
            upper = (1.0 - v) * heights[r, c] + v * heights[r, c + 1]
            lower = (1.0 - v) * heights[r + 1, c] + v * heights[r + 1, c + 1]
            out[i, j] = (1.0 - u) * upper + u * lower
    return out


def _critical_tangent(shape: tuple[int, int], cell: float, seed: int) -> Floats:
    """Tangent of the steepest slope the rock holds, 30 to 50 degrees."""
    strength = fractal_noise(shape, cell, 2500.0, 3, seed + 70, False)
    return np.tan(np.radians(38.0 + 10.0 * strength)).astype(np.float32)


@njit(cache=True)
def _equilibrium(
    heights: Floats,
    receivers: NDArray[np.int32],
    order: NDArray[np.int32],
    area: Floats,
    tangent: Floats,
    cell: float,
    share: float,
) -> None:
    """Moves `heights` by `share` of the way to the surface its drainage would carve, in place."""
    flat = heights.ravel()
    limit = tangent.ravel()
    cols = heights.shape[1]
    carved = flat.copy()
    for k in range(order.size):
        i = order[k]
        r = receivers[i]
        if r == i:
            continue
        step = cell if (i // cols == r // cols or i % cols == r % cols) else 1.41421356 * cell
        slope = min(limit[i], CHANNEL_STEEPNESS / np.sqrt(area[i]))
        carved[i] = carved[r] + step * slope
        flat[i] += share * (carved[i] - flat[i])


@njit(cache=True)
def slope_aspect(elevation: Floats, resolution: float) -> tuple[Floats, Floats]:
    """Slope and aspect by central differences, one-sided on the rim.

    Args:
        elevation: float32 (rows, columns) in metres, row 0 north.
        resolution: Cell size in metres.

    Returns:
        Slope in degrees and downhill direction in degrees clockwise from north, each float32; the
        aspect of a flat cell is 0.
    """
    rows, cols = elevation.shape
    slope = np.empty((rows, cols), np.float32)
    aspect = np.empty((rows, cols), np.float32)
    for i in range(rows):
        up, down = max(i - 1, 0), min(i + 1, rows - 1)
        for j in range(cols):
            left, right = max(j - 1, 0), min(j + 1, cols - 1)
            east = (elevation[i, right] - elevation[i, left]) / ((right - left) * resolution)
            north = (elevation[up, j] - elevation[down, j]) / ((down - up) * resolution)
            slope[i, j] = np.degrees(np.arctan(np.hypot(east, north)))
            aspect[i, j] = np.degrees(np.arctan2(-east, -north)) % 360.0
    return slope, aspect
