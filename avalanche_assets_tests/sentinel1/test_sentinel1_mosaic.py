"""Terrain-corrected sigma0 of one and of two slices, against an independent sampling."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tiny_safe
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer
from scipy.ndimage import gaussian_filter, map_coordinates
from tiny_safe import AMPLITUDE, NOISE, write_tiny_safe

from avalanche_assets.errors import SafeError
from avalanche_assets.grid import Grid, Window
from avalanche_assets.sentinel1 import mosaic
from avalanche_assets.sentinel1.mosaic import Sigma0, terrain_corrected_sigma0
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.slices import SliceStack
from avalanche_assets.sentinel1.visibility import Visibility

LINES, SAMPLES = 700, 900
CRS = "EPSG:32632"
RNG = np.random.default_rng(139)
DN = (300 + 3000 * gaussian_filter(RNG.normal(size=(LINES, SAMPLES)), 3)).clip(50).round()


def grid_inside() -> Grid:
    """Two by two blocks (2.56 km) about the middle of the image at 1000 m height."""
    middle = tiny_safe.ground_point(tiny_safe.START_S + LINES / 2 * 1.5e-3, 902.5e3, 1000.0)
    x, y, _ = Transformer.from_crs("EPSG:4979", CRS, always_xy=True).transform(*middle)
    return Grid(CRS, 20.0, round(x - 1280), round(y + 1280), 128, 128)


GRID = grid_inside()
DEM = (1000 + 4e3 * gaussian_filter(RNG.normal(size=GRID.shape), 6)).astype(np.float32)


def expected_cells(product: Product, intensity: np.ndarray) -> np.ndarray:
    """Mean of four exactly located bilinear samples, on cells off the grid's edge."""
    rows, cols = np.meshgrid(np.arange(2, 126), np.arange(2, 126), indexing="ij")
    transformer = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    total = 0.0
    for down, right in ((-0.25, -0.25), (-0.25, 0.25), (0.25, -0.25), (0.25, 0.25)):
        y, x = rows + down, cols + right
        height = map_coordinates(DEM.astype(float), [y, x], order=1)
        lon, lat = transformer.transform(GRID.west + (x + 0.5) * 20, GRID.north - (y + 0.5) * 20)
        place = product.locate(lon, lat, height)
        total = total + map_coordinates(intensity, [place.line, place.sample], order=1)
    return total / 4


def test_cells_are_the_mean_power_of_four_exactly_located_samples(tmp_path):
    product = Product.open(write_tiny_safe(tmp_path, DN))
    sigma0 = terrain_corrected_sigma0([product], product.orbit, DEM, GRID)
    expected = expected_cells(product, (DN**2 - NOISE) / AMPLITUDE**2)
    # Single precision of the image; a location wrong by 0.001 pixel would show as 1e-4.
    np.testing.assert_allclose(sigma0.vv[2:126, 2:126], expected, rtol=5e-5)
    np.testing.assert_array_equal(sigma0.vv, sigma0.vh)
    assert (sigma0.flags == 0).all()
    assert SliceStack.of([product]).denoisable


def test_two_slices_give_what_one_long_image_gives(tmp_path):
    whole = Product.open(write_tiny_safe(tmp_path / "whole", DN))
    parts = [
        Product.open(write_tiny_safe(tmp_path, DN[350:], first_line=350, zipped=True)),
        Product.open(write_tiny_safe(tmp_path, DN[:350], zipped=True)),
    ]
    one = terrain_corrected_sigma0([whole], whole.orbit, DEM, GRID)
    two = terrain_corrected_sigma0(parts, whole.orbit, DEM, GRID)
    assert np.isfinite(two.vv).all()
    # The slices' own grids resolve the ground-range shift to a millisecond: 0.01 pixel at most.
    np.testing.assert_allclose(10 * np.log10(two.vv / one.vv), 0, atol=0.02)


