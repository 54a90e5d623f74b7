"""Incidence, layover and shadow on terrain with known answers and on a real one."""

import numpy as np
import pytest
from exact_geometry import exact_geometry
from pyproj import Transformer
from scipy.ndimage import binary_dilation, binary_erosion
from tiny_terrain import FLAT, GRID, INNER, ORBIT, OUTWARD_M, plane, ridge

from avalanche_assets.errors import TerrainError
from avalanche_assets.grid import Grid, Window
from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.range_sweep import BAND_LINES
from avalanche_assets.sentinel1.track_geometry import track_geometry
from avalanche_assets.sentinel1.visibility import Visibility, unobstructed
from avalanche_assets.settings import GridSettings
from avalanche_assets.terrain.dem import prepare_dem

REAL_ORBIT = "safe/S1B_IW_GRDH_1SDV_20210401T052623_20210401T052648_026269_032297_ECC8.SAFE.zip"
REAL_DEM = "dem_davos_srtm1_wgs84.tif"
MIDDLE = GRID.pixel_centre(127.5, 127.5)


def test_flat_ground_is_visible_and_local_incidence_is_incidence():
    track = track_geometry(ORBIT, FLAT, GRID)
    assert (track.visibility == 0).all()
    np.testing.assert_allclose(track.local_incidence_deg, track.incidence_deg, atol=1e-4, rtol=0)


@pytest.mark.parametrize("slope_deg", [-20.0, 15.0, 25.0])
def test_local_incidence_on_a_ramp_is_incidence_less_its_slope_towards_the_radar(slope_deg):
    track = track_geometry(ORBIT, plane(slope_deg), GRID)
    difference = (track.incidence_deg - track.local_incidence_deg)[INNER]
    # Grid scale (4e-4) and the range direction's turn over the grid stay below this.
    np.testing.assert_allclose(difference, slope_deg, atol=0.05, rtol=0)


@pytest.mark.parametrize(("sideways_deg", "margin_deg"), [(0.0, 1.0), (25.0, 1.0), (-25.0, 1.0)])
def test_a_plane_lays_over_just_when_it_is_steeper_than_the_incidence(sideways_deg, margin_deg):
    incidence = float(np.median(track_geometry(ORBIT, FLAT, GRID).incidence_deg))
    gentle = track_geometry(ORBIT, plane(incidence - margin_deg, sideways_deg), GRID)
    assert (gentle.visibility == 0).all()
    steep = track_geometry(ORBIT, plane(incidence + margin_deg, sideways_deg), GRID)
    assert (steep.visibility[INNER] == Visibility.LAYOVER).all()


@pytest.mark.parametrize("sideways_deg", [0.0, 25.0, -25.0])
def test_a_plane_is_in_its_own_shadow_just_when_it_is_steeper_than_the_ray(sideways_deg):
    # In the plane of the ray, whatever the slope across it.
    ray = 90.0 - float(np.median(track_geometry(ORBIT, FLAT, GRID).incidence_deg))
    assert (track_geometry(ORBIT, plane(1.0 - ray, sideways_deg), GRID).visibility == 0).all()
    steep = track_geometry(ORBIT, plane(-1.0 - ray, sideways_deg), GRID)
    assert (steep.visibility[INNER] == Visibility.SHADOW).all()


def test_gentle_ridge_is_visible():
    assert (track_geometry(ORBIT, ridge(300, 800), GRID).visibility == 0).all()


def test_steep_ridge_lays_over_as_far_as_its_height_over_the_tangent():
    height, foot = 600.0, 400.0  # 56 degrees, steeper than the incidence
    track = track_geometry(ORBIT, ridge(height, foot), GRID)
    incidence = np.radians(float(track.incidence_deg[128, 128]))
    layover = (track.visibility & Visibility.LAYOVER) > 0
    assert layover[INNER & (np.abs(OUTWARD_M + foot / 2) < 150)].all()  # active: the slope itself
    # Passive: flat ground nearer than the foot whose range equals that of the slope up to the top.
    reach = height / np.tan(incidence)
    before = INNER & (-foot - 30 > OUTWARD_M)
    assert layover[before & (-reach + 30 < OUTWARD_M)].all()
    assert not layover[before & (-reach - 30 > OUTWARD_M)].any()


def test_shadow_reaches_as_far_as_the_ray_over_the_crest():
    height, foot = 700.0, 300.0  # falls at 67 degrees, more than 90 less the incidence
    track = track_geometry(ORBIT, ridge(height, foot), GRID)
    incidence = np.radians(float(track.incidence_deg[128, 128]))
    shadow = (track.visibility & Visibility.SHADOW) > 0
    reach = height * np.tan(incidence)
    assert reach > foot
    assert shadow[INNER & (OUTWARD_M > 40) & (reach - 30 > OUTWARD_M)].all()
    assert not shadow[INNER & ((OUTWARD_M < -10) | (reach + 30 < OUTWARD_M))].any()
    lit_from_behind = INNER & (OUTWARD_M > 40) & (foot - 40 > OUTWARD_M)
    assert (track.local_incidence_deg[lit_from_behind] > 90).all()


