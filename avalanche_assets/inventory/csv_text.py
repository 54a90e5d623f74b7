"""Reading columns of a delimited text file as text, each row with its line number."""

import codecs
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
from avalanche_assets.inventory.report import Rejection

DELIMITERS = ",;\t|"
BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
ENCODINGS = ("utf-8", "cp1252")
"""Without a byte order mark, in this order; text in the second is practically never valid in the first."""


@dataclass(frozen=True)
class DelimitedText:
    """A text table with a header; its delimiter and encoding are found out.

    Attributes:
        path: Where it comes from, for errors.
        data: The text in UTF-8.
        delimiter: Between fields.
    """

    path: Path
    data: bytes
    delimiter: str

    @classmethod
    def open(cls, path: Path, setting: str) -> "DelimitedText":
        """Reads a file.

        Raises:
            InventoryError: It is missing, empty or in no known encoding; `setting` is the one that names it.
        """
        if not path.exists():
            raise InventoryError(f"{path}: file not found; set {setting} to a table that exists")
        data = _utf8(path)
        header = data.split(b"\n", 1)[0].decode("utf-8")
        if not header.strip():
            raise InventoryError(f"{path}: the file is empty; give a table with a header for {setting}")
        return cls(path, data, max(DELIMITERS, key=header.count))

    @cached_property
    def headers(self) -> list[str]:
        """Headers as they are written."""
        header = self.data.split(b"\n", 1)[0].decode("utf-8").rstrip("\r")
        return next(csv.reader([header], delimiter=self.delimiter))

    def columns(self, wanted: Sequence[str]) -> tuple[pd.DataFrame, list[Rejection]]:
        """The columns with these headers as stripped text; blank rows are left out.

        Returns:
            A frame indexed by line number, empty text where a value is missing; and the rows whose number of
            fields is not the header's.

        Raises:
            InventoryError: It is no table.
        """
        table, malformed = self._parse(wanted)
        lines = self._line_numbers(len(table) + len(malformed))
        bad = {row.number - 2 for row in malformed}
        frame = pd.DataFrame({name: table.column(name).to_pandas().fillna("").str.strip() for name in wanted})
        frame.index = pd.Index([line for i, line in enumerate(lines) if i not in bad], name="line")
        return frame[(frame != "").any(axis=1)], [
            Rejection(
                f"line {lines[row.number - 2]}",
                f"'{row.actual_columns}' fields, but the header has '{row.expected_columns}'",
            )
            for row in malformed
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

    def _line_numbers(self, rows: int) -> Sequence[int]:
        """The line every row starts on; they differ from row numbers only where values hold line breaks."""
        breaks = self.data.count(b"\n") + (not self.data.endswith(b"\n"))
        if breaks == rows + 1:
            return range(2, rows + 2)
        text = io.StringIO(self.data.decode("utf-8"), newline="")
        csv.field_size_limit(max(csv.field_size_limit(), len(self.data)))
        reader = csv.reader(text, delimiter=self.delimiter)
        ends = [0, *(reader.line_num for _ in reader)]
        return [end + 1 for end in ends[1:-1]]


def _remember(malformed: list[arrow_csv.InvalidRow]) -> Callable[[arrow_csv.InvalidRow], str]:
    def skip(row: arrow_csv.InvalidRow) -> str:
        malformed.append(row)
        return "skip"

    return skip


def _utf8(path: Path) -> bytes:
    data = path.read_bytes()
    if data.isascii():
        return data
    marked = [name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)]
    for encoding in marked or ENCODINGS:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return data.removeprefix(codecs.BOM_UTF8) if encoding == "utf-8" else _encoded(text)
    raise InventoryError(f"{path}: neither UTF-8 nor Windows-1252 text; save it as UTF-8")


def _encoded(text: str) -> bytes:
    return text.removeprefix("\ufeff").encode("utf-8")
