"""Curvature and height above the floor on shapes whose values are known."""

import numpy as np
import pytest

from avalanche_assets.patches.terrain_channels import DERIVED

ROW, COL = np.mgrid[:64, :64].astype(np.float32)


def channel(name: str, elevation: np.ndarray, pixel_m: float = 20.0) -> np.ndarray:
    def place(_name: str) -> np.ndarray:
        return np.full((1, 1, 1), pixel_m, np.float32)

    return DERIVED[name](lambda _name: elevation[None].astype(np.float32), place)[0]


@pytest.mark.parametrize("pixel_m", [10.0, 20.0])
def test_curvature_of_a_dome_is_positive_of_a_bowl_negative_and_independent_of_the_pixel(pixel_m):
    # z = -r^2 / 2R on a sphere of radius R near its top: the Laplacian is -2/R
    radius = 4000.0
    squared = ((ROW - 32) ** 2 + (COL - 32) ** 2) * pixel_m**2
    dome = -squared / (2 * radius)
    expected = 100 * 2 / radius
    # float32 of 500 m is rounded to 3e-5 m, so second differences to 1e-4 m: 1e-4 over 100 m2, times 100
    np.testing.assert_allclose(channel("curvature", dome, pixel_m)[1:-1, 1:-1], expected, atol=2e-4)
    np.testing.assert_allclose(channel("curvature", -dome, pixel_m)[1:-1, 1:-1], -expected, atol=2e-4)


def test_curvature_finds_a_gully_across_the_slope_and_spreads_voids_to_neighbours_only():
    gully = 2000.0 - 10.0 * ROW + 3.0 * np.abs(COL - 30)
    gully[10, 10] = np.nan
    found = channel("curvature", gully)
    # the bed: 2 x 3 m up over 400 m2
    assert found[40, 30] == pytest.approx(-100 * 6.0 / 400.0, abs=0.05)
    assert found[40, 20] == pytest.approx(0.0, abs=0.05)
    unknown = np.argwhere(np.isnan(found[1:-1, 1:-1])) + 1
    assert {tuple(place) for place in unknown} == {(10, 10), (9, 10), (11, 10), (10, 9), (10, 11)}


def test_height_above_the_floor_leaves_out_voids_and_is_unknown_without_heights():
    slope = 1500.0 + 5.0 * ROW
    slope[0, :] = np.nan
    found = channel("height_above_floor", slope)
    assert np.isnan(found[0]).all()
    assert found[1, 0] == 0.0
    assert found[63, 5] == 310.0
    assert np.isnan(channel("height_above_floor", np.full((64, 64), np.nan))).all()
