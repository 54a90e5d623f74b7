"""Terrain-corrected rasters made elsewhere (ASF HyP3, OPERA, an in-house chain) on our analysis grid.

Warping happens in linear power, averaging where the source is finer than the grid, so that power is
conserved; dB sources are converted first.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import calculate_default_transform, reproject, transform_bounds

from avalanche_assets.errors import TerrainError
from avalanche_assets.grid import Grid

Floats = NDArray[np.float32]
BANDS = ("vv", "vh", "incidence")


def read_ready_made(
    path: Path,
    grid: Grid,
    scale: Literal["linear", "db"],
    incidence_unit: Literal["deg", "rad"] = "deg",
) -> dict[str, Floats]:
    """Warps bands 1 to 3 (VV, VH, incidence) of a raster in any coordinate system onto `grid`.

    Args:
        path: GeoTIFF with backscatter in `scale` and incidence in `incidence_unit`.
        grid: Analysis grid.
        scale: ``linear`` power or ``db``.
        incidence_unit: ``deg`` or ``rad``.

    Returns:
        ``vv`` and ``vh`` in linear power and ``incidence`` in degrees, each `grid.shape`, NaN outside.

    Raises:
        TerrainError: Fewer than three bands, no coordinate system, or no overlap with the grid.
    """
    with rasterio.open(path) as dataset:
        if dataset.count < len(BANDS):
            raise TerrainError(f"{path}: {dataset.count} bands; expected VV, VH and incidence, in this order")
        if dataset.crs is None:
            raise TerrainError(f"{path}: no coordinate system; assign one, e.g. with rio edit-info --crs")
        bands = {
            name: dataset.read(index, masked=True).filled(np.nan).astype(np.float32)
            for index, name in enumerate(BANDS, start=1)
        }
        if scale == "db":
            bands |= {name: 10 ** (bands[name] / 10) for name in ("vv", "vh")}
        # Outside a scene such rasters often hold 0, which no real backscatter or incidence is.
        outside = ~(bands["vv"] > 0)
        coarser = grid.resolution > 1.5 * _pixel_size_m(dataset, grid.crs)
        method = Resampling.average if coarser else Resampling.bilinear
        warped = {}
        for name, values in bands.items():
            values[outside] = np.nan
            target = np.full(grid.shape, np.nan, np.float32)
            reproject(
                values,
                target,
                src_transform=dataset.transform,
                src_crs=dataset.crs,
                src_nodata=np.nan,
                dst_transform=grid.transform,
                dst_crs=grid.crs,
                dst_nodata=np.nan,
                resampling=method,
            )
            warped[name] = target
    if not np.isfinite(warped["vv"]).any():
        raise TerrainError(f"{path}: no pixel with a value on the analysis grid {grid.bounds} ({grid.crs})")
    if incidence_unit == "rad":
        warped["incidence"] = np.degrees(warped["incidence"])
    return warped


def grid_of(path: Path, crs: str, resolution: float) -> Grid:
    """The analysis grid over one raster's extent.

    Raises:
        TerrainError: The raster has no coordinate system.
    """
    with rasterio.open(path) as dataset:
        if dataset.crs is None:
            raise TerrainError(f"{path}: no coordinate system; assign one, e.g. with rio edit-info --crs")
        return Grid.covering(transform_bounds(dataset.crs, crs, *dataset.bounds), crs, resolution)


def _pixel_size_m(dataset: rasterio.DatasetReader, crs: str) -> float:
    transform, _, _ = calculate_default_transform(
        dataset.crs, crs, dataset.width, dataset.height, *dataset.bounds
    )
    return float(transform.a)