def test_only_wanted_squares_are_filled_with_the_same_values(tmp_path):
    product = Product.open(write_tiny_safe(tmp_path, DN))
    full = terrain_corrected_sigma0([product], product.orbit, DEM, GRID)
    wanted = np.zeros((8, 8), bool)
    wanted[0, 5:7] = True
    part = terrain_corrected_sigma0([product], product.orbit, DEM, GRID, wanted)
    np.testing.assert_array_equal(part.vv[:16, 80:112], full.vv[:16, 80:112])
    assert np.isfinite(part.vv).sum() == 16 * 32
    assert (part.flags[16:] == Visibility.OUTSIDE).all()


@pytest.mark.parametrize("elsewhere", range(0, 640, 80))
def test_cliff_beside_a_wanted_block_changes_nothing_in_it(tmp_path, elsewhere):
    """Sub-cells at the block's edge take heights from beyond it, which move them onto other pixels.

    Pixels are read by runs of 64 from the first one needed, which the height elsewhere moves.
    """
    product = Product.open(write_tiny_safe(tmp_path, np.tile(DN, (2, 2))[:1400, :1600]))
    middle = tiny_safe.ground_point(tiny_safe.START_S + 700 * 1.5e-3, 904.5e3, 1000.0)
    x, y, _ = Transformer.from_crs("EPSG:4979", CRS, always_xy=True).transform(*middle)
    grid = Grid(CRS, 20.0, round(x - 3500), round(y + 1280), 192, 320)
    dem = np.full(grid.shape, 1000, np.float32)
    dem[64:128, 128:192] = 700 + 600 / 63 * np.arange(64)
    dem[64:128, 192:] = 2100
    dem[:64, 256:] += elsewhere
    wanted = np.zeros((12, 20), bool)
    wanted[4:8, 8:12] = True
    wanted[0, -2] = True
    full = terrain_corrected_sigma0([product], product.orbit, dem, grid)
    part = terrain_corrected_sigma0([product], product.orbit, dem, grid, wanted)
    block = np.s_[64:128, 128:192]
    np.testing.assert_array_equal(part.flags[block], full.flags[block])
    np.testing.assert_allclose(part.vv[block], full.vv[block], rtol=1e-5)


def test_reasons_for_missing_values_are_flagged(tmp_path):
    dn = DN.copy()
    dn[:300] = 0
    dn[400:450] = 12  # below the noise of 20, inside the image
    dem = DEM.copy()
    dem[100:, :10] = np.nan
    east = Grid(CRS, 20.0, GRID.west, GRID.north, 128, 128 + 640)
    wide = np.pad(dem, ((0, 0), (0, 640)), constant_values=1000.0)
    product = Product.open(write_tiny_safe(tmp_path, dn, ipf="003.31"))
    sigma0 = terrain_corrected_sigma0([product], product.orbit, wide, east)
    place = product.locate(*_centres(east), wide)
    beyond = (place.sample < -5) | (place.sample > SAMPLES + 5) | np.isnan(wide)
    assert (sigma0.flags[beyond] == Visibility.OUTSIDE).all()
    inside = (place.sample > 5) & (place.sample < SAMPLES - 5)
    assert (sigma0.flags[inside & (place.line < 295)] == Visibility.BORDER).all()
    dark = inside & (place.line > 405) & (place.line < 445)
    assert (sigma0.flags[dark] == Visibility.NOISE_LIMITED).all()
    without_value = (sigma0.flags & (Visibility.BORDER | Visibility.OUTSIDE)) > 0
    assert np.isnan(sigma0.vv[without_value]).all()
    assert (sigma0.vv[sigma0.flags == 0] > 0).all()
    assert (sigma0.vv[sigma0.flags == Visibility.NOISE_LIMITED] <= 0).all()
    assert {0, 4, 8, 16} == set(np.unique(sigma0.flags))


