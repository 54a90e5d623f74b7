"""Synthetic Alpine terrain: ranges and valleys cut by their own rivers, rocky crests, flat valley floors.

A noise surface is lifted step by step while rivers cut into it and slopes that are too steep slump, first on
coarse cells for the large forms, then on finer and finer ones. Crags are added where it is steep, and the
floors of the larger valleys are widened as glaciers leave them.

Source: Braun, J. & Willett, S. (2013), Geomorphology 180, 170-179, equation 22 (implicit stream-power step,
n = 1, m = 0.5); Musgrave, F. K. et al. (1989), SIGGRAPH (slumping at the talus angle); Nobre, A. et al.
(2011), J. Hydrology 404 (height above the nearest drainage, here to find valley floors).
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from avalanche_assets.grid import Grid
from avalanche_assets.simulation.flow import Cells, drain, drainage_area
from avalanche_assets.simulation.noise import fractal_noise

Floats = NDArray[np.float32]

CHANNEL_STEEPNESS_M = 150.0
"""Steepness ks (concavity 0.5) rivers strive for: one that drains 1 km2 falls 15 m in 100 m."""

VALLEY_AREA_M2 = 6e6
"""Streams that drain more than this have a valley floor."""

VALLEY_HEIGHT_M = 1150.0
"""Where the lowest percent of the landscape lies."""

PEAK_HEIGHT_M = 3550.0
"""Where the highest thousandth of a large landscape lies; a small one is seldom that high."""


MARGIN_M = 4000.0
"""Ground simulated around the grid and cut off, because the rivers end at its rim."""


class _Level(NamedTuple):
    """One cell size of the erosion: in grid cells, with its number of steps and uplift a step in metres."""

    factor: int
    steps: int
    uplift_m: float


LEVELS = (_Level(8, 120, 17.0), _Level(4, 30, 12.0), _Level(2, 10, 6.0))
"""Cells of 160, 80 and 40 m on a grid of 20 m; the last step, to the grid's own cells, only adds crags."""


def synthetic_terrain(grid: Grid, seed: int) -> Floats:
    """Heights of an Alpine landscape with drained valleys.

    Args:
        grid: Any size; forms keep their size in cells, which are meant to be about 20 m.
        seed: Another seed gives another landscape.

    Returns:
        float32 `grid.shape`, metres, about 900 to 3,600.
    """
    cell = grid.resolution
    coarsest = LEVELS[0].factor
    margin = round(MARGIN_M / (cell * coarsest))
    heights = _first_surface(grid, margin, seed)
    for number, level in enumerate(LEVELS):
        if number:
            heights = ndimage.gaussian_filter(_halve_cells(heights), 0.8)
        heights = _erode(heights, cell * level.factor, level, seed + 10 * number)
    heights = _halve_cells(_widen_valleys(heights, cell * LEVELS[-1].factor))
    _add_crags(heights, cell, seed)
    heights = _slump(heights, 1.15 * _talus_tangent(heights.shape, cell, seed), cell, 0.05)
    edge = margin * coarsest
    return _place(heights[edge : edge + grid.height, edge : edge + grid.width])


