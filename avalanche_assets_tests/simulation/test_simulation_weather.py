"""Weather of a simulated winter and its effect on backscatter."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avalanche_assets.simulation.weather import Weather, simulate_winter, snow_offset_db

OVERPASSES = [datetime(2017, 8, 6, 5, 43, tzinfo=UTC) + timedelta(days=6 * k) for k in range(9)] + [
    datetime(2017, 12, 10, 5, 43, tzinfo=UTC) + timedelta(days=6 * k) for k in range(23)
]


@pytest.fixture(scope="module")
def winter():
    return simulate_winter(OVERPASSES, 139)


def at(winter, day: str) -> Weather:
    return next(item for item in winter.acquisitions if str(item.overpass.date()) == day)


DRY_ABOVE_2300 = Weather(OVERPASSES[-1], 1000.0, 2300.0, -5.0, -4.0, 0.0, 1.0, 1.0, 0.0, 0.0)


def test_same_seed_same_winter(winter):
    assert simulate_winter(OVERPASSES, 139).acquisitions == winter.acquisitions
    assert simulate_winter(OVERPASSES, 140).acquisitions != winter.acquisitions


def test_rain_to_2300_m_on_3_january_wets_the_snow_up_to_there(winter):
    weather = at(winter, "2018-01-03")
    assert weather.rain_limit_m == pytest.approx(2300.0)
    assert weather.wet_snow_line_m >= 2300.0
    assert weather.refreeze == 0.0
    elevation = np.array([1600.0, 3000.0], np.float32)
    vv, _ = snow_offset_db(weather, elevation, np.array([290.0, 290.0], np.float32))
    assert vv[0] < -3.0 < -0.1 < vv[1] <= 0.0


def test_wet_line_is_low_in_midwinter_and_rises_in_spring(winter):
    def mean(month: int) -> float:
        days = [k for k in range(winter.storm.size) if (winter.first_day + timedelta(days=k)).month == month]
        return float(winter.wet_snow_line_m[days].mean())

    assert mean(2) < 1200.0
    assert mean(3) > mean(2) + 300.0
    assert mean(4) > mean(3) + 300.0


def test_winter_drifts_are_shared_by_the_polarisations_and_bounded():
    """A pair of passes differs by about 2 dB: 1.3 dB a pass times the square root of 2."""
    passes = [
        w
        for seed in range(40)
        for w in simulate_winter(OVERPASSES, seed).acquisitions
        if w.overpass.month in (12, 1, 2)
    ]
    vv = np.array([w.drift_vv_db for w in passes])
    vh = np.array([w.drift_vh_db for w in passes])
    assert 1.0 < vv.std() < 1.6
    assert np.corrcoef(vv, vh)[0, 1] > 0.8
    assert np.abs(vv).max() < 4.5
    assert all(-7.0 <= w.wet_drop_vv_db <= -3.0 for w in passes)


def test_summer_passes_have_no_snow(winter):
    vv, vh = snow_offset_db(
        at(winter, "2017-08-24"), np.linspace(500.0, 3500.0, 50, dtype=np.float32), np.zeros(50, np.float32)
    )
    assert np.abs(vv).max() < 1e-6
    assert np.abs(vh).max() < 1e-6


def test_drop_is_full_below_the_wet_line_half_on_it_and_none_above_or_on_bare_ground():
    # Facing 290 degrees the sun neither helps nor hinders.
    elevation = np.array([500.0, 1700.0, 2300.0, 3000.0], np.float32)
    vv, vh = snow_offset_db(DRY_ABOVE_2300, elevation, np.full(4, 290.0, np.float32))
    assert vv.dtype == np.float32
    np.testing.assert_allclose(vv, [0.0, -5.0, -2.5, 0.0], atol=0.01)
    np.testing.assert_allclose(vh, [0.0, -4.0, -2.0, 0.0], atol=0.01)


def test_sunny_slopes_are_wet_higher_up():
    vv, _ = snow_offset_db(
        DRY_ABOVE_2300, np.full(2, 2350.0, np.float32), np.array([200.0, 20.0], np.float32)
    )
    assert vv[0] < -4.0
    assert vv[1] > -0.5


@given(st.floats(0.0, 1.0), st.floats(0.0, 4000.0), st.floats(0.0, 360.0))
def test_snow_never_brightens_and_refreezing_only_recovers(refreeze, elevation, aspect):
    place = (np.array([elevation], np.float32), np.array([aspect], np.float32))
    thawed, _ = snow_offset_db(DRY_ABOVE_2300, *place)
    frozen, _ = snow_offset_db(replace(DRY_ABOVE_2300, refreeze=refreeze), *place)
    assert -5.0 - 1e-5 <= thawed[0] <= frozen[0] + 1e-6
    assert frozen[0] <= 1e-6


def test_day_index_counts_from_the_first_of_november(winter):
    assert winter.day_index(date(2017, 11, 1)) == 0
    assert winter.day_index(datetime(2018, 1, 3, 23, 59, tzinfo=UTC)) == 63
    assert winter.start(63) == datetime(2018, 1, 3, tzinfo=UTC)
