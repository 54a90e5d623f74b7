"""What can be made of an event that may have happened at any instant of an interval.

A window is open at its start and closed at its end, an interval is closed at both. A rule tells which events
happened in the window for certain, and which possibly.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avalanche_assets.catalogue.acquisitions import Acquisition
from avalanche_assets.inventory.dates import TIME_ZONE


@dataclass(frozen=True)
class Window:
    """The instants (opening, closing] of a label; UTC without zone, as numpy wants it."""

    opening: np.datetime64
    closing: np.datetime64

    @classmethod
    def between(cls, start: datetime, end: datetime) -> "Window":
        """The window of two instants with any zone."""
        return cls(np.datetime64(_naive(start), "us"), np.datetime64(_naive(end), "us"))

    @classmethod
    def new(cls, previous: Acquisition | None, current: Acquisition) -> "Window | None":
        """From one overpass to the next."""
        return cls.between(previous.overpass, current.overpass) if previous else None

    @classmethod
    def recent(cls, current: Acquisition, days: int) -> "Window":
        """The days up to an overpass."""
        return cls.between(current.overpass - timedelta(days=days), current.overpass)

    def whole_days(self) -> "Window":
        """The same with both ends moved to the end of their local day."""
        return Window(_end_of_day(self.opening), _end_of_day(self.closing))


Instants = NDArray[np.datetime64]
Masks = tuple[NDArray[np.bool_], NDArray[np.bool_]]
IntervalRule = Callable[[Instants, Instants, Window], Masks]


def inside(first: Instants, last: Instants, window: Window) -> Masks:
    """Which intervals lie inside the window, and which overlap it."""
    overlaps = (last > window.opening) & (first <= window.closing)
    return (first > window.opening) & (last <= window.closing), overlaps


def _overlap(first: Instants, last: Instants, window: Window) -> Masks:
    overlaps = inside(first, last, window)[1]
    return overlaps, overlaps


def _midpoint(first: Instants, last: Instants, window: Window) -> Masks:
    middle = first + (last - first) // 2
    return inside(middle, middle, window)


def _whole_days(first: Instants, last: Instants, window: Window) -> Masks:
    return inside(first, last, window.whole_days())


def _no_longer_than(days: int) -> IntervalRule:
    # A local day has 25 hours in autumn.
    longest = np.timedelta64(24 * days + 1, "h")

    def rule(first: Instants, last: Instants, window: Window) -> Masks:
        within, overlaps = inside(first, last, window)
        return within & (last - first <= longest), overlaps

    return rule


LABEL_RULE = "inside the window"
INTERVAL_RULES: Mapping[str, IntervalRule] = {
    LABEL_RULE: inside,
    "any overlap": _overlap,
    "earliest instant": lambda first, last, window: inside(first, first, window),
    "middle": _midpoint,
    "latest instant": lambda first, last, window: inside(last, last, window),
    "inside, by days instead of overpass times": _whole_days,
    "inside, at most 1 day long": _no_longer_than(1),
    "inside, at most 3 days long": _no_longer_than(3),
    "inside, at most 6 days long": _no_longer_than(6),
}
"""What can be made of an event that may have happened at any instant of an interval; first what labels do."""


def _naive(instant: datetime) -> datetime:
    """UTC without its zone, as numpy wants it."""
    return instant.replace(tzinfo=None) - (instant.utcoffset() or timedelta(0))


def _end_of_day(instant: np.datetime64) -> np.datetime64:
    zone = ZoneInfo(TIME_ZONE)
    local = pd.Timestamp(instant, tz="UTC").tz_convert(zone)
    day = local.date() + timedelta(days=1)
    return np.datetime64(_naive(datetime(day.year, day.month, day.day, tzinfo=zone)), "us")
