"""Avalanches: timing, place, size, contrast and records."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import LineString, Point, box

from avalanche_assets.grid import Grid
from avalanche_assets.simulation.avalanches import Deposit, deposit_contrast_db, simulate_avalanches
from avalanche_assets.simulation.corridors import AvalanchePath, simulate_corridors
from avalanche_assets.simulation.deposit_shapes import deposit_outline, stop_distance
from avalanche_assets.simulation.landscape import synthetic_landscape
from avalanche_assets.simulation.sizes import SIZES
from avalanche_assets.simulation.weather import simulate_winter

GRID = Grid("EPSG:32632", 20.0, 320000.0, 5040000.0, 512, 512)
FELL = datetime(2018, 1, 4, 12, tzinfo=UTC)
DEPOSIT = Deposit(
    "A00001", "73901001", FELL, box(0, 0, 100, 50), 6.0, 5.0, 15.0, False, None, False, None, None,
    2200.0, 1500.0, 100.0, 50.0, "D3",
)  # fmt: skip


@pytest.fixture(scope="module")
def world():
    landscape = synthetic_landscape(GRID, 139)
    corridors = simulate_corridors(landscape, 24, 139)
    winter = simulate_winter([datetime(2018, 1, 3, 5, 43, tzinfo=UTC)], 139)
    return landscape, corridors, winter


@pytest.fixture(scope="module")
def many(world):
    """40 avalanches a corridor: enough for statistics."""
    return simulate_avalanches(*world, 139, rate=40.0)


def test_contrast_is_nothing_before_full_at_once_and_decays_to_1_over_e():
    assert deposit_contrast_db(DEPOSIT, FELL - timedelta(seconds=1)) == (0.0, 0.0)
    assert deposit_contrast_db(DEPOSIT, FELL) == (6.0, 5.0)
    vv, vh = deposit_contrast_db(DEPOSIT, FELL + timedelta(days=15))
    assert vv == pytest.approx(6.0 / np.e)
    assert vh == pytest.approx(5.0 / np.e)


def test_contrast_is_lost_within_days_once_melt_begins():
    melting = replace(DEPOSIT, melts=FELL + timedelta(days=3))
    before, _ = deposit_contrast_db(melting, FELL + timedelta(days=3))
    after, _ = deposit_contrast_db(melting, FELL + timedelta(days=9))
    assert before == pytest.approx(6.0 * np.exp(-3.0 / 15.0))
    assert after == pytest.approx(6.0 * np.exp(-9.0 / 15.0 - 6.0 / 2.0))


@given(st.floats(0.0, 90.0), st.floats(0.0, 90.0))
def test_contrast_never_grows_after_the_fall(first, second):
    early, late = sorted((first, second))
    melting = replace(DEPOSIT, melts=FELL + timedelta(days=20))
    assert deposit_contrast_db(melting, FELL + timedelta(days=late)) <= deposit_contrast_db(
        melting, FELL + timedelta(days=early)
    )


def test_same_seed_same_avalanches(world):
    first, again = (simulate_avalanches(*world, 7) for _ in range(2))
    assert [vars(a) for a in first] == [vars(b) for b in again]
    assert [a.deposit_id for a in first] == [f"A{k:05d}" for k in range(1, len(first) + 1)]
    assert [a.instant for a in first] == sorted(a.instant for a in first)


def test_rate_and_shares_of_visible_and_recorded(many, world):
    """Tolerances: three standard deviations of shares of several hundred independent avalanches."""
    _, corridors, _ = world
    watched = {corridor.corridor_id for corridor in corridors if corridor.observed}
    inside = [deposit for deposit in many if deposit.corridor_id in watched]
    recorded = [deposit for deposit in inside if deposit.recorded]
    assert 35.0 * 24 < sum(bool(deposit.corridor_id) for deposit in many) < 45.0 * 24
    assert np.mean([deposit.visible for deposit in recorded]) == pytest.approx(0.65, abs=0.06)
    assert np.mean([not d.recorded for d in inside if d.visible]) == pytest.approx(0.25, abs=0.06)


def test_unobserved_corridors_and_slopes_outside_have_avalanches_but_no_records(many, world):
    _, corridors, _ = world
    unseen = {corridor.corridor_id for corridor in corridors if not corridor.observed} | {""}
    silent = [deposit for deposit in many if deposit.corridor_id in unseen]
    assert any(deposit.corridor_id == "" for deposit in silent)
    assert any(deposit.corridor_id for deposit in silent)
    assert not any(deposit.recorded for deposit in silent)
    assert all(deposit.date_min is None and deposit.date_max is None for deposit in silent)


def test_half_of_the_avalanches_fall_in_cycles(many):
    def in_cycle(deposit):
        day = (deposit.instant.month, deposit.instant.day)
        spans = (
            ((12, 30), (12, 31)), ((1, 1), (1, 5)), ((1, 7), (1, 9)), ((1, 20), (1, 23)),
            ((3, 3), (3, 6)), ((3, 13), (3, 16)), ((4, 17), (4, 21)),
        )  # fmt: skip
        return any(first <= day <= last for first, last in spans)

    assert np.mean([in_cycle(deposit) for deposit in many]) == pytest.approx(0.5, abs=0.05)


def test_recorded_intervals_hold_the_instant_and_are_as_wide_as_observed_ones(many):
    recorded = [deposit for deposit in many if deposit.recorded]
    assert all(deposit.date_min <= deposit.instant <= deposit.date_max for deposit in recorded)
    days = np.array([round((d.date_max - d.date_min) / timedelta(days=1)) - 1 for d in recorded])
    # Observed: 0 d 29 %, <= 3 d 72 %, <= 12 d 90 %; storms widen a third of theirs to 8 days.
    assert 0.17 < (days == 0).mean() < 0.32
    assert 0.52 < (days <= 3).mean() < 0.75
    assert (days <= 12).mean() == pytest.approx(0.91, abs=0.04)
    assert (days > 30).mean() == pytest.approx(0.05, abs=0.03)


def test_stops_lie_in_the_lowest_parts_of_the_corridor(many, world):
    _, corridors, _ = world
    paths = {corridor.corridor_id: corridor.path for corridor in corridors}
    share = np.array(
        [
            (d.arrival_elevation_m - paths[d.corridor_id].heights[-1]) / paths[d.corridor_id].drop_m
            for d in many
            if d.corridor_id
        ]
    )
    assert (share <= 0.10).mean() == pytest.approx(0.62, abs=0.05)
    assert (share <= 0.25).mean() == pytest.approx(0.90, abs=0.04)
    assert all(d.departure_elevation_m > d.arrival_elevation_m for d in many)


def test_contrasts_follow_the_observed_distribution(many):
    vv = np.array([deposit.dvv_db for deposit in many])
    vh = np.array([deposit.dvh_db for deposit in many])
    assert vv.min() >= 1.0
    # A normal(5, 2.5) cut at 1 has mean 5.29.
    assert vv.mean() == pytest.approx(5.29, abs=0.25)
    assert (vh - vv).std() == pytest.approx(1.5, abs=0.12)
    assert all(10.0 <= deposit.decay_days <= 25.0 for deposit in many)


def test_wet_avalanches_belong_to_warm_days(many):
    april = [deposit.wet for deposit in many if deposit.instant.month == 4]
    february = [deposit.wet for deposit in many if deposit.instant.month == 2]
    assert np.mean(april) > 0.5
    assert np.mean(february) < 0.1


@given(st.floats(100.0, 100000.0), st.integers(0, 50))
def test_outline_has_the_area_asked_and_lies_upslope_of_its_toe(area, seed):
    path = AvalanchePath(
        LineString([(0.0, 1500.0 - 20.0 * k) for k in range(70)]),
        np.linspace(2200.0, 1500.0, 70).astype(np.float32),
    )
    outline, length, width = deposit_outline(path, 1300.0, area, np.random.default_rng(seed))
    assert outline.is_valid
    assert outline.area == pytest.approx(area, rel=1e-6)
    assert length * width == pytest.approx(area, rel=1e-6)
    assert outline.centroid.y > 200.0
    assert outline.distance(Point(0.0, 200.0)) < 100.0


def test_stop_distance_is_where_the_path_first_is_that_low():
    path = AvalanchePath(
        LineString([(0.0, 0.0), (0.0, -100.0), (0.0, -200.0), (0.0, -300.0)]),
        np.array([2000.0, 1600.0, 1100.0, 1000.0], np.float32),
    )
    assert stop_distance(path, 0.10) == pytest.approx(200.0)
    assert stop_distance(path, 0.0) == pytest.approx(300.0)
    assert stop_distance(path, 1.0) == pytest.approx(0.0)


def test_a_short_span_is_respected(world):
    span = (date(2018, 2, 1), date(2018, 2, 6))
    deposits = simulate_avalanches(*world, 3, span=span)
    assert deposits
    assert all(span[0] <= deposit.instant.date() <= span[1] for deposit in deposits)


def test_hard_season_has_fainter_deposits_and_wetter_snow(world, many):
    landscape, corridors, winter = world
    hard = SIZES["hard"]
    warmer = simulate_winter([datetime(2018, 1, 3, 5, 43, tzinfo=UTC)], 139, hard.warmer_m)
    assert 100 < (warmer.wet_snow_line_m - winter.wet_snow_line_m).mean() <= hard.warmer_m
    faint = simulate_avalanches(
        landscape, corridors, warmer, 139, rate=40.0, brightening_db=hard.brightening_db
    )
    means = [np.mean([deposit.dvv_db for deposit in deposits]) for deposits in (many, faint)]
    # Brightenings are cut off at 1 dB, which lifts the mean of faint ones more.
    assert means[0] - means[1] == pytest.approx(1.2, abs=0.3)
