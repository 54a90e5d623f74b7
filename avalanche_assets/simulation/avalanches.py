"""Avalanches of a simulated winter: when, where, how large, how visible, and what observers note of them.

Half of the areas follow the deposits that French observers measure (log-normal, median 2,000 m2, 90th
percentile 12,000 m2), half those that Sentinel-1 services map (log-normal, mean of ln m2 9.96, standard
deviation 0.79). With 4,000 m2 and 2 dB as the limit of visibility, two thirds of the recorded avalanches are
visible to the radar, and a quarter of the visible ones are not recorded.

Source: statistics of the French avalanche survey (EPA) 2002-2017 (areas, interval widths, place of deposits
in the corridor, clustering) and of Norwegian Sentinel-1 detections (areas, brightening in VV and VH).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon

from avalanche_assets.simulation.corridors import AvalanchePath, SimulatedCorridor, avalanche_paths
from avalanche_assets.simulation.deposit_shapes import deposit_outline, stop_distance, stop_share
from avalanche_assets.simulation.landscape import Landscape
from avalanche_assets.simulation.weather import Winter

RATE = 1.3
"""Avalanches, recorded or not, a corridor and winter."""

CYCLE_SHARE = 0.5
CYCLES = (
    ((12, 30), (1, 5), 0.30),
    ((1, 7), (1, 9), 0.12),
    ((1, 20), (1, 23), 0.20),
    ((3, 3), (3, 6), 0.13),
    ((3, 13), (3, 16), 0.10),
    ((4, 17), (4, 21), 0.15),
)
"""First and last (month, day) of the avalanche cycles and their shares of the avalanches in cycles."""
MONTH_WEIGHTS = {12: 0.15, 1: 0.2, 2: 0.2, 3: 0.3, 4: 0.15}

BRIGHTENING_DB, BRIGHTENING_SPREAD_DB = 5.0, 2.5
VISIBLE_AREA_M2, VISIBLE_DB = 4000.0, 2.0
RECORDED_IF_VISIBLE, RECORDED_IF_NOT = 0.75, 0.68

INTERVAL_DAYS = np.array([0, 1, 2, 3, 6, 12, 30, 100])
INTERVAL_SHARE = np.array([0.29, 0.51, 0.63, 0.72, 0.84, 0.90, 0.94, 1.0])
"""Cumulative share of records whose interval is at most so many days wide."""
STORM_INTERVAL_DAYS, STORM_INTERVAL_SHARE = 8, 0.35

OBSERVERS_TIME = ZoneInfo("Europe/Paris")
"""Observers note local days."""

MELT_DAYS = 2.0
"""Time for the contrast to fall to 1/e once the deposit's surroundings melt."""


@dataclass(frozen=True)
class Deposit:
    """One avalanche's deposit, as it truly is and as the inventory tells it.

    Attributes:
        deposit_id: Unique, ``A00001``, in order of time.
        corridor_id: Corridor it came down, empty outside all corridors.
        instant: When it fell, UTC.
        outline: Polygon of the deposit on the grid's coordinate system.
        dvv_db: Brightening in VV just after the fall.
        dvh_db: Brightening in VH just after the fall.
        decay_days: Time for the contrast to fall to 1/e in dry snow.
        wet: Whether it fell as wet snow.
        melts: When melt at the deposit begins, UTC; contrast then fades within days. None: not this winter.
        recorded: Whether the inventory holds it.
        date_min: Earliest instant the inventory gives, UTC; None when not recorded.
        date_max: Latest instant the inventory gives, UTC; None when not recorded.
        departure_elevation_m: Where it released.
        arrival_elevation_m: Where it stopped.
        length_m: Length of the deposit down the slope.
        width_m: Mean width of the deposit.
        size: Destructive size D1 to D4 by area.
    """

    deposit_id: str
    corridor_id: str
    instant: datetime
    outline: Polygon
    dvv_db: float
    dvh_db: float
    decay_days: float
    wet: bool
    melts: datetime | None
    recorded: bool
    date_min: datetime | None
    date_max: datetime | None
    departure_elevation_m: float
    arrival_elevation_m: float
    length_m: float
    width_m: float
    size: str

    @property
    def area_m2(self) -> float:
        """Area of the outline."""
        return float(self.outline.area)

    @property
    def visible(self) -> bool:
        """Whether it is large and bright enough to be seen by Sentinel-1 where the geometry allows."""
        return self.area_m2 >= VISIBLE_AREA_M2 and max(self.dvv_db, self.dvh_db) >= VISIBLE_DB


