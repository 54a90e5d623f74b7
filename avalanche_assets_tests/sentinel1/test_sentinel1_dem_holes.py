"""Holes of the elevation model in geocoding: no value, a flag, and no harm to their surroundings."""

import numpy as np
import tiny_safe
from pyproj import Transformer
from scipy.ndimage import binary_dilation, gaussian_filter
from tiny_safe import write_tiny_safe

from avalanche_assets.grid import Grid
from avalanche_assets.sentinel1.mosaic import terrain_corrected_sigma0
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.visibility import Visibility

LINES, SAMPLES = 700, 900
RNG = np.random.default_rng(139)
DN = (300 + 3000 * gaussian_filter(RNG.normal(size=(LINES, SAMPLES)), 3)).clip(50).round()


def test_holes_have_no_value_and_leave_their_surroundings_alone(tmp_path):
    middle = tiny_safe.ground_point(tiny_safe.START_S + LINES / 2 * 1.5e-3, 902.5e3, 1000.0)
    x, y, _ = Transformer.from_crs("EPSG:4979", "EPSG:32632", always_xy=True).transform(*middle)
    grid = Grid("EPSG:32632", 20.0, round(x - 1280), round(y + 1280), 128, 128)
    dem = (1000 + 4e3 * gaussian_filter(RNG.normal(size=grid.shape), 6)).astype(np.float32)
    product = Product.open(write_tiny_safe(tmp_path, DN))
    whole = terrain_corrected_sigma0([product], product.orbit, dem, grid)
    holes = np.zeros(grid.shape, bool)
    holes[:64, :64] = True  # a whole block, but for one cell
    holes[30, 30] = False
    holes[70:80, 20:90] = True
    holes[100, 100] = True
    pierced = np.where(holes, np.nan, dem).astype(np.float32)
    sigma0 = terrain_corrected_sigma0([product], product.orbit, pierced, grid)
    assert np.isnan(sigma0.vv[holes]).all()
    assert np.isnan(sigma0.vh[holes]).all()
    assert (sigma0.flags[holes] == Visibility.OUTSIDE).all()
    assert np.isfinite(sigma0.vv[~holes]).all()
    assert (sigma0.flags[~holes] == 0).all()
    # Cells beside a hole lack a neighbour for the slope inside them.
    away = ~binary_dilation(holes, np.ones((3, 3)))
    np.testing.assert_allclose(sigma0.vv[away], whole.vv[away], rtol=5e-5)
