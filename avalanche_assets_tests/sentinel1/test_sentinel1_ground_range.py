"""Ground-range conversion and the annotated geolocation grids."""

import numpy as np
import pytest
import tiny_safe
from tiny_safe import write_tiny_safe

from avalanche_assets.sentinel1.product import Product


@pytest.mark.parametrize("ipf", ["002.60", "003.31"])
def test_stamp_error_is_found_from_the_grid(tmp_path, ipf):
    product = Product.open(write_tiny_safe(tmp_path, np.ones((1200, 400)), ipf=ipf))
    assert product.ground_range.shift_s == pytest.approx(-tiny_safe.STAMP_ERROR_S, abs=2e-3)
    tau, slant_range = np.meshgrid(np.linspace(0, 1.8, 50), np.linspace(900e3, 902e3, 40))
    found = product.ground_range.sample(tau, slant_range)
    # The shift is resolved to a millisecond, which is 5 cm of ground range here.
    np.testing.assert_allclose(found, tiny_safe.sample_of(tau, slant_range), atol=0.02, rtol=0)


def test_without_the_shift_an_alpine_grid_is_missed_by_more_than_a_pixel(real_data):
    from dataclasses import replace

    (path,) = (real_data / "safe").glob("*ECC8*.zip")
    product = Product.open(path)
    grid, stamped = product.annotation.grid, product.ground_range
    stamped = replace(stamped, times=stamped.times - stamped.shift_s)
    time = (grid.azimuth_time - product.annotation.image.first_line).astype(np.int64) * 1e-9
    assert np.abs(stamped.sample(time, grid.slant_range_m) - grid.sample).max() > 1.0
