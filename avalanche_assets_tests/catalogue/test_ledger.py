from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from catalogue.passes import AREA, FakeCatalogue, product, whole_pass
from hypothesis import given, settings
from hypothesis import strategies as st

from avalanche_assets.catalogue.interface import ProductQuery
from avalanche_assets.catalogue.ledger import (
    Ledger,
    LedgerScope,
    list_span,
    poll,
    read_ledger,
    withdrawals_warning,
    write_ledger,
)
from avalanche_assets.errors import CatalogueError

QUERY = ProductQuery(139, "DESCENDING", AREA, start=datetime(2026, 7, 1, tzinfo=UTC))
EMPTY = Ledger(LedgerScope("cdse", 139, "DESCENDING", AREA, QUERY.start))
SUMMER, AUTUMN, WINTER = "2026-07-09", "2026-09-01", "2026-11-06"
NOW = datetime(2026, 11, 7, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_first_poll_lists_everything_from_the_start_on():
    old, new = product("2018-01-03", 0, 25), product(SUMMER, 0, 25)
    catalogue = FakeCatalogue.of(old, new)
    ledger = poll(EMPTY, catalogue, QUERY, NOW)
    assert ledger.on_offer == [new]
    assert catalogue.searches == [QUERY]
    assert ledger.watermark == new.published
    assert ledger.last_checked == NOW
    assert catalogue.asked_withdrawn == []


def test_poll_without_news_costs_one_request_and_changes_nothing_but_the_time():
    catalogue = FakeCatalogue.of(*whole_pass(SUMMER))
    first = poll(EMPTY, catalogue, QUERY, NOW)
    before = catalogue.requests
    second = poll(first, catalogue, QUERY, NOW + HOUR)
    assert catalogue.requests == before + 1
    assert catalogue.searches[-1].published_after == first.watermark - DAY
    assert second == replace(first, last_checked=NOW + HOUR)


def test_product_shown_late_within_the_overlap_is_found():
    early, late = product(WINTER, 0, 25), product(WINTER, 25, 50, unique=2)
    late = replace(late, published=early.published - 23 * HOUR)
    catalogue = FakeCatalogue.of(early)
    ledger = poll(EMPTY, catalogue, QUERY, NOW)
    catalogue.offers.append(late)
    assert late in poll(ledger, catalogue, QUERY, NOW + HOUR).on_offer


def test_later_version_of_an_id_replaces_it_and_keeps_when_it_appeared():
    offer = product(WINTER, 0, 25)
    catalogue = FakeCatalogue.of(offer)
    first = poll(EMPTY, catalogue, QUERY, NOW)
    changed = replace(offer, md5="ab" * 16, published=offer.published + 5 * HOUR)
    catalogue.offers = [changed]
    ledger = poll(first, catalogue, QUERY, NOW + HOUR)
    assert ledger.on_offer == [changed]
    assert ledger.offers[offer.id].appeared == offer.published


def test_product_without_publication_appears_when_first_seen_and_everything_is_listed_each_time():
    offer = product(WINTER, 0, 25, published=None)
    catalogue = FakeCatalogue.of(offer)
    ledger = poll(poll(EMPTY, catalogue, QUERY, NOW), catalogue, QUERY, NOW + HOUR)
    assert ledger.offers[offer.id].appeared == NOW
    assert ledger.watermark is None
    assert [query.published_after for query in catalogue.searches] == [None, None]


def test_publication_in_the_future_does_not_hide_what_comes_before_it():
    catalogue = FakeCatalogue.of(product(SUMMER, 0, 25, published=NOW + 1000 * DAY))
    ledger = poll(EMPTY, catalogue, QUERY, NOW)
    assert ledger.watermark == NOW
    catalogue.offers.append(product(WINTER, 0, 25, published=NOW + HOUR))
    assert len(poll(ledger, catalogue, QUERY, NOW + 2 * HOUR).on_offer) == 2


def test_replaced_product_of_an_old_known_date_is_followed_but_no_other_old_date():
    past = product("2018-01-03", 0, 25)
    catalogue = FakeCatalogue.of(past, product(SUMMER, 0, 25))
    span = replace(QUERY, start=past.start, stop=past.start + DAY)
    ledger = list_span(poll(EMPTY, catalogue, QUERY, NOW), catalogue, span, NOW)
    again = product("2018-01-03", 0, 25, unique=9, published=NOW + HOUR)
    other = product("2019-01-10", 0, 25, published=NOW + HOUR)
    catalogue.offers += [again, other]
    ledger = poll(ledger, catalogue, QUERY, NOW + 2 * HOUR)
    assert again in ledger.on_offer
    assert other not in ledger.on_offer


def test_listing_a_past_season_first_does_not_shorten_the_first_poll():
    """Its products may have been published yesterday; the poll's own dates were not asked for yet."""
    past = product("2018-01-03", 0, 25, published=NOW - HOUR)
    present = product(SUMMER, 0, 25)
    catalogue = FakeCatalogue.of(past, present)
    span = replace(QUERY, start=past.start, stop=past.start + DAY)
    ledger = list_span(EMPTY, catalogue, span, NOW)
    assert ledger.on_offer == [past]
    assert present in poll(ledger, catalogue, QUERY, NOW).on_offer


def test_withdrawals_are_asked_for_once_a_day_from_the_last_time_on():
    offer = product(WINTER, 0, 25)
    catalogue = FakeCatalogue.of(offer, product(SUMMER, 0, 25))
    ledger = poll(EMPTY, catalogue, QUERY, NOW)
    catalogue.withdraw(offer, NOW + 2 * HOUR)
    catalogue.withdrawals["never-seen"] = NOW + 2 * HOUR
    for hours in range(1, 49):
        ledger = poll(ledger, catalogue, QUERY, NOW + hours * HOUR)
    assert catalogue.asked_withdrawn == [NOW - DAY, NOW]
    assert ledger.withdrawn == {offer.id: NOW + DAY}
    assert offer not in ledger.on_offer
    assert offer.id in ledger.offers


def test_source_that_cannot_tell_withdrawals_does_not_stop_new_dates(caplog):
    catalogue = FakeCatalogue.of(product(SUMMER, 0, 25))
    ledger = poll(EMPTY, catalogue, QUERY, NOW)
    new = product(WINTER, 0, 25, published=NOW + HOUR)
    catalogue.offers.append(new)
    catalogue.broken = True
    ledger = poll(ledger, catalogue, QUERY, NOW + 25 * HOUR)
    assert new in ledger.on_offer
    assert "withdrawn products could not be asked for: fake: no answer" in caplog.text
    told = withdrawals_warning(ledger, NOW + 25 * HOUR)
    assert told.startswith("cdse has not told since 2026-11-07 12:00 UTC what it withdrew")
    # Asked again at the next poll, since the same instant.
    poll(ledger, catalogue, QUERY, NOW + 26 * HOUR)
    assert catalogue.asked_withdrawn == [NOW - DAY, NOW - DAY]
    catalogue.broken = False
    ledger = poll(ledger, catalogue, QUERY, NOW + 27 * HOUR)
    assert withdrawals_warning(ledger, NOW + 27 * HOUR) == ""


def test_failed_search_leaves_the_ledger_as_it_was():
    class Broken(FakeCatalogue):
        def search(self, query):
            raise CatalogueError("no answer")

    with pytest.raises(CatalogueError):
        poll(EMPTY, Broken.of(), QUERY, NOW)
    assert EMPTY.offers == {}


OFFERED = [
    offer
    for index, day in enumerate(["2026-10-01", "2026-10-07", "2026-10-13"])
    for offer in whole_pass(day, orbit=9700 + index, platform="S1C")
]


@settings(max_examples=60)
@given(st.lists(st.integers(0, 40), max_size=8), st.randoms(), st.booleans())
def test_any_rhythm_of_polls_gives_the_same_ledger(tmp_path_factory, hours, random, restarts):
    """Products appear one an hour, in any order; the last poll comes after the last one."""
    path = tmp_path_factory.mktemp("ledger") / "source_ledger.json"
    begin = NOW - 2 * DAY
    order = random.sample(OFFERED, len(OFFERED))
    offers = [replace(offer, published=begin + index * HOUR) for index, offer in enumerate(order)]
    ledger = EMPTY
    for hour in [*sorted(hours), 41]:
        now = begin + hour * HOUR
        catalogue = FakeCatalogue.of(*(offer for offer in offers if offer.published <= now))
        ledger = poll(ledger, catalogue, QUERY, now)
        if restarts:
            write_ledger(path, ledger)
            ledger = read_ledger(path, "cdse", QUERY)
    at_once = poll(EMPTY, FakeCatalogue.of(*offers), QUERY, begin + 41 * HOUR)
    # When withdrawals were asked for depends on the rhythm, what is known does not.
    assert replace(ledger, last_withdrawn_check=None) == replace(at_once, last_withdrawn_check=None)


def test_written_ledger_comes_back_and_the_same_knowledge_gives_the_same_bytes(tmp_path):
    catalogue = FakeCatalogue.of(
        *whole_pass(SUMMER), product(WINTER, 0, 25, ipf_version=(3, 71), online=False)
    )
    ledger = poll(EMPTY, catalogue, QUERY, NOW)
    catalogue.withdraw(catalogue.offers[0], NOW)
    ledger = poll(ledger, catalogue, QUERY, NOW + 25 * HOUR)
    assert ledger.withdrawn
    write_ledger(tmp_path / "a" / "ledger.json", ledger)
    assert read_ledger(tmp_path / "a" / "ledger.json", "cdse", QUERY) == ledger
    backwards = replace(ledger, offers=dict(reversed(ledger.offers.items())))
    write_ledger(tmp_path / "b.json", backwards)
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "a" / "ledger.json").read_bytes()


