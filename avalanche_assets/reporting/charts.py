"""Small charts inside pages, as numbers that a template draws in SVG: activity over a season, aspects."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from avalanche_assets.reporting.language import Language
from avalanche_assets.reporting.style import round_length
from avalanche_assets.reporting.summary import Part

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 220, 34, 26, 14
BAR_DAYS = 4.2
ROSE_RADIUS = 78.0


@dataclass(frozen=True)
class DateActivity:
    """Activity at one date; `index` is None where it is unknown."""

    day: date
    index: float | None
    new: int
    address: str = ""


@dataclass(frozen=True)
class Bar:
    """One date's bar: position and size, whether it is unknown, whether it is the date in question."""

    x: float
    y: float
    width: float
    height: float
    known: bool
    current: bool
    title: str


@dataclass(frozen=True)
class Tick:
    """A place on an axis and its label."""

    at: float
    text: str


@dataclass(frozen=True)
class ActivityBars:
    """The activity index over dates: bars at their dates, so that a missing pass is a gap."""

    width: int
    height: int
    floor: float
    left: int
    bars: list[Bar]
    days: list[Tick]
    levels: list[Tick]


def activity_bars(
    season: Sequence[DateActivity], language: Language, current: date | None = None
) -> ActivityBars:
    """Bars of the activity index, at least one date; `current` stands out."""
    first, last = season[0].day.toordinal(), season[-1].day.toordinal()
    days = max(last - first + BAR_DAYS * 1.6, 60.0)  # few dates do not become walls
    across = (WIDTH - LEFT) / days
    top = max([1.0, *(item.index for item in season if item.index is not None)])
    floor = float(HEIGHT - BOTTOM)
    up = (floor - TOP) / top
    bars = []
    for item in season:
        height = (item.index or 0.0) * up
        middle = LEFT + (item.day.toordinal() - first + BAR_DAYS * 0.8) * across
        bars.append(
            Bar(
                x=round(middle - BAR_DAYS / 2 * across, 1),
                y=round(floor - max(height, 1.5), 1) if item.index is not None else TOP,
                width=round(BAR_DAYS * across, 1),
                height=round(max(height, 1.5), 1) if item.index is not None else round(floor - TOP, 1),
                known=item.index is not None,
                current=item.day == current,
                title=_bar_title(item, language),
            )
        )
    step = round_length(top / 2)
    levels = [
        Tick(round(floor - n * step * up, 1), language.number(n * step, 0 if step >= 1 else 1))
        for n in range(1, math.floor(top / step + 1e-9) + 1)
    ]
    every = math.ceil(len(season) / 8)
    # Counted from the last date, which is the one that matters.
    shown = list(zip(season, bars, strict=True))[::-1][::every]
    ticks = [Tick(round(bar.x + bar.width / 2, 1), language.short_date(item.day)) for item, bar in shown]
    return ActivityBars(WIDTH, HEIGHT, floor, LEFT, bars, ticks, levels)


def _bar_title(item: DateActivity, language: Language) -> str:
    day = language.long_date(item.day)
    if item.index is None:
        return language.say("{date}: activity unknown", date=day)
    found = language.say_n("{n} new deposit", "{n} new deposits", item.new)
    return language.say(
        "{date}: index {index}, {found}", date=day, index=language.number(item.index, 1), found=found
    )


@dataclass(frozen=True)
class Petal:
    """One aspect of the rose: paths of new and of all detections, its label and where that stands."""

    new: str
    all: str
    label: str
    count: int
    x: float
    y: float


def aspect_rose(aspects: Sequence[Part], language: Language) -> list[Petal]:
    """Detections by aspect as a rose around the origin; the area of a petal is its number."""
    largest = max(1, *(part.new + part.persisting for part in aspects))
    petals = []
    for number, part in enumerate(aspects):
        total = part.new + part.persisting
        angle = math.radians(45 * number)
        petals.append(
            Petal(
                new=_sector(number, ROSE_RADIUS * math.sqrt(part.new / largest)),
                all=_sector(number, ROSE_RADIUS * math.sqrt(total / largest)),
                label=language.say(part.name),
                count=total,
                x=round((ROSE_RADIUS + 15) * math.sin(angle), 1),
                y=round(-(ROSE_RADIUS + 15) * math.cos(angle), 1),
            )
        )
    return petals


def _sector(number: int, radius: float) -> str:
    if radius == 0:
        return ""
    (x0, y0), (x1, y1) = (
        (radius * math.sin(angle), -radius * math.cos(angle))
        for angle in (math.radians(45 * number - 20), math.radians(45 * number + 20))
    )
    return f"M0 0L{x0:.1f} {y0:.1f}A{radius:.1f} {radius:.1f} 0 0 1 {x1:.1f} {y1:.1f}Z"
