"""Which (corridor, acquisition) pairs are stored: rows of patch tables joined with the previous date's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.layout import DataLayout
from avalanche_assets.patches.observability import patch_reasons
from avalanche_assets.settings import DetectionSettings
from avalanche_assets.tables import CORRIDOR_LABELS, CORRIDOR_PATCHES, LABEL_STATES, read_table

FRACTIONS = ("valid_fraction", "visible_fraction")
COLUMNS = ("corridor_id", "date", "previous_date", "current", "previous", "new", "recent", "reason")


@dataclass(frozen=True)
class StoredDate:
    """The patches of one date: corridor ids, fractions, and the row that the first of them counts as."""

    ids: pd.Index
    fractions: pa.Table
    first_row: int = 0


def stored_date(layout: DataLayout, day: str) -> StoredDate:
    """All patches of a date, counted as in its file.

    Raises:
        TableError: The table is missing or damaged.
    """
    table = read_table(layout.corridor_patches(day), CORRIDOR_PATCHES, ["corridor_id", *FRACTIONS])
    return StoredDate(pd.Index(table.column("corridor_id").to_pandas()), table.select(FRACTIONS))


def dates_with_previous(
    catalogue: AcquisitionCatalogue, dates: Sequence[date | str]
) -> list[tuple[str, str]]:
    """Those of `dates` that have a previous acquisition, in order, each with it."""
    return [
        (day, str(previous.date))
        for day in sorted({str(day) for day in dates})
        if (previous := catalogue.previous(day)) is not None
    ]


def paired_dates(
    layout: DataLayout, catalogue: AcquisitionCatalogue, dates: Sequence[date | str]
) -> list[date | str]:
    """Those of `dates` whose patches, and whose previous acquisition's, are stored.

    A date that failed has none: what is learned from many dates leaves it out instead of failing with it.
    """
    return [
        day
        for day in dates
        if (previous := catalogue.previous(day)) is not None
        and layout.corridor_patches(day).exists()
        and layout.corridor_patches(previous.date).exists()
    ]


def pair(
    layout: DataLayout,
    days: tuple[str, str],
    current: StoredDate,
    before: StoredDate,
    detection: DetectionSettings,
) -> pd.DataFrame:
    """One row (`COLUMNS`) a corridor that a date and its previous one both have.

    `current` and `previous` are rows of patches, `reason` says why a pair is not observable.
    """
    match = before.ids.get_indexer(current.ids)
    rows = np.flatnonzero(match >= 0)
    match = match[rows]
    ids = current.ids[rows]
    labels = _labels(layout, days[0], ids)
    dated = [pd.Series([date.fromisoformat(day)] * len(rows), dtype=object) for day in days]
    return pd.DataFrame(
        {
            "corridor_id": ids.to_numpy(object),
            "date": dated[0],
            "previous_date": dated[1],
            "current": current.first_row + rows,
            "previous": before.first_row + match,
            "new": labels["new"],
            "recent": labels["recent"],
            "reason": pd.Series(
                patch_reasons(current.fractions.take(rows), before.fractions.take(match), detection),
                dtype=object,
            ),
        }
    )


def joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Pairs of several dates one after the other."""
    empty = pd.DataFrame({name: pd.Series([], dtype=object) for name in COLUMNS})
    return pd.concat(parts, ignore_index=True) if parts else empty


def positive_pairs(layout: DataLayout, dates: Sequence[date], window: str) -> pd.DataFrame:
    """Columns acquisition_date and corridor_id of the positive pairs; a date without labels has none."""
    columns = ["acquisition_date", "corridor_id", window]
    tables = [
        read_table(layout.corridor_labels(day), CORRIDOR_LABELS, columns)
        for day in dates
        if layout.corridor_labels(day).exists()
    ]
    empty = pa.schema([CORRIDOR_LABELS.field(name) for name in columns]).empty_table()
    labels = pa.concat_tables([empty, *tables]).to_pandas()
    return labels.loc[labels[window] == "positive", columns[:2]].reset_index(drop=True)


def counts_per_date(
    dates: Sequence[date], labels: NDArray[np.object_]
) -> tuple[list[date], dict[str, list[int]]]:
    """Dates in order, and how many of their pairs are in every label state."""
    counted = pd.crosstab(pd.Series(dates, dtype=object), labels)
    states = counted.reindex(columns=list(LABEL_STATES), fill_value=0)
    return list(counted.index), {state: states[state].tolist() for state in LABEL_STATES}


def _labels(layout: DataLayout, day: str, ids: pd.Index) -> dict[str, NDArray[np.object_]]:
    path = layout.corridor_labels(day)
    words = {name: np.full(len(ids), "unobserved", object) for name in ("new", "recent")}
    if not path.exists():
        return words
    table = read_table(path, CORRIDOR_LABELS, ["corridor_id", "new", "recent"])
    row = pd.Index(table.column("corridor_id").to_pandas()).get_indexer(ids)
    for name, states in words.items():
        states[row >= 0] = table.column(name).to_numpy()[row[row >= 0]]
    return words
