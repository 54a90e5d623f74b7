"""Any elevation model, brought onto the analysis grid as heights above the WGS84 ellipsoid.

Range-Doppler geocoding needs ellipsoidal heights: in the French Alps the geoid lies about 50 m above the
ellipsoid, and 50 m of height move a pixel by about 60 m across the track. Maps and most public elevation
models give heights above a geoid, so the datum is a setting that has to be right.

Resampling is cubic (bilinear beside voids), with a kernel that widens when the model is finer than the grid;
bilinear interpolation alone would give the facets of a coarse model sharp edges in the slope.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.warp import reproject

from avalanche_assets.errors import TerrainError
from avalanche_assets.grid import Grid
from avalanche_assets.rasters import GDAL_ERRORS
from avalanche_assets.settings import GridSettings
from avalanche_assets.terrain.geoid import VERTICAL_CRS, undulation

Heights = NDArray[np.float32]
Bounds = tuple[float, float, float, float]

EDGE_POINTS = 65
"""Points per side when a rectangle is carried from one coordinate system to another."""
HEIGHTS_M = (-500.0, 9000.0)
"""Land lies between the Dead Sea and Mount Everest; other values are voids, feet or damage."""
MAX_CELLS = 10**9
"""A whole swath has 0.9e9 cells of 10 m; heights of so many take 4 GB."""


def prepare_dem(
    path: Path, grid_settings: GridSettings, vertical_datum: str, geoid_grid: Path | None = None
) -> tuple[Grid, Heights]:
    """The analysis grid and the ellipsoidal height of each of its pixels.

    Args:
        path: Raster of heights in metres in any coordinate system; its nodata value marks voids.
        grid_settings: Coordinate system, resolution and bounds of the analysis grid. The bounds default to
            the extent of the elevation model; they grow outward to whole tiles of 64 pixels.
        vertical_datum: ``ellipsoidal``, ``EGM96`` or ``EGM2008``: what the heights in the file refer to.
        geoid_grid: File with the geoid's heights; by default PROJ's own or an installed one is used.

    Returns:
        The grid and float32 heights in metres of its shape, NaN in voids and outside the elevation model.

    Raises:
        TerrainError: The file is missing, damaged or without coordinate system; it does not cover the
            bounds, or is too large to do without them; it holds no heights, or such as the Earth has not; its
            own vertical datum contradicts the setting; or there is no usable grid of the geoid.
    """
    target = _grid_crs(grid_settings.crs)
    if geoid_grid is not None and vertical_datum == "ellipsoidal":
        raise TerrainError(
            f"{path}: terrain.geoid_grid is set, but terrain.vertical_datum is 'ellipsoidal'; set it to "
            "EGM96 or EGM2008 if the heights are above the geoid, or remove terrain.geoid_grid"
        )
    if not path.exists():
        raise TerrainError(f"{path}: elevation model not found; set terrain.dem to an existing raster")
    with _open(path) as dataset:
        source = _source_crs(dataset, path, vertical_datum)
        extent = _carry(Transformer.from_crs(source, target, always_xy=True), dataset.bounds)
        bounds = grid_settings.bounds
        if bounds is None:
            bounds = _shrink(extent, 0.01 * grid_settings.resolution_m)
        else:
            _check_coverage(
                dataset, path, Transformer.from_crs(target, source, always_xy=True), bounds, extent
            )
        grid = _grid(path, bounds, grid_settings)
        heights = _warped(dataset, path, source, grid)
    if not np.isfinite(heights).any():
        raise TerrainError(
            f"{path}: no height inside {bounds} ({grid.crs}); check its nodata value and extent"
        )
    if vertical_datum != "ellipsoidal":
        heights += undulation(grid, vertical_datum, path, geoid_grid)
    return grid, heights


@contextmanager
def _open(path: Path) -> Iterator[rasterio.DatasetReader]:
    """The raster; what GDAL and PROJ find wrong while it is open is an error that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # refused below
            dataset = rasterio.open(path)
        with dataset:
            yield dataset
    except (*GDAL_ERRORS, ProjError) as error:
        raise TerrainError(
            f"{path}: not a readable raster, or damaged ({error}); copy it again, or set terrain.dem to a "
            "GeoTIFF"
        ) from error


def _grid(path: Path, bounds: Bounds, settings: GridSettings) -> Grid:
    """The grid over the bounds, unless nobody could hold it in memory."""
    west, south, east, north = bounds
    cells = (east - west) * (north - south) / settings.resolution_m**2
    if not (all(math.isfinite(edge) for edge in bounds) and cells < MAX_CELLS):
        raise TerrainError(
            f"{path}: the analysis grid would have {cells:.3g} cells, more than {MAX_CELLS:.0e}; set "
            "grid.bounds to the region of the corridors"
        )
    return Grid.covering(bounds, settings.crs, float(settings.resolution_m))


