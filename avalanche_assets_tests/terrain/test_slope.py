import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from avalanche_assets.errors import TerrainError
from avalanche_assets.grid import Grid
from avalanche_assets.rasters import STREAM_PX, read_bands, write_cog
from avalanche_assets.settings import GridSettings
from avalanche_assets.terrain.dem import prepare_dem
from avalanche_assets.terrain.slope import horn_slope_aspect, write_slope_aspect


def plane(east: float, north: float, resolution: float = 20.0, size: int = 9) -> np.ndarray:
    """Heights that rise by `east` metres per metre eastward and `north` northward."""
    row, col = np.mgrid[:size, :size]
    return (1000.0 + col * resolution * east - row * resolution * north).astype(np.float32)


@pytest.mark.parametrize(
    ("east", "north", "slope", "aspect"),
    [
        (-1.0, 0.0, 45.0, 90.0),  # falls to the east
        (1.0, 0.0, 45.0, 270.0),
        (0.0, 1.0, 45.0, 180.0),  # rises to the north, so faces south
        (0.0, -0.5, math.degrees(math.atan(0.5)), 0.0),
        (-0.3, -0.4, math.degrees(math.atan(0.5)), math.degrees(math.atan2(0.3, 0.4))),
    ],
)
def test_plane_has_the_slope_and_downhill_direction_computed_by_hand(east, north, slope, aspect):
    slopes, aspects = horn_slope_aspect(plane(east, north), 20.0)
    # float32 heights near 1 km are rounded to 6e-5 m, 2e-4 deg over 40 m
    np.testing.assert_allclose(slopes[1:-1, 1:-1], slope, atol=1e-3)
    turn = (aspects[1:-1, 1:-1] - aspect + 180.0) % 360.0 - 180.0
    np.testing.assert_allclose(turn, 0.0, atol=1e-3)


@given(
    azimuth=st.floats(0.0, 359.99),
    slope=st.floats(1.0, 80.0),
    resolution=st.sampled_from([10.0, 20.0, 90.0]),
)
@settings(max_examples=60, deadline=None)
def test_any_plane_gives_back_its_slope_and_aspect(azimuth, slope, resolution):
    gradient = math.tan(math.radians(slope))
    east, north = -gradient * math.sin(math.radians(azimuth)), -gradient * math.cos(math.radians(azimuth))
    slopes, aspects = horn_slope_aspect(plane(east, north, resolution), resolution)
    assert slopes[4, 4] == pytest.approx(slope, abs=5e-3)
    assert (aspects[4, 4] - azimuth + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=0.2)
    assert 0.0 <= aspects[4, 4] < 360.0


def test_flat_ground_has_slope_zero_and_no_aspect():
    slopes, aspects = horn_slope_aspect(np.full((5, 5), 1234.5, np.float32), 20.0)
    assert (slopes[1:-1, 1:-1] == 0.0).all()
    assert np.isnan(aspects).all()


def test_frame_and_neighbours_of_a_void_have_no_value():
    dem = plane(0.2, 0.1)
    dem[4, 4] = np.nan
    slopes, aspects = horn_slope_aspect(dem, 20.0)
    expected = np.zeros(dem.shape, bool)
    expected[1:-1, 1:-1] = True
    expected[3:6, 3:6] = False
    np.testing.assert_array_equal(np.isfinite(slopes), expected)
    np.testing.assert_array_equal(np.isfinite(aspects), expected)


def test_a_raster_too_small_for_neighbours_is_all_nan():
    slopes, aspects = horn_slope_aspect(np.ones((2, 5), np.float32), 20.0)
    assert np.isnan(slopes).all()
    assert np.isnan(aspects).all()


def gdaldem(mode: str, dem: Path, target: Path) -> np.ndarray:
    subprocess.run(["gdaldem", mode, str(dem), str(target), "-q"], check=True)
    with rasterio.open(target) as dataset:
        return dataset.read(1, masked=True).filled(np.nan)


@pytest.mark.skipif(shutil.which("gdaldem") is None, reason="gdaldem is not installed (apt: gdal-bin)")
@pytest.mark.parametrize("name", ["dem_davos_20km_utm32_30m.tif", "dem_devoluy_30km_l93_90m.tif"])
def test_real_mountains_give_what_gdaldem_gives(name, real_data, tmp_path):
    grid, heights = prepare_dem(real_data / name, GridSettings(), "ellipsoidal")
    heights[np.random.default_rng(3).random(heights.shape) < 0.003] = np.nan  # single voids and clusters
    dem = tmp_path / "dem.tif"
    write_cog(dem, {"elevation": heights}, grid, {"elevation": "m"})
    write_slope_aspect(dem, tmp_path / "slope_aspect.tif")
    slopes, aspects = read_bands(tmp_path / "slope_aspect.tif").values()
    slope_peer, aspect_peer = (
        gdaldem("slope", dem, tmp_path / "s.tif"),
        gdaldem("aspect", dem, tmp_path / "a.tif"),
    )
    np.testing.assert_array_equal(np.isfinite(slopes), np.isfinite(slope_peer))
    known = np.isfinite(slopes)
    assert known.mean() > 0.7
    # gdaldem sums in float32; rounding of heights near 3 km is 2.4e-4 m
    assert np.abs(slopes - slope_peer)[known].max() <= 0.01
    steep = known & (slopes > 1.0)
    turn = np.abs((aspects - aspect_peer + 180.0) % 360.0 - 180.0)[steep]
    assert turn.max() <= 0.2


def test_grid_posting_is_the_resolution_used(tmp_path):
    grid = Grid("EPSG:32632", 10.0, 0.0, 90.0, 9, 9)
    slopes, _ = horn_slope_aspect(plane(0.0, 0.0, 10.0), grid.resolution)
    doubled, _ = horn_slope_aspect(plane(0.5, 0.0, 10.0), 20.0)
    assert slopes[4, 4] == 0.0
    # the same heights on a posting twice as wide are half as steep
    assert doubled[4, 4] == pytest.approx(math.degrees(math.atan(0.25)), abs=1e-3)


def test_a_raster_streamed_in_strips_gives_what_the_whole_array_gives(tmp_path):
    grid = Grid("EPSG:32632", 20.0, 0.0, 0.0, 2 * STREAM_PX + 64, 192)
    heights = np.random.default_rng(5).normal(1500.0, 20.0, grid.shape).astype(np.float32)
    heights[STREAM_PX - 1, 40] = np.nan  # a void beside the seam of two strips
    write_cog(tmp_path / "dem.tif", {"elevation": heights}, grid, {"elevation": "m"})
    write_slope_aspect(tmp_path / "dem.tif", tmp_path / "slope_aspect.tif")
    stored = read_bands(tmp_path / "slope_aspect.tif")
    for name, expected in zip(("slope", "aspect"), horn_slope_aspect(heights, 20.0), strict=True):
        np.testing.assert_array_equal(stored[name], expected)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:2263"])
def test_heights_over_degrees_or_feet_are_refused(crs, tmp_path):
    grid = Grid(crs, 0.0003, 6.0, 45.0, 64, 64)
    write_cog(tmp_path / "dem.tif", {"elevation": np.ones(grid.shape)}, grid, {"elevation": "m"})
    with pytest.raises(TerrainError, match=rf"dem\.tif: its grid is {crs}, not in metres.*grid\.crs"):
        write_slope_aspect(tmp_path / "dem.tif", tmp_path / "slope_aspect.tif")
    assert not (tmp_path / "slope_aspect.tif").exists()
