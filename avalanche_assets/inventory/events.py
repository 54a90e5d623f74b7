"""Avalanche events of the in-situ inventory, as intervals of possible time.

Observers note the earliest and the latest day an avalanche can have happened. A day is local: an event of
4 January lies between 00:00 and 24:00 in Paris, stored in UTC.

Two real layouts are read, told apart by their headers alone: the official extract (82 columns, French
headers, ``dd/mm/yyyy``) and the tables by commune (ISO dates, hours in ``date1_h`` and ``date2_h``).

Source: Enquête permanente sur les avalanches (EPA), event extracts.
"""

from collections import Counter
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from avalanche_assets.errors import InventoryError
from avalanche_assets.inventory.columns import CORRIDOR_NAMES, corridor_ids
from avalanche_assets.inventory.csv_text import read_text_columns
from avalanche_assets.inventory.report import ReadReport, Rejection
from avalanche_assets.tables import AVALANCHE_EVENTS

TIME_ZONE = "Europe/Paris"

NAMES = {
    **CORRIDOR_NAMES,
    "event_id": ("event_id", "id_evt"),
    "date1": ("date_1", "date1", "date_min"),
    "date2": ("date_2", "date2", "date_max"),
    "hour1": ("date_1_h", "date1_h"),
    "hour2": ("date_2_h", "date2_h"),
    **{f"departure{i}": (f"altitude_de_depart_{i}",) for i in (2, 3)},
    **{f"arrival{i}": (f"altitude_d_arrivee_{i}",) for i in (2, 3)},
    "departure1": ("altitude_de_depart_1", "alt_dep"),
    "arrival1": ("altitude_d_arrivee_1", "alt_arr"),
    "length": ("longueur",),
    "width": ("largeur",),
}

REQUIRED = (("date1",), ("date2",), ("corridor_id", "insee"), ("corridor_id", "site"))
"""Of each group one column must be there."""

FRENCH_DATE = r"^(?P<day>\d{1,2})/(?P<month>\d{1,2})/(?P<year>\d{4}|\d{2})$"
ISO_DATE = r"^(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})(?:[T ]00:00(?::00)?)?$"
HOUR = r"^(?P<hour>\d{1,2})(?:[:hH](?P<minute>\d{2})?(?::\d{2})?)?$"
CENTURY_PIVOT = 69
"""Years of two digits: 69 to 99 are 1969 to 1999, 00 to 68 are 2000 to 2068."""


def read_events(path: Path, known_corridors: Collection[str]) -> tuple[pa.Table, ReadReport]:
    """Events of known corridors as a table `tables.AVALANCHE_EVENTS`, in order of corridor and time.

    Intervals whose ends are swapped are turned round and counted. Without a column ``id_evt`` an event's id
    is made of its corridor and dates.

    Args:
        path: Text table with comma, semicolon or tab; UTF-8 or Windows-1252.
        known_corridors: Ids of the corridors; events of others are rejected and reported.

    Returns:
        The table, and the report with the line number and reason of every rejected row.

    Raises:
        InventoryError: The file is missing, unreadable or empty, lacks a column, or no event is left.
    """
    text, malformed = read_text_columns(path, NAMES, REQUIRED, "inventory.events")
    frame, swapped, unreadable_hours = _intervals(text)
    frame["corridor_id"] = corridor_ids(text, {name: name for name in text.columns})
    frame["event_id"] = _event_ids(text, frame)
    frame["departure_elevation_m"] = _numbers(text, ("departure1", "departure2", "departure3")).max(axis=1)
    frame["arrival_elevation_m"] = _numbers(text, ("arrival1", "arrival2", "arrival3")).min(axis=1)
    frame["length_m"] = _numbers(text, ("length",)).max(axis=1)
    frame["width_m"] = _numbers(text, ("width",)).max(axis=1)
    reason = _reasons(text, frame, known_corridors)
    good = reason == ""
    rejected = [
        *malformed,
        *(Rejection(f"line {line}", why) for line, why in zip(text.index[~good], reason[~good], strict=True)),
    ]
    mended = Counter(
        {
            "swapped intervals": int((swapped & good).sum()),
            "unreadable hours": int((unreadable_hours & good).sum()),
        }
    )
    report = ReadReport(path, len(text) + len(malformed), int(good.sum()), dict(mended), tuple(rejected))
    if not report.kept:
        raise InventoryError(
            f"{path}: no event can be used ({report.summary()}); check that inventory.events and "
            "inventory.corridors belong together, or leave inventory.events out"
        )
    kept = frame[good].sort_values(["corridor_id", "date_min", "event_id"], kind="stable")
    return pa.Table.from_pandas(
        kept, AVALANCHE_EVENTS, preserve_index=False
    ).replace_schema_metadata(), report


