"""Orbit polynomials."""

from dataclasses import replace

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
    orbit = replace(circle(), source="POEORB", file="a.EOF")
    restored = Orbit.from_json(orbit.to_json())
    assert restored.epoch == orbit.epoch
    assert (restored.source, restored.file) == (orbit.source, orbit.file)
    assert np.array_equal(restored.times, orbit.times)
    assert np.array_equal(restored.positions, orbit.positions)


def test_displacement_is_told_along_across_and_above():
    reference, moved = circle(0, 120), circle(30, 90)
    up = moved.positions / np.linalg.norm(moved.positions, axis=1, keepdims=True)
    # The path is a great circle: the right of it is the circle's axis.
    shift = 3.0 * tiny_safe.FRAME[2] + 0.5 * up
    moved = Orbit(moved.epoch, moved.times, moved.positions + shift)
    found = moved.displacement(reference, np.array([0.0, 25.0, 60.0]))
    np.testing.assert_allclose(found, np.tile([0.0, 3.0, 0.5], (3, 1)), atol=1e-6)
    later = Orbit(reference.epoch, reference.times, tiny_safe.position(TIMES + 1e-4))
    along = tiny_safe.RADIUS_M * tiny_safe.RATE * 1e-4
    np.testing.assert_allclose(later.displacement(reference, 60.0), [along, 0.0, 0.0], atol=1e-6)


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