def deposit_contrast_db(deposit: Deposit, at: datetime) -> tuple[float, float]:
    """Brightening of the deposit in VV and VH at one instant, dB: 0 before it fell, then fading."""
    age = (at - deposit.instant).total_seconds() / 86400.0
    if age < 0.0:
        return 0.0, 0.0
    fading = np.exp(-age / deposit.decay_days)
    if deposit.melts is not None and at > deposit.melts:
        fading *= np.exp(-(at - deposit.melts).total_seconds() / 86400.0 / MELT_DAYS)
    return float(deposit.dvv_db * fading), float(deposit.dvh_db * fading)


def simulate_avalanches(
    landscape: Landscape,
    corridors: Sequence[SimulatedCorridor],
    winter: Winter,
    seed: int,
    rate: float = RATE,
    span: tuple[date, date] | None = None,
    brightening_db: float = BRIGHTENING_DB,
) -> list[Deposit]:
    """All avalanches of the winter, in order of time: in corridors, and a third as many elsewhere.

    Args:
        landscape: Terrain; gives the paths outside the corridors.
        corridors: Sites of the inventory; unobserved ones get avalanches but no records.
        winter: Decides what is wet and when deposits melt.
        seed: Same seed and inputs, same avalanches.
        rate: Avalanches, recorded or not, a corridor and winter; busy corridors have several.
        span: First and last day, default 8 December to 24 April of the winter.
        brightening_db: Mean of deposits in VV when they are fresh.
    """
    rng = np.random.default_rng([seed, 4])
    year = winter.first_day.year
    first, last = span or (date(year, 12, 8), date(year + 1, 4, 24))
    chances = _day_chances(first, last)
    # Gamma-distributed activity makes the counts negative binomial: most paths rest, some run several times.
    activity = rng.gamma(0.9, 1.0 / 0.9, len(corridors))
    chosen = rng.choice(len(corridors), rng.poisson(rate * len(corridors)), p=activity / activity.sum())
    outside = _paths_outside(landscape, corridors, seed)
    others = rng.integers(len(outside), size=rng.poisson(rate * len(corridors) / 3.0)) if outside else ()
    sources: list[tuple[AvalanchePath, SimulatedCorridor | None]] = [
        *((corridors[k].path, corridors[k]) for k in chosen),
        *((outside[k], None) for k in others),
    ]
    drafts = [
        _avalanche(path, corridor, first, chances, winter, brightening_db, rng) for path, corridor in sources
    ]
    drafts.sort(key=lambda deposit: (deposit.instant, deposit.corridor_id))
    return [replace(deposit, deposit_id=f"A{number:05d}") for number, deposit in enumerate(drafts, start=1)]


def _day_chances(first: date, last: date) -> NDArray[np.float64]:
    """Chance of every day from first to last: half in cycles, half by month."""
    days = [first + timedelta(days=k) for k in range((last - first).days + 1)]
    calm = np.array([MONTH_WEIGHTS.get(day.month, 0.05) for day in days])
    cycles = np.zeros(len(days))
    for begin, end, share in CYCLES:
        inside = np.array([_in_cycle(day, begin, end) for day in days])
        if inside.any():
            # The middle of a cycle is its peak.
            peak = np.sin(np.pi * (np.cumsum(inside) - 0.5) / inside.sum()) * inside
            cycles += share * peak / peak.sum()
    calm[cycles > 0.0] = 0.0
    # A span of a few days may hold only one of the two kinds.
    weights = [
        part * (kind / kind.sum())
        for part, kind in ((CYCLE_SHARE, cycles), (1.0 - CYCLE_SHARE, calm))
        if kind.any()
    ]
    chances: NDArray[np.float64] = np.sum(weights, axis=0)
    chances /= chances.sum()
    return chances


def _in_cycle(day: date, begin: tuple[int, int], end: tuple[int, int]) -> bool:
    here = (day.month, day.day)
    return begin <= here <= end if begin <= end else here >= begin or here <= end


def _paths_outside(
    landscape: Landscape, corridors: Sequence[SimulatedCorridor], seed: int
) -> list[AvalanchePath]:
    """Avalanche paths of their own that keep away from every corridor."""
    paths = avalanche_paths(landscape, 2 * len(corridors) + 20, seed + 1)
    taken = shapely.STRtree([corridor.outline for corridor in corridors])
    near = set(taken.query([path.line for path in paths], "dwithin", 150.0)[0].tolist())
    return [path for number, path in enumerate(paths) if number not in near]


