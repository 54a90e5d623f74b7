"""Snow and weather of a simulated winter, as far as radar and avalanches feel it.

Every day has a freezing level, new snow, a rain limit and a wet-snow line; every acquisition a `Weather`
derived from its day plus scene-wide drifts. At C band dry snow is nearly transparent, wet snow absorbs (drops
of 3 to 7 dB), a refrozen crust is dry again.

Source: Nagler, T. et al. (2016), Remote Sensing 8(4), 348 (wet-snow drop against a reference). Storms follow
winter 2017-18 in the French Alps: 30 December to 5 January with rain to 2,300 m, 7-9 and 20-23 January, early
and middle March, melt in April.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Daily = NDArray[np.float64]

STORMS = (
    ((12, 8), (12, 11)), ((12, 30), (1, 5)), ((1, 7), (1, 9)), ((1, 20), (1, 23)), ((2, 12), (2, 14)),
    ((3, 3), (3, 6)), ((3, 13), (3, 16)), ((3, 30), (4, 2)),
)  # fmt: skip
"""First and last (month, day) of the storms of the winter."""

RAIN_ON_SNOW = ((1, 3), (1, 5))
RAIN_LIMIT_M = 2300.0

SEASON_MONTHS = np.array([11, 12, 1, 2, 3, 4, 5, 6])
FREEZING_LEVEL_M = np.array([1900.0, 1500.0, 1300.0, 1100.0, 1700.0, 2500.0, 3000.0, 3400.0])
"""Mean afternoon freezing level in the middle of each month of `SEASON_MONTHS`."""
SNOW_LINE_M = np.array([1900.0, 1300.0, 1000.0, 800.0, 1100.0, 1500.0, 2100.0, 2900.0])
"""Mean limit of the snow cover in the middle of each month of `SEASON_MONTHS`."""


@dataclass(frozen=True)
class Weather:
    """State of the snow at one acquisition.

    Attributes:
        overpass: Time of the acquisition, UTC.
        snow_line_m: Ground below it is snow-free (level ground; sunny slopes higher).
        wet_snow_line_m: Snow below it holds liquid water; below `snow_line_m` when none does.
        wet_drop_vv_db: Backscatter change of fully wet snow in VV, negative.
        wet_drop_vh_db: The same in VH.
        refreeze: Share of the drop undone by the night's crust, 0..1.
        drift_vv_db: Scene-wide offset of this acquisition in VV.
        drift_vh_db: The same in VH.
        new_snow_cm: Snowfall at 2,000 m since the acquisition before; since the season's start for the first.
        rain_limit_m: Highest rain of this and the previous day, 0 without rain.
    """

    overpass: datetime
    snow_line_m: float
    wet_snow_line_m: float
    wet_drop_vv_db: float
    wet_drop_vh_db: float
    refreeze: float
    drift_vv_db: float
    drift_vh_db: float
    new_snow_cm: float
    rain_limit_m: float


@dataclass(frozen=True)
class Winter:
    """Weather of every day from 1 November to 30 June, and of every acquisition.

    Attributes:
        first_day: Day of index 0.
        freezing_level_m: Afternoon freezing level, one value a day like all that follow.
        new_snow_cm: Snowfall at 2,000 m.
        rain_limit_m: Highest rain, 0 without rain.
        wet_snow_line_m: Highest wet snow on level ground.
        snow_line_m: Lower limit of the snow cover.
        storm: Whether a storm passes.
        acquisitions: State at every overpass asked for, in order of time.
    """

    first_day: date
    freezing_level_m: Daily
    new_snow_cm: Daily
    rain_limit_m: Daily
    wet_snow_line_m: Daily
    snow_line_m: Daily
    storm: NDArray[np.bool_]
    acquisitions: tuple[Weather, ...]

    def day_index(self, at: date) -> int:
        """Index of a day (or of the day of a time) in the daily series, kept inside it."""
        day = at.date() if isinstance(at, datetime) else at
        return min(max((day - self.first_day).days, 0), self.storm.size - 1)

    def start(self, index: int) -> datetime:
        """Midnight UTC that begins a day."""
        return datetime(
            self.first_day.year, self.first_day.month, self.first_day.day, tzinfo=UTC
        ) + timedelta(days=index)


def simulate_winter(overpasses: Sequence[datetime], seed: int, warmer_m: float = 0.0) -> Winter:
    """Weather of the winter that the last overpass belongs to.

    Args:
        overpasses: UTC times of the acquisitions; those of July to October are snow-free.
        seed: Same seed and overpasses, same weather.
        warmer_m: How much higher than in `FREEZING_LEVEL_M` it freezes.
    """
    rng = np.random.default_rng([seed, 3])
    last = max(overpasses)
    first_day = date(last.year if last.month >= 8 else last.year - 1, 11, 1)
    days = [first_day + timedelta(days=k) for k in range((date(first_day.year + 1, 7, 1) - first_day).days)]
    storm = np.array([_within(day, STORMS) for day in days])
    raining = np.array([_within(day, (RAIN_ON_SNOW,)) for day in days])
    freezing = _seasonal(days, FREEZING_LEVEL_M + warmer_m) + _persistent(len(days), 300.0, 0.75, rng)
    freezing = np.where(raining, RAIN_LIMIT_M + 300.0, freezing)
    rain_limit = np.where(storm, np.maximum(freezing - 300.0, 0.0), 0.0)
    small = rng.random(len(days)) < 0.12
    new_snow = np.where(
        storm, rng.gamma(3.0, 10.0, len(days)), np.where(small, rng.gamma(2.0, 4.0, len(days)), 0.0)
    )
    snow_line = _seasonal(days, SNOW_LINE_M) + _persistent(len(days), 60.0, 0.9, rng)
    wet_line = _wet_line(days, freezing, rain_limit, snow_line)
    winter = Winter(first_day, freezing, new_snow, rain_limit, wet_line, snow_line, storm, ())
    acquisitions: list[Weather] = []
    for overpass in sorted(overpasses):
        before = acquisitions[-1].overpass if acquisitions else None
        acquisitions.append(_acquisition(winter, overpass, before, rng))
    return Winter(first_day, freezing, new_snow, rain_limit, wet_line, snow_line, storm, tuple(acquisitions))


def snow_offset_db(weather: Weather, elevation: Floats, aspect: Floats) -> tuple[Floats, Floats]:
    """Backscatter change by snow against snow-free ground, drifts not included.

    Args:
        weather: State at the acquisition.
        elevation: Metres, any shape.
        aspect: Downhill direction in degrees clockwise from north, same shape.

    Returns:
        VV and VH offsets in dB, float32: 0 for dry snow and bare ground, down to the wet drop. The limits
        are soft over some 200 m; sunny slopes (facing 200 degrees) are as warm as level ground 175 m lower.
    """
    effective = elevation - np.float32(175.0) * np.cos(np.radians(aspect - np.float32(200.0)))
    share = _below(effective, weather.wet_snow_line_m, 60.0) * (
        1.0 - _below(effective, weather.snow_line_m, 40.0)
    )
    share *= np.float32(1.0 - weather.refreeze)
    return np.float32(weather.wet_drop_vv_db) * share, np.float32(weather.wet_drop_vh_db) * share


def _below(elevation: Floats, limit: float, softness: float) -> Floats:
    """1 far below the limit, 0 far above, one half on it."""
    share: Floats = 1.0 / (1.0 + np.exp(np.clip((elevation - limit) / softness, -30.0, 30.0)))
    return share.astype(np.float32)


def _within(day: date, spans: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> bool:
    def place(month: int, of_month: int) -> int:
        return (month - 8) % 12 * 31 + of_month

    here = place(day.month, day.day)
    return any(place(*first) <= here <= place(*last) for first, last in spans)


def _seasonal(days: Sequence[date], monthly: Daily) -> Daily:
    middle = np.cumsum(np.r_[0, np.full(SEASON_MONTHS.size - 1, 30.25)]) + 15.0
    return np.interp(np.arange(len(days), dtype=np.float64), middle, monthly)


def _persistent(count: int, spread: float, memory: float, rng: np.random.Generator) -> Daily:
    """A series that remembers `memory` of its last value; standard deviation `spread`."""
    shocks = rng.normal(0.0, spread * np.sqrt(1.0 - memory**2), count)
    series = np.empty(count)
    value = rng.normal(0.0, spread)
    for k in range(count):
        value = memory * value + shocks[k]
        series[k] = value
    return series


def _wet_line(days: Sequence[date], freezing: Daily, rain_limit: Daily, snow_line: Daily) -> Daily:
    """Melt comes closer to the freezing level as the sun climbs; cold dries the snow again in days."""
    line = np.empty(len(days))
    for k, day in enumerate(days):
        winter_day = (day - date(day.year if day.month >= 8 else day.year - 1, 12, 21)).days
        deficit = float(np.interp(winter_day, [0, 60, 120], [450.0, 350.0, 100.0]))
        today = max(freezing[k] - deficit, rain_limit[k])
        dry = snow_line[k] - 300.0
        remembered = dry + 0.6 * (line[k - 1] - dry) if k else dry
        line[k] = max(today, remembered, dry)
    return line


def _acquisition(
    winter: Winter, overpass: datetime, before: datetime | None, rng: np.random.Generator
) -> Weather:
    """Every acquisition draws the same numbers, so that one more does not change the drops of the others."""
    shared, vv, vh, depth, depth_vh, crust = rng.normal(size=6)
    day = winter.day_index(overpass)
    if overpass.month in (7, 8, 9, 10):
        drift = float(np.clip(0.3 * shared, -0.6, 0.6))
        bare = 9000.0
        return Weather(overpass, bare, 0.0, -3.0, -3.0, 0.0, drift + 0.1 * vv, drift + 0.1 * vh, 0.0, 0.0)
    late = float(np.interp(day, [60, 170], [0.0, 1.0]))
    drop = float(np.clip(-4.2 - 1.3 * late + 0.8 * depth, -7.0, -3.0))
    raining = bool(winter.rain_limit_m[max(day - 1, 0) : day + 1].max() > winter.snow_line_m[day] + 200.0)
    refreeze = 0.0 if raining else float(np.clip(0.45 - 0.2 * late + 0.3 * crust, 0.0, 0.9))
    since = winter.day_index(before) if before is not None else 0
    drift = float(np.clip(1.3 * shared, -2.8, 2.8))
    return Weather(
        overpass,
        float(winter.snow_line_m[day]),
        float(winter.wet_snow_line_m[day]),
        drop,
        float(np.clip(drop + 0.6 * depth_vh, -7.5, -2.5)),
        refreeze,
        drift + 0.3 * float(vv),
        drift + 0.3 * float(vh),
        float(winter.new_snow_cm[since + 1 : day + 1].sum()),
        float(winter.rain_limit_m[max(day - 1, 0) : day + 1].max()),
    )
