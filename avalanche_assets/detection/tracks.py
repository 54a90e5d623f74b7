"""Tracks: whether a detection is new or was already seen at earlier acquisitions.

A deposit stays visible for weeks, so each pass detects some of them again. A detection persists when the
same corridor was detected at the previous acquisition with its peak inside the present outline or within
`SAME_DEPOSIT_M` of it: three pixels, the geolocation and outline accuracy to expect of 20 m radar pixels.
Tracks follow from the scores of the season's earlier dates, not from earlier detection tables, so that
every date can be made, and made again, on its own: an anomaly keeps the id of its first detection as
`track_id` for as long as it persists. A date at which the corridor could not be seen neither
counts nor ends a track.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import pyarrow as pa
from shapely.geometry import Point
from shapely.geometry.base import BaseGeometry

SAME_DEPOSIT_M = 60.0


@dataclass(frozen=True)
class Sighting:
    """A corridor at an earlier date at which it could be seen; `peak` is None where nothing was detected."""

    day: date
    peak: Point | None


@dataclass(frozen=True)
class Track:
    """How long an anomaly has been seen.

    Attributes:
        state: ``new`` or ``persisting``.
        first_seen: Date of the first detection.
        times_seen: Consecutive acquisitions with a detection, this one included.
    """

    state: Literal["new", "persisting"]
    first_seen: date
    times_seen: int


def detection_id(corridor_id: str, day: date, detector: str) -> str:
    """The id of a detection: the same corridor, date and detector always give the same id."""
    return f"{corridor_id}-{day:%Y%m%d}-{detector}"


def sightings(scores: pa.Table, threshold: float) -> dict[str, list[Sighting]]:
    """What was seen in every corridor at earlier dates, latest first.

    Args:
        scores: Rows of `tables.PUBLISHED_SCORES` of one model at any number of dates.
        threshold: A score at or above it is a detection.
    """
    found: dict[str, list[Sighting]] = {}
    rows = [row for row in scores.to_pylist() if row["observable"]]
    for row in sorted(rows, key=lambda row: row["acquisition_date"], reverse=True):
        peak = Point(row["peak_x"], row["peak_y"]) if row["score"] >= threshold else None
        found.setdefault(row["corridor_id"], []).append(Sighting(row["acquisition_date"], peak))
    return found


def track(outline: BaseGeometry, day: date, before: Sequence[Sighting]) -> Track:
    """The track of a detection with `outline`, given the corridor's earlier sightings, latest first."""
    first_seen, times_seen = day, 1
    for sighting in before:
        if sighting.peak is None or not sighting.peak.dwithin(outline, SAME_DEPOSIT_M):
            break
        first_seen, times_seen = sighting.day, times_seen + 1
    return Track("persisting" if times_seen > 1 else "new", first_seen, times_seen)


def last_detected(before: Sequence[Sighting]) -> date | None:
    """The latest earlier date with a detection in the corridor, of `before` latest first; None for none."""
    return next((sighting.day for sighting in before if sighting.peak is not None), None)
