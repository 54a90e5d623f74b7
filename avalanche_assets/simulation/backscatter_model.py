"""Backscatter of the ground at one date: land cover, local incidence, season, snow, change and deposits.

Every place keeps its own texture on all dates, so that a ratio of two dates cancels it as in reality. What
changes from date to date: vegetation and glaciers by season, wet snow and scene-wide drifts by weather, a
smooth field of a few tenths of a dB, and fresh deposits, which brighten both polarisations.

Source: levels after Ulaby & Dobson, Handbook of Radar Scattering Statistics for Terrain (C band), and the
snow-covered mountain scenes of Eckerstorfer et al. (2019), Remote Sensing 11(23), 2863; deposit contrast best
between 35 and 75 degrees of local incidence: Eckerstorfer & Malnes (2015), Cold Regions Sci. Tech. 120.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy import ndimage

from avalanche_assets.grid import Grid, Window
from avalanche_assets.simulation.avalanches import Deposit, deposit_contrast_db
from avalanche_assets.simulation.landscape import LandCover, Landscape
from avalanche_assets.simulation.scene import BOOST_STEP_DB, Surface
from avalanche_assets.simulation.weather import Weather, snow_offset_db

Floats32 = NDArray[np.float32]

REFERENCE_INCIDENCE_DEG = 40.0
LEVELS_DB: dict[LandCover, tuple[float, float, float]] = {
    LandCover.WATER: (-19.0, -27.0, -0.25),
    LandCover.FOREST: (-8.5, -14.0, -0.06),
    LandCover.MEADOW: (-11.5, -18.0, -0.13),
    LandCover.ROCK: (-8.5, -15.5, -0.12),
    LandCover.SCREE: (-8.5, -15.5, -0.13),
    LandCover.GLACIER: (-11.0, -18.5, -0.14),
    LandCover.SETTLEMENT: (-5.0, -12.0, -0.05),
}
"""VV and VH in dB at 40 degrees of local incidence in winter, and the slope in dB per degree."""
SUMMER_OFFSET_DB: dict[LandCover, tuple[float, float]] = {
    LandCover.FOREST: (0.4, 0.8),
    LandCover.MEADOW: (0.8, 1.6),
    LandCover.GLACIER: (-4.0, -4.5),
}
"""Change from June to September: leaves and tall grass, melting glaciers."""
SUMMER_MONTHS = (6, 7, 8, 9)
TEXTURE_DB, CHANGE_DB = 1.3, 0.4
CHANGE_SCALE_M = 600.0
SUBGRID = 2
"""Sub-cells of the deposit grid in a cell, in each direction."""
OVERSAMPLING = 4
"""Points across a sub-cell that decide its covered share."""
FAINTEST_DB = 0.05


@dataclass(frozen=True)
class Footprint:
    """Where one deposit lies on the sub-grid.

    Attributes:
        deposit: The deposit.
        window: Part of the sub-grid that holds it.
        share: Covered share of every sub-cell, 0..1, shape of the window.
        visibility: Factor on the contrast by local incidence, 0..1.
    """

    deposit: Deposit
    window: Window
    share: Floats32
    visibility: float


@dataclass(frozen=True)
class Ground:
    """What stays the same on all dates.

    Attributes:
        landscape: Heights and land cover of the radar scene.
        local_incidence: Degrees, shape of the landscape's grid.
        texture: Deviation of every place from its land cover's level in VV and VH, dB, (2, rows, cols).
        footprints: Deposits of the season.
    """

    landscape: Landscape
    local_incidence: Floats32
    texture: Floats32
    footprints: Sequence[Footprint]


def build_ground(
    landscape: Landscape, local_incidence: Floats32, deposits: Sequence[Deposit], seed: int
) -> Ground:
    """Texture and deposit footprints of a season; the same seed gives the same ground."""
    random = np.random.default_rng([seed, 1])
    shape = landscape.grid.shape
    fields = []
    for _ in range(2):
        rough = random.standard_normal(shape, np.float32)
        smooth = ndimage.gaussian_filter(rough, 2.0)
        fields.append(0.7 * smooth / smooth.std() + 0.7 * rough)
    texture = TEXTURE_DB * np.stack([fields[0], 0.7 * fields[0] + 0.7 * fields[1]])
    footprints = [
        footprint
        for deposit in deposits
        if (footprint := _footprint(deposit, landscape.grid, local_incidence)) is not None
    ]
    return Ground(landscape, local_incidence, texture.astype(np.float32), footprints)


def surface_at(ground: Ground, weather: Weather, seed: int) -> Surface:
    """What the radar meets at one acquisition.

    Args:
        ground: What stays the same.
        weather: Snow and drift at the overpass.
        seed: Of the smooth change of this date.
    """
    landscape = ground.landscape
    _, aspect = landscape.slope_aspect
    snow = snow_offset_db(weather, landscape.elevation, aspect)
    drift = (weather.drift_vv_db, weather.drift_vh_db)
    change = _smooth_change(landscape.grid, seed)
    slopes = _by_class({cover: levels[2] for cover, levels in LEVELS_DB.items()})[landscape.land_cover]
    angle = np.minimum(ground.local_incidence, 85.0)
    angular = slopes * (angle - REFERENCE_INCIDENCE_DEG)
    # Near grazing the illuminated cross-section shrinks faster than the linear law has it.
    grazing = np.minimum(np.cos(np.radians(angle)) / np.cos(np.radians(70.0)), 1.0)
    angular += 10.0 * np.log10(grazing)
    sigma0 = np.empty((2, *landscape.grid.shape), np.float32)
    for index in range(2):
        level_db = level_ground_db(index, weather.overpass)[landscape.land_cover] + angular
        level_db += ground.texture[index] + snow[index] + change + drift[index]
        sigma0[index] = np.power(10.0, 0.1 * level_db)
    return Surface(sigma0, _boost(ground, weather.overpass))


def level_ground_db(polarisation: int, at: datetime) -> Floats32:
    """Level of every land cover at 40 degrees for VV (0) or VH (1) in the season of `at`, dB, (7,)."""
    levels = _by_class({cover: values[polarisation] for cover, values in LEVELS_DB.items()})
    if at.month in SUMMER_MONTHS:
        levels += _by_class({cover: values[polarisation] for cover, values in SUMMER_OFFSET_DB.items()})
    return levels


def background_sigma0(weather: Weather, incidence_deg: float) -> tuple[float, float]:
    """VV and VH, linear, of level meadow at an incidence: the land beyond the elevation model."""
    slope = LEVELS_DB[LandCover.MEADOW][2] * (incidence_deg - REFERENCE_INCIDENCE_DEG)
    vv, vh = (
        10 ** (0.1 * (float(level_ground_db(index, weather.overpass)[LandCover.MEADOW]) + slope + drift))
        for index, drift in enumerate((weather.drift_vv_db, weather.drift_vh_db))
    )
    return vv, vh


def _by_class(values: dict[LandCover, float]) -> Floats32:
    table = np.zeros(len(LandCover), np.float32)
    for cover, value in values.items():
        table[cover] = value
    return table


def _smooth_change(grid: Grid, seed: int) -> Floats32:
    """A field of standard deviation `CHANGE_DB` that varies over some hundred metres."""
    step = max(1, round(CHANGE_SCALE_M / 2.0 / grid.resolution))
    coarse_shape = (grid.height // step + 3, grid.width // step + 3)
    coarse = np.random.default_rng([seed, 2]).standard_normal(coarse_shape, np.float32)
    coarse = ndimage.gaussian_filter(coarse, 1.0)
    fine = ndimage.zoom(CHANGE_DB * coarse / coarse.std(), step, order=1)
    return np.asarray(fine[: grid.height, : grid.width], np.float32)


def _footprint(deposit: Deposit, grid: Grid, local_incidence: Floats32) -> Footprint | None:
    """The covered shares of one deposit; None where it leaves the grid."""
    step = grid.resolution / SUBGRID
    west, south, east, north = deposit.outline.bounds
    row, col = int((grid.north - north) / step) - 1, int((west - grid.west) / step) - 1
    height = int((north - south) / step) + 3
    width = int((east - west) / step) + 3
    rows, cols = SUBGRID * grid.height, SUBGRID * grid.width
    if row < 0 or col < 0 or row + height > rows or col + width > cols:
        return None
    fine_step = step / OVERSAMPLING
    fine = rasterize(
        [deposit.outline],
        (height * OVERSAMPLING, width * OVERSAMPLING),
        transform=Affine(fine_step, 0.0, grid.west + col * step, 0.0, -fine_step, grid.north - row * step),
        dtype=np.uint8,
    )
    share = fine.reshape(height, OVERSAMPLING, width, OVERSAMPLING).mean(axis=(1, 3), dtype=np.float32)
    centre = deposit.outline.centroid
    angle = float(local_incidence[grid.row_col(centre.x, centre.y)])
    visibility = float(np.interp(angle, [10.0, 35.0, 75.0, 88.0], [0.2, 1.0, 1.0, 0.3]))
    return Footprint(deposit, Window(row, col, height, width), share, visibility)


def _boost(ground: Ground, at: datetime) -> NDArray[np.uint8]:
    """Brightening by deposits on the sub-grid, in steps of `BOOST_STEP_DB`; the brightest one counts."""
    grid = ground.landscape.grid
    boost = np.zeros((2, SUBGRID * grid.height, SUBGRID * grid.width), np.uint8)
    for footprint in ground.footprints:
        for index, contrast in enumerate(deposit_contrast_db(footprint.deposit, at)):
            contrast_db = contrast * footprint.visibility
            if contrast_db < FAINTEST_DB:
                continue
            mixed_db = 10.0 * np.log10(1.0 + footprint.share * (10.0 ** (0.1 * contrast_db) - 1.0))
            steps = np.minimum(np.round(mixed_db / BOOST_STEP_DB), 255).astype(np.uint8)
            area = (index, *footprint.window.slices)
            boost[area] = np.maximum(boost[area], steps)
    return boost
