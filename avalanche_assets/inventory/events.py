"""Avalanche events of the in-situ inventory, as intervals of possible time.

Observers note the earliest and the latest day an avalanche can have happened. A day is local: an event of
4 January lies between 00:00 and 24:00 in Paris, stored in UTC.

Two real layouts are read, told apart by their headers alone: the official extract (82 columns, French
headers, ``dd/mm/yyyy``) and the tables by commune (ISO dates, hours in ``date1_h`` and ``date2_h``). Headers
of any other table can be named by the user.

Source: Enquête permanente sur les avalanches (EPA), event extracts.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from avalanche_assets.errors import InventoryError
from avalanche_assets.inventory.columns import CORRIDOR_NAMES, CORRIDOR_REQUIRED, corridor_ids
from avalanche_assets.inventory.dates import days_and_hours, hours_of, to_utc
from avalanche_assets.inventory.event_text import read_event_text
from avalanche_assets.inventory.report import ReadReport, Rejection
from avalanche_assets.tables import AVALANCHE_EVENTS

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

REQUIRED = (("date1",), ("date2",), *CORRIDOR_REQUIRED)
"""Of each group one column must be there."""


def read_events(
    path: Path, known_corridors: Collection[str], chosen: Mapping[str, str] | None = None
) -> tuple[pa.Table, ReadReport]:
    """Events of known corridors as a table `tables.AVALANCHE_EVENTS`, in order of corridor and time.

    Intervals whose ends are swapped are turned round and counted. Without a column ``id_evt`` an event's id
    is made of its corridor and dates.

    Args:
        path: Text table with comma, semicolon, tab or bar, in UTF-8, UTF-16 or Windows-1252; or Parquet.
        known_corridors: Ids of the corridors; events of others are rejected and reported.
        chosen: Field of `NAMES` to header, for tables with other headers.

    Returns:
        The table, and the report with the line number and reason of every rejected row.

    Raises:
        InventoryError: The file is missing, unreadable or empty, lacks a column, or no event is left.
    """
    text, malformed = read_event_text(path, NAMES, REQUIRED, chosen or {})
    frame, swapped, unreadable_hours = _intervals(text)
    frame["corridor_id"] = corridor_ids(text, {name: name for name in text.columns})
    frame["event_id"] = _event_ids(text, frame)
    measures = _numbers(text)
    frame["departure_elevation_m"] = _extreme(measures, "departure").max(axis=1)
    frame["arrival_elevation_m"] = _extreme(measures, "arrival").min(axis=1)
    frame["length_m"], frame["width_m"] = measures["length"], measures["width"]
    reason = _reasons(text, frame, known_corridors)
    good = reason == ""
    rejected = [
        *malformed,
        *(
            Rejection(f"{text.index.name} {row}", why)
            for row, why in zip(text.index[~good], reason[~good], strict=True)
        ),
    ]
    mended = Counter(
        {
            "swapped intervals": int((swapped & good).sum()),
            "unreadable hours": int((unreadable_hours & good).sum()),
            "unreadable measures": int((_unreadable(text, measures) & good).sum()),
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
    first_day, first_hour, first_bad = _day_and_hour(text, "date1", "hour1")
    last_day, last_hour, last_bad = _day_and_hour(text, "date2", "hour2")
    earliest, latest = first_day + first_hour, last_day + last_hour
    same_day_reversed = (first_day == last_day) & (first_hour > last_hour)
    swapped = (first_day > last_day) | same_day_reversed
    first, last = earliest.where(~swapped, latest), latest.where(~swapped, earliest)
    first_day, last_day = first_day.where(~swapped, last_day), last_day.where(~swapped, first_day)
    # An unknown hour leaves the whole day open: from its start, to its end.
    begin, end = first.fillna(first_day), last.fillna(last_day + pd.Timedelta(days=1))
    frame = pd.DataFrame({"date_min": to_utc(begin, early=True), "date_max": to_utc(end, early=False)})
    return frame, swapped, first_bad | last_bad


def _day_and_hour(
    text: pd.DataFrame, day_column: str, hour_column: str
) -> tuple["pd.Series[pd.Timestamp]", "pd.Series[pd.Timedelta]", "pd.Series[bool]"]:
    """Day, time of day from its own column or else from the date, and where that column is unreadable."""
    day, hour = days_and_hours(text[day_column])
    if hour_column not in text.columns:
        return day, hour, pd.Series(False, text.index)
    own, unreadable = hours_of(text[hour_column])
    return day, own.fillna(hour), unreadable


MEASURES: Mapping[str, tuple[float, float]] = {
    **{f"{kind}{i}": (1.0, 9000.0) for kind in ("departure", "arrival") for i in (1, 2, 3)},
    "length": (0.0, 20_000.0),
    "width": (0.0, 20_000.0),
}
"""Metres between which a measure can lie; ``0``, ``-9999`` or ``99999`` as an altitude say unknown."""


def _numbers(text: pd.DataFrame) -> pd.DataFrame:
    """The measures of every row, NaN where unknown or impossible."""
    unknown = pd.Series(np.nan, text.index, dtype=np.float32)
    return pd.DataFrame(
        {
            name: _number(text[name], *limits) if name in text.columns else unknown
            for name, limits in MEASURES.items()
        },
        index=text.index,
    )


def _number(values: "pd.Series[str]", least: float, most: float) -> "pd.Series[float]":
    # Most values repeat: observers round.
    codes, unique = pd.factorize(values)
    # Blanks, also such that do not break a line, stand between thousands.
    texts = pd.Series(unique, dtype=str).str.replace(",", ".").str.replace(r"\s", "", regex=True)
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(np.float32)
    numbers = np.where((numbers >= least) & (numbers <= most), numbers, np.float32(np.nan))
    return pd.Series(numbers[codes], values.index)


def _extreme(measures: pd.DataFrame, kind: str) -> pd.DataFrame:
    return measures[[f"{kind}{i}" for i in (1, 2, 3)]]


def _unreadable(text: pd.DataFrame, measures: pd.DataFrame) -> "pd.Series[bool]":
    given = [name for name in MEASURES if name in text.columns]
    return ((text[given] != "") & measures[given].isna()).any(axis=1)


def _event_ids(text: pd.DataFrame, frame: pd.DataFrame) -> "pd.Series[str]":
    """The inventory's id, or corridor, interval and a running number where it gives none."""
    given = text["event_id"] if "event_id" in text.columns else pd.Series("", text.index)
    lacking = frame[given == ""]
    begin = lacking["date_min"].dt.strftime("%Y%m%dT%H%M").fillna("")
    end = lacking["date_max"].dt.strftime("%Y%m%dT%H%M").fillna("")
    made = lacking["corridor_id"] + "-" + begin + "-" + end
    made = made + "-" + (made.groupby(made).cumcount() + 1).astype(str)
    return made.reindex(text.index).fillna(given).astype(str)


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
