"""Zero-Doppler times and ranges."""

import numpy as np
import tiny_safe
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from avalanche_assets.sentinel1.geocoding import (
    ellipsoid_normal,
    geodetic_to_ecef,
    incidence_deg,
    zero_doppler,
)
from avalanche_assets.sentinel1.orbit import Orbit

TIMES = np.arange(0.0, 130.0, 10.0)
ORBIT = Orbit(tiny_safe.EPOCH, TIMES, tiny_safe.position(TIMES))


@settings(deadline=None)  # the first call compiles
@given(st.floats(-180, 180), st.floats(-89, 89), st.floats(-400, 9000))
def test_ecef_agrees_with_proj(lon, lat, height):
    expected = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True).transform(lon, lat, height)
    # Rounding of coordinates of 6e6 m in double precision.
    np.testing.assert_allclose(geodetic_to_ecef(lon, lat, height), expected, atol=1e-8, rtol=0)


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 120), st.floats(800e3, 1000e3), st.floats(0, 4800))
def test_round_trip_from_image_to_ground_and_back(time, slant_range, height):
    point = geodetic_to_ecef(*tiny_safe.ground_point(time, slant_range, height))
    found_time, found_range = zero_doppler(ORBIT, point)
    # 1e-9 s is 7 micrometres of flight, the rounding of the ground coordinates.
    np.testing.assert_allclose(found_time, time, atol=1e-8, rtol=0)
    np.testing.assert_allclose(found_range, slant_range, atol=1e-5, rtol=0)


@settings(deadline=None)
@given(st.floats(4.0, 9.0), st.floats(43.5, 48.5), st.floats(0, 4800))
def test_time_agrees_with_the_closed_form_of_a_circular_path(lon, lat, height):
    point = geodetic_to_ecef(lon, lat, height)
    time, slant_range = zero_doppler(ORBIT, point)
    expected = tiny_safe.zero_doppler_time(point)
    np.testing.assert_allclose(time, expected, atol=1e-9, rtol=0)
    np.testing.assert_allclose(
        slant_range, np.linalg.norm(tiny_safe.position(expected) - point), atol=1e-6, rtol=0
    )


def test_shape_is_kept():
    points = geodetic_to_ecef(np.full((2, 3, 4), 9.0), 46.0, 0.0)
    time, slant_range = zero_doppler(ORBIT, points)
    assert time.shape == slant_range.shape == (2, 3, 4)


def test_points_that_are_not_imaged_have_no_time():
    left = geodetic_to_ecef(20.0, 46.0, 0.0)
    far_south = geodetic_to_ecef(5.0, 20.0, 0.0)
    unknown = geodetic_to_ecef(9.0, 46.0, np.nan)
    time, slant_range = zero_doppler(ORBIT, np.stack([left, far_south, unknown]))
    assert np.isnan(time).all()
    assert np.isnan(slant_range).all()


def test_times_do_not_depend_on_the_points_before():
    """Each search starts at the time found before; near the limit it may step over the limit on its way."""
    ahead = np.linspace(0.0, 129.99, 300)  # ten seconds may be extrapolated
    # From one end of the orbit to the other and back.
    times = np.stack([120.0 - ahead, ahead], axis=1).ravel()
    points = np.stack([geodetic_to_ecef(*tiny_safe.ground_point(time, 900e3)) for time in times])
    # The fitted path leaves the circle by less than 1e-6 s beyond the state vectors.
    np.testing.assert_allclose(zero_doppler(ORBIT, points)[0], times, atol=1e-6, rtol=0)
    beyond = np.stack([geodetic_to_ecef(*tiny_safe.ground_point(time, 900e3)) for time in (-10.01, 130.01)])
    between = np.stack([points[0], beyond[0], points[1], beyond[1], points[0]])
    assert np.isnan(zero_doppler(ORBIT, between)[0]).tolist() == [False, True, False, True, False]


def test_incidence_on_the_ellipsoid_follows_from_the_triangle_with_the_earth_centre():
    lon, lat, _ = tiny_safe.ground_point(60.0, 900e3)
    point = geodetic_to_ecef(lon, lat, 0.0)
    time, distance = zero_doppler(ORBIT, point)
    radius = np.linalg.norm(point)
    cosine = (tiny_safe.RADIUS_M**2 - distance**2 - radius**2) / (2 * distance * radius)
    found = incidence_deg(ORBIT, time, point, ellipsoid_normal(lon, lat))
    # The ellipsoid's normal leaves the geocentric direction by up to 0.19 degrees.
    np.testing.assert_allclose(found, np.degrees(np.arccos(cosine)), atol=0.2, rtol=0)
