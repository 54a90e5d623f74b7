"""Dates of relative orbit 139 over the French Alps around winter 2017-18, and which of them are simulated.

The dates and absolute orbits follow from the 175-orbit repeat cycle of Sentinel-1 (12 days each platform,
Sentinel-1B six days after 1A): absolute orbits of S1A are 36 modulo 175, of S1B 165 modulo 175. They are
predictions, not proof that a product exists; a real winter has holes, so the simulation leaves two out.

Source: relative orbit of S1A ``(absolute - 73) mod 175 + 1``, of S1B ``(absolute - 27) mod 175 + 1``
(Sentinel-1 Product Specification, orbit numbering).
"""

from dataclasses import dataclass
from datetime import date, timedelta

RELATIVE_ORBIT = 139
REPEAT_ORBITS = 175
REPEAT_DAYS = 12


@dataclass(frozen=True)
class PredictedPass:
    """One pass of the relative orbit.

    Attributes:
        date: UTC date.
        platform: ``S1A`` or ``S1B``.
        absolute_orbit: Absolute orbit number.
    """

    date: date
    platform: str
    absolute_orbit: int


def _passes(platform: str, first: date, absolute_orbit: int, count: int) -> list[PredictedPass]:
    return [
        PredictedPass(
            first + timedelta(days=REPEAT_DAYS * cycle), platform, absolute_orbit + REPEAT_ORBITS * cycle
        )
        for cycle in range(count)
    ]


PASSES = tuple(
    sorted(
        [
            *_passes("S1A", date(2017, 8, 12), 17886, 5),
            *_passes("S1B", date(2017, 8, 6), 6815, 5),
            *_passes("S1A", date(2017, 11, 4), 19111, 18),
            *_passes("S1B", date(2017, 11, 10), 8215, 17),
        ],
        key=lambda item: item.date,
    )
)
"""Predicted passes of August-September 2017 and November 2017 - May 2018, in order of date."""

WINTER = (date(2017, 12, 20), date(2018, 4, 22))
"""First and last day of the winter the paper's debris maps cover."""

MISSING_DATES = (date(2018, 2, 8), date(2018, 3, 22))
"""Predicted passes that the simulation leaves out.

2018-02-08 stands for a pass that was never delivered, 2018-03-22 for a change of the acquisition plan; after
each, the previous acquisition lies 12 days back.
"""

REFERENCE_DATES = (date(2017, 8, 18), date(2017, 8, 24), date(2017, 9, 11), date(2017, 9, 17))
"""Snow-free acquisitions that serve as reference, two of each platform."""


def winter_passes() -> list[PredictedPass]:
    """The 19 simulated winter passes: 20 December 2017 to 22 April 2018 without `MISSING_DATES`."""
    return [item for item in PASSES if WINTER[0] <= item.date <= WINTER[1] and item.date not in MISSING_DATES]


def reference_passes() -> list[PredictedPass]:
    """The passes of `REFERENCE_DATES`."""
    return [item for item in PASSES if item.date in REFERENCE_DATES]
