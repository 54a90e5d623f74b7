"""Columns of an event table as text, from a delimited file or from the stored layer of a service."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from avalanche_assets.errors import InventoryError
from avalanche_assets.inventory.columns import as_text, require_columns
from avalanche_assets.inventory.csv_text import DelimitedText
from avalanche_assets.inventory.report import Rejection
from avalanche_assets.inventory.vector import PARQUET_SUFFIXES
from avalanche_assets.stored_path import arrow_file

SETTING = "inventory.events"
COLUMNS_SETTING = "inventory.event_columns"


def read_event_text(
    path: Path,
    names: Mapping[str, Sequence[str]],
    required: Sequence[Sequence[str]],
    chosen: Mapping[str, str],
    *,
    allow_empty: bool = False,
) -> tuple[pd.DataFrame, list[Rejection]]:
    """The columns of `names` that the table has, as stripped text.

    Args:
        path: Delimited text, or a Parquet file.
        names: Field to accepted headers, as `columns.plain` writes them.
        required: Groups of fields; of each group the table must have one.
        chosen: Field to header, where the user named it.
        allow_empty: Whether a table without rows is one.

    Returns:
        A frame with a column a field, indexed by ``line`` or ``feature`` number, empty text where a value is
        missing; and the rows that could not be read.

    Raises:
        InventoryError: The file is missing, empty, unreadable, without rows, or lacks a column.
    """
    if path.suffix.lower() in PARQUET_SUFFIXES:
        frame, rejected = _features(path), list[Rejection]()
        columns = require_columns(list(frame.columns), names, required, chosen, str(path), COLUMNS_SETTING)
        text = pd.DataFrame({field: as_text(frame, header) for field, header in columns.items()})
    else:
        table = DelimitedText.open(path, SETTING)
        columns = require_columns(table.headers, names, required, chosen, str(path), COLUMNS_SETTING)
        text, rejected = table.columns(list(dict.fromkeys(columns.values())))
        text = pd.DataFrame({field: text[header] for field, header in columns.items()}, text.index)
    if text.empty and not rejected and not allow_empty:
        raise InventoryError(
            f"{path}: has a header but no rows; leave {SETTING} out when there are no events"
        )
    return text, rejected


def _features(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise InventoryError(f"{path}: file not found; set {SETTING} to a table that exists")
    try:
        name, filesystem = arrow_file(path)
        frame = pq.read_table(name, filesystem=filesystem).to_pandas(ignore_metadata=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise InventoryError(f"{path}: not a readable Parquet file ({error})") from error
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="feature")
    return frame
