"""Rasters as Cloud-Optimized GeoTIFFs with named bands, units and provenance tags."""

import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterWindow
from scipy.ndimage import binary_dilation

from avalanche_assets.errors import TableError
from avalanche_assets.files import atomic_path
from avalanche_assets.grid import Grid, Window
from avalanche_assets.machine import usable_cores
from avalanche_assets.stored_path import gdal_name, gdal_options

Floats = NDArray[np.float32]

GDAL_ERRORS = (RasterioError, CPLE_BaseError)
"""What reading a raster may raise: rasterio gives most errors of GDAL its own type, but not all."""
COG_TILE_PX = 128
"""Side of a raster's tiles."""
CACHE_BYTES = 64_000_000
"""Of tiles that GDAL keeps: they are read and written whole, so few are met twice."""
STREAM_PX = 8 * COG_TILE_PX
"""Side of the windows in which rasters are worked through, so that memory does not grow with the grid."""


class BandWriter(Protocol):
    """Writes named bands of one window of a raster."""

    def __call__(self, window: Window, bands: Mapping[str, NDArray[Any]]) -> None:
        """Stores `bands`, arrays of the window's shape, at `window`."""


@contextmanager
def cog_writer(
    path: Path,
    units: Mapping[str, str],
    grid: Grid,
    tags: Mapping[str, str] | None = None,
    *,
    threads: Literal["1", "ALL_CPUS"] = "ALL_CPUS",
) -> Iterator[BandWriter]:
    """Opens a sparse, ZSTD-compressed float32 Cloud-Optimized GeoTIFF for writing; it appears when complete.

    GDAL puts the directory of a file without overviews before its tiles, so tiles are written in any order as
    they come, each once when windows are whole tiles. Tiles without any value take no space and read as NaN.

    Args:
        path: Target file.
        units: Name to unit of every band, in order (``dB``, ``deg``, ``m``, ``1`` for linear power).
        grid: Where the pixels lie.
        tags: Dataset tags, e.g. product ids, processor version, orbit file.
        threads: Threads of GDAL that compress. Handing a tile to another thread costs half as much again as
            compressing it, so one does best where the caller keeps all cores busy.
    """
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": len(units),
        "height": grid.height,
        "width": grid.width,
        "crs": grid.crs,
        "transform": grid.transform,
        "nodata": float("nan"),
        "tiled": True,
        "blockxsize": COG_TILE_PX,
        "blockysize": COG_TILE_PX,
        "interleave": "band",
        "compress": "ZSTD",
        "zstd_level": 1,  # speckle hardly shrinks: higher levels and predictors cost much and save little
        "sparse_ok": "TRUE",
        "bigtiff": "IF_SAFER",
        "num_threads": threads,
    }
    with (
        rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES),
        atomic_path(path) as temporary,
        rasterio.open(temporary, "w", **profile) as dataset,
    ):
        for index, (name, unit) in enumerate(units.items(), start=1):
            dataset.set_band_description(index, name)
            dataset.set_band_unit(index, unit)
        dataset.update_tags(**(tags or {}))
        order = {name: index for index, name in enumerate(units, start=1)}
        scratch = np.empty((0, 0, 0), np.float32)

        def write(window: Window, bands: Mapping[str, NDArray[Any]]) -> None:
            area = RasterWindow(window.col, window.row, window.width, window.height)
            nonlocal scratch
            shape = len(bands), window.height, window.width
            if scratch.shape != shape:
                scratch = np.empty(shape, np.float32)
            for layer, values in zip(scratch, bands.values(), strict=True):
                layer[:] = values
            dataset.write(scratch, [order[name] for name in bands], window=area)

        yield write


def write_cog(
    path: Path,
    bands: Mapping[str, Floats],
    grid: Grid,
    units: Mapping[str, str],
    tags: Mapping[str, str] | None = None,
) -> None:
    """Writes whole bands at once; see `cog_writer`.

    Args:
        path: Target file.
        bands: Band name to array of shape `grid.shape`; NaN is nodata.
        grid: Where the pixels lie.
        units: Unit of every band.
        tags: Dataset tags.
    """
    with cog_writer(path, units, grid, tags) as write:
        for window in grid.tiles(STREAM_PX):
            write(window, {name: values[window.slices] for name, values in bands.items()})


def read_bands(
    path: Path, names: Iterable[str] | None = None, window: Window | None = None
) -> dict[str, Floats]:
    """Reads named bands (all when `names` is None) as float32 arrays, NaN where nodata.

    Raises:
        TableError: The file is missing, damaged or lacks a band.
    """
    with _opened(path) as dataset:
        area = None
        if window is not None:
            area = RasterWindow(window.col, window.row, window.width, window.height)
        bands = _bands_of(dataset, path, names)
        return {name: dataset.read(band, window=area) for name, band in bands.items()}


@contextmanager
def bands_reader(
    path: Path, names: Iterable[str] | None = None
) -> Iterator[Callable[[Window], dict[str, Floats]]]:
    """Opens a raster once to read windows of its bands, as `read_bands` would, one after the other.

    Raises:
        TableError: As `read_bands`.
    """
    with _opened(path) as dataset:
        bands = _bands_of(dataset, path, names)
    with _reading(path) as dataset:

        def read(window: Window) -> dict[str, Floats]:
            area = RasterWindow(window.col, window.row, window.width, window.height)
            with _named(path):
                return {name: dataset.read(band, window=area) for name, band in bands.items()}

        yield read


