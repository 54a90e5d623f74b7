"""From products to a file and its report: what is stored, what is counted, and how much memory it takes."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import tiny_safe
from pyproj import Transformer
from scipy.ndimage import gaussian_filter
from tiny_safe import write_tiny_safe

from avalanche_assets.backscatter.sigma0_file import write_sigma0
from avalanche_assets.backscatter.star import ratio_db, reference_median
from avalanche_assets.grid import Grid
from avalanche_assets.rasters import read_bands, write_cog
from avalanche_assets.sentinel1.mosaic import terrain_corrected_sigma0
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.slices import SliceStack
from avalanche_assets.sentinel1.track_geometry import track_geometry
from avalanche_assets.sentinel1.visibility import Visibility

CRS = "EPSG:32632"
LINES, SAMPLES = 900, 1000
RNG = np.random.default_rng(139)
DN = (300 + 3000 * gaussian_filter(RNG.normal(size=(LINES, SAMPLES)), 3)).clip(50).round()


def grid_of(cells: int) -> Grid:
    """About the middle of the image at 1000 m height."""
    middle = tiny_safe.ground_point(tiny_safe.START_S + LINES / 2 * 1.5e-3, 903e3, 1000.0)
    x, y, _ = Transformer.from_crs("EPSG:4979", CRS, always_xy=True).transform(*middle)
    return Grid(CRS, 20.0, round(x - 10 * cells), round(y + 10 * cells), cells, cells)


GRID = grid_of(128)


def terrain() -> np.ndarray:
    """A ridge along the track that shades what lies behind it, in hills."""
    across = np.abs(np.arange(GRID.width) - 80)
    ridge = np.where(across < 12, 500 - across * 45, 0).clip(0)
    return (1000 + ridge + 2e3 * gaussian_filter(RNG.normal(size=GRID.shape), 6)).astype(np.float32)


def corridors(grid: Grid) -> gpd.GeoDataFrame:
    x, y = grid.pixel_centre(64, np.array([48, 80]))
    table = {"corridor_id": ["a", "b"], "deposit_x": x, "deposit_y": [y, y], "deposit_elevation_m": 1000.0}
    return gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(x, [y, y]), crs=CRS)


@pytest.fixture
def scene(tmp_path):
    """Elevation model and track geometry as files, and a function that stores sigma0 of an image."""
    heights, dem, geometry = terrain(), tmp_path / "dem.tif", tmp_path / "geometry.tif"
    write_cog(dem, {"elevation": heights}, GRID, {"elevation": "m"})

    def stack_of(name: str, dn: np.ndarray) -> SliceStack:
        return SliceStack.of([Product.open(write_tiny_safe(tmp_path / name, dn))])

    def store(name: str, dn: np.ndarray, flattened: bool):
        stack, path = stack_of(f"{name} {flattened}", dn), tmp_path / f"{name} {flattened}.tif"
        if not geometry.exists():
            of_track = track_geometry(stack.orbit, heights, GRID)
            bands = {"flattening": of_track.flattening, "visibility": of_track.visibility}
            write_cog(geometry, bands, GRID, dict.fromkeys(bands, "1"))
        report = write_sigma0(
            path, stack, stack.orbit, dem, corridors(GRID), None, {}, geometry if flattened else None
        )
        return read_bands(path), report

    return heights, geometry, stack_of, store


def test_file_and_report_agree_with_the_image(scene):
    heights, _, stack_of, store = scene
    bands, report = store("whole", DN, flattened=False)
    stack = stack_of("direct", DN)
    expected = terrain_corrected_sigma0(stack.products, stack.orbit, heights, GRID)
    for name, summary in (("vv", report.vv), ("vh", report.vh)):
        np.testing.assert_array_equal(bands[name], getattr(expected, name))
        assert summary.filled == np.isfinite(bands[name]).mean()
        assert summary.median == pytest.approx(np.nanmedian(bands[name]), rel=1 / 256)
        np.testing.assert_array_equal(summary.means.astype(np.float32), bands[name])
    np.testing.assert_array_equal(bands["flags"], expected.flags)
    assert report.coverage["corridors fully covered"] == 2


def test_only_wanted_squares_and_their_heights_are_used(tmp_path):
    """Heights that are not read must not count: they would change the polynomials of the blocks beside."""
    grid = grid_of(384)
    heights = (1000 + 2e3 * gaussian_filter(RNG.normal(size=grid.shape), 6)).astype(np.float32)
    write_cog(tmp_path / "dem.tif", {"elevation": heights}, grid, {"elevation": "m"})
    stack = SliceStack.of([Product.open(write_tiny_safe(tmp_path, DN))])
    wanted = np.zeros((24, 24), bool)
    wanted[9:12, 8:15] = True
    table = corridors(grid)
    write_sigma0(tmp_path / "part.tif", stack, stack.orbit, tmp_path / "dem.tif", table, wanted, {})
    expected = terrain_corrected_sigma0(stack.products, stack.orbit, heights, grid, wanted)
    assert np.isfinite(expected.vv).sum() == wanted.sum() * 256
    np.testing.assert_array_equal(read_bands(tmp_path / "part.tif")["vv"], expected.vv)


def test_change_does_not_depend_on_the_convention_outside_shadow(scene):
    """Two snow-free dates and a winter date, as sigma0 and as flattened gamma0: the factor cancels in VV*."""
    _, geometry, _, store = scene
    winter = np.where(np.arange(SAMPLES) < 500, DN, 2 * DN)
    star = {}
    for flattened in (False, True):
        days = [store(f"day {day}", day * DN, flattened)[0] for day in (1, 3)]
        current, _ = store("winter", winter, flattened)
        star[flattened] = ratio_db(current["vv"], reference_median([day["vv"] for day in days]))
    shadow = (read_bands(geometry)["visibility"].astype(int) & Visibility.SHADOW) > 0
    assert 0.02 < shadow.mean() < 0.3
    assert np.isnan(star[True][shadow]).all()
    lit = np.isfinite(star[True])
    assert lit.mean() > 0.95 - shadow.mean()
    # Two single-precision products and a quotient, in dB.
    np.testing.assert_allclose(star[True][lit], star[False][lit], rtol=0, atol=5e-6)


def test_unlit_terrain_has_no_gamma0_and_says_so(scene):
    _, _, _, store = scene
    plain, _ = store("plain", DN, flattened=False)
    flat, report = store("flat", DN, flattened=True)
    lost = np.isfinite(plain["vv"]) & np.isnan(flat["vv"])
    assert lost.any()
    assert (flat["flags"][lost].astype(int) & Visibility.SHADOW).all()
    np.testing.assert_array_equal(flat["flags"][~lost], plain["flags"][~lost])
    assert (flat["flags"][np.isnan(flat["vv"])] > 0).all()
    assert report.coverage["corridors fully covered"] == 0


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a peak of memory")
def test_memory_is_that_of_heights_and_flags_whatever_the_report_holds(tmp_path):
    grid = grid_of(6144)
    size = 4 * grid.height * grid.width
    dem = tmp_path / "dem.tif"
    write_cog(dem, {"elevation": np.full(grid.shape, 1000, np.float32)}, grid, {"elevation": "m"})
    stack = SliceStack.of([Product.open(write_tiny_safe(tmp_path, DN))])

    def run() -> None:
        write_sigma0(tmp_path / "out.tif", stack, stack.orbit, dem, corridors(grid), None, {})

    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    run()
    # Heights once, flags a quarter; ring, image blocks and histograms are 0.1 GB at most.
    assert _memory("VmHWM") - before < 1.25 * size + 100e6


def _memory(field: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])