def _warped(dataset: rasterio.DatasetReader, path: Path, source: CRS, grid: Grid) -> Heights:
    """Heights on the grid, after a look at the lowest and highest that would be mixed into them."""
    heights = np.empty(grid.shape, np.float32)
    for method in (Resampling.min, Resampling.max, Resampling.cubic):
        heights.fill(np.nan)
        reproject(
            rasterio.band(dataset, 1),
            heights,
            src_crs=source.to_wkt(),
            dst_crs=grid.crs,
            dst_transform=grid.transform,
            dst_nodata=np.nan,
            resampling=method,
            num_threads=1,  # with more, what cannot be read becomes a hole without an error
        )
        if method is not Resampling.cubic:
            _check_heights(heights, path)
    return heights


def _check_heights(heights: Heights, path: Path) -> None:
    low, high = HEIGHTS_M
    impossible = (heights < low) | (heights > high)
    if impossible.any():
        raise TerrainError(
            f"{path}: holds heights such as {heights[impossible][0]:.5g} m, land has {low:g} to {high:g} m; "
            "set the file's nodata value to that of its voids (rio edit-info --nodata), convert it to "
            "metres, or copy it again"
        )


def _grid_crs(name: str) -> CRS:
    try:
        crs = CRS.from_user_input(name)
    except CRSError as error:
        raise TerrainError(f"grid.crs: {name!r} is not a coordinate system PROJ knows ({error})") from error
    if not crs.is_projected or crs.axis_info[0].unit_name != "metre":
        raise TerrainError(f"grid.crs: {name!r} is not projected in metres; use e.g. EPSG:32632 in the Alps")
    return crs


def _source_crs(dataset: rasterio.DatasetReader, path: Path, vertical_datum: str) -> CRS:
    """The horizontal coordinate system, after a look at the vertical one where the file names it."""
    if dataset.crs is None:
        raise TerrainError(
            f"{path}: unknown coordinate system; set it, e.g. rio edit-info --crs EPSG:2154 FILE"
        )
    if dataset.transform.is_identity or not dataset.transform.determinant:
        raise TerrainError(
            f"{path}: no georeference, its transform is {tuple(dataset.transform)[:6]}; give a file with one"
        )
    if np.dtype(dataset.dtypes[0]).kind not in "iuf":
        raise TerrainError(f"{path}: holds {dataset.dtypes[0]} values; give a raster of heights in metres")
    crs = CRS.from_wkt(dataset.crs.to_wkt())
    stated = _stated_datum(crs)
    if stated not in (None, vertical_datum):
        raise TerrainError(
            f"{path}: its heights are {stated!r}, but terrain.vertical_datum is {vertical_datum!r}; set "
            "it to ellipsoidal, EGM96 or EGM2008 as the file says, or convert the file to ellipsoidal heights"
        )
    horizontal = CRS(crs.sub_crs_list[0]) if crs.is_compound else crs.to_2d()
    if not (horizontal.is_geographic or horizontal.is_projected):
        raise TerrainError(
            f"{path}: its coordinate system is {horizontal.name!r}, {horizontal.type_name}; warp it to a map "
            "projection or to longitude and latitude"
        )
    return horizontal


def _stated_datum(crs: CRS) -> str | None:
    """The vertical datum that a coordinate system names: a word of the setting, another name, or None."""
    if not crs.is_compound:
        return "ellipsoidal" if len(crs.axis_info) == 3 else None
    name = crs.sub_crs_list[1].name
    known = {CRS.from_user_input(code).name: datum for datum, code in VERTICAL_CRS.items()}
    return known.get(name, "ellipsoidal" if "ellips" in name.lower() else name)


def _carry(transformer: Transformer, bounds: Bounds) -> Bounds:
    return transformer.transform_bounds(*bounds, densify_pts=EDGE_POINTS)


def _shrink(bounds: Bounds, margin: float) -> Bounds:
    """Keeps rounding of a coordinate transform from adding a whole tile."""
    return bounds[0] + margin, bounds[1] + margin, bounds[2] - margin, bounds[3] - margin


def _check_coverage(
    dataset: rasterio.DatasetReader, path: Path, to_source: Transformer, bounds: Bounds, extent: Bounds
) -> None:
    west, south, east, north = bounds
    if west >= east or south >= north:
        raise TerrainError(f"grid.bounds: {bounds} is empty; give west, south, east, north in metres")
    x, y = np.linspace(west, east, EDGE_POINTS), np.linspace(south, north, EDGE_POINTS)
    edge_x = np.concatenate([x, x, np.full_like(y, west), np.full_like(y, east)])
    edge_y = np.concatenate([np.full_like(x, south), np.full_like(x, north), y, y])
    x, y = to_source.transform(edge_x, edge_y)
    inverse = ~dataset.transform
    col = inverse.a * x + inverse.b * y + inverse.c
    row = inverse.d * x + inverse.e * y + inverse.f
    slack = 1.0
    inside = (
        (col >= -slack) & (col <= dataset.width + slack) & (row >= -slack) & (row <= dataset.height + slack)
    )
    if not inside.all():
        known = ", ".join(f"{value:.0f}" for value in extent)
        raise TerrainError(
            f"{path}: does not cover grid.bounds {bounds}; it spans about ({known}) in the grid's coordinate "
            "system; shrink grid.bounds or give an elevation model that covers them"
        )
