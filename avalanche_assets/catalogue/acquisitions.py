"""The acquisition catalogue: one small table of dates, from which Dagster's partitions are built.

It is a CSV file, because it is read each time the code location loads: the standard library reads it in
a millisecond, and an operator can open it.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from avalanche_assets.catalogue.duplicates import Dropped
from avalanche_assets.errors import CatalogueError
from avalanche_assets.files import write_text

FIELDS = (
    "date",
    "overpass",
    "platform",
    "absolute_orbit",
    "role",
    "season",
    "state",
    "reason",
    "version",
    "size_bytes",
    "products",
)
STATES = ("complete", "incomplete", "offline", "withdrawn")
ROLES = ("winter", "reference")


@dataclass(frozen=True)
class Acquisition:
    """All products of one pass on one UTC date.

    Attributes:
        date: UTC date, the partition key.
        overpass: First azimuth time of the acquisition, UTC.
        platform: ``S1A`` to ``S1D``, or the sensor of ready-made rasters.
        absolute_orbit: Absolute orbit number, 0 when unknown.
        role: ``winter`` dates are searched for avalanches, ``reference`` dates are snow-free.
        season: ``2017-18``: the winter the date belongs to, or whose reference it serves.
        state: ``complete``; ``incomplete`` where slices are missing; ``offline`` where products have to be
            ordered from a long-term archive first; ``withdrawn`` where the source took all products back.
        products: Names of its products in order of time; none when withdrawn.
        reason: Why it is not complete, or what was not checked; empty when there is nothing to say.
        version: Changes with the products: late, replaced and withdrawn ones give another one; empty for
            ready-made rasters.
        size_bytes: Of all products together, 0 when unknown.
    """

    date: date
    overpass: datetime
    platform: str
    absolute_orbit: int
    role: str
    season: str
    state: str
    products: tuple[str, ...]
    reason: str = ""
    version: str = ""
    size_bytes: int = 0

    @property
    def complete(self) -> bool:
        """Whether all slices are there and at hand."""
        return self.state == "complete"


@dataclass(frozen=True)
class PendingAcquisition:
    """A date of which slices are still to come, not yet in the catalogue.

    Attributes:
        date: UTC date.
        platform: ``S1A`` to ``S1D``.
        absolute_orbit: Absolute orbit number.
        reason: What is missing.
        due: When it is taken as it is, UTC.
    """

    date: date
    platform: str
    absolute_orbit: int
    reason: str
    due: datetime


@dataclass(frozen=True)
class SourceListing:
    """What a source holds.

    Attributes:
        acquisitions: In order of date.
        dropped: Duplicates and other passes of a date passed over, with the reason.
        pending: Dates that wait for late slices, in order of date.
        warning: Since when nothing has come that was predicted; empty when there is nothing to say.
        withdrawals_warning: Since when the source has not told what it withdrew; empty likewise.
    """

    acquisitions: tuple[Acquisition, ...]
    dropped: tuple[Dropped, ...] = ()
    pending: tuple[PendingAcquisition, ...] = ()
    warning: str = ""
    withdrawals_warning: str = ""


def season_of(day: date) -> str:
    """The winter a day belongs to: August 2017 to July 2018 is ``2017-18``."""
    first = day.year if day.month >= 8 else day.year - 1
    return f"{first}-{(first + 1) % 100:02d}"


@dataclass(frozen=True)
class AcquisitionCatalogue:
    """Acquisitions in order of date, and the questions the pipeline asks of them.

    Attributes:
        acquisitions: Sorted by date, dates unique.
        max_gap_days: The previous acquisition may lie at most this many days back.
    """

    acquisitions: tuple[Acquisition, ...] = ()
    max_gap_days: int = 24

    def get(self, day: date | str) -> Acquisition:
        """The acquisition of one date.

        Raises:
            CatalogueError: The date is not in the catalogue.
        """
        for acquisition in self.acquisitions:
            if str(acquisition.date) == str(day):
                return acquisition
        raise CatalogueError(
            f"acquisition catalogue: no acquisition on {day}; materialise acquisition_catalogue"
        )

    def dates(self, role: str | None = None, season: str | None = None) -> list[str]:
        """Partition keys in order, of one role and season or of all."""
        return [
            str(acquisition.date)
            for acquisition in self.acquisitions
            if role in (None, acquisition.role) and season in (None, acquisition.season)
        ]

    @property
    def seasons(self) -> list[str]:
        """All seasons in order."""
        return sorted({acquisition.season for acquisition in self.acquisitions})

    def previous(self, day: date | str) -> Acquisition | None:
        """The latest earlier winter acquisition of the same season within the maximum gap.

        A date whose products were all withdrawn has nothing to compare with: the one before it counts.
        """
        current = self.get(day)
        earlier = [
            acquisition
            for acquisition in self.acquisitions
            if acquisition.role == "winter"
            and acquisition.state != "withdrawn"
            and acquisition.season == current.season
            and 0 < (current.date - acquisition.date).days <= self.max_gap_days
        ]
        return earlier[-1] if earlier else None


def read_catalogue(path: Path, max_gap_days: int = 24) -> AcquisitionCatalogue:
    """Reads the catalogue table; a missing file is an empty catalogue.

    Raises:
        CatalogueError: A row cannot be read; the message names file, line and field.
    """
    if not path.exists():
        return AcquisitionCatalogue((), max_gap_days)
    with path.open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        if tuple(reader.fieldnames or ()) != FIELDS:
            raise CatalogueError(
                f"{path}: header is {reader.fieldnames}, expected {list(FIELDS)}; "
                "delete the file and materialise acquisition_catalogue"
            )
        acquisitions = [_parse(row, f"{path} line {reader.line_num}") for row in reader]
    return AcquisitionCatalogue(tuple(sorted(acquisitions, key=_date)), max_gap_days)


def write_catalogue(path: Path, acquisitions: Iterable[Acquisition]) -> None:
    """Rewrites the catalogue table atomically, in order of date."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(FIELDS)
    for item in sorted(acquisitions, key=_date):
        writer.writerow(
            [
                item.date.isoformat(),
                item.overpass.astimezone(UTC).isoformat(),
                item.platform,
                item.absolute_orbit,
                item.role,
                item.season,
                item.state,
                item.reason,
                item.version,
                item.size_bytes,
                " ".join(item.products),
            ]
        )
    write_text(path, buffer.getvalue())


def _date(acquisition: Acquisition) -> date:
    return acquisition.date


def _parse(row: dict[str, str], where: str) -> Acquisition:
    try:
        acquisition = Acquisition(
            date.fromisoformat(row["date"]),
            datetime.fromisoformat(row["overpass"]),
            row["platform"],
            int(row["absolute_orbit"]),
            row["role"],
            row["season"],
            row["state"],
            tuple(row["products"].split()),
            row["reason"],
            row["version"],
            int(row["size_bytes"]),
        )
    except (TypeError, ValueError) as error:
        raise CatalogueError(f"{where}: {error}; materialise acquisition_catalogue again") from error
    for field, value, known in (
        ("role", acquisition.role, ROLES),
        ("state", acquisition.state, STATES),
    ):
        if value not in known:
            raise CatalogueError(f"{where}: {field} {value!r} is not one of {known}")
    return acquisition


def roles_by_month(days: Sequence[date], reference_months: Iterable[int]) -> dict[date, str]:
    """Role of every date: ``reference`` in the snow-free months, else ``winter``."""
    months = set(reference_months)
    return {day: "reference" if day.month in months else "winter" for day in days}
