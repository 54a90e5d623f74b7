"""Reading columns of a delimited text file as text, each row with its line number."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv

from avalanche_assets.errors import InventoryError
from avalanche_assets.inventory.encoding import utf8_lines
from avalanche_assets.inventory.report import Rejection

DELIMITERS = ",;\t|"
SEPARATOR_LINE = "sep="
"""Spreadsheets put a line such as ``sep=;`` before the header."""


@dataclass(frozen=True)
class DelimitedText:
    """A text table with a header; its delimiter and encoding are found out.

    Attributes:
        path: Where it comes from, for errors.
        data: The header and all rows in UTF-8.
        headers: Headers as they are written.
        delimiter: Between fields.
        first_line: Line of the file that the header starts on.
    """

    path: Path
    data: bytes
    headers: list[str]
    delimiter: str
    first_line: int

    @classmethod
    def open(cls, path: Path, setting: str) -> "DelimitedText":
        """Reads a file.

        Raises:
            InventoryError: It is missing, empty or in no known encoding; `setting` is the one that names it.
        """
        if not path.exists():
            raise InventoryError(f"{path}: file not found; set {setting} to a table that exists")
        data, first_line = utf8_lines(path), 1
        while data and (not (line := _first_line(data)).strip() or line.lower().startswith(SEPARATOR_LINE)):
            data, first_line = data[data.find(b"\n") + 1 :] if b"\n" in data else b"", first_line + 1
        if not data:
            raise InventoryError(f"{path}: the file is empty; give a table with a header for {setting}")
        outside_quotes = "".join(line.split('"')[::2])
        delimiter = max(DELIMITERS, key=outside_quotes.count)
        return cls(path, data, _headers(data, delimiter), delimiter, first_line)

    def columns(self, wanted: Sequence[str]) -> tuple[pd.DataFrame, list[Rejection]]:
        """The columns with these headers as stripped text; blank rows are left out.

        Returns:
            A frame indexed by line number, empty text where a value is missing; and the rows whose number of
            fields is not the header's.

        Raises:
            InventoryError: It is no table, or has one of these headers twice.
        """
        if twice := sorted({name for name in wanted if self.headers.count(name) > 1}):
            raise InventoryError(f"{self.path}: the columns {twice} appear twice; leave the right ones")
        table, malformed = self._parse(wanted)
        lines = self._line_numbers(len(table) + len(malformed))
        bad = {row.number - 2 for row in malformed}
        frame = pd.DataFrame({name: table.column(name).to_pandas().fillna("").str.strip() for name in wanted})
        frame.index = pd.Index([line for i, line in enumerate(lines) if i not in bad], name="line")
        return frame[(frame != "").any(axis=1)], [
            rejection for row in malformed for rejection in _rejections(row, lines[row.number - 2])
        ]

    def _parse(self, wanted: Sequence[str]) -> tuple[pa.Table, list[arrow_csv.InvalidRow]]:
        malformed: list[arrow_csv.InvalidRow] = []
        try:
            table = arrow_csv.read_csv(
                io.BytesIO(self.data),
                # One thread: only then does Arrow number the rows.
                arrow_csv.ReadOptions(use_threads=False, block_size=len(self.data) + 1),
                arrow_csv.ParseOptions(
                    delimiter=self.delimiter,
                    newlines_in_values=True,
                    ignore_empty_lines=False,
                    invalid_row_handler=_remember(malformed),
                ),
                arrow_csv.ConvertOptions(
                    include_columns=list(wanted),
                    column_types=dict.fromkeys(self.headers, pa.string()),
                    null_values=[],
                ),
            )
        except (pa.ArrowInvalid, KeyError) as error:
            raise InventoryError(f"{self.path}: not a readable table ({error})") from error
        return table, malformed

    @cached_property
    def _breaks(self) -> int:
        return self.data.count(b"\n") + (not self.data.endswith(b"\n"))

    def _line_numbers(self, rows: int) -> Sequence[int]:
        """The line every row starts on; they differ from row numbers only where values hold line breaks."""
        first = self.first_line + 1
        if self._breaks == rows + 1:
            return range(first, rows + first)
        text = io.StringIO(self.data.decode("utf-8"), newline="")
        csv.field_size_limit(max(csv.field_size_limit(), len(self.data)))
        reader = csv.reader(text, delimiter=self.delimiter)
        ends = [0, *(reader.line_num for _ in reader)]
        return [end + self.first_line for end in ends[1:-1]]


def _first_line(data: bytes) -> str:
    end = data.find(b"\n")
    return data[: end if end >= 0 else len(data)].decode("utf-8")


def _headers(data: bytes, delimiter: str) -> list[str]:
    """Headers of the first row, which may itself hold line breaks."""
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")
    return next(csv.reader(text, delimiter=delimiter))


def _rejections(row: arrow_csv.InvalidRow, line: int) -> list[Rejection]:
    """A row with too few or too many fields; each of its lines where it swallowed others."""
    reason = f"wrong number of fields: '{row.actual_columns}', the header has {row.expected_columns}"
    swallowed = row.text.rstrip("\n").count("\n") if row.text else 0
    return [
        Rejection(f"line {line}", reason),
        *(
            Rejection(
                f"line {line + offset}", f"read as part of line '{line}': a quotation mark is not closed"
            )
            for offset in range(1, swallowed + 1)
        ),
    ]


def _remember(malformed: list[arrow_csv.InvalidRow]) -> Callable[[arrow_csv.InvalidRow], str]:
    def skip(row: arrow_csv.InvalidRow) -> str:
        malformed.append(row)
        return "skip"

    return skip