def test_pixels_that_were_not_imaged_do_not_bleed_into_their_neighbours(tmp_path):
    cut = DN.copy()
    cut[:, 450:] = 0
    cut[:330] = 0
    whole, part = (
        Product.open(write_tiny_safe(tmp_path / name, dn, ipf="003.31"))
        for name, dn in (("whole", DN), ("part", cut))
    )
    expected = terrain_corrected_sigma0([whole], whole.orbit, DEM, GRID)
    found = terrain_corrected_sigma0([part], part.orbit, DEM, GRID)
    known = np.isfinite(found.vv)
    assert 0.1 < known.mean() < 0.9
    np.testing.assert_array_equal(found.vv[known], expected.vv[known])
    assert (found.flags[~known] == Visibility.BORDER).all()


def _centres(grid):
    rows, cols = np.meshgrid(np.arange(grid.height), np.arange(grid.width), indexing="ij")
    x, y = grid.west + (cols + 0.5) * 20, grid.north - (rows + 0.5) * 20
    return Transformer.from_crs(CRS, "EPSG:4326", always_xy=True).transform(x, y)


def test_unscaled_noise_is_left_in_and_said(tmp_path):
    product = Product.open(write_tiny_safe(tmp_path, DN, ipf="002.36"))
    sigma0 = terrain_corrected_sigma0([product], product.orbit, DEM, GRID)
    assert not SliceStack.of([product]).denoisable
    # Ground range is inverted by Newton's method for this processor, to the same samples.
    expected = expected_cells(product, DN**2 / AMPLITUDE**2)
    np.testing.assert_allclose(sigma0.vv[2:126, 2:126], expected, rtol=5e-5)


@pytest.mark.parametrize(("first_line", "word"), [(380, "30.0 lines are missing"), (340, "overlapping")])
def test_slices_that_do_not_abut_are_refused(tmp_path, first_line, word):
    parts = [write_tiny_safe(tmp_path, DN[:350]), write_tiny_safe(tmp_path, DN[350:], first_line=first_line)]
    with pytest.raises(SafeError, match=word):
        SliceStack.of([Product.open(path) for path in parts])


def test_slices_of_another_data_take_are_refused(tmp_path):
    parts = [
        write_tiny_safe(tmp_path, DN[:350]),
        write_tiny_safe(tmp_path, DN[350:], first_line=350, datatake=61001),
    ]
    with pytest.raises(SafeError, match=r"00350: datatake_id is 61001"):
        SliceStack.of([Product.open(path) for path in parts])


def test_no_products_are_refused():
    with pytest.raises(SafeError, match="no products"):
        SliceStack.of([])


def test_incomplete_product_is_refused_before_anything_is_read(tmp_path):
    product = Product.open(write_tiny_safe(tmp_path, DN, omit="noise-s1b-iw-grd-vh"))
    with pytest.raises(SafeError, match="no noise file of polarisation VH"):
        terrain_corrected_sigma0([product], product.orbit, DEM, GRID)


def test_real_consecutive_slices_abut_and_lines_are_continuous(real_data):
    paths = [next((real_data / "safe").glob(f"*{name}*.zip")) for name in ("3768", "CEAB")]
    stack = SliceStack.of([Product.open(path) for path in paths])
    assert [product.name[-4:] for product in stack.products] == ["CEAB", "3768"]
    assert stack.shape == (2 * 16685, 25368)
    orbit = stack.orbit
    seam = orbit.seconds(stack.products[1].annotation.image.first_line)
    time = seam + np.arange(-2.0, 2.0, 0.125) * 1.498e-3
    line, sample = stack.line_sample(time, np.full(time.shape, 850e3), orbit)
    assert (np.diff(line) >= 0).all()
    assert np.abs(np.diff(line) - 0.125).max() < 0.01
    assert np.abs(np.diff(sample)).max() < 0.01


