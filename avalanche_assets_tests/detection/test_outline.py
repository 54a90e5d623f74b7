"""Outlines on constructed maps, where area, place and statistics are known exactly."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from avalanche_assets.detection.outline import (
    circular_mean_deg,
    outline_anomaly,
    outline_statistics,
    peak_pixel,
)

TRANSFORM = Affine(20.0, 0.0, 300_000.0, 0.0, -20.0, 5_000_000.0)


def plateau(height: float = 6.0, background: float = 0.0) -> np.ndarray:
    values = np.full((64, 64), background, np.float32)
    values[30:36, 40:44] = background + height
    return values


def test_outline_is_the_plateau_at_its_place_and_area():
    outline = outline_anomaly(plateau(), TRANSFORM)
    expected = box(300_000 + 40 * 20, 5_000_000 - 36 * 20, 300_000 + 44 * 20, 5_000_000 - 30 * 20)
    assert outline.polygon.equals(expected)
    assert outline.polygon.area == 6 * 4 * 400


@given(drift=st.floats(-20, 20, width=32), scale=st.floats(0.125, 50, width=32))
def test_outline_does_not_depend_on_drift_or_unit(drift, scale):
    rng = np.random.default_rng(0)
    values = plateau() + rng.uniform(0, 1, (64, 64)).astype(np.float32)
    expected = outline_anomaly(values, TRANSFORM)
    found = outline_anomaly(values * scale + drift, TRANSFORM)
    # Rounding in float32 may move single pixels that lie on the contour.
    assert np.sum(found.mask != expected.mask) <= 1


def test_pixels_below_half_of_the_peak_are_outside():
    values = plateau(height=6.0)
    values[36, 40:44] = 2.9
    values[29, 40:44] = 3.0
    outline = outline_anomaly(values, TRANSFORM)
    assert not outline.mask[36].any()
    assert outline.mask[29, 40:44].all()


def test_a_second_anomaly_that_is_not_connected_stays_outside():
    values = plateau()
    values[5:10, 5:10] = 5.0
    outline = outline_anomaly(values, TRANSFORM)
    assert not outline.mask[5:10, 5:10].any()


def test_peak_near_the_deposit_point_wins_over_a_stronger_neighbour_at_the_edge():
    values = plateau(height=4.0)
    values[5:10, 5:10] = 12.0
    outline = outline_anomaly(values, TRANSFORM)
    assert outline.mask.sum() == 24
    assert outline.mask[33, 41]


def test_peak_is_inside_the_outline():
    values = plateau()
    values[32, 42] = 9.0
    assert peak_pixel(values) == (32, 42)
    assert outline_anomaly(values, TRANSFORM).mask[32, 42]


def test_holes_are_filled_and_missing_values_do_not_spread():
    values = plateau()
    values[32, 41] = np.nan
    values[0:20] = np.nan
    outline = outline_anomaly(values, TRANSFORM)
    assert outline.polygon.area == 24 * 400
    assert not outline.polygon.interiors


def test_flat_or_empty_map_has_no_outline():
    assert outline_anomaly(np.zeros((64, 64), np.float32), TRANSFORM) is None
    assert outline_anomaly(np.full((64, 64), np.nan, np.float32), TRANSFORM) is None


@given(seed=st.integers(0, 10_000))
def test_polygon_is_valid_and_has_the_area_of_its_pixels(seed):
    values = np.random.default_rng(seed).normal(size=(64, 64)).astype(np.float32)
    values[20:30, 20:30] += 1.5
    outline = outline_anomaly(values, TRANSFORM)
    assert outline.polygon.is_valid
    assert outline.polygon.area == outline.mask.sum() * 400


def test_statistics_are_those_of_the_pixels_inside():
    outline = outline_anomaly(plateau(), TRANSFORM)
    elevation = np.broadcast_to(2000.0 - 10 * np.arange(64)[:, None], (64, 64))
    aspect = np.full((64, 64), 350.0)
    aspect[:, 42:] = 20.0
    dvv = plateau(5.0)
    dvv[30, 40] = 7.0
    dvh = np.where(outline.mask, 4.0, np.nan)
    dvh[31, 41] = np.nan
    found = outline_statistics(
        outline, elevation=elevation, slope=np.full((64, 64), 28.0), aspect=aspect, dvv=dvv, dvh=dvh
    )
    assert found.area_m2 == 9600
    assert (found.elevation_min_m, found.elevation_max_m) == (1650.0, 1700.0)
    assert found.slope_deg == 28.0
    # Half of the pixels look to 350 and half to 20 degrees: the mean direction is 5, not 185.
    assert found.aspect_deg == pytest.approx(5.0)
    assert found.dvv_mean_db == pytest.approx((23 * 5 + 7) / 24)
    assert found.dvv_max_db == 7.0
    assert found.dvh_mean_db == 4.0


def test_statistics_without_any_value_are_missing_not_zero():
    outline = outline_anomaly(plateau(), TRANSFORM)
    nothing = np.full((64, 64), np.nan)
    found = outline_statistics(
        outline, elevation=nothing, slope=nothing, aspect=nothing, dvv=nothing, dvh=nothing
    )
    assert np.isnan([found.elevation_min_m, found.slope_deg, found.aspect_deg, found.dvv_max_db]).all()


def test_directions_that_cancel_have_no_mean():
    assert np.isnan(circular_mean_deg(np.array([0.0, 180.0])))
    assert circular_mean_deg(np.array([359.0, 1.0])) == pytest.approx(0.0)
