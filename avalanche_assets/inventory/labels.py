"""Labels of corridors at one acquisition, by exact arithmetic on event intervals and overpass times.

An event is known to lie in the closed interval [date_min, date_max]. The window of an acquisition is open
at its start and closed at its end: (previous overpass, current overpass]. So windows of consecutive
acquisitions share no instant and leave none out. The event is in the window for certain (positive) when its
interval lies inside, possibly (ambiguous) when the two only overlap, and otherwise not at all. Silence says
nothing where a site is hard to observe, so that such a site is never negative, and nothing at all where
nobody watches, or not any more. `interval_costs` tells what other rules would make of the same events.

Source: windows of Sinha et al. (2019), sections 2 and 3: new deposits between two acquisitions, and those of
the last 30 days that a single image may show.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.catalogue.acquisitions import Acquisition
from avalanche_assets.inventory.interval_rules import (
    INTERVAL_RULES,
    LABEL_RULE,
    Instants,
    IntervalRule,
    Window,
    inside,
)
from avalanche_assets.inventory.site_status import HARD
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
        corridors: Columns corridor_id, observed, observation, observed_until of `tables.CORRIDORS`.
        events: `tables.AVALANCHE_EVENTS`; events of other corridors do not matter.
        current: The acquisition to label.
        previous: Its previous acquisition; without one the state `new` is unobserved everywhere.
        recent_days: Length of the window `recent` in days.

    Returns:
        `tables.CORRIDOR_LABELS` in the order of `corridors`. Of several events of a corridor the most certain
        one counts: positive before ambiguous before negative; a corridor nobody watches is unobserved, and
        so is one that is hard to observe instead of negative.
    """
    sites = _Sites.of(corridors, events)
    recent, recent_hits = sites.states(Window.recent(current, recent_days), current)
    new, new_hits = sites.states(Window.new(previous, current), current)
    row, count = sites.row, len(corridors)
    ids: list[list[str]] = [[] for _ in range(count)]
    for i in np.flatnonzero(new_hits | recent_hits):
        ids[row[i]].append(sites.event_ids[int(i)].as_py())
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


@dataclass(frozen=True)
class IntervalCost:
    """Labels that one interval rule gives over some acquisitions.

    Attributes:
        rule: Key of `INTERVAL_RULES`.
        window: ``new`` or ``recent``.
        states: Labels by state of `LABEL_STATES`.
        positives_gained: Positives more than `LABEL_RULE` gives; negative for a stricter rule.
    """

    rule: str
    window: str
    states: Mapping[str, int]
    positives_gained: int


def interval_costs(
    corridors: gpd.GeoDataFrame,
    events: pa.Table,
    passes: Iterable[tuple[Acquisition | None, Acquisition]],
    recent_days: int,
) -> list[IntervalCost]:
    """How many labels each interval rule gives or costs, by window and rule.

    Args:
        corridors: As for `label_corridors`.
        events: As for `label_corridors`.
        passes: Previous acquisition, where there is one, and acquisition.
        recent_days: Length of the window `recent` in days.
    """
    sites = _Sites.of(corridors, events)
    counts = {(window, rule): Counter[str]() for window in LABEL_WINDOWS for rule in INTERVAL_RULES}
    for previous, current in passes:
        windows = {"new": Window.new(previous, current), "recent": Window.recent(current, recent_days)}
        for window, rule in counts:
            states, _ = sites.states(windows[window], current, INTERVAL_RULES[rule])
            counts[window, rule].update(states.tolist())
    return [
        IntervalCost(
            rule,
            window,
            {state: found[state] for state in LABEL_STATES},
            found[POSITIVE] - counts[window, LABEL_RULE][POSITIVE],
        )
        for (window, rule), found in counts.items()
    ]


@dataclass(frozen=True)
class _Sites:
    """Corridors with the events that lie in them.

    Attributes:
        observed: Whether somebody watches or watched, by corridor.
        until: Last day of that, NaT without one.
        silent: Whether nothing follows from silence, by corridor.
        row: Corridor of every event.
        first: Earliest instant of every event.
        last: Latest instant.
        event_ids: Of the same events.
    """

    observed: NDArray[np.bool_]
    until: Instants
    silent: NDArray[np.bool_]
    row: NDArray[np.intp]
    first: Instants
    last: Instants
    event_ids: pa.ChunkedArray

    @classmethod
    def of(cls, corridors: gpd.GeoDataFrame, events: pa.Table) -> "_Sites":
        row = pd.Index(corridors["corridor_id"]).get_indexer(events.column("corridor_id").to_pandas())
        on_map = events.filter(pa.array(row >= 0))
        return cls(
            corridors["observed"].to_numpy(bool),
            pd.to_datetime(corridors["observed_until"]).to_numpy("datetime64[D]"),
            (corridors["observation"] == HARD).to_numpy(bool),
            row[row >= 0],
            _instants(on_map, "date_min"),
            _instants(on_map, "date_max"),
            on_map.column("event_id"),
        )

    def states(
        self, window: Window | None, current: Acquisition, rule: IntervalRule = inside
    ) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
        """State of every corridor in a window, and which events make an observed one positive."""
        if window is None:
            return np.full(len(self.observed), UNOBSERVED, object), np.zeros(len(self.row), bool)
        certain, possible = rule(self.first, self.last, window)
        rank = np.full(len(self.observed), _RANK[NEGATIVE])
        np.maximum.at(rank, self.row[possible], _RANK[AMBIGUOUS])
        np.maximum.at(rank, self.row[certain], _RANK[POSITIVE])
        words = np.array([NEGATIVE, AMBIGUOUS, POSITIVE], object)
        watched = self.observed & (np.isnat(self.until) | (self.until >= np.datetime64(current.date)))
        known = watched & ~(self.silent & (rank == _RANK[NEGATIVE]))
        return np.where(known, words[rank], UNOBSERVED), certain & watched[self.row]


def _instants(events: pa.Table, name: str) -> Instants:
    return np.asarray(events.column(name).cast(pa.timestamp("us")).to_numpy(), "datetime64[us]")