def _first_surface(grid: Grid, margin: int, seed: int) -> Floats:
    factor = LEVELS[0].factor
    shape = (-(-grid.height // factor) + 2 * margin, -(-grid.width // factor) + 2 * margin)
    cell = grid.resolution * factor
    swell = fractal_noise(shape, cell, 30000.0, 2, seed + 50, False)
    ranges = fractal_noise(shape, cell, 9000.0, 6, seed, True)
    surface: Floats = (250.0 * swell + 500.0 * ranges).astype(np.float32)
    return surface


def _erode(heights: Floats, cell: float, level: _Level, seed: int) -> Floats:
    """Lifts and carves for the steps of one level."""
    shape = heights.shape
    # Without roughness below the cell size before, streams keep to the eight directions of the cells.
    heights = heights + 0.12 * cell * fractal_noise(shape, cell, 8.0 * cell, 3, seed + 300, False)
    tangent = _talus_tangent(shape, cell, seed)
    uplift = np.clip(1.0 + 1.2 * fractal_noise(shape, cell, 12000.0, 3, seed + 80, False), 0.3, 2.0)
    uplift = (level.uplift_m * uplift).astype(np.float32)
    for _ in range(level.steps):
        heights, receivers, order = drain(heights)
        area = drainage_area(receivers, order, cell * cell)
        _lift_and_cut(heights, receivers, order, area, uplift, level.uplift_m / CHANNEL_STEEPNESS_M, cell)
        for _ in range(3):
            heights = _slump(heights, tangent, cell, 0.02)
    return heights


def _talus_tangent(shape: tuple[int, int], cell: float, seed: int) -> Floats:
    """Tangent of the slope above which the ground slumps: 20 to 55 degrees, by rock."""
    rock = fractal_noise(shape, cell, 2500.0, 3, seed % 10 + 70, False)
    tangent: Floats = np.tan(np.radians(np.clip(37.0 + 26.0 * rock, 20.0, 55.0))).astype(np.float32)
    return tangent


@njit(cache=True)
def _lift_and_cut(
    heights: Floats, receivers: Cells, order: Cells, area: Floats, uplift: Floats, cutting: float, cell: float
) -> None:
    """One uplift and one implicit river incision from the rim upstream, in place; the rim stays."""
    flat, lift = heights.ravel(), uplift.ravel()
    cols = heights.shape[1]
    for i in order:
        r = receivers[i]
        if r == i:
            continue
        step = cell if (i // cols == r // cols or i % cols == r % cols) else 1.41421356 * cell
        lifted = flat[i] + lift[i]
        if flat[r] < lifted:
            rate = cutting * np.sqrt(area[i]) / step
            lifted = (lifted + rate * flat[r]) / (1.0 + rate)
        flat[i] = lifted


@njit(cache=True)
def _slump(heights: Floats, tangent: Floats, cell: float, creep: float) -> Floats:
    """Moves ground between each pair of neighbours: all that creeps, and 15 % of what is too steep."""
    rows, cols = heights.shape
    out = heights.copy()
    for i in range(rows):
        for j in range(cols):
            for k in range(4):
                a = i if k == 0 else i + 1
                b = j + 1 if k in (0, 2) else (j if k == 1 else j - 1)
                if a >= rows or b < 0 or b >= cols:
                    continue
                weight, distance = (1.0, 1.0) if k < 2 else (0.5, 1.41421356)
                fall = heights[i, j] - heights[a, b]
                limit = 0.5 * (tangent[i, j] + tangent[a, b]) * cell * distance
                excess = max(fall - limit, 0.0) + min(fall + limit, 0.0)
                moved = weight * (creep * fall + 0.15 * excess)
                out[i, j] -= moved
                out[a, b] += moved
    return out


def _add_crags(heights: Floats, cell: float, seed: int) -> None:
    """Ridged noise of some 50 m where it is steep, in place (a large landscape has no room for copies)."""
    steep = slope_aspect(heights, cell)[0]
    steep -= 14.0
    steep /= 22.0
    np.clip(steep, 0.0, 1.0, out=steep)
    ndimage.gaussian_filter(steep, 3.0, output=steep)
    for wavelength, octaves, amplitude, offset in ((700.0, 5, 110.0, 500), (220.0, 3, 28.0, 600)):
        ribs = fractal_noise(heights.shape, cell, wavelength, octaves, seed + offset, True)
        ribs -= 0.45
        ribs *= steep
        ribs *= amplitude
        heights += ribs


def _widen_valleys(heights: Floats, cell: float) -> Floats:
    """Lowers the foot of the slopes towards the nearest large stream: wide floors, steeper flanks."""
    filled, receivers, order = drain(heights)
    area = drainage_area(receivers, order, cell * cell)
    stream, size = _stream_below(filled, receivers, order, area)
    floor = 22.0 * (size / VALLEY_AREA_M2) ** 0.3
    # Smoothed, because two neighbouring streams at different heights would leave a step between them.
    stream, floor = ndimage.gaussian_filter(stream, 3.0), ndimage.gaussian_filter(floor, 3.0)
    above = np.maximum(filled - stream, 0.0)
    rise = np.clip(above / (5.0 * floor), 0.0, 1.0)
    widened = stream + above * (0.05 + 0.95 * rise * rise * (3.0 - 2.0 * rise))
    near = ndimage.gaussian_filter((above < 2.5 * floor).astype(np.float32), 2.0) ** 2
    floored: Floats = widened + near * (ndimage.gaussian_filter(widened, 4.0) - widened)
    return floored


@njit(cache=True)
def _stream_below(heights: Floats, receivers: Cells, order: Cells, area: Floats) -> tuple[Floats, Floats]:
    """Height and drainage area of the first large stream (or the rim) below every cell."""
    flat = heights.ravel()
    height, size = flat.copy(), area.copy()
    for i in order:
        if area[i] < VALLEY_AREA_M2 and receivers[i] != i:
            height[i] = height[receivers[i]]
            size[i] = size[receivers[i]]
    return height.reshape(heights.shape), size.reshape(heights.shape)


def _place(heights: Floats) -> Floats:
    """Shifts, and stretches by at most an eighth, to the heights of Alpine valleys and peaks."""
    low, high = np.percentile(heights[::4, ::4], [1.0, 99.9])
    stretch = np.clip((PEAK_HEIGHT_M - VALLEY_HEIGHT_M) / (high - low), 0.8, 1.12)
    placed: Floats = (VALLEY_HEIGHT_M + stretch * (heights - low)).astype(np.float32)
    return placed


def _halve_cells(heights: Floats) -> Floats:
    """Bilinear heights on cells half as wide, every cell split into exactly four."""
    return _halve_rows(_halve_rows(heights).T).T.copy()


def _halve_rows(heights: Floats) -> Floats:
    out = np.empty((2 * heights.shape[0], heights.shape[1]), np.float32)
    above = np.concatenate([heights[:1], heights[:-1]])
    below = np.concatenate([heights[1:], heights[-1:]])
    out[0::2] = 0.75 * heights + 0.25 * above
    out[1::2] = 0.75 * heights + 0.25 * below
    return out


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
