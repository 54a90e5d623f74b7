"""sigma0 of one acquisition as a file, with what its report says, in one pass over the image.

Nothing of the size of the grid is held but heights and flags, and of the heights only what is needed; the
file is not read again for medians, shares and pictures.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from avalanche_assets.backscatter.coverage import corridor_coverage, corridors_beyond_image
from avalanche_assets.raster_summary import BandSummary, RunningSummary
from avalanche_assets.rasters import band_reader, cog_writer, read_grid, read_squares
from avalanche_assets.sentinel1.block_model import PART_PX
from avalanche_assets.sentinel1.mosaic import BATCH_TILES, Sigma0, sigma0_tiles
from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.sentinel1.slices import SliceStack
from avalanche_assets.sentinel1.visibility import Visibility

Float32s = NDArray[np.float32]

UNITS = {"vv": "1", "vh": "1", "flags": "bit flags"}


@dataclass(frozen=True)
class Sigma0Report:
    """What the file holds.

    Attributes:
        vv: VV, linear power.
        vh: VH.
        coverage: What is covered and what is missing of the corridors, for the metadata of an asset.
    """

    vv: BandSummary
    vh: BandSummary
    coverage: dict[str, int | str]


def write_sigma0(
    path: Path,
    stack: SliceStack,
    orbit: Orbit,
    dem: Path,
    corridors: gpd.GeoDataFrame,
    wanted: NDArray[np.bool_] | None,
    tags: Mapping[str, str],
    track_geometry: Path | None = None,
) -> Sigma0Report:
    """Geocodes an acquisition onto the grid of the elevation model; see `sigma0_tiles`.

    Args:
        path: File to write: bands vv and vh in linear power, and `Visibility` flags.
        stack: The slices.
        orbit: Path of the platform.
        dem: Raster with the band elevation, metres over the ellipsoid.
        corridors: `tables.CORRIDORS`.
        wanted: Squares of `PART_PX` cells to fill; all when None.
        tags: Of the file.
        track_geometry: Raster whose band flattening turns sigma0 into terrain-flattened gamma0; None leaves
            sigma0.

    Raises:
        SafeError: A product is incomplete or damaged.
        TableError: A raster is missing or damaged.
    """
    grid = read_grid(dem)
    every = np.ones((grid.height // PART_PX, grid.width // PART_PX), np.bool_)
    heights = read_squares(dem, "elevation", every if wanted is None else wanted, PART_PX)
    flags = np.full(grid.shape, int(Visibility.OUTSIDE), np.uint8)
    vv, vh = RunningSummary(grid), RunningSummary(grid)

    def count(batch: list[Sigma0]) -> None:
        for tile in batch:
            vv.add(tile.window, tile.vv)
            vh.add(tile.window, tile.vh)
            flags[tile.window.slices] = tile.flags

    with ExitStack() as opened:
        counting = opened.enter_context(ThreadPoolExecutor(1))
        factor = opened.enter_context(band_reader(track_geometry, "flattening")) if track_geometry else None
        write = opened.enter_context(cog_writer(path, UNITS, grid, tags, threads="1"))
        tiles = sigma0_tiles(stack, orbit, heights, grid, wanted)
        while batch := list(islice(tiles, BATCH_TILES)):
            if factor:
                for tile in batch:
                    _flatten(tile, factor(tile.window))
            counted = counting.submit(count, batch)
            for tile in batch:
                write(tile.window, {"vv": tile.vv, "vh": tile.vh, "flags": tile.flags})
            counted.result()
    coverage = {
        **corridor_coverage(corridors, grid, flags, heights).summary(),
        **corridors_beyond_image(corridors, grid, stack, orbit).summary(),
    }
    return Sigma0Report(vv.summary(), vh.summary(), coverage)


def _flatten(tile: Sigma0, factor: Float32s) -> None:
    """Turns sigma0 into gamma0, in place; terrain that is not illuminated has none and is flagged SHADOW."""
    dark = np.isnan(factor) & np.isfinite(tile.vv)
    tile.flags[dark] |= int(Visibility.SHADOW)
    tile.vv[:] *= factor
    tile.vh[:] *= factor