@contextmanager
def band_reader(path: Path, name: str) -> Iterator[Callable[[Window], Floats]]:
    """As `bands_reader`, of one band alone."""
    with bands_reader(path, [name]) as read:
        yield lambda window: read(window)[name]


def read_squares(path: Path, name: str, squares: NDArray[np.bool_], size: int) -> Floats:
    """Reads a band on some squares of its grid and at least one cell around each.

    Args:
        path: The raster.
        name: Name of the band.
        squares: Wanted squares, shape (rows / `size`, columns / `size`).
        size: Side of a square in cells, a divisor of `COG_TILE_PX`.

    Returns:
        Array of the raster's shape, NaN where nodata; 0 on tiles that were not read, which take no memory.

    Raises:
        TableError: As `read_bands`.
    """
    out = _untouched((squares.shape[0] * size, squares.shape[1] * size))
    per_tile = COG_TILE_PX // size
    rows, cols = -(-squares.shape[0] // per_tile), -(-squares.shape[1] // per_tile)
    padded = np.zeros((rows * per_tile, cols * per_tile), np.bool_)
    padded[: squares.shape[0], : squares.shape[1]] = binary_dilation(squares, np.ones((3, 3), np.bool_))
    tiles = np.asarray(padded.reshape(rows, per_tile, cols, per_tile).any(axis=(1, 3)))

    def read(own_rows: NDArray[np.int64]) -> None:
        with _opened(path) as dataset:
            band = _bands_of(dataset, path, [name])[name]
            for row in own_rows.tolist():
                runs = np.flatnonzero(np.diff(tiles[row], prepend=False, append=False)).reshape(-1, 2)
                for first, stop in (runs * COG_TILE_PX).tolist():
                    area = Window(row * COG_TILE_PX, first, COG_TILE_PX, stop - first).within(out.shape)
                    place = RasterWindow(area.col, area.row, area.width, area.height)
                    dataset.read(band, window=place, out=out[area.slices])

    with ThreadPoolExecutor(usable_cores()) as threads:
        list(threads.map(read, np.array_split(np.arange(rows), usable_cores())))
    return out


def _untouched(shape: tuple[int, int]) -> Floats:
    """Zeros that take memory only where they are written to.

    numpy asks for huge pages, with which a few scattered tiles would fill the memory of the whole array.
    """
    memory = mmap.mmap(-1, 4 * shape[0] * shape[1], mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.float32).reshape(shape)


def read_grid(path: Path) -> Grid:
    """The grid of a north-up raster with square pixels.

    Raises:
        TableError: The file is missing or damaged, has no coordinate system, or is rotated or not square.
    """
    with _opened(path) as dataset:
        transform = dataset.transform
        if dataset.crs is None:
            raise TableError(f"{path}: no coordinate system; set one, e.g. with rio edit-info --crs")
        if transform.b or transform.d or abs(transform.a + transform.e) > 1e-9 * transform.a:
            raise TableError(f"{path}: not a north-up raster with square pixels; warp it first")
        return Grid(
            dataset.crs.to_string(),
            transform.a,
            transform.c,
            transform.f,
            dataset.height,
            dataset.width,
        )


def read_tags(path: Path) -> dict[str, str]:
    """Dataset tags of a raster.

    Raises:
        TableError: The file is missing or damaged.
    """
    with _opened(path) as dataset:
        return dict(dataset.tags())


def common_tag(paths: Sequence[Path], name: str, remedy: str) -> str:
    """The value of a tag that several rasters must agree on.

    Args:
        paths: One raster or more.
        name: The tag.
        remedy: What to do when they differ, for the message.

    Raises:
        TableError: A raster differs from the first one, or as `read_tags`.
    """
    expected = read_tags(paths[0]).get(name, "unknown")
    for path in paths[1:]:
        if (value := read_tags(path).get(name, "unknown")) != expected:
            raise TableError(f"{path}: {name} is {value!r}, that of {paths[0]} is {expected!r}; {remedy}")
    return expected


def _bands_of(dataset: rasterio.DatasetReader, path: Path, names: Iterable[str] | None) -> dict[str, int]:
    """Number of every named band, of all when None."""
    wanted = list(names) if names is not None else list(dataset.descriptions)
    missing = [name for name in wanted if name not in dataset.descriptions]
    if missing:
        raise TableError(
            f"{path}: no band {missing}; the file has {dataset.descriptions}; materialise it again"
        )
    return {name: dataset.descriptions.index(name) + 1 for name in wanted}


@contextmanager
def _opened(path: Path) -> Iterator[rasterio.DatasetReader]:
    if not path.exists():
        raise TableError(f"{path}: raster is missing; materialise the asset that writes it")
    with _named(path), _reading(path) as dataset:
        yield dataset


@contextmanager
def _reading(path: Path) -> Iterator[rasterio.DatasetReader]:
    options = {"GDAL_CACHEMAX": CACHE_BYTES, **gdal_options(path)}
    with rasterio.Env(**options), rasterio.open(gdal_name(path)) as dataset:
        yield dataset


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turns errors of GDAL into `TableError` that names the file."""
    try:
        yield
    except GDAL_ERRORS as error:
        raise TableError(
            f"{path}: not a readable raster ({error}); materialise the asset that writes it again"
        ) from error
