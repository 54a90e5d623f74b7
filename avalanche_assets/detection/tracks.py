"""Tracks: whether a detection is new or was already seen at the previous acquisition.

A deposit stays visible for weeks, so each pass detects some of them again. A detection persists when the
same corridor was detected at the previous acquisition and both outlines lie within `SAME_DEPOSIT_M` of each
other: three pixels, the geolocation and outline accuracy to expect of 20 m radar pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

import geopandas as gpd
from shapely.geometry.base import BaseGeometry

SAME_DEPOSIT_M = 60.0


@dataclass(frozen=True)
class PreviousDetection:
    """What the track needs of a detection at the previous acquisition."""

    outline: BaseGeometry
    first_seen: date
    times_seen: int


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


def previous_by_corridor(detections: gpd.GeoDataFrame | None) -> dict[str, PreviousDetection]:
    """The detections of the previous acquisition's table by corridor; none for no table."""
    if detections is None:
        return {}
    found = detections[detections["is_detection"].astype(bool)]
    return {
        row.corridor_id: PreviousDetection(row.geometry, row.first_seen, int(row.times_seen))
        for row in found.itertuples()
    }


def track(
    corridor_id: str, outline: BaseGeometry, day: date, previous: Mapping[str, PreviousDetection]
) -> Track:
    """The track of one detection, given the detections of the previous acquisition."""
    before = previous.get(corridor_id)
    if before is None or not outline.dwithin(before.outline, SAME_DEPOSIT_M):
        return Track("new", day, 1)
    return Track("persisting", before.first_seen, before.times_seen + 1)
