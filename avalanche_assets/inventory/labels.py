"""Labels of corridors at one acquisition, by exact arithmetic on event intervals and overpass times.

An event is known to lie in the closed interval [date_min, date_max]. The window of an acquisition is open
at its start and closed at its end: (previous overpass, current overpass]. So windows of consecutive
acquisitions share no instant and leave none out. The event is in the window for certain (positive) when its
interval lies inside, possibly (ambiguous) when the two only overlap, and otherwise not at all.

Source: windows of Sinha et al. (2019), sections 2 and 3: new deposits between two acquisitions, and those of
the last 30 days that a single image may show.
"""

from collections import Counter
from datetime import datetime, timedelta

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.catalogue.acquisitions import Acquisition
from avalanche_assets.tables import CORRIDOR_LABELS, LABEL_STATES, LABEL_WINDOWS

POSITIVE, AMBIGUOUS, NEGATIVE, UNOBSERVED = LABEL_STATES
_RANK = {NEGATIVE: 0, AMBIGUOUS: 1, POSITIVE: 2}


def label_corridors(
    corridors: gpd.GeoDataFrame,
    events: pa.Table,
    current: Acquisition,
    previous: Acquisition | None,
    recent_days: int,
) -> pa.Table:
    """The labels of every corridor at one acquisition.

    Args:
        corridors: Columns corridor_id and observed of `tables.CORRIDORS`.
        events: `tables.AVALANCHE_EVENTS`; events of other corridors do not matter.
        current: The acquisition to label.
        previous: Its previous acquisition; without one the state `new` is unobserved everywhere.
        recent_days: Length of the window `recent` in days.

    Returns:
        `tables.CORRIDOR_LABELS` in the order of `corridors`. Of several events of a corridor the most certain
        one counts: positive before ambiguous before negative; a corridor nobody watches is unobserved.
    """
    row = pd.Index(corridors["corridor_id"]).get_indexer(events.column("corridor_id").to_pandas())
    on_map = events.filter(pa.array(row >= 0))
    row = row[row >= 0]
    observed = corridors["observed"].to_numpy(bool)
    recent_start = current.overpass - timedelta(days=recent_days)
    recent, recent_hits = _states(on_map, row, observed, recent_start, current.overpass)
    if previous is None:
        new, new_hits = np.full(len(observed), UNOBSERVED, object), np.zeros(len(row), bool)
    else:
        new, new_hits = _states(on_map, row, observed, previous.overpass, current.overpass)
    ids: list[list[str]] = [[] for _ in observed]
    for i in np.flatnonzero(new_hits | recent_hits):
        ids[row[i]].append(on_map.column("event_id")[int(i)].as_py())
    count = len(observed)
    return pa.table(
        {
            "corridor_id": pa.array(corridors["corridor_id"], pa.string()),
            "acquisition_date": pa.array([current.date] * count, pa.date32()),
            "previous_date": pa.array([previous.date if previous else None] * count, pa.date32()),
            "new": pa.array(new, pa.string()),
            "recent": pa.array(recent, pa.string()),
            "event_ids": pa.array(ids, pa.list_(pa.string())),
        },
        CORRIDOR_LABELS,
    )


def count_states(labels: pa.Table) -> dict[str, int]:
    """Corridors by window and state, as ``new positive``; every combination is there."""
    counts = {window: Counter(labels.column(window).to_pylist()) for window in LABEL_WINDOWS}
    return {f"{window} {state}": counts[window][state] for window in LABEL_WINDOWS for state in LABEL_STATES}


def _states(
    events: pa.Table, row: NDArray[np.intp], observed: NDArray[np.bool_], start: datetime, end: datetime
) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """State of every corridor in the window (start, end], and which events make an observed one positive."""
    date_min, date_max = _instants(events, "date_min"), _instants(events, "date_max")
    opening, closing = np.datetime64(_naive(start), "us"), np.datetime64(_naive(end), "us")
    overlaps = (date_max > opening) & (date_min <= closing)
    inside = (date_min > opening) & (date_max <= closing)
    rank = np.full(len(observed), _RANK[NEGATIVE])
    np.maximum.at(rank, row[overlaps], _RANK[AMBIGUOUS])
    np.maximum.at(rank, row[inside], _RANK[POSITIVE])
    words = np.array([NEGATIVE, AMBIGUOUS, POSITIVE], object)
    return np.where(observed, words[rank], UNOBSERVED), inside & observed[row]


def _instants(events: pa.Table, name: str) -> NDArray[np.datetime64]:
    return np.asarray(events.column(name).cast(pa.timestamp("us")).to_numpy(), "datetime64[us]")


def _naive(instant: datetime) -> datetime:
    """UTC without its zone, as numpy wants it."""
    return instant.replace(tzinfo=None) - (instant.utcoffset() or timedelta(0))
