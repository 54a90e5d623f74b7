"""Copernicus GLO-30 as elevation model: its tiles as one raster without seams, above the ellipsoid.

Tiles are GeoTIFFs in EPSG:4326 with heights above the EGM2008 geoid. Pixel centres lie on whole degrees, so a
tile begins half a pixel west and north of its square, and neighbours abut without overlap: laid side by side
they are one raster. A missing tile is sea or was never released; nobody can tell the two apart, so its ground
stays without height.

Source: Copernicus DEM Product Handbook (GEO.2018-1988-2), grid and vertical datum.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.transform import from_origin
from rasterio.windows import Window

from avalanche_assets.area import area_of_interest, grid_bounds, lonlat_bounds
from avalanche_assets.catalogue.interface import LonLatBounds
from avalanche_assets.errors import SettingsError, TerrainError
from avalanche_assets.grid import Grid
from avalanche_assets.services.http_service import HttpService
from avalanche_assets.services.progress import Progress
from avalanche_assets.settings import Settings
from avalanche_assets.stored_path import local_folder
from avalanche_assets.terrain.dem import Heights, prepare_dem
from avalanche_assets.terrain.glo30_tiles import Tiles, area_text, fetch_geoid, fetch_tiles, tile_corner

MARGIN_PX = 6
"""Pixels around the area that resampling may look at."""


def prepare_glo30(settings: Settings, progress: Progress) -> tuple[Grid, Heights, Tiles]:
    """The analysis grid, the ellipsoidal height of each of its pixels, and the tiles that they come from.

    Without `grid.bounds` the grid covers the area of interest.

    Raises:
        CatalogueError: Tiles or geoid cannot be fetched.
        TerrainError: The area has no tile or lies across a change of posting, or the geoid cannot be used.
    """
    terrain, layout = settings.terrain, settings.layout
    if terrain is None:
        raise SettingsError("[terrain] is missing: set terrain.source to glo30")
    bounds = settings.grid.bounds or grid_bounds(area_of_interest(settings), settings.grid.crs)
    grid = Grid.covering(bounds, settings.grid.crs, float(settings.grid.resolution_m))
    area = lonlat_bounds(grid.bounds, grid.crs)
    service = HttpService(settings.source.transfer)
    # Downloads resume on a disk, and PROJ opens a grid by its name there.
    with local_folder(layout.geoid_grids) as grids, local_folder(layout.glo30_tiles) as folder:
        geoid = terrain.geoid_grid or fetch_geoid(terrain.geoid_url, grids, service, progress)
        tiles = fetch_tiles(area, terrain.glo30_url, folder, service, progress)
        with mosaic(tiles, area) as path:
            bounded = settings.grid.model_copy(update={"bounds": bounds})
            grid, heights = prepare_dem(path, bounded, terrain.vertical_datum, geoid)
    stored = tuple(layout.glo30_tiles / path.name for path in tiles.paths)
    return grid, heights, replace(tiles, paths=stored)


@contextmanager
def mosaic(tiles: Tiles, area: LonLatBounds) -> Iterator[Path]:
    """The tiles as one raster that covers the area, NaN where a tile is missing; removed afterwards.

    Raises:
        TerrainError: Tiles differ in posting, or one cannot be read.
    """
    folder = tiles.paths[0].parent
    columns, rows = _posting(tiles, area)
    # Pixels are counted by their centres, eastward and southward from 0 degrees, in whole numbers.
    west, east = math.floor(area[0] * columns) - MARGIN_PX, math.ceil(area[2] * columns) + MARGIN_PX
    north, south = math.floor(-area[3] * rows) - MARGIN_PX, math.ceil(-area[1] * rows) + MARGIN_PX
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": 1,
        "width": east - west,
        "height": south - north,
        "crs": "EPSG:4326",
        "transform": from_origin((west - 0.5) / columns, -(north - 0.5) / rows, 1 / columns, 1 / rows),
        "nodata": np.nan,
        "tiled": True,
        "compress": "ZSTD",
    }
    with TemporaryDirectory(dir=folder, prefix=".mosaic-") as temporary:
        path = Path(temporary) / "glo30.tif"
        with rasterio.open(path, "w", **profile) as target:
            for tile in tiles.paths:
                corner = tile_corner(tile.stem)
                left, top = corner[0] * columns, -(corner[1] + 1) * rows
                inside_x = max(west, left), min(east, left + columns)
                inside_y = max(north, top), min(south, top + rows)
                heights = _read(tile, _window(inside_x, inside_y, left, top))
                target.write(heights, 1, window=_window(inside_x, inside_y, west, north))
        yield path


def _window(inside_x: tuple[int, int], inside_y: tuple[int, int], left: int, top: int) -> Window:
    """Pixels between two columns and two rows, in a raster that begins at `left` and `top`."""
    (first, last), (upper, lower) = inside_x, inside_y
    return Window(first - left, upper - top, last - first, lower - upper)


def _posting(tiles: Tiles, area: LonLatBounds) -> tuple[int, int]:
    """Pixels per degree eastward and southward."""
    shapes = set()
    for path in tiles.paths:
        with rasterio.open(path) as dataset:
            shapes.add((dataset.width, dataset.height))
    if len(shapes) > 1:
        raise TerrainError(
            f"{tiles.paths[0].parent}: tiles of {area_text(area)} differ in posting, which changes at 50, "
            "60, 70, 75, 80 and 85 degrees; choose an area on one side, or give another model in terrain.dem"
        )
    return shapes.pop()


def _read(tile: Path, window: Window) -> Heights:
    try:
        with rasterio.open(tile) as dataset:
            heights: Heights = dataset.read(1, window=window)
            return heights
    except RasterioError as error:
        raise TerrainError(f"{tile}: damaged ({error}); delete it and materialise dem again") from error