def _intervals(text: pd.DataFrame) -> tuple[pd.DataFrame, "pd.Series[bool]", "pd.Series[bool]"]:
    """Interval of every row in UTC, NaT where unreadable; which were swapped; whose hours failed."""
    first_day, last_day = _days(text["date1"]), _days(text["date2"])
    first_hour, first_bad = _hours(text, "hour1")
    last_hour, last_bad = _hours(text, "hour2")
    earliest, latest = first_day + first_hour, last_day + last_hour
    same_day_reversed = (first_day == last_day) & (first_hour > last_hour)
    swapped = (first_day > last_day) | same_day_reversed
    first, last = earliest.where(~swapped, latest), latest.where(~swapped, earliest)
    first_day, last_day = first_day.where(~swapped, last_day), last_day.where(~swapped, first_day)
    # An unknown hour leaves the whole day open: from its start, to its end.
    begin, end = first.fillna(first_day), last.fillna(last_day + pd.Timedelta(days=1))
    frame = pd.DataFrame({"date_min": _utc(begin, early=True), "date_max": _utc(end, early=False)})
    return frame, swapped, first_bad | last_bad


def _utc(local: "pd.Series[pd.Timestamp]", *, early: bool) -> "pd.Series[pd.Timestamp]":
    """Local time to UTC; the hour that occurs twice in autumn widens the interval."""
    zoned = local.dt.tz_localize(TIME_ZONE, ambiguous=np.full(len(local), early), nonexistent="shift_forward")
    return zoned.dt.tz_convert("UTC").dt.as_unit("us")


def _days(values: "pd.Series[str]") -> "pd.Series[pd.Timestamp]":
    french = values.str.extract(FRENCH_DATE)
    iso = values.str.extract(ISO_DATE)
    parts = {name: pd.to_numeric(french[name].fillna(iso[name])) for name in ("year", "month", "day")}
    short = french["year"].str.len().eq(2)
    century = np.where(parts["year"] >= CENTURY_PIVOT, 1900, 2000)
    parts["year"] = parts["year"].where(~short, parts["year"] + century)
    return pd.to_datetime(pd.DataFrame(parts), errors="coerce")


def _hours(text: pd.DataFrame, column: str) -> tuple["pd.Series[pd.Timedelta]", "pd.Series[bool]"]:
    """Time of day, NaT where empty or unreadable; and where it is unreadable."""
    if column not in text.columns:
        return pd.Series(pd.NaT, text.index, dtype="timedelta64[us]"), pd.Series(False, text.index)
    parts = text[column].str.extract(HOUR)
    hour, minute = pd.to_numeric(parts["hour"]), pd.to_numeric(parts["minute"].fillna("0"))
    minutes = (60 * hour + minute).where((minute < 60) & (60 * hour + minute <= 24 * 60))
    return pd.to_timedelta(minutes, unit="min"), (text[column] != "") & minutes.isna()


def _numbers(text: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    present = {
        name: pd.to_numeric(text[name].str.replace(",", "."), errors="coerce").astype(np.float32)
        for name in columns
        if name in text.columns
    }
    return pd.DataFrame(present or {"none": np.full(len(text), np.nan, np.float32)}, index=text.index)


def _event_ids(text: pd.DataFrame, frame: pd.DataFrame) -> "pd.Series[str]":
    """The inventory's id, or corridor, interval and a running number where it gives none."""
    begin = frame["date_min"].dt.strftime("%Y%m%dT%H%M").fillna("")
    end = frame["date_max"].dt.strftime("%Y%m%dT%H%M").fillna("")
    made = frame["corridor_id"] + "-" + begin + "-" + end
    made = made + "-" + (made.groupby(made).cumcount() + 1).astype(str)
    return text["event_id"].where(text["event_id"] != "", made) if "event_id" in text.columns else made


def _reasons(text: pd.DataFrame, frame: pd.DataFrame, known: Collection[str]) -> "pd.Series[str]":
    """Why a row cannot be taken, empty where it can; the first reason counts."""
    corridor = frame["corridor_id"]
    checks = [
        (corridor == "", "no corridor id"),
        (text["date1"] == "", "Date 1 is empty"),
        (text["date2"] == "", "Date 2 is empty"),
        (frame["date_min"].isna(), "Date 1 '" + text["date1"] + "' is not a date"),
        (frame["date_max"].isna(), "Date 2 '" + text["date2"] + "' is not a date"),
        (~corridor.isin(list(known)), "corridor '" + corridor + "' is not among the corridors"),
    ]
    reason = pd.Series("", text.index, dtype=str)
    for failed, why in checks:
        reason = reason.mask(failed & (reason == ""), why)
    repeated = frame["event_id"].where(reason == "").duplicated() & (reason == "")
    return reason.mask(repeated, "event id '" + frame["event_id"] + "' appears before")
