"""The fused kernel's places against the exact solution on real products, and the power it conserves."""

from dataclasses import replace

import numpy as np
import pytest
from pyproj import Transformer
from scipy.ndimage import gaussian_filter, map_coordinates

from avalanche_assets.grid import Grid
from avalanche_assets.sentinel1.block_model import fit_blocks
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.sampling import EQUIVALENT_LOOKS, sample_blocks
from avalanche_assets.sentinel1.slices import SliceStack
from avalanche_assets.simulation.speckle import speckled

RING = 1024
SIZE = 256


def utm_grid(lon: float, lat: float) -> Grid:
    crs = f"EPSG:{32600 if lat > 0 else 32700}".replace("00", f"{int(lon // 6) + 31:02d}")
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    half = SIZE / 2 * 20
    return Grid(crs, 20.0, round(x - half), round(y + half), SIZE, SIZE)


def mountains(grid: Grid) -> np.ndarray:
    """Relief of 3 km with slopes up to some 50 degrees."""
    rough = np.random.default_rng(5).normal(size=grid.shape)
    relief = sum(gaussian_filter(rough, scale) * scale**1.5 for scale in (3, 10, 40))
    relief -= relief.min()
    return (3000 * relief / relief.max()).astype(np.float32)


def image_of_places(stack: SliceStack, line0: int, sample0: int) -> tuple[np.ndarray, np.ndarray]:
    """Images whose power is their own line and sample, less an origin that keeps single precision exact."""
    lines = line0 + (np.arange(RING) - line0) % RING
    line = np.repeat((lines - line0 - RING // 2).astype(np.float32)[:, None], stack.shape[1], axis=1)
    sample = np.repeat((np.arange(stack.shape[1]) - sample0).astype(np.float32)[None], RING, axis=0)
    return line, sample


def sampled(stack, grid, dem, ring, held):
    models = fit_blocks(stack.orbit, dem, grid, np.ones((SIZE // 64, SIZE // 64), bool))
    out = tuple(np.full((1, *grid.shape), np.nan, np.float32) for _ in range(2))
    flags = np.full((1, *grid.shape), 255, np.uint8)
    wanted = np.ones((SIZE // 16, SIZE // 16), bool)
    chosen, corner = np.arange(len(models.corners)), np.zeros((1, 2), np.int64)
    tile, timing = np.zeros_like(chosen), stack.timing(stack.orbit)
    sample_blocks(models, chosen, tile, timing, dem, wanted, ring, held, corner, out, flags)
    return out[0][0], out[1][0], flags[0]


def mean_places(stack: SliceStack, grid: Grid, dem: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Line and sample of every cell, exact at its four sub-cells and averaged."""
    rows, cols = np.meshgrid(np.arange(grid.height), np.arange(grid.width), indexing="ij")
    to_geodetic = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    line, sample = np.zeros(grid.shape), np.zeros(grid.shape)
    for down, right in ((-0.25, -0.25), (-0.25, 0.25), (0.25, -0.25), (0.25, 0.25)):
        y, x = rows + down, cols + right
        height = map_coordinates(dem.astype(float), [y, x], order=1, mode="nearest")
        lon, lat = to_geodetic.transform(
            grid.west + (x + 0.5) * grid.resolution, grid.north - (y + 0.5) * grid.resolution
        )
        place = stack.products[0].locate(lon, lat, height)
        line += place.line / 4
        sample += place.sample / 4
    return line, sample


@pytest.mark.parametrize("resolution", [10.0, 20.0])
@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ["CEAB", "8255", "ECC8"])
def test_cells_are_placed_to_a_third_of_a_thousandth_of_a_pixel(real_data, name, where, resolution):
    product = Product.open(next((real_data / "safe").glob(f"*{name}*.zip")))
    points = product.annotation.grid
    aim = np.hypot(points.line / product.shape[0] - 0.5, points.sample / product.shape[1] - where).argmin()
    grid = replace(utm_grid(points.lon_deg[aim], points.lat_deg[aim]), resolution=resolution)
    dem = mountains(grid)
    line, sample = mean_places(SliceStack((product,)), grid, dem)
    line0, sample0 = int(line.min()) - 3, int(sample.mean())
    assert line.max() < line0 + RING - 3
    stack = SliceStack((product,))
    ring = image_of_places(stack, line0, sample0)
    found_line, found_sample, flags = sampled(stack, grid, dem, ring, (line0, line0 + RING, 0))
    assert (flags != 255).all()
    inner = np.s_[1:-1, 1:-1]
    # Single precision of places up to some 1,000 pixels from the origin takes 1e-4 of this.
    assert np.abs(found_line - (line - line0 - RING // 2))[inner].max() < 3e-4
    assert np.abs(found_sample - (sample - sample0))[inner].max() < 3e-4


@pytest.fixture(scope="module", params=[10.0, 20.0])
def flat_scene(real_data, request):
    """Resolution, cells of flat ground filled from an image of unit power with speckle, pixels under them."""
    product = Product.open(next((real_data / "safe").glob("*8255*.zip")))
    points = product.annotation.grid
    aim = np.hypot(points.line / product.shape[0] - 0.5, points.sample / product.shape[1] - 0.5).argmin()
    resolution = request.param
    grid = replace(utm_grid(points.lon_deg[aim], points.lat_deg[aim]), resolution=resolution)
    dem = np.full(grid.shape, 200.0, np.float32)
    stack = SliceStack((product,))
    line, sample = mean_places(stack, grid, dem)
    line0, left = int(line.min()) - 3, int(sample.min()) - 3
    width = int(sample.max()) + 3 - left
    speckle = speckled(np.ones((RING + 2, width), np.float32), 7, line0)
    ring = np.full((RING, stack.shape[1]), np.nan, np.float32)
    ring[(line0 + np.arange(RING)) % RING, left : left + width] = speckle
    cells, same, flags = sampled(stack, grid, dem, (ring, ring), (line0, line0 + RING, 0))
    np.testing.assert_array_equal(cells, same)
    assert (flags == 0).all()
    # Image pixels on the ground that the cells cover, which is a quadrangle in the image.
    corners = [(line[at], sample[at]) for at in ((0, 0), (0, -1), (-1, -1), (-1, 0))]
    y, x = np.meshgrid(line0 + np.arange(RING), left + np.arange(width), indexing="ij")
    sides = [
        (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
        for (y0, x0), (y1, x1) in zip(corners, corners[1:] + corners[:1], strict=True)
    ]
    inside = np.logical_and.reduce([np.sign(side) == np.sign(sides[0].sum()) for side in sides])
    return resolution, cells, speckle[inside]


def test_resampling_conserves_power(flat_scene):
    _, cells, pixels = flat_scene
    assert pixels.size > 0.2 * SIZE**2
    assert cells.mean() == pytest.approx(pixels.mean(), rel=2e-3)


def test_cells_have_the_stated_looks(flat_scene):
    resolution, cells, pixels = flat_scene
    assert pixels.mean() ** 2 / pixels.var() == pytest.approx(4.4, rel=0.03)
    assert cells.mean() ** 2 / cells.var() == pytest.approx(EQUIVALENT_LOOKS[resolution], rel=0.03)
