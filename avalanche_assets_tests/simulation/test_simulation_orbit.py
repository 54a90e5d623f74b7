import itertools
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avalanche_assets.sentinel1.geocoding import (
    ellipsoid_normal,
    geodetic_to_ecef,
    incidence_deg,
    zero_doppler,
)
from avalanche_assets.sentinel1.orbit_file import OrbitFile, read_orbit_file
from avalanche_assets.simulation.calendar import MISSING_DATES, PASSES, reference_passes, winter_passes
from avalanche_assets.simulation.image_geometry import (
    ImageGeometry,
    crop_records,
    fit_records,
    geodetic,
)
from avalanche_assets.simulation.orbit import (
    ANNOTATION_ERROR_M,
    TUBE_M,
    annotated_orbit,
    solve_pass,
    tube_offset,
)
from avalanche_assets.simulation.orbit_file_writer import write_orbit_file

OVERPASS = np.datetime64("2018-01-03T05:43:30", "ns")


@settings(max_examples=20, deadline=None)
@given(
    lon=st.floats(5.0, 16.0),
    lat=st.floats(43.0, 48.0),
    height=st.floats(0.0, 4000.0),
    incidence=st.floats(30.0, 45.0),
    descending=st.booleans(),
)
def test_pass_images_the_place_at_time_zero_and_the_wanted_incidence(lon, lat, height, incidence, descending):
    orbit = solve_pass(lon, lat, height, incidence, descending).orbit(OVERPASS)
    point = geodetic_to_ecef(lon, lat, height)[None]
    time, slant = zero_doppler(orbit, point)
    # Positions are rounded to the millimetre: 1 mm is 1.4e-7 s along the orbit.
    assert abs(time[0]) < 1e-6
    angle = incidence_deg(orbit, time, point, ellipsoid_normal(lon, lat)[None])[0]
    assert angle == pytest.approx(incidence, abs=1e-5)
    assert 780e3 < slant[0] < 1000e3
    assert (orbit.velocity(0.0)[2] < 0.0) == descending


def test_pass_flies_as_the_real_one_over_the_alps():
    orbit = solve_pass(6.9, 45.2, 1800.0, 39.0).orbit(OVERPASS)
    # S1B over the Swiss Alps (relative orbit 168): 7,589.7 m/s in the Earth-fixed frame.
    assert np.linalg.norm(orbit.velocity(0.0)) == pytest.approx(7589.7, abs=5.0)
    lon, lat, _ = geodetic(np.stack([orbit.position(-10.0), orbit.position(10.0)]))
    heading = np.degrees(np.arctan2((lon[1] - lon[0]) * np.cos(np.radians(lat[0])), lat[1] - lat[0]))
    assert heading == pytest.approx(-166.0, abs=2.0)


def test_offset_moves_the_platform_by_its_length_and_stays_in_the_tube():
    nominal = solve_pass(6.9, 45.2, 1800.0, 39.0)
    moved = nominal.orbit(OVERPASS, (30.0, -40.0)).positions - nominal.orbit(OVERPASS).positions
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 50.0, atol=2e-3)
    offsets = np.array([tube_offset(np.random.default_rng(seed)) for seed in range(200)])
    assert np.hypot(*offsets.T).max() <= 100.0
    assert offsets.std() == pytest.approx(TUBE_M, rel=0.15)


def test_state_vectors_are_ten_seconds_apart_around_the_overpass():
    orbit = solve_pass(6.9, 45.2, 1800.0, 39.0).orbit(OVERPASS)
    assert (orbit.times[0], orbit.times[-1]) == (-95.0, 95.0)
    np.testing.assert_allclose(np.diff(orbit.times), 10.0)


def test_all_passes_belong_to_relative_orbit_139():
    offsets = {"S1A": 73, "S1B": 27}
    for item in PASSES:
        assert (item.absolute_orbit - offsets[item.platform]) % 175 + 1 == 139
    assert len({item.date for item in PASSES}) == len(PASSES) == 45


def test_calendar_matches_the_predicted_one(real_data):
    lines = (real_data / "orbit139_predicted_calendar.csv").read_text().splitlines()[1:]
    predicted = {tuple(line.split(",")[:3]) for line in lines}
    assert {(str(item.date), item.platform, str(item.absolute_orbit)) for item in PASSES} <= predicted