def _avalanche(
    path: AvalanchePath,
    corridor: SimulatedCorridor | None,
    first: date,
    chances: NDArray[np.float64],
    winter: Winter,
    brightening_db: float,
    rng: np.random.Generator,
) -> Deposit:
    day = first + timedelta(days=int(rng.choice(chances.size, p=chances)))
    instant = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=int(rng.integers(86400)))
    area = _area(rng)
    share = stop_share(rng)
    stop = stop_distance(path, share)
    outline, length, width = deposit_outline(path, stop, area, rng)
    arrival = float(path.heights[-1] + share * path.drop_m)
    departure = float(path.heights[0] - rng.uniform(0.0, 0.25) * path.drop_m)
    dvv = _truncated_normal(brightening_db, BRIGHTENING_SPREAD_DB, 1.0, rng)
    index = winter.day_index(instant)
    draft = Deposit(
        deposit_id="",
        corridor_id=corridor.corridor_id if corridor else "",
        instant=instant,
        outline=outline,
        dvv_db=dvv,
        dvh_db=dvv + float(rng.normal(0.0, 1.5)),
        decay_days=float(rng.uniform(10.0, 25.0)),
        wet=bool(winter.wet_snow_line_m[index] > arrival + 0.4 * (departure - arrival)),
        melts=_melt_begins(winter, instant, arrival),
        recorded=False,
        date_min=None,
        date_max=None,
        departure_elevation_m=departure,
        arrival_elevation_m=arrival,
        length_m=length,
        width_m=width,
        size=_size(area),
    )
    return _observe(draft, corridor, winter, rng)


def _area(rng: np.random.Generator) -> float:
    """Square metres, from the mixture of the module docstring."""
    if rng.random() < 0.45:
        return float(np.clip(rng.lognormal(np.log(2000.0), 1.4), 100.0, 60000.0))
    return float(np.clip(rng.lognormal(9.96, 0.79), 4000.0, 130000.0))


def _size(area_m2: float) -> str:
    """Destructive size whose deposits cover such an area."""
    return "D1" if area_m2 < 600.0 else "D2" if area_m2 < 5000.0 else "D3" if area_m2 < 50000.0 else "D4"


def _truncated_normal(mean: float, spread: float, lowest: float, rng: np.random.Generator) -> float:
    while True:
        value = float(rng.normal(mean, spread))
        if value >= lowest:
            return value


def _melt_begins(winter: Winter, instant: datetime, elevation_m: float) -> datetime | None:
    """First of two days running, after the day of the fall, on which the snow at the deposit is wet."""
    after = winter.day_index(instant) + 1
    wet = winter.wet_snow_line_m[after:] > elevation_m
    twice = np.flatnonzero(wet[:-1] & wet[1:])
    return winter.start(after + int(twice[0])) + timedelta(hours=12) if twice.size else None


def _observe(
    deposit: Deposit, corridor: SimulatedCorridor | None, winter: Winter, rng: np.random.Generator
) -> Deposit:
    """The deposit with its record: observers see some avalanches, and date them to days, not hours."""
    chance = RECORDED_IF_VISIBLE if deposit.visible else RECORDED_IF_NOT
    noted = rng.random() < chance
    width = _interval_width(bool(winter.storm[winter.day_index(deposit.instant)]), rng)
    before = int(rng.integers(width + 1))
    if corridor is None or not corridor.observed or not noted:
        return deposit
    first = deposit.instant.astimezone(OBSERVERS_TIME).date() - timedelta(days=before)
    return replace(
        deposit,
        recorded=True,
        date_min=_midnight(first),
        date_max=_midnight(first + timedelta(days=width + 1)) - timedelta(seconds=1),
    )


def _midnight(day: date) -> datetime:
    """Local midnight that begins a day, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=OBSERVERS_TIME).astimezone(UTC)


def _interval_width(storm: bool, rng: np.random.Generator) -> int:
    """Days between the earliest and the latest date of a record; 0 when both are the same day."""
    if storm and rng.random() < STORM_INTERVAL_SHARE:
        return STORM_INTERVAL_DAYS
    group = int(np.searchsorted(INTERVAL_SHARE, rng.random(), side="right"))
    low = int(INTERVAL_DAYS[group - 1]) + 1 if group else 0
    return int(rng.integers(low, int(INTERVAL_DAYS[group]) + 1))
