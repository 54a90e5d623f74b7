"""Height of the geoid above the WGS84 ellipsoid, from PROJ's official grids.

PROJ does not fail when a geoid grid is missing: it silently leaves heights as they are ("ballpark
transformation"), which would shift every pixel by about 60 m. So a transformation counts only if it
really contains a vertical grid shift.

Source: PROJ documentation, ``vgridshift``; NGA EGM96 (15') and EGM2008 (2.5') undulation grids.
"""

import warnings
from pathlib import Path

import numpy as np
import rasterio.warp
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.transformer import TransformerGroup
from rasterio.enums import Resampling

from avalanche_assets.errors import TerrainError
from avalanche_assets.grid import Grid, Window

VERTICAL_CRS = {"EGM96": "EPSG:5773", "EGM2008": "EPSG:3855"}
"""Vertical datum to its coordinate system."""

GRID_FILES = {"EGM96": "us_nga_egm96_15.tif", "EGM2008": "us_nga_egm08_25.tif"}
"""The grid PROJ needs for each vertical datum."""

STEP_PX = 16
"""The undulation is evaluated at every 16th pixel (320 m), far finer than the geoid grids (5 to 28 km)."""


def undulation(grid: Grid, vertical_datum: str, path: Path) -> NDArray[np.float32]:
    """Metres to add to heights above the geoid to get ellipsoidal heights, at every pixel of `grid`.

    Args:
        grid: Analysis grid.
        vertical_datum: ``EGM96`` or ``EGM2008``.
        path: The elevation model it is for, named in errors.

    Raises:
        TerrainError: PROJ lacks the geoid grid, or it does not cover the analysis grid.
    """
    shift = _grid_shift(vertical_datum, path)
    margin = STEP_PX
    whole = grid.subgrid(Window(-margin, -margin, grid.height + 2 * margin, grid.width + 2 * margin))
    coarse = Grid(
        grid.crs,
        grid.resolution * STEP_PX,
        whole.west,
        whole.north,
        whole.height // STEP_PX,
        whole.width // STEP_PX,
    )
    x = coarse.west + (np.arange(coarse.width) + 0.5) * coarse.resolution
    y = coarse.north - (np.arange(coarse.height) + 0.5) * coarse.resolution
    x, y = np.meshgrid(x, y)
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    lattice = np.asarray(shift.transform(lon, lat, np.zeros_like(lon))[2])
    if not np.isfinite(lattice).all():
        raise TerrainError(
            f"{path}: the installed {GRID_FILES[vertical_datum]} does not cover the analysis grid; "
            "install the global grid, or convert the elevation model to ellipsoidal heights"
        )
    result = np.empty(grid.shape, np.float32)
    rasterio.warp.reproject(
        lattice,
        result,
        src_transform=coarse.transform,
        src_crs=grid.crs,
        dst_transform=grid.transform,
        dst_crs=grid.crs,
        resampling=Resampling.bilinear,
    )
    return result


def _grid_shift(vertical_datum: str, path: Path) -> Transformer:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # pyproj warns of the missing grid; the error below does too
        vertical = VERTICAL_CRS[vertical_datum].removeprefix("EPSG:")
        group = TransformerGroup(f"EPSG:4326+{vertical}", "EPSG:4979", always_xy=True)
    for transformer in group.transformers:
        if "vgridshift" in transformer.definition:
            return transformer
    name = GRID_FILES[vertical_datum]
    raise TerrainError(
        f"{path}: terrain.vertical_datum is {vertical_datum!r}, but PROJ lacks the geoid grid {name} and "
        "would leave the heights about 50 m wrong; install it with "
        f"`pyproj sync --file {name.removesuffix('.tif')}`, or convert the elevation model to ellipsoidal "
        "heights and set terrain.vertical_datum to 'ellipsoidal'"
    )