def test_missing_ledger_is_empty(tmp_path):
    assert read_ledger(tmp_path / "none.json", "cdse", QUERY) == EMPTY


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"scope": 3}', '{"scope'])
def test_damaged_ledger_is_named_with_the_remedy(tmp_path, content):
    path = tmp_path / "ledger.json"
    path.write_text(content)
    with pytest.raises(CatalogueError, match=r"ledger\.json: not a ledger .*delete it"):
        read_ledger(path, "cdse", QUERY)


def stored(tmp_path):
    ledger = poll(EMPTY, FakeCatalogue.of(*whole_pass(SUMMER)), QUERY, NOW)
    write_ledger(tmp_path / "ledger.json", ledger)
    return tmp_path / "ledger.json", ledger


def test_ledger_of_another_source_or_track_is_begun_anew(tmp_path, caplog):
    path, _ = stored(tmp_path)
    assert read_ledger(path, "dhus", QUERY).offers == {}
    assert read_ledger(path, "cdse", replace(QUERY, relative_orbit=66)).offers == {}
    assert read_ledger(path, "cdse", replace(QUERY, direction="ASCENDING")).offers == {}
    assert "begun anew" in caplog.text


def test_ledger_of_another_area_keeps_its_dates_and_is_listed_again(tmp_path):
    path, ledger = stored(tmp_path)
    wider = replace(QUERY, area=(5.0, 43.0, 8.0, 47.0))
    found = read_ledger(path, "cdse", wider)
    assert found.offers == ledger.offers
    catalogue = FakeCatalogue.of(*whole_pass(SUMMER), product(SUMMER, -65, -40, unique=7))
    assert len(poll(found, catalogue, wider, NOW).offers) == 4
    assert [search.published_after is None for search in catalogue.searches] == [True, False]


def test_earlier_start_keeps_the_dates_and_is_listed_once(tmp_path):
    path, ledger = stored(tmp_path)
    earlier = replace(QUERY, start=datetime(2018, 1, 1, tzinfo=UTC))
    catalogue = FakeCatalogue.of(*whole_pass(SUMMER), *whole_pass("2018-01-03"))
    found = poll(read_ledger(path, "cdse", earlier), catalogue, earlier, NOW)
    assert len(found.offers) == 6
    write_ledger(path, found)
    assert read_ledger(path, "cdse", earlier).watermark == ledger.watermark


def test_what_changed_for_known_dates_is_seen_although_the_first_date_moves_on():
    """A new season begins with another start: a March date is replaced on the day after."""
    old = whole_pass(WINTER)
    ledger = poll(EMPTY, FakeCatalogue.of(*old), replace(QUERY, start=None), NOW)
    late = replace(old[0], id="late", published=NOW + HOUR)
    moved = replace(QUERY, start=NOW)
    found = poll(ledger, FakeCatalogue.of(*old, late), moved, NOW + 2 * HOUR)
    assert "late" in found.offers
    assert found.scope.start == NOW


def test_products_that_were_offline_or_without_md5_are_looked_at_again_once_a_day():
    offline, bare = (
        product(WINTER, 25 * index, 25 * index + 25, published=NOW - HOUR, unique=index) for index in range(2)
    )
    offline, bare = replace(offline, online=False, md5="a"), replace(bare, md5="")
    ledger = poll(EMPTY, FakeCatalogue.of(offline, bare), QUERY, NOW)
    now_there = FakeCatalogue.of(replace(offline, online=True), replace(bare, md5="b"))
    # Beyond the overlap of polls, which would not ask for them any more.
    ledger = replace(ledger, watermark=NOW + 48 * HOUR)
    found = poll(ledger, now_there, QUERY, NOW + 25 * HOUR)
    assert found.offers[offline.id].offer.online
    assert found.offers[bare.id].offer.md5 == "b"
