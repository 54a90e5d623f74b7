"""Everything known about what a source offers, kept from poll to poll in one small JSON file.

The ledger is the only state: a poll asks for what was published since the latest product it knows, less a day
of overlap, so that a restart, a missed poll or a product that a catalogue shows late changes nothing.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from avalanche_assets.catalogue.calendar import Direction
from avalanche_assets.catalogue.interface import Catalogue, LonLatBounds, ProductOffer, ProductQuery
from avalanche_assets.errors import CatalogueError
from avalanche_assets.files import write_text

_LOGGER = logging.getLogger(__name__)

OVERLAP = timedelta(hours=24)
"""Asked for again at each poll: catalogues show some products later than they say they published them."""
WITHDRAWALS_EVERY = timedelta(hours=24)
MD5_WITHIN = timedelta(days=7)
"""After publication; an MD5 that has not come by then is not waited for."""


@dataclass(frozen=True)
class KnownOffer:
    """A product that was on offer at least once.

    Attributes:
        offer: As last seen.
        appeared: When it was published, or first seen where the catalogue does not say, UTC.
    """

    offer: ProductOffer
    appeared: datetime


@dataclass(frozen=True)
class LedgerScope:
    """What a ledger is about; polls list everything in `area` from `start` on once."""

    source: str
    relative_orbit: int
    direction: Direction
    area: LonLatBounds
    start: datetime | None = None


@dataclass(frozen=True)
class Ledger:
    """What is known.

    Attributes:
        scope: Source, track, area and first date.
        offers: By id, withdrawn ones included.
        withdrawn: When it was noticed that the source took a product back, by id, UTC.
        watermark: Latest publication seen by a poll, UTC; None before the first one.
        last_checked: Of the last poll, UTC.
        last_withdrawn_check: When withdrawals were last asked for, UTC.
    """

    scope: LedgerScope
    offers: dict[str, KnownOffer] = field(default_factory=dict)
    withdrawn: dict[str, datetime] = field(default_factory=dict)
    watermark: datetime | None = None
    last_checked: datetime | None = None
    last_withdrawn_check: datetime | None = None

    @property
    def on_offer(self) -> list[ProductOffer]:
        """Products that were not withdrawn."""
        return [known.offer for key, known in self.offers.items() if key not in self.withdrawn]


_FILE = TypeAdapter(Ledger)


def scope_of(source: str, query: ProductQuery) -> LedgerScope:
    """What a ledger of a source is about that is polled with a query."""
    return LedgerScope(source, query.relative_orbit, query.direction, query.area, query.start)


def read_ledger(path: Path, source: str, query: ProductQuery) -> Ledger:
    """The ledger of a source and of the track, area and start of a query; empty when there is none yet.

    With another area or start it is kept, and `poll` lists what that adds once; one of another source or
    track is of no use.

    Raises:
        CatalogueError: The file is damaged.
    """
    scope = scope_of(source, query)
    if not path.exists():
        return Ledger(scope)
    try:
        stored = _FILE.validate_json(path.read_bytes())
    except ValidationError as error:
        raise CatalogueError(
            f"{path}: not a ledger ({error.errors()[0]['msg']}); delete it, poll, and list past seasons again"
        ) from error
    if replace(stored.scope, area=scope.area, start=scope.start) != scope:
        _LOGGER.warning("%s: is of %s, begun anew for %s", path, stored.scope, scope)
        return Ledger(scope)
    return stored


def write_ledger(path: Path, ledger: Ledger) -> None:
    """Writes the ledger atomically; the same knowledge gives the same bytes."""
    in_order = dict(sorted(ledger.offers.items(), key=lambda item: (item[1].offer.start, item[0])))
    sorted_ledger = replace(ledger, offers=in_order, withdrawn=dict(sorted(ledger.withdrawn.items())))
    write_text(path, _FILE.dump_json(sorted_ledger, indent=1, exclude_defaults=True).decode() + "\n")


def poll(ledger: Ledger, catalogue: Catalogue, query: ProductQuery, now: datetime) -> Ledger:
    """The ledger with what was published, replaced and withdrawn since the last poll.

    One request when there is nothing new, and once a day another one for withdrawals.

    Args:
        ledger: As the last poll left it.
        catalogue: The source.
        query: Track and area; with its `start`, dates from which new products are wanted. Products of dates
            that the ledger knows are followed in any case.
        now: UTC.

    Raises:
        CatalogueError: The source cannot answer.
    """
    scope = scope_of(ledger.scope.source, query)
    found = []
    if ledger.watermark is None or ledger.scope != scope:
        found = catalogue.search(replace(query, published_after=None))
    if ledger.watermark is not None:
        known = {offer.id: offer for offer in ledger.on_offer}
        since = ledger.watermark - OVERLAP
        asked = replace(query, start=None, stop=None, published_after=since, known=known)
        known_days = {known.offer.start.date() for known in ledger.offers.values()}
        found += [
            offer
            for offer in catalogue.search(asked)
            if _wanted(offer, query) or offer.start.date() in known_days
        ]
    # A source that does not say when it published is listed as a whole each time.
    latest = max((offer.published for offer in found if offer.published), default=None if found else now)
    # A publication in the future would hide everything until then.
    marks = [mark for mark in (ledger.watermark, latest and min(latest, now)) if mark]
    seen = _with_offers(ledger, found, now)
    seen = replace(seen, scope=scope, watermark=max(marks, default=None), last_checked=now)
    return _with_withdrawals(seen, catalogue, query, now)


def list_span(ledger: Ledger, catalogue: Catalogue, query: ProductQuery, now: datetime) -> Ledger:
    """The ledger with all products from `query.start` to `query.stop`, whenever they were published.

    For past seasons. Where polls go on is not touched.

    Raises:
        CatalogueError: The source cannot answer.
    """
    found = catalogue.search(replace(query, published_after=None))
    listed = _with_offers(ledger, found, now)
    return replace(listed, last_withdrawn_check=ledger.last_withdrawn_check or now)


def withdrawals_warning(ledger: Ledger, now: datetime) -> str:
    """Says since when a polled source has not told what it withdrew; empty when it has within a day."""
    last = ledger.last_withdrawn_check
    if last is None or now - last < WITHDRAWALS_EVERY:
        return ""
    return (
        f"{ledger.scope.source} has not told since {last:%Y-%m-%d %H:%M} UTC what it withdrew; products "
        "that it took back are still used. It is asked again with each poll: the reason is in the run's log"
    )


def _wanted(offer: ProductOffer, query: ProductQuery) -> bool:
    return (query.start is None or offer.start >= query.start) and (
        query.stop is None or offer.start < query.stop
    )


def _with_offers(ledger: Ledger, found: Iterable[ProductOffer], now: datetime) -> Ledger:
    offers = dict(ledger.offers)
    for offer in found:
        key = offer.id or offer.name
        known = offers.get(key)
        # When a product appeared decides when its date is due: that never moves.
        offers[key] = KnownOffer(offer, known.appeared if known else min(offer.published or now, now))
    return replace(ledger, offers=offers)


def _with_withdrawals(ledger: Ledger, catalogue: Catalogue, query: ProductQuery, now: datetime) -> Ledger:
    """Asks for withdrawals when it is time; ids are never offered again after they were withdrawn.

    Products that were offline or had no MD5 are looked at again: neither changes when they were published.
    """
    last = ledger.last_withdrawn_check
    if last is None:
        return replace(ledger, last_withdrawn_check=now)
    if now - last < WITHDRAWALS_EVERY:
        return ledger
    try:
        reported = catalogue.withdrawn(
            replace(query, start=None, stop=None, published_after=None), last - OVERLAP
        )
    except CatalogueError as error:
        # New dates must not wait for an answer to this; the next poll asks again, from the same instant.
        _LOGGER.warning("withdrawn products could not be asked for: %s", error)
        return ledger
    taken_back = dict.fromkeys(reported & ledger.offers.keys(), now)
    ledger = _looked_at_again(ledger, catalogue, query, now)
    return replace(ledger, withdrawn=taken_back | ledger.withdrawn, last_withdrawn_check=now)


def _looked_at_again(ledger: Ledger, catalogue: Catalogue, query: ProductQuery, now: datetime) -> Ledger:
    changing = [
        known.offer
        for key, known in ledger.offers.items()
        if key not in ledger.withdrawn
        and not (known.offer.online and (known.offer.md5 or now - known.appeared > MD5_WITHIN))
    ]
    if not changing:
        return ledger
    first, last = min(offer.start for offer in changing), max(offer.start for offer in changing)
    span = replace(query, start=first, stop=last + timedelta(seconds=1), published_after=None)
    names = {offer.id or offer.name for offer in changing}
    return _with_offers(
        ledger, (offer for offer in catalogue.search(span) if (offer.id or offer.name) in names), now
    )
