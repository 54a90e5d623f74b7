"""Tiles of Copernicus GLO-30 and the geoid grid they need, fetched once from public servers.

Tiles are squares of one degree named by their south-west corner. There are none where there is only sea, nor
of a few areas that were never released; the bucket lists those it has, so that no missing tile is asked for.

Source: Copernicus DEM Product Handbook (GEO.2018-1988-2), naming and grid; readme of the public bucket, which
describes tiles, list and sea.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from avalanche_assets.catalogue.interface import LonLatBounds
from avalanche_assets.errors import CatalogueError, TerrainError
from avalanche_assets.services.http_service import HttpService, Remote
from avalanche_assets.services.progress import Progress
from avalanche_assets.terrain.geoid import UNDULATION_M

ATTRIBUTION = (
    "produced using Copernicus WorldDEM-30 © DLR e.V. 2010-2014 and © Airbus Defence and Space GmbH "
    "2014-2018 provided under COPERNICUS by the European Union and ESA; all rights reserved"
)
"""The notice that the licence asks of adapted data."""
TILE_LIST = "tileList.txt"
"""Names of all tiles of the bucket, one a line."""
HEIGHT_M = (-500.0, 9000.0)
"""Lower than the shore of the Dead Sea, higher than Mount Everest."""
MARGIN_DEG = 0.0015
"""Tiles so near are fetched as well: some five pixels, for resampling and the shift by half a pixel."""

_TILE = re.compile(r"Copernicus_DSM_COG_10_([NS])(\d\d)_00_([EW])(\d{3})_00_DEM", re.ASCII)


@dataclass(frozen=True)
class Tiles:
    """The tiles of an area.

    Attributes:
        paths: Files of those that exist.
        missing: Names of the others: sea, or never released.
        fetched: Names of those that were not there before.
    """

    paths: tuple[Path, ...]
    missing: tuple[str, ...]
    fetched: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(path.stat().st_size for path in self.paths)

    @property
    def retrieved(self) -> datetime:
        """When the last of them was fetched, UTC."""
        return datetime.fromtimestamp(max(path.stat().st_mtime for path in self.paths), UTC)


def tile_names(area: LonLatBounds) -> list[str]:
    """Names of the tiles whose squares touch an area, from south-west to north-east."""
    west, south, east, north = area
    return [
        f"Copernicus_DSM_COG_10_{_signed(lat, 'NS', 2)}_00_{_signed(lon, 'EW', 3)}_00_DEM"
        for lat in range(math.floor(south), math.ceil(north))
        for lon in range(math.floor(west), math.ceil(east))
    ]


def fetch_tiles(
    area: LonLatBounds, url: str, folder: Path, service: HttpService, progress: Progress
) -> Tiles:
    """The tiles of an area in `folder`; those that are there are not fetched again.

    Raises:
        CatalogueError: A tile or the list of tiles cannot be fetched, or is damaged each time.
        TerrainError: The area has no tile.
    """
    wanted = tile_names(_widened(area))
    lacking = [name for name in wanted if not _intact(folder / f"{name}.tif")]
    listed = _listed(url, folder, service, progress) if lacking else set()
    missing = tuple(name for name in lacking if name not in listed)
    fetched = tuple(name for name in lacking if name in listed)
    if len(missing) == len(wanted):
        raise TerrainError(
            f"{url}: no tile of {area_text(area)}: only sea, or not released; check source.area, grid.bounds "
            "and grid.crs, or give a local elevation model in terrain.dem"
        )
    for name in fetched:
        remote = Remote(f"{url}/{name}/{name}.tif", f"{name}.tif")
        service.download(remote, folder, _checked_as(name), progress)
    return Tiles(tuple(folder / f"{name}.tif" for name in wanted if name not in missing), missing, fetched)


def fetch_geoid(url: str, folder: Path, service: HttpService, progress: Progress) -> Path:
    """The grid of the geoid in `folder`, fetched unless it is there.

    Raises:
        CatalogueError: It cannot be fetched, or is no grid of geoid heights.
    """
    name = url.rsplit("/", 1)[-1]
    path = folder / name
    if path.exists():
        return path
    try:
        return service.download(Remote(url, name), folder, _check_geoid, progress)
    except CatalogueError as error:
        raise type(error)(f"{error}; or name a local grid of EGM2008 in terrain.geoid_grid") from None


def tile_corner(name: str) -> tuple[int, int]:
    """Longitude and latitude of a tile's south-west corner.

    Raises:
        TerrainError: It is not the name of a tile.
    """
    match = _TILE.fullmatch(name)
    if not match:
        raise TerrainError(f"{name}: not the name of a tile")
    return int(match[4]) * (-1 if match[3] == "W" else 1), int(match[2]) * (-1 if match[1] == "S" else 1)


def area_text(area: LonLatBounds) -> str:
    """An area as errors name it."""
    west, south, east, north = area
    return f"{west:.2f} to {east:.2f} degrees east, {south:.2f} to {north:.2f} north"


def _listed(url: str, folder: Path, service: HttpService, progress: Progress) -> set[str]:
    """Names of all tiles that the bucket has."""
    path = folder / TILE_LIST
    if not path.exists():
        service.download(Remote(f"{url}/{TILE_LIST}", TILE_LIST), folder, _check_list, progress)
    return set(path.read_text(encoding="ascii").split())


def _check_list(path: Path) -> None:
    names = path.read_text(encoding="ascii", errors="replace").split()
    strange = next((name for name in names if not _TILE.fullmatch(name)), None)
    if strange or not names:
        raise TerrainError(f"{TILE_LIST} is no list of tiles: {(strange or 'it is empty')[:60]!r}")


def _checked_as(name: str) -> Callable[[Path], None]:
    """A check that a file is the whole tile of this name."""

    def check(path: Path) -> None:
        _check_frame(path, name)
        lowest, highest = _range(path, name)
        if not HEIGHT_M[0] <= lowest <= highest <= HEIGHT_M[1]:
            raise TerrainError(f"{name}: heights of {lowest:g} to {highest:g} m are not of this Earth")

    return check


def _intact(path: Path) -> bool:
    """Whether a tile that was checked when it came is still there, to look at it."""
    try:
        _check_frame(path, path.stem)
    except TerrainError:
        return False
    return True


def _check_frame(path: Path, name: str) -> None:
    lon, lat = tile_corner(name)
    try:
        with rasterio.open(path) as dataset:
            crs, count, width, height = dataset.crs, dataset.count, dataset.width, dataset.height
            bounds = dataset.bounds
    except RasterioError as error:
        raise TerrainError(f"{name}: not a readable raster ({error})") from None
    if crs is None or crs.to_epsg() != 4326 or count != 1:
        raise TerrainError(f"{name}: it has {count} bands in {crs}, a tile has one in EPSG:4326")
    half_x, half_y = 0.5 / width, 0.5 / height
    expected = lon - half_x, lat + half_y, lon + 1 - half_x, lat + 1 + half_y
    if not np.allclose(bounds, expected, rtol=0, atol=0.01 * half_x):
        raise TerrainError(f"{name}: it spans {tuple(bounds)}, the tile {expected}")


def _range(path: Path, name: str) -> tuple[float, float]:
    """Lowest and highest value; reads every block, which finds most damage (TIFF has no checksums)."""
    lowest, highest = np.inf, -np.inf
    try:
        with rasterio.open(path) as dataset:
            for _, window in dataset.block_windows(1):
                values = dataset.read(1, window=window)
                # Unlike min(), these keep NaN: no tile has any, but a damaged block may.
                lowest, highest = np.minimum(lowest, values.min()), np.maximum(highest, values.max())
    except RasterioError as error:
        raise TerrainError(f"{name}: damaged ({error})") from None
    return float(lowest), float(highest)


def _check_geoid(path: Path) -> None:
    lowest, highest = _range(path, "geoid grid")
    if not UNDULATION_M[0] <= lowest <= highest <= UNDULATION_M[1]:
        raise TerrainError(f"it gives undulations of {lowest:g} to {highest:g} m, which no geoid has")


def _signed(degrees: int, letters: str, digits: int) -> str:
    return f"{letters[degrees < 0]}{abs(degrees):0{digits}d}"


def _widened(area: LonLatBounds) -> LonLatBounds:
    west, south, east, north = area
    return west - MARGIN_DEG, south - MARGIN_DEG, east + MARGIN_DEG, north + MARGIN_DEG
