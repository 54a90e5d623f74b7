"""Cutting 64 x 64 pixel patches around deposit points out of full-grid rasters.

Patches are cut, never resampled: pixel (32, 32) of a patch is the pixel of the analysis grid that holds the
corridor's deposit point.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any, TypeVar

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from avalanche_assets.errors import TableError
from avalanche_assets.grid import Grid, Window
from avalanche_assets.tables import CORRIDOR_PATCHES, PATCH_SIZE, TERRAIN_PATCHES
from avalanche_assets.terrain.deposit_point import rasterize_polygon

Scalar = TypeVar("Scalar", bound=np.generic)

WET_SNOW_PX = 5
"""Side of the square over which VV* is averaged before it is called wet snow: 100 m at 20 m pixels."""

TERRAIN_BANDS = ("elevation", "slope", "aspect", "local_incidence", "visible")


def patch_windows(corridors: gpd.GeoDataFrame, grid: Grid) -> list[Window]:
    """The window of every corridor's patch.

    Raises:
        TableError: A window leaves the grid, so corridors and grid do not belong together.
    """
    points = zip(corridors["deposit_x"], corridors["deposit_y"], strict=True)
    windows = [grid.window_around(x, y) for x, y in points]
    outside = [
        name
        for name, window in zip(corridors["corridor_id"], windows, strict=True)
        if not grid.contains(window)
    ]
    if outside:
        raise TableError(
            f"corridors: the patch windows of {outside[:5]} ({len(outside)} in all) leave the analysis grid; "
            "the grid changed, materialise corridors again"
        )
    return windows


def cut_terrain_patches(
    corridors: gpd.GeoDataFrame, grid: Grid, bands: Mapping[str, NDArray[Any]]
) -> pa.Table:
    """The static channels of every corridor's patch.

    Args:
        corridors: `tables.CORRIDORS` with geometry on the grid's coordinate system.
        grid: Analysis grid.
        bands: Full-grid arrays of `TERRAIN_BANDS`: metres, degrees, and 1 where visible.

    Returns:
        `tables.TERRAIN_PATCHES` in the order of `corridors`; `inside` is rasterised from the polygons.

    Raises:
        TableError: A window leaves the grid.
    """
    windows = patch_windows(corridors, grid)
    columns = {"corridor_id": pa.array(corridors["corridor_id"], pa.string())}
    for name in TERRAIN_BANDS:
        kind = np.float32 if name == "elevation" else np.float16
        columns[name] = _tensor(_cut(bands[name], windows).astype(kind))
    inside = np.empty((len(windows), PATCH_SIZE, PATCH_SIZE), np.float16)
    for i, (polygon, window) in enumerate(zip(corridors.geometry, windows, strict=True)):
        inside[i] = rasterize_polygon(polygon, grid.subgrid(window))
    columns["inside"] = _tensor(inside)
    return pa.table(columns, TERRAIN_PATCHES)


def cut_corridor_patches(
    corridors: gpd.GeoDataFrame,
    grid: Grid,
    acquisition_date: date,
    vv_star: NDArray[np.float32],
    vh_star: NDArray[np.float32],
    visible: NDArray[np.bool_],
    wet_snow_db: float,
) -> pa.Table:
    """The backscatter patches of one acquisition, with the shares that say how far they can be trusted.

    Args:
        corridors: `tables.CORRIDORS`.
        grid: Analysis grid.
        acquisition_date: Date of the acquisition.
        vv_star: VV* of the whole grid in dB, NaN where no value.
        vh_star: VH* likewise.
        visible: True where neither layover nor shadow; whether the swath covers a pixel is not its matter.
        wet_snow_db: A pixel whose surroundings lie below this many dB counts as wet snow; a drop of the whole
            scene by other causes looks the same.

    Returns:
        `tables.CORRIDOR_PATCHES` in the order of `corridors`; the wet-snow share is null without any value.

    Raises:
        TableError: A window leaves the grid.
    """
    windows = patch_windows(corridors, grid)
    vv, vh = _cut(vv_star, windows), _cut(vh_star, windows)
    valid = np.isfinite(vv).sum(axis=(1, 2))
    wet = (_local_mean(vv) < wet_snow_db).sum(axis=(1, 2))
    wet_share = np.divide(wet, valid, out=np.zeros(len(valid)), where=valid > 0)
    return pa.table(
        {
            "corridor_id": pa.array(corridors["corridor_id"], pa.string()),
            "acquisition_date": pa.array([acquisition_date] * len(windows), pa.date32()),
            "vv_star": _tensor(vv.astype(np.float16)),
            "vh_star": _tensor(vh.astype(np.float16)),
            "valid_fraction": pa.array((valid / PATCH_SIZE**2).astype(np.float32)),
            "visible_fraction": pa.array(_cut(visible, windows).mean(axis=(1, 2)).astype(np.float32)),
            "wet_snow_fraction": pa.array(wet_share.astype(np.float32), mask=valid == 0),
        },
        CORRIDOR_PATCHES,
    )


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
        rows = slice(window.row // size, -(-(window.row + window.height) // size))
        wanted[rows, window.col // size : -(-(window.col + window.width) // size)] = True
    return wanted


def _cut(values: NDArray[Scalar], windows: list[Window]) -> NDArray[Scalar]:
    """All windows of one full-grid array in one indexing step: (N, 64, 64)."""
    views = np.lib.stride_tricks.sliding_window_view(values, (PATCH_SIZE, PATCH_SIZE))
    place = pd.DataFrame([(window.row, window.col) for window in windows], columns=["row", "col"], dtype=int)
    return np.asarray(views[place["row"].to_numpy(), place["col"].to_numpy()])


def _local_mean(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over 5 x 5 pixels (n, 64, 64), NaN where the pixel has no value: speckle is no snow."""
    known = np.isfinite(patches)
    total = uniform_filter(np.where(known, patches, 0.0), (0, WET_SNOW_PX, WET_SNOW_PX), mode="constant")
    share = uniform_filter(known.astype(np.float32), (0, WET_SNOW_PX, WET_SNOW_PX), mode="constant")
    mean = np.full(patches.shape, np.nan, np.float32)
    np.divide(total, share, out=mean, where=known)
    return mean


def _tensor(patches: NDArray[np.generic]) -> pa.Array:
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(patches))
