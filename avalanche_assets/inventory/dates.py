"""Days and hours as people write them, as local time of the observers."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

TIME_ZONE = "Europe/Paris"
"""Observers note local days and hours."""

CLOCK = (
    r"(?P<hour>\d{1,2})(?:[:hH](?P<minute>\d{2})?(?::\d{2}(?:\.\d+)?)?)?"
    r"(?P<zone>Z|[+-]\d{2}:?\d{2})?"
)
FRENCH_DATE = rf"^(?P<day>\d{{1,2}})[/.-](?P<month>\d{{1,2}})[/.-](?P<year>\d{{4}}|\d{{2}})(?:[T ]+{CLOCK})?$"
ISO_DATE = rf"^(?P<year>\d{{4}})[/-](?P<month>\d{{1,2}})[/-](?P<day>\d{{1,2}})Z?(?:[T ]+{CLOCK})?$"
HOUR = r"^(?P<hour>\d{1,2})(?:\.0+|[:hH](?P<minute>\d{2})?(?::\d{2})?)?$"
"""With ``.0`` where a program took a column with gaps for numbers."""
EARLIEST_YEAR = 1000
"""Before it a year is a slip such as ``0018``."""
CENTURY_PIVOT = 69
"""Years of two digits: 69 to 99 are 1969 to 1999, 00 to 68 are 2000 to 2068."""


def days_and_hours(
    values: "pd.Series[str]",
) -> tuple["pd.Series[pd.Timestamp]", "pd.Series[pd.Timedelta]"]:
    """Local day of every date, NaT where it is none, and time of day, NaT where none is given.

    A date may hold a time (``04/01/2018 09:30``); midnight is how spreadsheets and databases write a date
    without one. A time with a zone (``2018-01-03T23:00:00Z``) is carried to the observers' time first.
    """
    # Most values repeat: an inventory has some thousand days.
    codes, unique = pd.factorize(values)
    days, hours = _parsed(pd.Series(unique, dtype=str))
    return (
        pd.Series(days.to_numpy()[codes], values.index),
        pd.Series(hours.to_numpy()[codes], values.index),
    )


def hours_of(values: "pd.Series[str]") -> tuple["pd.Series[pd.Timedelta]", "pd.Series[bool]"]:
    """Time of day, NaT where none is given, and where one is given that cannot be read.

    Midnight at the start of a day is no time, as in `days_and_hours`; at its end it is written ``24:00``.
    """
    codes, unique = pd.factorize(values)
    hours = _time_of_day(_groups(pd.Series(unique, dtype=str), HOUR)).to_numpy()[codes]
    unreadable = (values != "").to_numpy() & pd.isna(hours)
    return (
        pd.Series(hours, values.index).where(hours != np.timedelta64(0)),
        pd.Series(unreadable, values.index),
    )


def to_utc(local: "pd.Series[pd.Timestamp]", *, early: bool) -> "pd.Series[pd.Timestamp]":
    """Local time to UTC; of the hour that autumn repeats the first one if `early`, else the second."""
    zoned = local.dt.tz_localize(TIME_ZONE, ambiguous=np.full(len(local), early), nonexistent="shift_forward")
    return zoned.dt.tz_convert("UTC").dt.as_unit("us")


def _parsed(values: "pd.Series[str]") -> tuple["pd.Series[pd.Timestamp]", "pd.Series[pd.Timedelta]"]:
    parts = _groups(values, FRENCH_DATE)
    others = parts["day"].isna()
    if others.any():
        parts = parts.fillna(_groups(values[others], ISO_DATE))
    numbers = {name: _whole(parts[name]) for name in ("year", "month", "day")}
    short = parts["year"].str.len().eq(2)
    century = np.where(numbers["year"] >= CENTURY_PIVOT, 1900, 2000)
    years = np.where(short, numbers["year"] + century, numbers["year"])
    numbers["year"] = np.where(years < EARLIEST_YEAR, np.nan, years)
    days = pd.to_datetime(pd.DataFrame(numbers, values.index), errors="coerce").astype("datetime64[us]")
    hours = _time_of_day(parts).astype("timedelta64[us]")
    days = days.where(parts["hour"].isna() | hours.notna())
    days, hours = _zoned(days, hours, parts["zone"])
    return days, hours.where(hours != pd.Timedelta(0))


def _whole(texts: "pd.Series[str]") -> NDArray[np.float64]:
    """Digits as numbers, NaN where there are none."""
    numbers = pc.cast(pa.array(texts, pa.string()), pa.float64())
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)


def _zoned(
    days: "pd.Series[pd.Timestamp]", hours: "pd.Series[pd.Timedelta]", zones: "pd.Series[str]"
) -> tuple["pd.Series[pd.Timestamp]", "pd.Series[pd.Timedelta]"]:
    """Day and time of day in the observers' time, of values that name a zone."""
    rows = zones.notna() & days.notna()
    if not rows.any():
        return days, hours
    written = (days + hours)[rows].dt.strftime("%Y-%m-%dT%H:%M") + zones[rows]
    local = pd.to_datetime(written, utc=True).dt.tz_convert(TIME_ZONE).dt.tz_localize(None).dt.as_unit("us")
    days, hours = days.copy(), hours.copy()
    days[rows], hours[rows] = local.dt.normalize(), local - local.dt.normalize()
    return days, hours


def _groups(values: "pd.Series[str]", pattern: str) -> pd.DataFrame:
    """The groups of a pattern by name, None where there is none; far faster than `Series.str.extract`."""
    found = pc.extract_regex(pa.array(values, pa.string()), pattern)
    names = [field.name for field in found.type]
    groups = [pc.struct_field(found, name) for name in names]
    columns = [
        pc.if_else(pc.equal(group, ""), None, group).to_numpy(zero_copy_only=False) for group in groups
    ]
    return pd.DataFrame(dict(zip(names, columns, strict=True)), values.index, dtype=object)


def _time_of_day(parts: pd.DataFrame) -> "pd.Series[pd.Timedelta]":
    hour, minute = _whole(parts["hour"]), _whole(parts["minute"].fillna("0"))
    minutes = np.where((minute < 60) & (60 * hour + minute <= 24 * 60), 60 * hour + minute, np.nan)
    return pd.Series(pd.to_timedelta(minutes, unit="min"), parts.index)
