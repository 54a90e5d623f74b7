"""Slices of simulated passes over the French Alps, as a catalogue offers them.

Names are synthetic: data take and unique id begin with 51.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from avalanche_assets.catalogue.interface import OrbitOffer, ProductOffer, ProductQuery
from avalanche_assets.errors import CatalogueError
from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.services.progress import Progress
from avalanche_assets.simulation.image_geometry import geodetic, locate_range_doppler
from avalanche_assets.simulation.orbit import solve_pass

AREA = (5.4, 43.9, 7.4, 46.3)
"""The French Alps; the eastern border lies within the swath of `strip_point`."""
NEAR_M, FAR_M = 800_900.0, 965_000.0
"""Slant ranges of the sides of the IW swath."""
OVERPASS = timedelta(hours=5, minutes=43, seconds=30)
"""Time of day at which the strip's middle, at 45.1 degrees north, is seen."""


@lru_cache
def _orbit(descending: bool) -> Orbit:
    nominal = solve_pass(6.3, 45.1, 0.0, 39.0, descending)
    return nominal.orbit(np.datetime64("2018-01-03T05:43:30", "ns"))


def corners(first_s: float, last_s: float, descending: bool = True) -> np.ndarray:
    """Longitude and latitude of the four corners of the swath between two times around the overpass."""
    times = np.array([first_s, first_s, last_s, last_s])
    slant = np.array([NEAR_M, FAR_M, FAR_M, NEAR_M])
    lon, lat, _ = geodetic(locate_range_doppler(_orbit(descending), times, slant, np.zeros(4)))
    return np.column_stack([lon, lat])


def wkt(points: np.ndarray) -> str:
    """A closed polygon, degrees to six decimals as catalogues give them."""
    ring = ", ".join(f"{lon:.6f} {lat:.6f}" for lon, lat in [*points, points[0]])
    return f"POLYGON (({ring}))"


def product(
    day: date | str,
    first_s: float,
    last_s: float,
    *,
    platform: str = "S1A",
    orbit: int = 19986,
    unique: int = 1,
    descending: bool = True,
    **fields: object,
) -> ProductOffer:
    """One slice between two times around the overpass of a day, published two hours later."""
    noon = datetime.combine(date.fromisoformat(str(day)), datetime.min.time(), UTC) + OVERPASS
    start, stop = noon + timedelta(seconds=first_s), noon + timedelta(seconds=last_s)
    name = (
        f"{platform}_IW_GRDH_1SDV_{start:%Y%m%dT%H%M%S}_{stop:%Y%m%dT%H%M%S}_{orbit:06d}_51AAAA_"
        f"{0x5100 + unique:04X}.SAFE"
    )
    values = {
        "id": f"id-{day}-{platform}-{first_s:g}-{unique}",
        "slice_number": 1,
        "processed": stop + timedelta(hours=1),
        "published": stop + timedelta(hours=2),
        "size_bytes": 1_800_000_000,
        "footprint": wkt(corners(first_s, last_s, descending)),
    } | fields
    return ProductOffer(name, platform, orbit, start, stop, **values)  # type: ignore[arg-type]


CUTS = (-40.0, -15.0, 10.0, 36.0)
"""Borders of three slices that cover `AREA`."""


def whole_pass(day: date | str, cuts: Sequence[float] = CUTS, **fields: object) -> list[ProductOffer]:
    """All slices of a pass, cut at the given times."""
    return [product(day, first, last, **fields) for first, last in pairwise(cuts)]


@dataclass
class FakeCatalogue:
    """A catalogue in memory that notes what it was asked.

    Attributes:
        offers: What it holds.
        withdrawals: Ids it took back, and when.
        searches: Queries asked.
        asked_withdrawn: Instants since which withdrawals were asked for.
        broken: Whether it cannot tell withdrawals.
    """

    offers: list[ProductOffer]
    withdrawals: dict[str, datetime]
    searches: list[ProductQuery]
    asked_withdrawn: list[datetime]
    broken: bool = False

    @classmethod
    def of(cls, *offers: ProductOffer) -> "FakeCatalogue":
        return cls(list(offers), {}, [], [])

    @property
    def requests(self) -> int:
        return len(self.searches) + len(self.asked_withdrawn)

    def withdraw(self, offer: ProductOffer, when: datetime) -> None:
        self.offers.remove(offer)
        self.withdrawals[offer.id] = when

    def search(self, query: ProductQuery) -> list[ProductOffer]:
        self.searches.append(query)
        return sorted(
            (
                offer
                for offer in self.offers
                if (query.start is None or offer.start >= query.start)
                and (query.stop is None or offer.start < query.stop)
                and (
                    query.published_after is None
                    or (offer.published is not None and offer.published > query.published_after)
                )
            ),
            key=lambda offer: offer.start,
        )

    def withdrawn(self, query: ProductQuery, since: datetime) -> set[str]:
        self.asked_withdrawn.append(since)
        if self.broken:
            raise CatalogueError("fake: no answer")
        return {identity for identity, when in self.withdrawals.items() if when > since}

    def fetch(self, offer: ProductOffer, folder: Path, progress: Progress) -> Path:
        raise NotImplementedError

    def search_orbit_files(self, platform: str, start: datetime, stop: datetime) -> list[OrbitOffer]:
        raise NotImplementedError

    def fetch_orbit_file(self, offer: OrbitOffer, folder: Path, progress: Progress) -> Path:
        raise NotImplementedError