def test_records_of_the_next_slice_complete_a_real_grid(real_data):
    paths = [next((real_data / "safe").glob(f"*{name}*.zip")) for name in ("3768", "CEAB")]
    stack = SliceStack.of([Product.open(path) for path in paths])
    grid, orbit = stack.products[0].annotation.grid, stack.products[0].orbit
    time = np.array([orbit.seconds(instant) for instant in grid.azimuth_time])
    last = grid.line == grid.line.max()
    _, sample = stack.line_sample(time, grid.slant_range_m, orbit)
    alone = stack.products[0].ground_range.sample(
        time - orbit.seconds(stack.products[0].annotation.image.first_line), grid.slant_range_m
    )
    assert np.abs(alone - grid.sample)[last].max() > 1.0
    np.testing.assert_allclose(sample[last], grid.sample[last], atol=0.1, rtol=0)


def test_lines_are_right_when_the_ring_turns_many_times(tmp_path, monkeypatch):
    product = Product.open(write_tiny_safe(tmp_path, DN))
    whole = terrain_corrected_sigma0([product], product.orbit, DEM, GRID)
    # Tiles of 16 cells span some 40 lines: rings of 128 lines hold a chunk of at most 64.
    monkeypatch.setattr(mosaic, "RING_LINES", 128)
    monkeypatch.setattr(mosaic, "BLOCK_LINES", 32)
    monkeypatch.setattr(mosaic, "COG_TILE_PX", 64)
    turned = terrain_corrected_sigma0([product], product.orbit, DEM, GRID)
    np.testing.assert_array_equal(turned.vv, whole.vv)
    np.testing.assert_array_equal(turned.flags, whole.flags)


def test_a_tile_longer_than_the_ring_gets_a_longer_one(tmp_path):
    """Cells of 80 m: one tile of 128 cells spans more lines than the image has."""
    product = Product.open(write_tiny_safe(tmp_path, np.tile(DN, (6, 1))))
    coarse = Grid(CRS, 80.0, GRID.west - 3840, GRID.north + 3840, 128, 128)
    level = np.full((512, 512), 1000, np.float32)
    sigma0 = terrain_corrected_sigma0([product], product.orbit, level[:128, :128].copy(), coarse)
    fine = Grid(CRS, 20.0, coarse.west, coarse.north, 512, 512)
    cells = terrain_corrected_sigma0([product], product.orbit, level, fine).vv
    means = cells.reshape(128, 4, 128, 4).mean(axis=(1, 3))
    known = np.isfinite(means)
    assert known.sum() > 3000
    assert np.isfinite(sigma0.vv[known]).all()
    assert np.corrcoef(sigma0.vv[known], means[known])[0, 1] > 0.5


@given(
    steps=st.lists(st.tuples(st.integers(0, 700), st.integers(1, 128)), min_size=1, max_size=60),
    batch=st.integers(1, 5),
)
def test_lines_are_never_read_over_others_that_a_tile_still_needs(steps, batch):
    """Tiles may leave gaps in the image, longer than the ring too."""
    rows, first, tiles = 256, 0, []
    for step, length in steps:
        first += step
        window = Window(len(tiles), 0, 1, 1)
        tiles.append(mosaic._Tile(window, np.zeros(0, np.int64), first, first + length))
    ring = np.full(rows, -1)

    def read(begin: int, stop: int) -> None:
        for line in range(begin, stop):
            ring[line % rows] = line

    def fill(chosen):
        for tile in chosen:
            lines = np.arange(tile.first_line, tile.stop_line)
            time.sleep(0)  # other threads may go on
            np.testing.assert_array_equal(ring[lines % rows], lines)
        return [Sigma0.empty(tile.window) for tile in chosen]

    with pytest.MonkeyPatch.context() as patched, ThreadPoolExecutor(2) as threads:
        patched.setattr(mosaic, "BATCH_TILES", batch)
        patched.setattr(mosaic, "BLOCK_LINES", 16)
        filled = [tile.window for tile in mosaic._streamed(tiles, rows, read, fill, threads)]
    assert filled == [tile.window for tile in tiles]