def test_unknown_height_is_outside_and_hides_nothing():
    dem = FLAT.copy()
    dem[100:140, 100:140] = np.nan
    dem[:64, 64:128] = np.nan  # a whole block
    track = track_geometry(ORBIT, dem, GRID)
    hole = np.isnan(dem)
    assert (track.visibility[hole] == Visibility.OUTSIDE).all()
    assert (track.visibility[~hole] == 0).all()
    assert np.isnan(track.local_incidence_deg[hole]).all()
    assert np.isfinite(track.local_incidence_deg[~hole]).all()


def test_ascending_pass_sees_the_mirror_image():
    dem = ridge(700, 300)
    lon = np.radians(Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True).transform(*MIDDLE)[0])
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    mirrored = ORBIT.positions - 2 * (ORBIT.positions @ east)[:, None] * east
    ascending = Orbit(ORBIT.epoch, ORBIT.times, mirrored[::-1])
    track = track_geometry(ascending, dem[:, ::-1].copy(), GRID)
    expected = track_geometry(ORBIT, dem, GRID).visibility[:, ::-1]
    # The grid's rows are not quite west and east: the look direction differs by 4 degrees.
    assert (track.visibility[INNER] == expected[INNER]).mean() > 0.98


def test_ground_left_of_the_path_is_refused():
    backwards = Orbit(ORBIT.epoch, ORBIT.times, ORBIT.positions[::-1])
    with pytest.raises(TerrainError, match="sees none"):
        track_geometry(backwards, FLAT, GRID)


def test_elevation_model_without_heights_is_refused():
    with pytest.raises(TerrainError, match="sees none"):
        track_geometry(ORBIT, np.full(GRID.shape, np.nan, np.float32), GRID)


def test_grid_whose_rows_run_along_the_track_is_refused():
    # Polar stereographic with its central meridian a quarter turn away: north is along the rows.
    crs = "+proj=stere +lat_0=90 +lon_0=-80 +datum=WGS84 +units=m"
    x, y = Transformer.from_crs(GRID.crs, crs, always_xy=True).transform(GRID.west, GRID.north)
    with pytest.raises(TerrainError, match=r"grid\.crs"):
        track_geometry(ORBIT, FLAT, Grid(crs, 20.0, x, y, 256, 256))


def test_unobstructed_is_neither_layover_nor_shadow():
    flags = np.array([0, 1, 2, 3, 4, 8, 16, np.nan], np.float32)
    assert unobstructed(flags).tolist() == [True, False, False, False, True, True, True, True]


@pytest.fixture(scope="module")
def davos(real_data):
    """Orbit, heights and grid of 13 km beside Davos: more lines than one band of the sweep."""
    bounds = (565760.0, 5178880.0, 578560.0, 5191680.0)
    grid, heights = prepare_dem(real_data / REAL_DEM, GridSettings(resolution_m=20, bounds=bounds), "EGM96")
    assert grid.height > BAND_LINES
    return Product.open(real_data / REAL_ORBIT).orbit, heights, grid


@pytest.fixture(scope="module")
def exact(davos):
    return exact_geometry(*davos)


def test_real_angles_equal_those_of_exact_solutions(davos, exact):
    track = track_geometry(*davos)
    np.testing.assert_allclose(track.incidence_deg, exact.incidence_deg, atol=1e-3, rtol=0)
    inside = (slice(1, -1), slice(1, -1))
    difference = track.local_incidence_deg[inside] - exact.local_incidence_deg[inside]
    assert np.abs(difference).max() < 1e-2


@pytest.mark.parametrize("bit", [Visibility.LAYOVER, Visibility.SHADOW])
def test_real_layover_and_shadow_equal_rays_marched_from_each_cell(davos, exact, bit):
    flagged = (track_geometry(*davos).visibility & bit) > 0
    expected = exact.layover if bit == Visibility.LAYOVER else exact.shadow
    assert expected.mean() > 0.005
    different = flagged != expected
    assert different.mean() < 0.005
    # They differ at edges of what either flags; what is far from the edges of the reference are single
    # cells on the brink.
    assert not binary_erosion(different, np.ones((3, 3))).any()
    edges = binary_dilation(expected, np.ones((3, 3))) & ~binary_erosion(expected, np.ones((3, 3)))
    assert (different & ~edges).mean() < 2e-4


def test_real_geometry_does_not_depend_on_where_the_grid_is_cut(davos):
    orbit, heights, grid = davos
    part = Window(0, 64, 320, 512)
    whole = track_geometry(orbit, heights, grid)
    cut = track_geometry(orbit, heights[part.slices].copy(), grid.subgrid(part))
    away = (slice(0, 192), slice(160, 352))  # further from the cuts than the relief reaches
    here = (slice(0, 192), slice(224, 416))
    np.testing.assert_allclose(cut.local_incidence_deg[away], whole.local_incidence_deg[here], atol=1e-4)
    # Other lines pass between the cells.
    assert (cut.visibility[away] == whole.visibility[here]).mean() > 0.995
