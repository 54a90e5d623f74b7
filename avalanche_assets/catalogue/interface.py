"""What every source of products answers, so that the pipeline never knows which one it asks.

A source is one module with one class that has the methods of `Catalogue`; beside it there are only its
settings and a line in `sources.open_catalogue`. Offers are what a source says it holds; files come from
`fetch`, and only whole and verified ones do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol

from avalanche_assets.services.progress import Progress

MAX_SHARED = timedelta(seconds=2)
"""Names carry whole seconds: neighbouring slices may seem to share up to this much time."""

LonLatBounds = tuple[float, float, float, float]
"""West, south, east, north in degrees."""


@dataclass(frozen=True)
class ProductQuery:
    """Which IW GRDH 1SDV products are sought.

    Attributes:
        relative_orbit: 1 to 175.
        direction: ``ASCENDING`` or ``DESCENDING``.
        area: Products that touch it.
        start: First azimuth time from here on, UTC; None without bound.
        stop: First azimuth time before this, UTC; None without bound.
        published_after: Only products that appeared in the catalogue later, UTC; None for all.
        known: Offers by id that a source may give again as they are, where their details cost requests.
    """

    relative_orbit: int
    direction: Literal["ASCENDING", "DESCENDING"]
    area: LonLatBounds
    start: datetime | None = None
    stop: datetime | None = None
    published_after: datetime | None = None
    known: Mapping[str, "ProductOffer"] = field(default_factory=dict)


@dataclass(frozen=True)
class ProductOffer:
    """One product on offer.

    Attributes:
        name: Product or file name, unique in its catalogue; a SAFE name, maybe with an ending.
        platform: ``S1A`` to ``S1D``.
        absolute_orbit: Absolute orbit number.
        start: First azimuth time, UTC.
        stop: Last azimuth time, UTC.
        id: What the catalogue calls it; the name where a catalogue has no other.
        cog: Whether it is the cloud-optimised twin of a classic product.
        slice_number: Number in the regular slicing of the data take; 0 or None outside of it.
        processed: End of the processing, UTC; None when unknown.
        ipf_version: Of the processor; (0, 0) when unknown.
        published: When it appeared in the catalogue, UTC; None when unknown.
        online: False where it has to be ordered from a long-term archive first.
        size_bytes: Of the file that `fetch` brings; None when unknown.
        md5: Of that file, hexadecimal; empty while the catalogue has none.
        footprint: WKT in longitude and latitude; empty when unknown.
        location: Where the catalogue keeps it, e.g. a path in an object store; empty when the id is enough.
        damage: Why it cannot be read, empty when it can or nobody looked.
    """

    name: str
    platform: str
    absolute_orbit: int
    start: datetime
    stop: datetime
    id: str = ""
    cog: bool = False
    slice_number: int | None = None
    processed: datetime | None = None
    ipf_version: tuple[int, int] = (0, 0)
    published: datetime | None = None
    online: bool = True
    size_bytes: int | None = None
    md5: str = ""
    footprint: str = ""
    location: str = ""
    damage: str = ""

    @property
    def orbit(self) -> tuple[str, int]:
        """Platform and absolute orbit: the pass."""
        return self.platform, self.absolute_orbit

    def overlaps(self, other: "ProductOffer") -> bool:
        """Whether both show the same part of one pass."""
        shared = min(self.stop, other.stop) - max(self.start, other.start)
        return self.orbit == other.orbit and shared > MAX_SHARED


@dataclass(frozen=True)
class OrbitOffer:
    """One orbit file on offer.

    Attributes:
        name: File name, ``S1A_OPER_AUX_POEORB_….EOF``, maybe zipped.
        id: What the catalogue calls it.
        published: When it appeared in the catalogue, UTC; None when unknown.
        size_bytes: None when unknown.
        md5: Hexadecimal; empty while the catalogue has none.
        location: As in `ProductOffer`.
    """

    name: str
    id: str = ""
    published: datetime | None = None
    size_bytes: int | None = None
    md5: str = ""
    location: str = ""


class Catalogue(Protocol):
    """A source of products and orbit files."""

    @property
    def address(self) -> str | None:
        """Web address of the catalogue; None where no server is asked."""
        ...

    def try_account(self) -> str:
        """Tries the account as far as the source lets; what there is to say of it.

        Raises:
            AccountError: It is missing, or refused.
        """
        ...

    def search(self, query: ProductQuery) -> list[ProductOffer]:
        """Products on offer, duplicates included, in order of time.

        Raises:
            CatalogueError: The source cannot answer.
        """
        ...

    def withdrawn(self, query: ProductQuery, since: datetime) -> set[str]:
        """Ids of products of the query that the source took back since an instant (UTC).

        Raises:
            CatalogueError: The source cannot answer.
        """
        ...

    def fetch(self, offer: ProductOffer, folder: Path, progress: Progress) -> Path:
        """The whole, verified product in `folder`: a zip or a SAFE folder under its own name.

        A product that is there and was verified is not fetched again; an interrupted fetch is resumed.

        Raises:
            CatalogueError: It cannot be had (`OfflineError`, `TransientError`: try again later), or its bytes
                are wrong.
        """
        ...

    def search_orbit_files(self, platform: str, start: datetime, stop: datetime) -> list[OrbitOffer]:
        """POEORB and RESORB files of a platform that cover a span of time (UTC).

        Raises:
            CatalogueError: The source cannot answer.
        """
        ...

    def fetch_orbit_file(self, offer: OrbitOffer, folder: Path, progress: Progress) -> Path:
        """The whole, verified orbit file in `folder`; raises as `fetch`."""
        ...
