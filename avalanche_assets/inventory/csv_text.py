"""Reading chosen columns of a delimited text file as text, each row with its line number."""

import codecs
import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv

from avalanche_assets.errors import InventoryError
from avalanche_assets.inventory.columns import find_columns
from avalanche_assets.inventory.report import Rejection

DELIMITERS = ",;\t"
ENCODINGS = ("utf-8", "cp1252")
"""Tried in this order; text in the second is practically never valid in the first."""


def read_text_columns(
    path: Path, names: Mapping[str, Sequence[str]], required: Sequence[Sequence[str]], setting: str
) -> tuple[pd.DataFrame, list[Rejection]]:
    """The columns of `names` that the file has, as stripped text; blank rows are left out.

    Args:
        path: Text file with a header; its delimiter and encoding are found out.
        names: Field to accepted headers, as `columns.plain` writes them.
        required: Groups of fields; of each group the file must have one.
        setting: The setting that names the file, for errors.

    Returns:
        A frame with a column a field, indexed by line number, empty text where a value is missing; and the
        rows whose number of fields is not the header's.

    Raises:
        InventoryError: The file is missing, empty, in no known encoding, without rows, or lacks a column.
    """
    if not path.exists():
        raise InventoryError(f"{path}: file not found; set {setting} to the table of events")
    data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    encoding = _encoding(data, path)
    header = data.split(b"\n", 1)[0].decode(encoding)
    if not header.strip():
        raise InventoryError(f"{path}: the file is empty; leave {setting} out when there are no events")
    delimiter = max(DELIMITERS, key=header.count)
    headers = next(csv.reader([header.rstrip("\r")], delimiter=delimiter))
    columns = find_columns(headers, names)
    missing = [" or ".join(group) for group in required if not set(group) & set(columns)]
    if missing:
        accepted = sorted({name for group in required for field in group for name in names[field]})
        raise InventoryError(f"{path}: no column for {missing}; accepted are {accepted}, found {headers}")
    table, malformed = _parse(data, headers, list(columns.values()), delimiter, encoding, path)
    lines = _line_numbers(data, encoding, delimiter, len(table) + len(malformed))
    bad = {row.number - 2 for row in malformed}
    good_lines = [line for i, line in enumerate(lines) if i not in bad]
    frame = pd.DataFrame(
        {field: table.column(name).to_pandas().fillna("").str.strip() for field, name in columns.items()}
    )
    frame.index = pd.Index(good_lines, name="line")
    frame = frame[(frame != "").any(axis=1)]
    if frame.empty and not malformed:
        raise InventoryError(
            f"{path}: has a header but no rows; leave {setting} out when there are no events"
        )
    return frame, [
        Rejection(
            f"line {lines[row.number - 2]}",
            f"'{row.actual_columns}' fields, but the header has '{row.expected_columns}'",
        )
        for row in malformed
    ]


def _encoding(data: bytes, path: Path) -> str:
    for encoding in ENCODINGS:
        try:
            data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    raise InventoryError(f"{path}: neither UTF-8 nor Windows-1252 text; save it as UTF-8")


def _parse(
    data: bytes, headers: list[str], wanted: list[str], delimiter: str, encoding: str, path: Path
) -> tuple[pa.Table, list[arrow_csv.InvalidRow]]:
    malformed: list[arrow_csv.InvalidRow] = []

    def remember(row: arrow_csv.InvalidRow) -> str:
        malformed.append(row)
        return "skip"

    try:
        table = arrow_csv.read_csv(
            io.BytesIO(data),
            # One thread: only then does Arrow number the rows.
            arrow_csv.ReadOptions(use_threads=False, encoding=encoding, block_size=max(len(data), 1) + 1),
            arrow_csv.ParseOptions(
                delimiter=delimiter,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=remember,
            ),
            arrow_csv.ConvertOptions(
                include_columns=wanted, column_types=dict.fromkeys(headers, pa.string()), null_values=[]
            ),
        )
    except pa.ArrowInvalid as error:
        raise InventoryError(f"{path}: not a readable table ({error})") from error
    return table, malformed


def _line_numbers(data: bytes, encoding: str, delimiter: str, rows: int) -> Sequence[int]:
    """The line every row starts on; they differ from row numbers only where values hold line breaks."""
    breaks = data.count(b"\n") + (not data.endswith(b"\n"))
    if breaks == rows + 1:
        return range(2, rows + 2)
    reader = csv.reader(io.StringIO(data.decode(encoding), newline=""), delimiter=delimiter)
    ends = [0, *(reader.line_num for _ in reader)]
    return [end + 1 for end in ends[1:-1]]