def test_winter_has_nineteen_passes_and_two_gaps_of_twelve_days():
    days = [item.date for item in winter_passes()]
    assert len(days) == 19
    steps = {later: later - earlier for earlier, later in itertools.pairwise(days)}
    long = {day for day, step in steps.items() if step != timedelta(days=6)}
    assert long == {day + timedelta(days=6) for day in MISSING_DATES}
    assert all(steps[day] == timedelta(days=12) for day in long)
    assert days[0] < date(2018, 3, 13) < days[-1]
    assert {item.date.month for item in reference_passes()} == {8, 9}


@pytest.fixture(scope="module")
def image():
    orbit = solve_pass(6.9, 45.2, 1800.0, 39.0).orbit(OVERPASS)
    times = np.arange(-4.0, 4.0)
    heights = np.linspace(900.0, 2100.0, 8)
    records = fit_records(orbit, times, heights, 866e3, 30e3)
    return ImageGeometry(orbit, -2.0, 1.4966e-3, 10.0, 2600, 3000, 866e3, records)


def test_ground_range_conversion_is_invertible(image):
    line, sample = np.meshgrid(np.linspace(0, 2599, 9), np.linspace(0, 2999, 11), indexing="ij")
    slant = image.slant_range(line, sample)
    back = image.line_sample(image.line_time(line) + 0.0 * slant, slant)
    np.testing.assert_allclose(back[0], line, atol=1e-6)
    # Between records both polynomials are interpolated: 1 cm, as in real products of IPF 2.7 and later.
    np.testing.assert_allclose(back[1], sample, atol=1e-3)


def test_located_pixels_are_imaged_where_they_lie(image):
    line, sample = np.meshgrid(np.linspace(0, 2599, 5), np.linspace(0, 2999, 5), indexing="ij")
    points = image.locate(line, sample, 1500.0)
    time, slant = zero_doppler(image.orbit, points)
    np.testing.assert_allclose(time, image.line_time(line), atol=1e-9)
    np.testing.assert_allclose(slant, image.slant_range(line, sample), atol=1e-5)
    # The enlarged ellipsoid is a few millimetres off the surface of constant height.
    np.testing.assert_allclose(geodetic(points)[2], 1500.0, atol=0.01)


def test_samples_are_ten_metres_apart_on_the_records_surface(image):
    lines = (image.records.times[2:6] - image.first_time) / image.line_interval
    for line in lines:
        height = image.record_height(line)
        near = image.locate(line, np.arange(100.0, 2900.0, 400.0), height)
        far = image.locate(line, np.arange(101.0, 2901.0, 400.0), height)
        np.testing.assert_allclose(np.linalg.norm(far - near, axis=-1), 10.0, atol=0.005)


@settings(max_examples=20, deadline=None)
@given(first=st.floats(0.0, 20000.0), ground=st.floats(0.0, 9000.0))
def test_cropped_records_say_the_same(image, first, ground):
    cropped = crop_records(image.records, first)
    for whole, part in zip(image.records.to_slant, cropped.to_slant, strict=True):
        expected = np.polynomial.polynomial.polyval(first + ground, whole)
        assert np.polynomial.polynomial.polyval(ground, part) == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(cropped.to_ground[:, 0], image.records.to_ground[:, 0] - first)


@pytest.mark.parametrize("source", ["POEORB", "RESORB"])
def test_orbit_file_holds_the_orbit_that_was_flown(tmp_path, source):
    flown = solve_pass(6.9, 45.2, 1800.0, 39.0).orbit(OVERPASS, (30.0, -40.0))
    path = write_orbit_file(tmp_path, flown, source, "S1B")
    named = OrbitFile.named(path)
    # Two full slices: the longest images that are simulated.
    start, stop = OVERPASS - np.timedelta64(26, "s"), OVERPASS + np.timedelta64(26, "s")
    assert (named.platform, named.source, named.covers(start, stop)) == ("S1B", source, True)
    read = read_orbit_file(path, "S1B", start, stop)
    # State vectors are rounded to the millimetre before they are flown.
    assert abs(read.displacement(flown, np.linspace(50.0, 102.0, 20))).max() < 2e-3
    assert read.source == source


def test_annotated_orbit_is_off_by_decimetres():
    flown = solve_pass(6.9, 45.2, 1800.0, 39.0).orbit(OVERPASS)
    off = [
        annotated_orbit(flown, np.random.default_rng(seed)).displacement(flown, 0.0) for seed in range(100)
    ]
    np.testing.assert_allclose(np.std(off, axis=0), ANNOTATION_ERROR_M, rtol=0.25)
    assert np.abs(off).max() < 1.0
