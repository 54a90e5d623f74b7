"""Which passes of a relative orbit the constellation should have flown, and the next ones to expect.

Each platform repeats its path after 175 orbits in 12 days, so that one known pass of each tells all others as
long as the platform is kept on its place in the cycle. A prediction is no proof that anything was acquired:
acquisition plans have holes, and platforms had outages of days. Catalogues tell what exists.

Source: Sentinel-1 Product Specification (S1-RS-MDA-52-7441), orbit numbering; ESA's announcements of the
first and last data of each platform. Node times that products annotate agree to half a minute; over the
years and between platforms they move by one to two minutes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

REPEAT_ORBITS = 175
REPEAT = timedelta(days=12)
ORBIT_PERIOD = REPEAT / REPEAT_ORBITS

Direction = Literal["ASCENDING", "DESCENDING"]
_SINCE_NODE = {"ASCENDING": 0.126 * ORBIT_PERIOD, "DESCENDING": 0.374 * ORBIT_PERIOD}
"""From the ascending node to 45 degrees of northern latitude on an orbit inclined by 98.18 degrees.

Elsewhere a pass comes up to half an orbit earlier or later; its UTC date differs only across midnight.
"""


@dataclass(frozen=True)
class PredictedPass:
    """One pass over 45 degrees of northern latitude.

    Attributes:
        instant: UTC, to some two minutes.
        platform: ``S1A`` to ``S1D``.
        absolute_orbit: Absolute orbit number.
    """

    instant: datetime
    platform: str
    absolute_orbit: int

    @property
    def date(self) -> date:
        """UTC date."""
        return self.instant.date()

    def __str__(self) -> str:
        return f"{self.date} ({self.platform}, orbit {self.absolute_orbit})"


@dataclass(frozen=True)
class _Station:
    """A platform on one place in the cycle.

    Attributes:
        platform: It.
        node: When it crossed the equator northwards on `absolute_orbit`, UTC.
        absolute_orbit: One of relative orbit 139.
        begin: First data, UTC.
        end: After the last data, UTC; None while it flies.
    """

    platform: str
    node: datetime
    absolute_orbit: int
    begin: datetime
    end: datetime | None

    def passes(self, relative_orbit: int, direction: Direction) -> Iterator[PredictedPass]:
        """Passes from its begin on, without end or to its end."""
        orbits = (relative_orbit - _STATIONS_ORBIT) % REPEAT_ORBITS
        instant = self.node + orbits * ORBIT_PERIOD + _SINCE_NODE[direction]
        cycle = -((instant - self.begin) // REPEAT)
        while True:
            found = PredictedPass(
                instant + cycle * REPEAT,
                self.platform,
                self.absolute_orbit + orbits + cycle * REPEAT_ORBITS,
            )
            if self.end is not None and found.instant >= self.end:
                return
            yield found
            cycle += 1


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


_STATIONS_ORBIT = 139
_STATIONS = (
    _Station("S1A", _utc("2018-01-03T05:06:40"), 19986, _utc("2014-10-03"), _utc("2026-06-30")),
    _Station("S1B", _utc("2018-01-09T05:06:40"), 9090, _utc("2016-09-26"), _utc("2021-12-24")),
    # S1C moved in the cycle from 8 June 2026, after orbit 8018, to 24 June: no pass can be predicted there.
    _Station("S1C", _utc("2026-06-08T05:06:40"), 8010, _utc("2025-03-26"), _utc("2026-06-08T19:00")),
    _Station("S1C", _utc("2026-11-06T05:06:40"), 10212, _utc("2026-06-25"), None),
    _Station("S1D", _utc("2026-11-12T05:06:40"), 5430, _utc("2026-04-14"), None),
)


def predicted_dates(
    relative_orbit: int, first: date, last: date, direction: Direction = "DESCENDING"
) -> list[PredictedPass]:
    """Passes of a relative orbit (1 to 175) whose UTC date lies from `first` to `last`, in order of time.

    Two platforms can pass on one date or on consecutive ones, as in spring 2026.
    """
    found = []
    for station in _STATIONS:
        for one in station.passes(relative_orbit, direction):
            if one.date > last:
                break
            if one.date >= first:
                found.append(one)
    return sorted(found, key=lambda one: one.instant)


def next_predicted(
    relative_orbit: int, after: datetime, direction: Direction = "DESCENDING"
) -> PredictedPass | None:
    """The first pass later than an instant (UTC); None when no platform is known to fly on."""
    days = after.date(), after.date() + 2 * REPEAT
    coming = predicted_dates(relative_orbit, *days, direction)
    return next((one for one in coming if one.instant > after), None)
