"""Cutting 64 x 64 pixel patches around deposit points out of rasters on the analysis grid, in one pass.

Patches are cut, never resampled: pixel (32, 32) of a patch is the pixel of the analysis grid that holds the
corridor's deposit point. The raster is read in squares, each once, and every patch takes its part of each
square it touches; what lies beyond the grid has no value.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.errors import TableError
from avalanche_assets.grid import Grid, Window
from avalanche_assets.patches.scene_level import LevelCounter, SceneLevels
from avalanche_assets.patches.wet_snow import wet_pixels
from avalanche_assets.tables import CORRIDOR_PATCHES, PATCH_SIZE, TERRAIN_PATCHES
from avalanche_assets.terrain.deposit_point import covering_window, rasterize_polygon

Bands = Mapping[str, NDArray[Any]]
ReadBands = Callable[[Window], Bands]
"""Gives named bands of one window of the analysis grid, arrays of the window's shape."""

SQUARE_PX = 512
"""Side of the squares in which rasters are read: whole tiles, small against a scene."""

TERRAIN_BANDS = ("elevation", "slope", "aspect", "local_incidence", "visible")
BEYOND_GRID = {"visible": 1.0}
"""What a pixel beyond the grid has: no value, but nothing is known to hide it."""


def in_patch_order(corridors: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Corridors as patch tables list them, so that a row group is a piece of a massif."""
    return corridors.sort_values(["massif_id", "corridor_id"], kind="stable", ignore_index=True)


def patch_windows(corridors: gpd.GeoDataFrame, grid: Grid) -> list[Window]:
    """The window of every corridor's patch; it may reach beyond the grid.

    Raises:
        TableError: A deposit point lies off the grid, so corridors and grid do not belong together.
    """
    points = list(zip(corridors["deposit_x"], corridors["deposit_y"], strict=True))
    outside = [
        name
        for name, point in zip(corridors["corridor_id"], points, strict=True)
        if not grid.contains(grid.window_around(*point, size=1))
    ]
    if outside:
        raise TableError(
            f"corridors: the deposit points of {outside[:5]} ({len(outside)} in all) lie off the analysis "
            "grid; the grid changed, materialise corridors again"
        )
    return [grid.window_around(*point) for point in points]


def cut_terrain_patches(
    corridors: gpd.GeoDataFrame,
    grid: Grid,
    heights: NDArray[np.float32],
    read: ReadBands,
    look_azimuth_deg: NDArray[np.float64] | None = None,
) -> pa.Table:
    """The static channels of every corridor's patch.

    Args:
        corridors: `tables.CORRIDORS` with geometry on the grid's coordinate system.
        grid: Analysis grid.
        heights: Elevation model on the grid in metres, NaN in voids.
        read: Gives the other `TERRAIN_BANDS`: degrees, and 1 where visible.
        look_azimuth_deg: Direction of look at each deposit point, in the order of `corridors`.

    Returns:
        `tables.TERRAIN_PATCHES`; `inside` is rasterised from the polygons.

    Raises:
        TableError: A deposit point lies off the grid.
    """
    looks = np.full(len(corridors), np.nan) if look_azimuth_deg is None else look_azimuth_deg
    ordered = in_patch_order(corridors.assign(look_azimuth_deg=looks))
    windows = patch_windows(ordered, grid)
    kinds: dict[str, type[np.floating]] = dict.fromkeys(TERRAIN_BANDS, np.float16)
    kinds["elevation"] = np.float32  # float16 steps by 2 m above 2048 m
    patches = _cut(windows, grid, lambda window: {"elevation": heights[window.slices], **read(window)}, kinds)
    columns = {"corridor_id": pa.array(ordered["corridor_id"], pa.string())}
    columns |= {name: _tensor(values) for name, values in patches.items()}
    inside = np.empty((len(windows), PATCH_SIZE, PATCH_SIZE), np.float16)
    tops = np.full((len(windows), 2), np.nan, np.float32)
    for i, (polygon, window) in enumerate(zip(ordered.geometry, windows, strict=True)):
        inside[i] = rasterize_polygon(polygon, grid.subgrid(window))
        tops[i] = _offset_of_top(polygon, grid, heights, window)
    columns["inside"] = _tensor(inside)
    columns["pixel_m"] = pa.array(np.full(len(windows), grid.resolution, np.float32))
    scalars = {"look_azimuth_deg": ordered["look_azimuth_deg"].to_numpy(np.float32)}
    scalars |= {"top_east_m": tops[:, 0], "top_north_m": tops[:, 1]}
    columns |= {name: pa.array(values, mask=np.isnan(values)) for name, values in scalars.items()}
    return pa.table(columns, TERRAIN_PATCHES)


def cut_corridor_patches(
    corridors: gpd.GeoDataFrame, grid: Grid, acquisition_date: date, read: ReadBands, wet_snow_db: float
) -> tuple[pa.Table, SceneLevels]:
    """The backscatter patches of one acquisition, with the shares that say how far they can be trusted.

    Args:
        corridors: `tables.CORRIDORS`.
        grid: Analysis grid.
        acquisition_date: Date of the acquisition.
        read: Gives ``vv_star`` and ``vh_star`` in dB, NaN where no value; ``visible``, true where neither
            layover nor shadow (whether the swath covers a pixel is not its matter); and ``elevation`` in
            metres, NaN where unknown.
        wet_snow_db: A pixel whose surroundings lie below this many dB counts as wet snow, after a drop of the
            whole scene is taken out.

    Returns:
        `tables.CORRIDOR_PATCHES`, whose wet-snow share is null without any value, and the scene's levels.

    Raises:
        TableError: A deposit point lies off the grid.
    """
    ordered = in_patch_order(corridors)
    windows, counter = patch_windows(ordered, grid), LevelCounter()

    def read_and_count(window: Window) -> Bands:
        bands = read(window)
        counter.add(bands, bands["visible"] > 0, bands["elevation"])
        return bands

    kinds: dict[str, type[np.floating]] = {
        "vv_star": np.float32,
        "vh_star": np.float16,
        "visible": np.float16,
    }
    patches = _cut(windows, grid, read_and_count, kinds)
    levels, vv = counter.levels(), patches["vv_star"]
    valid = np.isfinite(vv).sum(axis=(1, 2))
    wet = wet_pixels(vv, wet_snow_db + levels.drop_db)
    wet_share = np.divide(wet, valid, out=np.zeros(len(valid)), where=valid > 0)
    table = pa.table(
        {
            "corridor_id": pa.array(ordered["corridor_id"], pa.string()),
            "acquisition_date": pa.array([acquisition_date] * len(windows), pa.date32()),
            "vv_star": _tensor(vv.astype(np.float16)),
            "vh_star": _tensor(patches["vh_star"]),
            "valid_fraction": pa.array((valid / PATCH_SIZE**2).astype(np.float32)),
            "visible_fraction": pa.array((patches["visible"] > 0).mean(axis=(1, 2)).astype(np.float32)),
            "wet_snow_fraction": pa.array(wet_share.astype(np.float32), mask=valid == 0),
        },
        CORRIDOR_PATCHES,
    )
    return table, levels


def wanted_squares(corridors: gpd.GeoDataFrame, grid: Grid, size: int) -> NDArray[np.bool_]:
    """The squares of `size` pixels that some patch window touches.

    Args:
        corridors: `tables.CORRIDORS`.
        grid: Analysis grid.
        size: Side of a square, a divisor of the grid's height and width.

    Returns:
        Boolean array of shape (height / size, width / size).
    """
    wanted = np.zeros((grid.height // size, grid.width // size), bool)
    for window in patch_windows(corridors, grid):
        rows = slice(max(window.row, 0) // size, -(-(window.row + window.height) // size))
        wanted[rows, max(window.col, 0) // size : -(-(window.col + window.width) // size)] = True
    return wanted


def _cut(
    windows: list[Window], grid: Grid, read: ReadBands, kinds: Mapping[str, type[np.floating]]
) -> dict[str, NDArray[np.floating]]:
    """All windows (n, 64, 64) of every band, from squares that are each read once."""
    shape = (len(windows), PATCH_SIZE, PATCH_SIZE)
    patches: dict[str, NDArray[np.floating]] = {
        name: np.full(shape, BEYOND_GRID.get(name, np.nan), kind) for name, kind in kinds.items()
    }
    for square, members in _squares(windows, grid).items():
        bands = read(square)
        for member in members:
            inner, outer = _overlap(windows[member], square), _overlap(square, windows[member])
            for name, values in patches.items():
                values[member][inner] = bands[name][outer]
    return patches


def _squares(windows: list[Window], grid: Grid) -> dict[Window, list[int]]:
    """The squares of the grid that some window touches, row by row, with the windows that touch them."""
    members: dict[Window, list[int]] = {}
    for square in grid.tiles(SQUARE_PX):
        members[square] = []
    across = -(-grid.width // SQUARE_PX)
    squares = list(members)
    for index, window in enumerate(windows):
        top, left = max(window.row, 0), max(window.col, 0)
        bottom = min(window.row + window.height, grid.height) - 1
        right = min(window.col + window.width, grid.width) - 1
        for row in range(top // SQUARE_PX, bottom // SQUARE_PX + 1):
            for col in range(left // SQUARE_PX, right // SQUARE_PX + 1):
                members[squares[row * across + col]].append(index)
    return {square: found for square, found in members.items() if found}


def _overlap(window: Window, other: Window) -> tuple[slice, slice]:
    """Rows and columns of `window` that `other` covers too, counted from the window's corner."""
    rows = max(other.row - window.row, 0), min(other.row + other.height - window.row, window.height)
    cols = max(other.col - window.col, 0), min(other.col + other.width - window.col, window.width)
    return slice(*rows), slice(*cols)


def _offset_of_top(
    polygon: Any, grid: Grid, heights: NDArray[np.float32], patch: Window
) -> tuple[float, float]:
    """Metres east and north from the deposit pixel to the corridor's highest pixel; NaN without heights."""
    around = covering_window(polygon, grid)
    row, col = max(around.row, 0), max(around.col, 0)
    height = min(around.row + around.height, grid.height) - row
    width = min(around.col + around.width, grid.width) - col
    if height <= 0 or width <= 0:
        return np.nan, np.nan
    window = Window(row, col, height, width)
    inside = np.where(rasterize_polygon(polygon, grid.subgrid(window)), heights[window.slices], np.nan)
    if np.isnan(inside).all():
        return np.nan, np.nan
    top = np.unravel_index(np.nanargmax(inside), inside.shape)
    half = PATCH_SIZE // 2
    east = (window.col + int(top[1])) - (patch.col + half)
    north = (patch.row + half) - (window.row + int(top[0]))
    return east * grid.resolution, north * grid.resolution


def _tensor(patches: NDArray[np.generic]) -> pa.Array:
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(patches))
