"""Orbit polynomials."""

import numpy as np
import tiny_safe

from avalanche_assets.sentinel1.orbit import Orbit, merge_orbits
from avalanche_assets.sentinel1.product import Product

TIMES = np.arange(0.0, 130.0, 10.0)


def circle(first=0.0, last=120.0):
    times = np.arange(first, last + 1, 10.0)
    epoch = tiny_safe.EPOCH + np.timedelta64(int(first * 1e9), "ns")
    return Orbit(epoch, times - first, tiny_safe.position(times))


def test_position_between_state_vectors_is_exact_to_a_micrometre():
    orbit = circle()
    between = np.arange(0.0, 120.0, 0.7)
    # A degree-9 polynomial leaves less than 1e-8 m of a circular arc of 0.13 rad; the rest is rounding.
    np.testing.assert_allclose(orbit.position(between), tiny_safe.position(between), atol=1e-6, rtol=0)


def test_velocity_is_the_derivative_of_the_position():
    orbit = circle()
    t, step = np.linspace(5, 115, 23), 0.01
    numeric = (orbit.position(t + step) - orbit.position(t - step)) / (2 * step)
    np.testing.assert_allclose(orbit.velocity(t), numeric, atol=1e-4, rtol=0)


def test_scalar_time_gives_one_vector():
    assert circle().position(12.5).shape == (3,)
    assert circle().velocity(np.zeros((2, 4))).shape == (2, 4, 3)


def test_json_round_trip_keeps_every_bit():
    orbit = circle()
    restored = Orbit.from_json(orbit.to_json())
    assert restored.epoch == orbit.epoch
    assert restored.source == orbit.source
    assert np.array_equal(restored.times, orbit.times)
    assert np.array_equal(restored.positions, orbit.positions)


def test_merged_orbit_spans_both_slices_and_counts_shared_states_once():
    merged = merge_orbits([circle(0, 90), circle(30, 120)])
    assert merged.epoch == tiny_safe.EPOCH
    np.testing.assert_allclose(merged.times, TIMES, atol=1e-9, rtol=0)
    np.testing.assert_allclose(merged.positions, tiny_safe.position(TIMES), atol=1e-6, rtol=0)


def test_real_state_vectors_are_reproduced(real_data):
    for path in sorted((real_data / "safe").glob("*.zip")):
        orbit = Product.open(path).orbit
        # 3 mm in the oldest product, whose vectors are rounded to the millimetre and 1 s apart.
        np.testing.assert_allclose(orbit.position(orbit.times), orbit.positions, atol=5e-3, rtol=0)
