from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from catalogue.passes import AREA, CUTS, FakeCatalogue, product, whole_pass
from hypothesis import given, settings
from hypothesis import strategies as st

from avalanche_assets.catalogue.acquisitions import read_catalogue, write_catalogue
from avalanche_assets.catalogue.calendar import predicted_dates
from avalanche_assets.catalogue.interface import ProductOffer, ProductQuery
from avalanche_assets.catalogue.ledger import Ledger, LedgerScope, list_span, poll
from avalanche_assets.catalogue.registration import acquisitions_of, offers_of
from avalanche_assets.errors import CatalogueError

QUERY = ProductQuery(139, "DESCENDING", AREA)
EMPTY = Ledger(LedgerScope("cdse", 139, "DESCENDING", AREA))
KEY = "2018-01-03"
TAKEN = datetime(2018, 1, 3, 5, 43, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LATER = TAKEN + 30 * DAY


def ledger_of(*offers: ProductOffer, now: datetime = LATER) -> Ledger:
    return poll(EMPTY, FakeCatalogue.of(*offers), QUERY, now)


def listing(*offers: ProductOffer, now: datetime = LATER):
    return acquisitions_of(ledger_of(*offers, now=now), AREA, (8, 9), now)


def test_whole_pass_is_registered_at_once():
    found = listing(*whole_pass(KEY), now=TAKEN + 3 * HOUR)
    (acquisition,) = found.acquisitions
    assert (acquisition.state, acquisition.reason, found.pending) == ("complete", "", ())
    assert acquisition.date == date(2018, 1, 3)
    assert acquisition.overpass == whole_pass(KEY)[0].start
    assert (acquisition.platform, acquisition.absolute_orbit) == ("S1A", 19986)
    assert (acquisition.role, acquisition.season) == ("winter", "2017-18")
    assert acquisition.products == tuple(offer.name for offer in whole_pass(KEY))
    assert acquisition.size_bytes == 5_400_000_000


def test_incomplete_pass_waits_a_day_after_its_first_product_and_is_then_registered_with_the_reason():
    first, _, last = whole_pass(KEY)
    due = first.published + DAY
    waiting = listing(first, last, now=due - HOUR)
    assert waiting.acquisitions == ()
    (pending,) = waiting.pending
    assert (pending.date, pending.platform, pending.absolute_orbit) == (date(2018, 1, 3), "S1A", 19986)
    assert pending.due == due
    assert pending.reason.startswith("gap of 25 s")
    (acquisition,) = listing(first, last, now=due).acquisitions
    assert acquisition.state == "incomplete"
    assert acquisition.reason == pending.reason


def test_product_without_publication_waits_a_day_from_when_it_was_first_seen():
    offers = [replace(offer, published=None) for offer in whole_pass(KEY)[1:]]
    assert listing(*offers, now=LATER).pending[0].due == LATER + DAY


def test_late_slice_changes_state_and_version_but_not_the_key():
    first, *others = whole_pass(KEY)
    (before,) = listing(*others).acquisitions
    late = replace(first, published=others[0].published + 40 * HOUR)
    (after,) = listing(late, *others).acquisitions
    assert (before.state, after.state) == ("incomplete", "complete")
    assert before.reason == "no slice north of 46.0° N: about 7 s missing at the start"
    assert before.date == after.date
    assert before.version != after.version


def test_replaced_product_changes_the_version_but_not_key_and_state():
    first, *others = whole_pass(KEY)
    again = product(KEY, *CUTS[:2], unique=9, processed=LATER, published=LATER)
    before = listing(first, *others)
    after = listing(first, again, *others)
    assert before.acquisitions[0].state == after.acquisitions[0].state == "complete"
    assert before.acquisitions[0].version != after.acquisitions[0].version
    assert after.acquisitions[0].products[0] == again.name
    (dropped,) = after.dropped
    assert (dropped.name, dropped.kept) == (first.name, again.name)


def test_product_published_again_under_its_name_changes_the_version():
    first, *others = whole_pass(KEY)
    again = replace(first, published=LATER)
    before, after = (listing(one, *others).acquisitions[0] for one in (first, again))
    assert before.products == after.products
    assert before.version != after.version


def test_what_is_asked_again_or_turns_offline_has_the_same_version():
    online = whole_pass(KEY)
    versions = {
        listing(*offers).acquisitions[0].version
        for offers in (online, online[::-1], [replace(offer, online=False) for offer in online])
    }
    assert len(versions) == 1


def test_offers_of_a_registered_date_are_those_it_names():
    first, *others = whole_pass(KEY)
    again = replace(first, id="published-again", published=LATER - DAY)
    ledger = ledger_of(first, again, *others, *whole_pass("2018-01-15", orbit=20161))
    acquisition = acquisitions_of(ledger, AREA, (8, 9), LATER).acquisitions[0]
    assert offers_of(ledger, acquisition) == [again, *others]
    with pytest.raises(CatalogueError, match=f"{others[0].name}: not on offer any more"):
        offers_of(replace(ledger, withdrawn={others[0].id: LATER}), acquisition)


def test_fast_slices_of_7_december_2023_give_way_to_the_regular_ones():
    """Real case: T064644 of slice number 0 beside T064649 of slice number 6, one data take."""
    fast = whole_pass("2023-12-07", (-45, -14, 17, 41), unique=1, slice_number=0)
    regular = whole_pass("2023-12-07", CUTS, unique=2, slice_number=6)
    found = listing(*fast, *regular, now=datetime(2024, 1, 1, tzinfo=UTC))
    (acquisition,) = found.acquisitions
    assert acquisition.complete
    assert acquisition.products == tuple(offer.name for offer in regular)
    assert {item.name for item in found.dropped} == {offer.name for offer in fast}
    assert all("slice number 0" in item.reason for item in found.dropped)


def test_offline_products_are_a_state_of_their_own():
    first, second, third = whole_pass(KEY)
    (found,) = listing(first, replace(second, online=False), third).acquisitions
    assert found.state == "offline"
    assert not found.complete
    assert found.reason == f"to be ordered from the long-term archive first: {second.name}"
    (worse,) = listing(first, replace(second, online=False)).acquisitions
    assert worse.state == "offline"
    assert "no slice south of" in worse.reason


def test_size_is_unknown_when_that_of_one_product_is():
    first, *others = whole_pass(KEY)
    assert listing(replace(first, size_bytes=None), *others).acquisitions[0].size_bytes == 0


def withdrawn(catalogue: FakeCatalogue, ledger: Ledger, *offers: ProductOffer, now: datetime) -> Ledger:
    for offer in offers:
        catalogue.withdraw(offer, now)
    return poll(ledger, catalogue, QUERY, now + DAY)


def test_withdrawn_slice_makes_a_registered_date_incomplete():
    offers = whole_pass(KEY)
    catalogue = FakeCatalogue.of(*offers)
    ledger = poll(EMPTY, catalogue, QUERY, LATER)
    before = acquisitions_of(ledger, AREA, (8, 9), LATER).acquisitions[0]
    ledger = withdrawn(catalogue, ledger, offers[0], now=LATER)
    (after,) = acquisitions_of(ledger, AREA, (8, 9), LATER + DAY).acquisitions
    assert (after.date, after.state) == (before.date, "incomplete")
    assert after.version != before.version


def test_date_registered_early_stays_registered_when_a_slice_is_withdrawn_within_the_day():
    offers = [replace(offer, published=TAKEN + 2 * HOUR) for offer in whole_pass(KEY)]
    ledger = ledger_of(*offers, now=TAKEN + 3 * HOUR)
    gone = replace(ledger, withdrawn={offers[0].id: TAKEN + 4 * HOUR})
    found = acquisitions_of(gone, AREA, (8, 9), TAKEN + 5 * HOUR)
    assert [item.state for item in found.acquisitions] == ["incomplete"]
    assert found.pending == ()


def test_date_whose_products_were_all_withdrawn_keeps_its_key():
    offers = whole_pass(KEY)
    catalogue = FakeCatalogue.of(*offers)
    ledger = poll(EMPTY, catalogue, QUERY, LATER)
    ledger = withdrawn(catalogue, ledger, *offers, now=LATER)
    (found,) = acquisitions_of(ledger, AREA, (8, 9), LATER + DAY).acquisitions
    assert (found.date, found.state, found.products) == (date(2018, 1, 3), "withdrawn", ())
    assert found.reason == "all 3 products were withdrawn from the catalogue"
    assert (found.platform, found.absolute_orbit, found.overpass) == ("S1A", 19986, offers[0].start)


def test_date_that_was_never_registered_does_not_appear_when_its_products_are_withdrawn():
    first = replace(whole_pass(KEY)[0], published=TAKEN + 2 * HOUR)
    gone = replace(ledger_of(first, now=TAKEN + 3 * HOUR), withdrawn={first.id: TAKEN + 4 * HOUR})
    found = acquisitions_of(gone, AREA, (8, 9), LATER)
    assert (found.acquisitions, found.pending) == ((), ())


def test_of_two_passes_on_a_date_the_one_that_covers_more_is_kept():
    whole = whole_pass(KEY, platform="S1B", orbit=9090)
    later = [replace(o, start=o.start + HOUR, stop=o.stop + HOUR) for o in whole]
    part = whole_pass(KEY)[1:]
    found = listing(*part, *later)
    (acquisition,) = found.acquisitions
    assert (acquisition.platform, acquisition.state) == ("S1B", "complete")
    assert {item.name for item in found.dropped} == {offer.name for offer in part}
    assert found.dropped[0].reason == (
        "second pass on 2018-01-03, of S1A orbit 19986: covers 88.2% of the area, "
        "that of S1B orbit 9090 100.0%"
    )


def test_of_two_passes_that_cover_the_same_the_earlier_is_kept():
    early = whole_pass(KEY, platform="S1B", orbit=29090)
    late = [replace(o, start=o.start + HOUR, stop=o.stop + HOUR) for o in whole_pass(KEY)]
    for offers in ([*early, *late], [*late, *early]):
        (found,) = listing(*offers).acquisitions
        assert found.platform == "S1B"


def test_second_pass_that_is_better_but_new_does_not_take_a_registered_key_away():
    old = replace(product(KEY, *CUTS[:2]), published=TAKEN + 2 * HOUR)
    better = [
        replace(offer, start=offer.start + 8 * HOUR, stop=offer.stop + 8 * HOUR, published=TAKEN + 20 * HOUR)
        for offer in whole_pass(KEY, platform="S1B", orbit=9090)[1:]
    ]
    found = listing(old, *better, now=TAKEN + 27 * HOUR)
    assert [(item.platform, item.state) for item in found.acquisitions] == [("S1B", "incomplete")]


def test_pass_over_midnight_is_one_acquisition_on_the_date_of_its_first_slice():
    shift = timedelta(hours=18, minutes=16, seconds=30)
    offers = [replace(o, start=o.start + shift, stop=o.stop + shift) for o in whole_pass(KEY)]
    assert offers[0].start.date() < offers[-1].start.date()
    (found,) = listing(*offers).acquisitions
    assert (str(found.date), len(found.products)) == (KEY, 3)


def test_transition_of_june_2026_registers_consecutive_days():
    passes = predicted_dates(139, date(2026, 6, 1), date(2026, 6, 30))
    offers = [
        offer
        for one in passes
        for offer in whole_pass(one.date, platform=one.platform, orbit=one.absolute_orbit)
    ]
    found = listing(*offers, now=datetime(2026, 7, 1, tzinfo=UTC))
    assert [item.date.day for item in found.acquisitions] == [2, 8, 9, 14, 21, 26, 27]
    assert [item.platform for item in found.acquisitions] == ["S1A", "S1C", "S1D", "S1A", "S1D", "S1A", "S1C"]
    assert all(item.complete for item in found.acquisitions)
    assert found.dropped == ()


def test_snow_free_months_give_the_role(tmp_path):
    offers = [*whole_pass("2017-08-18", orbit=17961), *whole_pass(KEY)]
    found = listing(*offers).acquisitions
    assert [item.role for item in found] == ["reference", "winter"]
    write_catalogue(tmp_path / "catalogue.csv", found)
    assert read_catalogue(tmp_path / "catalogue.csv").acquisitions == found


SEASON = [*whole_pass("2018-01-03", orbit=19986), *whole_pass("2018-01-15", orbit=20161)]
CHANGES = st.dictionaries(st.sampled_from([offer.id for offer in SEASON]), st.integers(1, 60), max_size=6)


@settings(max_examples=25)
@given(CHANGES, CHANGES)
def test_registered_keys_never_vanish(late, taken_back):
    """Polls every six hours while products come late and are withdrawn, hours after the last pass."""
    begin = SEASON[-1].stop
    offers = [
        replace(o, published=begin + late[o.id] * HOUR if o.id in late else o.stop + 2 * HOUR) for o in SEASON
    ]
    gone = {key: begin + hours * HOUR for key, hours in taken_back.items()}
    ledger, keys = EMPTY, set()
    for hours in range(0, 90, 6):
        now = begin + hours * HOUR
        withdrawn_ids = {key for key, when in gone.items() if when <= now}
        catalogue = FakeCatalogue.of(*(o for o in offers if o.published <= now and o.id not in withdrawn_ids))
        catalogue.withdrawals = {key: gone[key] for key in withdrawn_ids}
        ledger = poll(ledger, catalogue, QUERY, now)
        found = {item.date for item in acquisitions_of(ledger, AREA, (8, 9), now).acquisitions}
        assert keys <= found
        keys = found


def test_every_date_of_four_winters_is_registered_on_its_predicted_day():
    offers = [
        offer
        for one in predicted_dates(139, date(2021, 11, 1), date(2025, 5, 31))
        for offer in whole_pass(one.date, platform=one.platform, orbit=one.absolute_orbit)
    ]
    now = datetime(2025, 7, 1, tzinfo=UTC)
    ledger = list_span(EMPTY, FakeCatalogue.of(*offers), QUERY, now)
    found = acquisitions_of(ledger, AREA, (8, 9), now).acquisitions
    expected = predicted_dates(139, date(2021, 11, 1), date(2025, 5, 31))
    assert [(item.date, item.platform) for item in found] == [(one.date, one.platform) for one in expected]
    assert all(item.complete for item in found)
    gaps = {(later.date - earlier.date).days for earlier, later in pairwise(found)}
    assert gaps == {6, 12}
