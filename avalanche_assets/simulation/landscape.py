"""The ground a simulated season happens on: heights, land cover, and the slopes derived from them.

What grows where follows elevation and slope as in the French inner Alps: forest to about 2,000 m, meadows
above, rock where it is steep, scree below rock, glaciers on high gentle ground, towns and water on valley
floors. Land cover decides the snow-free backscatter of a pixel.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.warp import Resampling, reproject
from scipy import ndimage

from avalanche_assets.errors import TerrainError
from avalanche_assets.grid import Grid
from avalanche_assets.simulation.flow import drain, drainage_area
from avalanche_assets.simulation.noise import fractal_noise
from avalanche_assets.simulation.terrain import slope_aspect, synthetic_terrain

Floats = NDArray[np.float32]


class LandCover(IntEnum):
    """What covers the ground without snow."""

    WATER = 0
    FOREST = 1
    MEADOW = 2
    ROCK = 3
    SCREE = 4
    GLACIER = 5
    SETTLEMENT = 6


@dataclass(frozen=True)
class Landscape:
    """Heights and land cover on one grid.

    Attributes:
        grid: Where the cells lie.
        elevation: float32 `grid.shape`, ellipsoidal height in metres, no NaN.
        land_cover: uint8 `grid.shape`, values of `LandCover`.
    """

    grid: Grid
    elevation: Floats
    land_cover: NDArray[np.uint8]

    @cached_property
    def slope_aspect(self) -> tuple[Floats, Floats]:
        """Slope and downhill direction clockwise from north, degrees, each float32 `grid.shape`."""
        fields: tuple[Floats, Floats] = slope_aspect(self.elevation, self.grid.resolution)
        return fields


def synthetic_landscape(grid: Grid, seed: int) -> Landscape:
    """Synthetic Alpine terrain with its land cover; the same seed gives the same landscape."""
    elevation = synthetic_terrain(grid, seed)
    return Landscape(grid, elevation, land_cover(elevation, grid.resolution, seed))


def landscape_from_dem(path: Path, grid: Grid, seed: int) -> Landscape:
    """A real elevation model warped onto `grid`, with plausible land cover.

    Args:
        path: Any raster rasterio opens, heights in metres in band 1.
        grid: Target; the model must cover it. Small voids are filled from their surroundings.
        seed: Varies the land cover only.

    Raises:
        TerrainError: The file is missing, has no coordinate system, or leaves more than 2 % of the grid
            without a height.
    """
    if not path.exists():
        raise TerrainError(f"{path}: elevation model not found; give the path of a raster with --dem")
    elevation = np.full(grid.shape, np.nan, np.float32)
    with rasterio.open(path) as dataset:
        if dataset.crs is None:
            raise TerrainError(f"{path}: no coordinate system; set one, e.g. with rio edit-info --crs")
        reproject(
            rasterio.band(dataset, 1),
            elevation,
            dst_transform=grid.transform,
            dst_crs=grid.crs,
            dst_nodata=np.nan,
            resampling=Resampling.cubic,
        )
    missing = ~np.isfinite(elevation)
    if missing.mean() > 0.02:
        raise TerrainError(
            f"{path}: covers {100 * (1 - missing.mean()):.1f} % of the grid {grid.bounds} ({grid.crs}), "
            "98 % needed; choose a smaller area or a larger model"
        )
    if missing.any():
        nearest = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
        elevation = elevation[tuple(nearest)]
    return Landscape(grid, elevation, land_cover(elevation, grid.resolution, seed))


def land_cover(elevation: Floats, resolution: float, seed: int) -> NDArray[np.uint8]:
    """Classes of `LandCover` from elevation, slope, drainage area and seeded noise.

    Args:
        elevation: float32 (rows, columns) in metres.
        resolution: Cell size in metres.
        seed: Varies the patches.

    Returns:
        uint8 (rows, columns).
    """
    _, receivers, order = drain(elevation)
    streams = drainage_area(receivers, order, resolution * resolution).reshape(elevation.shape) > 3e7
    del receivers, order  # a large landscape needs their room
    slope = slope_aspect(elevation, resolution)[0]
    gentle = ndimage.gaussian_filter(slope, 3.0)
    patchy = fractal_noise(elevation.shape, resolution, 1200.0, 4, seed + 900, False)
    broad = fractal_noise(elevation.shape, resolution, 5000.0, 2, seed + 950, False)
    cover = np.full(elevation.shape, LandCover.MEADOW, np.uint8)
    cover[(elevation < 1900.0 + 250.0 * patchy) & (slope > 8.0) & (patchy < 0.3)] = LandCover.FOREST
    cover[(elevation > 2350.0 + 300.0 * patchy) & (slope > 22.0)] = LandCover.SCREE
    cover[(slope > 42.0) | ((elevation > 2650.0 + 300.0 * patchy) & (slope > 35.0))] = LandCover.ROCK
    cover[(elevation > 2800.0 + 250.0 * broad) & (gentle < 32.0)] = LandCover.GLACIER
    flat = (gentle < 5.0) & (elevation < 1800.0)
    cover[flat & (patchy > 0.3)] = LandCover.SETTLEMENT
    cover[flat & (broad > 0.35) & (gentle < 1.0)] = LandCover.WATER
    cover[streams & (slope < 15.0)] = LandCover.WATER
    return cover
