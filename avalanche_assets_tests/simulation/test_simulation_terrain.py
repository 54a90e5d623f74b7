"""Synthetic terrain, flow and land cover."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from avalanche_assets.errors import TerrainError
from avalanche_assets.grid import Grid
from avalanche_assets.simulation.flow import drain, drainage_area
from avalanche_assets.simulation.landscape import (
    LandCover,
    Landscape,
    landscape_from_dem,
    synthetic_landscape,
)
from avalanche_assets.simulation.noise import fractal_noise
from avalanche_assets.simulation.terrain import slope_aspect, synthetic_terrain

GRID = Grid("EPSG:32632", 20.0, 320000.0, 5040000.0, 384, 448)
heights = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=12),
    elements=st.floats(0.0, 100.0, width=32),
)


def write_dem(path, values, crs, west, north, cell):
    with rasterio.open(
        path, "w", driver="GTiff", dtype="float32", count=1, height=values.shape[0], width=values.shape[1],
        crs=crs, transform=Affine(cell, 0.0, west, 0.0, -cell, north),
    ) as dataset:  # fmt: skip
        dataset.write(values.astype(np.float32), 1)


@pytest.fixture(scope="module")
def landscape() -> Landscape:
    return synthetic_landscape(GRID, 139)


def test_landscape_is_the_same_for_the_same_seed_and_another_for_another(landscape):
    again = synthetic_landscape(GRID, 139)
    np.testing.assert_array_equal(again.elevation, landscape.elevation)
    np.testing.assert_array_equal(again.land_cover, landscape.land_cover)
    assert np.abs(synthetic_terrain(GRID, 140) - landscape.elevation).mean() > 50.0


def test_terrain_has_alpine_heights_and_slopes(landscape):
    """Limits around the measured Davos model: 43 % of cells between 28 and 55 degrees, 0.2 % above 60."""
    slope, _ = landscape.slope_aspect
    assert landscape.elevation.dtype == np.float32
    assert landscape.elevation.shape == GRID.shape
    assert landscape.elevation.min() > 600.0
    assert landscape.elevation.max() < 3800.0
    # Small cut-outs vary: 26 to 31 degrees and 45 to 60 % over eight seeds.
    assert 20.0 < np.median(slope) < 33.0
    assert 0.3 < ((slope > 28.0) & (slope < 55.0)).mean() < 0.65
    assert (slope > 60.0).mean() < 0.01


def test_terrain_is_drained_by_valleys(landscape):
    """Few cells lie in closed hollows deeper than 5 m: rivers leave the landscape."""
    filled, _, _ = drain(landscape.elevation)
    assert (filled - landscape.elevation > 5.0).mean() < 0.03


def test_land_cover_follows_height_and_slope(landscape):
    slope, _ = landscape.slope_aspect
    assert landscape.land_cover.dtype == np.uint8
    assert set(np.unique(landscape.land_cover)) <= {int(cover) for cover in LandCover}
    forest = landscape.land_cover == LandCover.FOREST
    rock = landscape.land_cover == LandCover.ROCK
    assert landscape.elevation[forest].max() < 2300.0
    assert slope[rock].mean() > slope[forest].mean() + 5.0


@given(heights)
@settings(max_examples=60, deadline=None)
def test_every_cell_drains_to_the_rim_without_climbing(elevation):
    filled, receivers, order = drain(elevation)
    assert (filled >= elevation).all()
    flat = filled.ravel()
    # Heights within one bucket of 5 cm are flooded in any order.
    assert (flat[receivers] <= flat + 0.05 + 1e-4).all()
    place = np.empty(order.size, int)
    place[order] = np.arange(order.size)
    inner = receivers != np.arange(receivers.size)
    assert (place[receivers[inner]] < place[np.flatnonzero(inner)]).all()
    rim = np.ones(elevation.shape, bool)
    rim[1:-1, 1:-1] = False
    np.testing.assert_array_equal(~inner, rim.ravel())
    area = drainage_area(receivers, order, 2.0)
    assert area[rim.ravel()].sum() == pytest.approx(2.0 * elevation.size)


def test_a_pit_is_filled_to_its_outlet():
    bowl = np.full((7, 7), 10.0, np.float32)
    bowl[1:-1, 1:-1] = 5.0
    bowl[3, 6] = 7.0
    filled, _, _ = drain(bowl)
    assert (filled[1:-1, 1:-1] == 7.0).all()


@pytest.mark.parametrize(
    ("east", "north", "aspect"), [(0.0, 1.0, 180.0), (1.0, 0.0, 270.0), (-1.0, 0.0, 90.0), (1.0, 1.0, 225.0)]
)
def test_slope_and_aspect_of_a_plane(east, north, aspect):
    """A plane that rises to the north faces south: 180 degrees."""
    rows, cols = np.mgrid[0:9, 0:9]
    plane = (20.0 * 0.5 * (east * cols - north * rows)).astype(np.float32)
    slope, direction = slope_aspect(plane, 20.0)
    expected = np.degrees(np.arctan(0.5 * np.hypot(east, north)))
    np.testing.assert_allclose(slope, expected, atol=1e-3)
    np.testing.assert_allclose(direction, aspect, atol=1e-3)


def test_noise_is_bounded_and_centred():
    smooth = fractal_noise((300, 300), 20.0, 400.0, 4, 5, False)
    ridged = fractal_noise((300, 300), 20.0, 400.0, 4, 5, True)
    assert np.abs(smooth).max() <= 1.0
    # 225 features: the mean of so many independent ones of spread 0.25 stays below 0.07 (4 sigma).
    assert abs(smooth.mean()) < 0.07
    assert ridged.min() >= 0.0
    assert ridged.max() <= 1.0


def test_a_given_model_is_warped_onto_the_grid(tmp_path):
    """A tilted plane in another coordinate system keeps its heights to a decimetre."""
    rows, cols = np.mgrid[0:200, 0:200]
    path = tmp_path / "plane.tif"
    write_dem(path, 1000.0 + 5.0 * cols + 3.0 * rows, "EPSG:25832", 318000.0, 5042000.0, 100.0)
    landscape = landscape_from_dem(path, GRID, 1)
    x, y = GRID.pixel_centre(100, 200)
    expected = 1000.0 + 5.0 * ((x - 318000.0) / 100.0 - 0.5) + 3.0 * ((5042000.0 - y) / 100.0 - 0.5)
    assert landscape.elevation[100, 200] == pytest.approx(expected, abs=0.1)
    assert np.isfinite(landscape.elevation).all()


def test_a_model_that_does_not_cover_is_refused_by_name(tmp_path):
    path = tmp_path / "small.tif"
    write_dem(path, np.ones((50, 50)), "EPSG:32632", 320000.0, 5040000.0, 20.0)
    with pytest.raises(TerrainError, match=r"small\.tif: covers .* %"):
        landscape_from_dem(path, GRID, 1)
    with pytest.raises(TerrainError, match="not found"):
        landscape_from_dem(tmp_path / "none.tif", GRID, 1)


def test_real_davos_model_gives_a_complete_landscape(real_data):
    path = real_data / "dem_davos_20km_utm32_30m.tif"
    with rasterio.open(path) as dataset:
        west, _, _, north = dataset.bounds
        crs = dataset.crs.to_string()
    grid = Grid(crs, 20.0, west + 4000.0, north - 4000.0, 512, 512)
    landscape = landscape_from_dem(path, grid, 139)
    slope, _ = landscape.slope_aspect
    assert np.isfinite(landscape.elevation).all()
    assert 0.3 < ((slope > 28.0) & (slope < 55.0)).mean() < 0.55
