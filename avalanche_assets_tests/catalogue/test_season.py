from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from catalogue.passes import AREA, FakeCatalogue, whole_pass

from avalanche_assets.catalogue.acquisitions import season_of
from avalanche_assets.catalogue.calendar import predicted_dates
from avalanche_assets.catalogue.interface import ProductOffer, ProductQuery
from avalanche_assets.catalogue.ledger import Ledger, LedgerScope, list_span
from avalanche_assets.catalogue.registration import acquisitions_of
from avalanche_assets.catalogue.season import TYPICAL_PRODUCT_BYTES, season_outlook, season_spans
from avalanche_assets.errors import CatalogueError

QUERY = ProductQuery(139, "DESCENDING", AREA)
EMPTY = Ledger(LedgerScope("cdse", 139, "DESCENDING", AREA))
NOW = datetime(2027, 1, 1, tzinfo=UTC)
MONTHS = (8, 9)
SIZE = 1_800_000_000


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def winter() -> dict[date, list[ProductOffer]]:
    """Three slices of each predicted pass from August 2017 to July 2018."""
    passes = predicted_dates(139, date(2017, 8, 1), date(2018, 7, 31))
    return {one.date: whole_pass(one.date, platform=one.platform, orbit=one.absolute_orbit) for one in passes}


def outlook(offers, *, on_disk=lambda offer: False, season="2017-18", now=NOW, rate=20e6):
    ledger = EMPTY
    catalogue = FakeCatalogue.of(*(offer for slices in offers.values() for offer in slices))
    for begin, end in season_spans(season, MONTHS):
        ledger = list_span(ledger, catalogue, replace(QUERY, start=begin, stop=end), now)
    listing = acquisitions_of(ledger, AREA, MONTHS, now)
    return season_outlook(season, ledger, listing, MONTHS, on_disk, rate, now)


def row(found, day):
    (one,) = (item for item in found.rows if str(item.date) == day)
    return one


def test_spans_are_the_reference_and_the_winter():
    assert season_spans("2017-18", (8, 9)) == [
        (utc("2017-08-01"), utc("2017-10-01")),
        (utc("2017-11-01"), utc("2018-06-01")),
    ]


@pytest.mark.parametrize(
    ("months", "spans"),
    [
        ((), [("2017-11-01", "2018-06-01")]),
        ((10,), [("2017-10-01", "2018-06-01")]),
        ((7,), [("2017-11-01", "2018-06-01"), ("2018-07-01", "2018-08-01")]),
        ((12,), [("2017-11-01", "2018-06-01")]),
    ],
)
def test_reference_months_may_touch_or_follow_the_winter(months, spans):
    expected = [(utc(begin), utc(end)) for begin, end in spans]
    assert season_spans("2017-18", months) == expected
    assert {season_of(begin.date()) for begin, _ in expected} == {"2017-18"}


@pytest.mark.parametrize("season", ["2017", "2017-19", "2017/18", "17-18", "2017-2018", ""])
def test_other_words_are_no_season(season):
    with pytest.raises(CatalogueError, match="write two consecutive years, such as 2017-18"):
        season_spans(season, MONTHS)


def test_full_winter_has_35_dates_and_10_of_the_reference():
    found = outlook(winter())
    assert [sum(item.role == role for item in found.rows) for role in ("reference", "winter")] == [10, 35]
    assert found.count("complete") == len(found.rows) == len(found.dates) == 45
    assert all(item.predicted and item.predicted.date == item.date for item in found.rows)
    assert {item.slices for item in found.rows} == {3}
    assert found.size_bytes == found.fetch_bytes == 45 * 3 * SIZE
    # 243 GB at 20 MB/s.
    assert found.fetch_time == timedelta(seconds=12150)
    assert (found.rows[0].date, found.rows[-1].date) == (date(2017, 8, 6), date(2018, 5, 27))


def test_missing_and_incomplete_dates_are_told_from_complete_ones():
    offers = winter()
    del offers[date(2018, 2, 8)]
    offers[date(2018, 1, 3)] = offers[date(2018, 1, 3)][1:]
    offers[date(2018, 1, 9)][1] = replace(offers[date(2018, 1, 9)][1], online=False)
    found = outlook(offers)
    lost = row(found, "2018-02-08")
    assert (lost.state, lost.slices, str(lost.predicted)) == ("missing", 0, "2018-02-08 (S1A, orbit 20511)")
    short = row(found, "2018-01-03")
    assert (short.state, short.slices) == ("incomplete", 2)
    assert short.reason.startswith("no slice north of 46.0")
    ordered = row(found, "2018-01-09")
    assert ordered.state == "offline"
    assert ordered.size_bytes - ordered.fetch_bytes == SIZE
    assert (found.count("missing"), found.count("incomplete", "offline"), len(found.dates)) == (1, 2, 43)


def test_products_on_disk_are_not_fetched_again():
    offers = winter()
    there = {offer.id for offer in offers[date(2018, 1, 3)]} | {offers[date(2018, 1, 9)][0].id}
    found = outlook(offers, on_disk=lambda offer: offer.id in there)
    assert (row(found, "2018-01-03").on_disk, row(found, "2018-01-03").fetch_bytes) == (3, 0)
    assert (row(found, "2018-01-09").on_disk, row(found, "2018-01-09").fetch_bytes) == (1, 2 * SIZE)
    assert found.size_bytes - found.fetch_bytes == 4 * SIZE


def test_unknown_sizes_are_estimated_and_counted():
    offers = {date(2018, 1, 3): [replace(o, size_bytes=None) for o in winter()[date(2018, 1, 3)]]}
    found = outlook(offers)
    assert found.sizes_unknown == 3
    assert found.fetch_bytes == 3 * TYPICAL_PRODUCT_BYTES


def test_running_season_expects_what_is_to_come_and_waits_for_the_last_day():
    first, second, _ = whole_pass("2026-11-30", platform="S1C", orbit=10562)
    now = first.stop + timedelta(hours=5)
    found = outlook({date(2026, 11, 30): [first, second]}, season="2026-27", now=now)
    waiting = row(found, "2026-11-30")
    assert waiting.state == "pending"
    assert waiting.reason.startswith("no slice south of")
    assert str(waiting.predicted) == "2026-11-30 (S1C, orbit 10562)"
    assert row(found, "2026-11-24").state == "missing"
    assert row(found, "2026-12-06").state == "expected"
    nothing_yet = outlook({}, season="2026-27", now=now)
    assert row(nothing_yet, "2026-11-30").state == "expected"
    assert found.dates == []


def test_pass_that_nobody_predicted_is_listed_beside_the_calendar():
    """As while a platform is moved in the cycle."""
    extra = whole_pass("2018-01-05", orbit=20015)
    found = outlook(winter() | {date(2018, 1, 5): extra})
    assert row(found, "2018-01-05").predicted is None
    assert row(found, "2018-01-05").state == "complete"
    assert len(found.rows) == 46


def test_withdrawn_date_stays_in_the_outlook_with_nothing_to_fetch():
    offers = winter()[date(2018, 1, 3)]
    ledger = list_span(EMPTY, FakeCatalogue.of(*offers), QUERY, NOW)
    ledger = replace(ledger, withdrawn={offer.id: NOW for offer in offers})
    listing = acquisitions_of(ledger, AREA, MONTHS, NOW)
    found = season_outlook("2017-18", ledger, listing, MONTHS, lambda offer: False, 20e6, NOW)
    one = row(found, "2018-01-03")
    assert (one.state, one.slices, one.fetch_bytes) == ("withdrawn", 0, 0)
