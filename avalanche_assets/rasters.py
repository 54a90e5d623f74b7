"""Rasters as Cloud-Optimized GeoTIFFs with named bands, units and provenance tags."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from rasterio.io import MemoryFile
from rasterio.shutil import copy as copy_raster
from rasterio.windows import Window as RasterWindow

from avalanche_assets.errors import TableError
from avalanche_assets.files import atomic_path
from avalanche_assets.grid import Grid, Window

Floats = NDArray[np.float32]


def write_cog(
    path: Path,
    bands: Mapping[str, Floats],
    grid: Grid,
    units: Mapping[str, str],
    tags: Mapping[str, str] | None = None,
) -> None:
    """Writes float32 bands as one ZSTD-compressed, sparse Cloud-Optimized GeoTIFF, atomically.

    Args:
        path: Target file.
        bands: Band name to array of shape `grid.shape`; NaN is nodata.
        grid: Where the pixels lie.
        units: Unit of every band (``dB``, ``deg``, ``m``, ``1`` for ratios and linear power).
        tags: Dataset tags, e.g. product ids, processor version, orbit file.
    """
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": len(bands),
        "height": grid.height,
        "width": grid.width,
        "crs": grid.crs,
        "transform": grid.transform,
        "nodata": float("nan"),
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "SPARSE_OK": "TRUE",
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            for index, (name, values) in enumerate(bands.items(), start=1):
                dataset.write(np.asarray(values, np.float32), index)
                dataset.set_band_description(index, name)
                dataset.set_band_unit(index, units[name])
            dataset.update_tags(**(tags or {}))
        with atomic_path(path) as temporary, memory.open() as dataset:
            copy_raster(
                dataset,
                temporary,
                driver="COG",
                compress="ZSTD",
                predictor="FLOATING_POINT",
                blocksize=256,
                sparse_ok="TRUE",
                overviews="NONE",
            )


def read_bands(
    path: Path, names: Iterable[str] | None = None, window: Window | None = None
) -> dict[str, Floats]:
    """Reads named bands (all when `names` is None) as float32 arrays, NaN where nodata.

    Raises:
        TableError: The file is missing, damaged or lacks a band.
    """
    with _opened(path) as dataset:
        wanted = list(names) if names is not None else list(dataset.descriptions)
        missing = [name for name in wanted if name not in dataset.descriptions]
        if missing:
            raise TableError(
                f"{path}: no band {missing}; the file has {dataset.descriptions}; materialise it again"
            )
        area = None
        if window is not None:
            area = RasterWindow(window.col, window.row, window.width, window.height)
        return {name: dataset.read(dataset.descriptions.index(name) + 1, window=area) for name in wanted}


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


@contextmanager
def _opened(path: Path) -> Iterator[rasterio.DatasetReader]:
    if not path.exists():
        raise TableError(f"{path}: raster is missing; materialise the asset that writes it")
    try:
        with rasterio.open(path) as dataset:
            yield dataset
    except RasterioIOError as error:
        raise TableError(
            f"{path}: not a readable raster ({error}); materialise the asset that writes it again"
        ) from error
