"""What a whole winter takes: which dates exist, which are missing, and how much is to be fetched.

A season is its winter and the snow-free months that serve as its reference. The months between them give
nothing that is used: they are neither listed nor fetched.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

from avalanche_assets.catalogue.acquisitions import (
    Acquisition,
    PendingAcquisition,
    SourceListing,
    season_of,
)
from avalanche_assets.catalogue.calendar import PredictedPass, predicted_dates
from avalanche_assets.catalogue.interface import ProductOffer
from avalanche_assets.catalogue.ledger import Ledger
from avalanche_assets.catalogue.registration import WAIT, offers_of
from avalanche_assets.errors import CatalogueError

WINTER_MONTHS = (11, 12, 1, 2, 3, 4, 5)
"""From the first lasting snow to the last big avalanches of spring."""
TYPICAL_PRODUCT_BYTES = 1_800_000_000
"""Of a product whose size the catalogue does not say: 25 s in both polarisations, stored uncompressed."""


@dataclass(frozen=True)
class OutlookRow:
    """One date.

    Attributes:
        date: UTC date.
        role: ``winter`` or ``reference``.
        predicted: The pass of the calendar; None when the date was found without being predicted.
        state: That of the acquisition; ``pending`` while slices may still come, ``missing`` where a predicted
            pass brought nothing, ``expected`` where it is still to come.
        reason: Why it is not complete; empty when there is nothing to say.
        slices: Products to use.
        on_disk: How many of them are on disk already.
        size_bytes: Of all of them, estimated where unknown.
        fetch_bytes: Of those not on disk that can be fetched.
    """

    date: date
    role: str
    predicted: PredictedPass | None
    state: str
    reason: str = ""
    slices: int = 0
    on_disk: int = 0
    size_bytes: int = 0
    fetch_bytes: int = 0


@dataclass(frozen=True)
class SeasonOutlook:
    """A season as it stands.

    Attributes:
        season: ``2017-18``.
        rows: In order of date.
        sizes_unknown: Products whose size is an estimate.
        bytes_per_s: Rate that `fetch_time` assumes.
    """

    season: str
    rows: tuple[OutlookRow, ...]
    sizes_unknown: int
    bytes_per_s: float

    def count(self, *states: str) -> int:
        """Dates in one of the states."""
        return sum(row.state in states for row in self.rows)

    @property
    def dates(self) -> list[date]:
        """Dates that can be processed: complete or incomplete."""
        return [row.date for row in self.rows if row.state in ("complete", "incomplete")]

    @property
    def size_bytes(self) -> int:
        """Of all products, on disk or not."""
        return sum(row.size_bytes for row in self.rows)

    @property
    def fetch_bytes(self) -> int:
        """To be fetched."""
        return sum(row.fetch_bytes for row in self.rows)

    @property
    def fetch_time(self) -> timedelta:
        """Expected duration of fetching them."""
        return timedelta(seconds=round(self.fetch_bytes / self.bytes_per_s))


def season_spans(season: str, reference_months: Iterable[int]) -> list[tuple[datetime, datetime]]:
    """When the acquisitions of a season were taken: begin and end (exclusive) of each run of months, UTC.

    ``2017-18`` with August and September as reference: August to September 2017, November 2017 to May 2018.

    Raises:
        CatalogueError: No season is called so.
    """
    first = _first_year(season)
    wanted = {*WINTER_MONTHS, *reference_months}
    # In the order of a season, which begins in August.
    months = [(first + (month > 12), (month - 1) % 12 + 1) for month in range(8, 20)]
    runs = groupby(months, key=lambda month: month[1] in wanted)
    spans = [list(run) for inside, run in runs if inside]
    return [(_begin(*run[0]), _begin(run[-1][0] + run[-1][1] // 12, run[-1][1] % 12 + 1)) for run in spans]


def in_season(day: date, reference_months: Iterable[int]) -> bool:
    """Whether acquisitions of a day serve as winter or reference dates."""
    return day.month in {*WINTER_MONTHS, *reference_months}


def season_outlook(
    season: str,
    ledger: Ledger,
    listing: SourceListing,
    reference_months: Iterable[int],
    on_disk: Callable[[ProductOffer], bool],
    bytes_per_s: float,
    now: datetime,
) -> SeasonOutlook:
    """What is there of a season, what is missing, and what is to be fetched.

    Args:
        season: ``2017-18``.
        ledger: What is known; `season_spans` listed before.
        listing: What `acquisitions_of` says of it.
        reference_months: Months of the snow-free reference.
        on_disk: Whether a product has been fetched already.
        bytes_per_s: Expected rate of all connections together.
        now: UTC.

    Raises:
        CatalogueError: No season is called so, or `listing` is not of this ledger.
    """
    months, spans = set(reference_months), season_spans(season, reference_months)
    scope = ledger.scope
    predicted = {
        (one.platform, one.absolute_orbit): one
        for begin, end in spans
        for one in predicted_dates(
            scope.relative_orbit, begin.date(), end.date() - timedelta(days=1), scope.direction
        )
    }

    def inside(day: date) -> bool:
        return any(begin.date() <= day < end.date() for begin, end in spans)

    rows: dict[date, OutlookRow] = {}
    unknown = 0
    for item in listing.acquisitions:
        if not inside(item.date):
            continue
        products = offers_of(ledger, item)
        unknown += sum(offer.size_bytes is None for offer in products)
        rows[item.date] = _found_row(item, predicted.pop(_orbit(item), None), products, on_disk)
    for waiting in listing.pending:
        if inside(waiting.date):
            one = predicted.pop(_orbit(waiting), None)
            role = _role(waiting.date, months)
            rows[waiting.date] = OutlookRow(waiting.date, role, one, "pending", waiting.reason)
    for one in predicted.values():
        # Products of the last day may still be published; of two passes on one date a single one is used.
        state = "missing" if one.instant <= now - WAIT else "expected"
        rows.setdefault(one.date, OutlookRow(one.date, _role(one.date, months), one, state))
    return SeasonOutlook(season, tuple(rows[day] for day in sorted(rows)), unknown, bytes_per_s)


def _found_row(
    item: Acquisition,
    predicted: PredictedPass | None,
    products: Sequence[ProductOffer],
    on_disk: Callable[[ProductOffer], bool],
) -> OutlookRow:
    absent = [offer for offer in products if not on_disk(offer)]
    return OutlookRow(
        item.date,
        item.role,
        predicted,
        item.state,
        item.reason,
        len(products),
        len(products) - len(absent),
        sum(map(_size, products)),
        sum(_size(offer) for offer in absent if offer.online),
    )


def _orbit(item: Acquisition | PendingAcquisition) -> tuple[str, int]:
    return item.platform, item.absolute_orbit


def _role(day: date, reference_months: set[int]) -> str:
    return "reference" if day.month in reference_months else "winter"


def _size(offer: ProductOffer) -> int:
    return TYPICAL_PRODUCT_BYTES if offer.size_bytes is None else offer.size_bytes


def _first_year(season: str) -> int:
    match = re.fullmatch(r"(20\d\d)-\d\d", season, re.ASCII)
    if not match or season_of(date(int(match[1]), 8, 1)) != season:
        raise CatalogueError(f"season {season!r}: write two consecutive years, such as 2017-18")
    return int(match[1])


def _begin(year: int, month: int) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)
