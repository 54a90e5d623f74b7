import csv
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avalanche_assets.catalogue.calendar import next_predicted, predicted_dates
from avalanche_assets.catalogue.product_name import relative_orbit
from avalanche_assets.sentinel1.safe import MANIFEST, SafeArchive
from avalanche_assets.sentinel1.xml_fields import XmlNode
from avalanche_assets.simulation.calendar import PASSES


def days(first: str, last: str, relative: int = 139) -> list[str]:
    found = predicted_dates(relative, date.fromisoformat(first), date.fromisoformat(last))
    return [f"{one.date} {one.platform} {one.absolute_orbit}" for one in found]


def test_winter_2017_18_has_35_passes_six_days_apart():
    found = predicted_dates(139, date(2017, 11, 1), date(2018, 5, 31))
    assert len(found) == 35
    assert {later.date - earlier.date for earlier, later in pairwise(found)} == {timedelta(days=6)}
    assert (found[0].date, found[0].platform, found[0].absolute_orbit) == (date(2017, 11, 4), "S1A", 19111)
    assert (found[-1].date, found[-1].absolute_orbit) == (date(2018, 5, 27), 22086)


def test_simulated_season_follows_the_calendar():
    simulated = [(one.date, one.platform, one.absolute_orbit) for one in PASSES]
    found = predicted_dates(139, date(2017, 8, 1), date(2018, 5, 31))
    # It leaves out October.
    assert [
        (one.date, one.platform, one.absolute_orbit) for one in found if one.date.month != 10
    ] == simulated


def test_after_the_failure_of_s1b_twelve_days_lie_between_passes():
    found = predicted_dates(139, date(2021, 12, 19), date(2025, 3, 27))
    assert found[0].platform == "S1B"
    assert found[0].date == date(2021, 12, 19)
    assert {one.platform for one in found[1:]} == {"S1A"}
    assert {later.date - earlier.date for earlier, later in pairwise(found[1:])} == {timedelta(days=12)}


def test_transition_of_june_2026_has_consecutive_days_and_moves_the_calendar_by_one():
    assert days("2026-06-01", "2026-07-09") == [
        "2026-06-02 S1A 64786",
        "2026-06-08 S1C 8010",
        "2026-06-09 S1D 3155",
        "2026-06-14 S1A 64961",
        "2026-06-21 S1D 3330",
        "2026-06-26 S1A 65136",
        "2026-06-27 S1C 8287",
        "2026-07-03 S1D 3505",
        "2026-07-09 S1C 8462",
    ]
    before = date(2018, 1, 3)
    phases = {
        (one.date - before).days % 6 for one in predicted_dates(139, date(2026, 7, 1), date(2027, 12, 31))
    }
    assert phases == {1}


def test_calendar_of_orbit_139_is_the_one_computed_independently(real_data):
    path = real_data / "orbit139_predicted_calendar.csv"
    if not path.exists():
        pytest.skip(f"no {path}")
    with path.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    expected = [(row["utc_date"], row["platform"], int(row["absolute_orbit"])) for row in rows]
    found = predicted_dates(139, date(2014, 1, 1), date(2027, 12, 31))
    assert [(str(one.date), one.platform, one.absolute_orbit) for one in found] == expected


@pytest.mark.parametrize("direction", ["ASCENDING", "DESCENDING"])
def test_absolute_orbits_are_of_the_relative_orbit_asked_for(direction):
    for relative in range(1, 176):
        found = predicted_dates(relative, date(2014, 1, 1), date(2027, 12, 31), direction)
        assert {relative_orbit(one.platform, one.absolute_orbit) for one in found} == {relative}


@given(
    st.integers(1, 175),
    st.dates(date(2014, 1, 1), date(2030, 1, 1)),
    st.integers(0, 400),
    st.integers(0, 400),
)
def test_a_span_is_its_two_parts(relative, first, days_a, days_b):
    middle = first + timedelta(days=days_a)
    last = middle + timedelta(days=1 + days_b)
    parts = predicted_dates(relative, first, middle) + predicted_dates(
        relative, middle + timedelta(days=1), last
    )
    assert parts == predicted_dates(relative, first, last)


def test_real_passes_come_when_predicted(real_data):
    """Node times annotated in products of three platforms and years, of other relative orbits."""
    paths = sorted((real_data / "safe").glob("S1*.zip"))
    if not paths:
        pytest.skip(f"no products in {real_data / 'safe'}")
    for path in paths:
        archive = SafeArchive.open(path)
        manifest = archive.manifest
        node = XmlNode.parse(archive.read(MANIFEST), path.name).time("ascendingNodeTime")
        crossing = datetime.fromisoformat(str(node.astype("datetime64[us]"))).replace(tzinfo=UTC)
        around = crossing.date() - timedelta(days=1), crossing.date() + timedelta(days=1)
        (found,) = (
            one
            for one in predicted_dates(manifest.relative_orbit, *around, "ASCENDING")
            if one.absolute_orbit == manifest.absolute_orbit
        )
        # 45 degrees north come 12.4 minutes after the node; passes keep their time of day to a minute or two.
        assert (found.instant - crossing).total_seconds() == pytest.approx(12.4 * 60, abs=120)


def test_known_slices_of_the_new_constellation_are_foretold():
    """Track 58, August 2026: S1D on the 2nd and 14th, S1C on the 8th."""
    assert [line[:14] for line in days("2026-08-01", "2026-08-15", 58)] == [
        "2026-08-02 S1D",
        "2026-08-08 S1C",
        "2026-08-14 S1D",
    ]


def test_overpass_of_orbit_139_is_at_a_quarter_to_six():
    found = next_predicted(139, datetime(2018, 1, 1, tzinfo=UTC))
    assert abs(found.instant - datetime(2018, 1, 3, 5, 43, 30, tzinfo=UTC)) < timedelta(minutes=2)


def test_known_ascending_pass_is_foretold():
    """S1A orbit 4739 imaged 48.9 degrees north at 17:07:25, thus 45 degrees 64 seconds earlier."""
    found = next_predicted(117, datetime(2015, 2, 22, 12, tzinfo=UTC), "ASCENDING")
    assert (found.platform, found.absolute_orbit) == ("S1A", 4739)
    assert abs(found.instant - datetime(2015, 2, 22, 17, 6, 21, tzinfo=UTC)) < timedelta(minutes=1)


def test_orbits_later_in_the_cycle_fall_on_later_dates():
    """Relative orbit 66, also over the Alps: a hundred and two orbits or seven days after 139."""
    first = predicted_dates(66, date(2018, 1, 3), date(2018, 1, 14))
    assert [(str(one.date), one.platform) for one in first] == [("2018-01-04", "S1B"), ("2018-01-10", "S1A")]
    assert {one.instant.strftime("%H:%M") for one in first} == {"05:35"}


def test_next_pass_is_later_than_the_instant_asked_for():
    passed = next_predicted(139, datetime(2026, 11, 1, tzinfo=UTC))
    assert str(passed) == "2026-11-06 (S1C, orbit 10212)"
    following = next_predicted(139, passed.instant)
    assert str(following) == "2026-11-12 (S1D, orbit 5430)"
    assert next_predicted(139, passed.instant - timedelta(seconds=1)) == passed
