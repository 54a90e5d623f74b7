"""From products on offer to registered dates: with which products, in which state, and when.

A date is registered once its slices abut and cover the area, or as it is a day after its first product
appeared. From then on its key stays: late, replaced and withdrawn products change state and version.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from hashlib import sha256

from avalanche_assets.catalogue.acquisitions import (
    Acquisition,
    PendingAcquisition,
    SourceListing,
    roles_by_month,
    season_of,
)
from avalanche_assets.catalogue.completeness import Completeness, check_slices
from avalanche_assets.catalogue.duplicates import Dropped, resolve_duplicates
from avalanche_assets.catalogue.interface import LonLatBounds, ProductOffer
from avalanche_assets.catalogue.ledger import KnownOffer, Ledger
from avalanche_assets.errors import CatalogueError

WAIT = timedelta(hours=24)
"""How long a date waits for missing slices; products come within a day ("Fast-24h")."""


def acquisition_of(day: date, slices: Sequence[ProductOffer], found: Completeness, role: str) -> Acquisition:
    """The acquisition of one pass.

    Args:
        day: Its date.
        slices: At least one, of one pass, none of which overlap.
        found: What `check_slices` says of them.
        role: ``winter`` or ``reference``.
    """
    in_time = sorted(slices, key=lambda item: item.start)
    offline = [item.name for item in in_time if not item.online]
    reasons = [found.reason] if found.reason else []
    if offline:
        reasons.insert(0, f"to be ordered from the long-term archive first: {', '.join(offline)}")
    sizes = [item.size_bytes for item in in_time]
    platform, absolute_orbit = in_time[0].orbit
    return Acquisition(
        day,
        in_time[0].start,
        platform,
        absolute_orbit,
        role,
        season_of(day),
        "offline" if offline else "complete" if found.complete else "incomplete",
        tuple(item.name for item in in_time),
        "; ".join(reasons),
        _version(in_time),
        0 if None in sizes else sum(size for size in sizes if size),
    )


def acquisitions_of(
    ledger: Ledger,
    area: LonLatBounds,
    reference_months: Iterable[int],
    now: datetime,
    wait: timedelta = WAIT,
    registered_before: Collection[date] = (),
) -> SourceListing:
    """Dates to register, dates that wait for slices, and products passed over.

    Of two passes on one date the one that covers more is kept, then the earlier.

    Args:
        ledger: What is known.
        area: What an acquisition has to cover within the swath.
        reference_months: Months of the snow-free reference.
        now: UTC.
        wait: How long a date waits for missing slices.
        registered_before: Dates that stay, whatever their products are by now: those of a whole date may be
            replaced one by one, with other boundaries.
    """
    on_day, dropped = _passes(ledger, area, wait)
    roles = roles_by_month(sorted(on_day), reference_months)
    registered: list[Acquisition] = []
    pending: list[PendingAcquisition] = []
    for day, passes in sorted(on_day.items()):
        live = sorted((one for one in passes if one.slices), key=_Pass.merit)
        known = day in registered_before or any(one.registered(now) for one in passes)
        if live:
            best, *others = live
            dropped += [item for other in others for item in _passed_over(day, other, best)]
            if known:
                registered.append(acquisition_of(day, best.slices, best.found, roles[day]))
            else:
                pending.append(PendingAcquisition(day, *best.slices[0].orbit, best.found.reason, best.due))
        elif known:
            registered.append(_withdrawn(day, passes, roles[day]))
    return SourceListing(tuple(registered), tuple(dropped), tuple(pending))


def offers_of(ledger: Ledger, acquisition: Acquisition) -> list[ProductOffer]:
    """The products of a registered acquisition as they are on offer, in order of time.

    Raises:
        CatalogueError: One is not on offer any more.
    """
    kept, _ = resolve_duplicates(item for item in ledger.on_offer if item.name in acquisition.products)
    if gone := set(acquisition.products) - {item.name for item in kept}:
        raise CatalogueError(
            f"{', '.join(sorted(gone))}: not on offer any more; materialise acquisition_catalogue again"
        )
    return kept


@dataclass(frozen=True)
class _Pass:
    """One pass.

    Attributes:
        offers: All its products ever offered, the first of them first.
        slices: Those to use now, in order of time.
        withdrawn: When the last of its products was found withdrawn; None when none was.
        area: What they have to cover.
        wait: How long the date waits for missing ones.
    """

    offers: tuple[KnownOffer, ...]
    slices: tuple[ProductOffer, ...]
    withdrawn: datetime | None
    area: LonLatBounds
    wait: timedelta

    @cached_property
    def found(self) -> Completeness:
        return check_slices(self.slices, self.area)

    @property
    def due(self) -> datetime:
        """When the date is registered in whatever state."""
        return min(known.appeared for known in self.offers) + self.wait

    def registered(self, now: datetime) -> bool:
        """Whether it has been complete or due, with products that may have been withdrawn since."""
        last_seen = now if self.slices else self.withdrawn
        return (last_seen is not None and last_seen >= self.due) or self._once_complete

    @property
    def _once_complete(self) -> bool:
        if self.withdrawn is None:
            return self.found.complete
        slices, _ = resolve_duplicates(known.offer for known in self.offers)
        return check_slices(slices, self.area).complete

    @property
    def share(self) -> float:
        """Covered share of the area, in thousandths; a guess where footprints are unknown."""
        covered = self.found.covered_share
        return round(float(self.found.complete) if covered is None else covered, 3)

    def merit(self) -> tuple[float, datetime]:
        """Smallest for the pass to use."""
        return -self.share, self.slices[0].start


def _passes(
    ledger: Ledger, area: LonLatBounds, wait: timedelta
) -> tuple[dict[date, list[_Pass]], list[Dropped]]:
    """All passes by UTC date of their first product, and the duplicates passed over."""
    kept, dropped = resolve_duplicates(ledger.on_offer)
    slices: dict[tuple[str, int], list[ProductOffer]] = defaultdict(list)
    for offer in kept:
        slices[offer.orbit].append(offer)
    offers: dict[tuple[str, int], list[KnownOffer]] = defaultdict(list)
    withdrawn: dict[tuple[str, int], list[datetime]] = defaultdict(list)
    for key, known in sorted(ledger.offers.items(), key=lambda item: (item[1].offer.start, item[0])):
        offers[known.offer.orbit].append(known)
        if key in ledger.withdrawn:
            withdrawn[known.offer.orbit].append(ledger.withdrawn[key])
    on_day: dict[date, list[_Pass]] = defaultdict(list)
    for orbit, known_ones in offers.items():
        last = max(withdrawn[orbit], default=None)
        one = _Pass(tuple(known_ones), tuple(slices[orbit]), last, area, wait)
        on_day[known_ones[0].offer.start.date()].append(one)
    return on_day, dropped


def _passed_over(day: date, other: _Pass, best: _Pass) -> list[Dropped]:
    reason = (
        f"second pass on {day}, of {_orbit(other)}: covers {other.share:.1%} of the area, "
        f"that of {_orbit(best)} {best.share:.1%}"
    )
    return [Dropped(item.name, best.slices[0].name, reason) for item in other.slices]


def _orbit(one: _Pass) -> str:
    platform, absolute_orbit = one.slices[0].orbit
    return f"{platform} orbit {absolute_orbit}"


def _withdrawn(day: date, passes: Sequence[_Pass], role: str) -> Acquisition:
    """What is left of a date whose products were all taken back."""
    first = passes[0].offers[0].offer
    reason = f"all {sum(len(one.offers) for one in passes)} products were withdrawn from the catalogue"
    return Acquisition(
        day, first.start, *first.orbit, role, season_of(day), "withdrawn", (), reason, _version(())
    )


def _version(slices: Iterable[ProductOffer]) -> str:
    """Short hash of what identifies products; a name ends in a checksum of its content."""
    text = "\n".join(f"{item.name} {item.id} {item.published} {item.size_bytes}" for item in slices)
    return sha256(text.encode()).hexdigest()[:12]
