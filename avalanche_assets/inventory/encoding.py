"""Text of unknown encoding as UTF-8.

Tables come out of databases in UTF-8, out of spreadsheets in Windows-1252 or UTF-16, and rows of both end up
in one file: without a byte order mark each line is judged for itself. Text in Windows-1252 is practically
never valid UTF-8.
"""

import codecs
from pathlib import Path

from avalanche_assets.errors import InventoryError

BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
ARCHIVES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How files of spreadsheets begin, newer and older."""


def utf8_lines(path: Path) -> bytes:
    """A text file in UTF-8 without byte order mark, every line with a line feed at its end.

    Raises:
        InventoryError: It is a spreadsheet, or in no known encoding.
    """
    data = path.read_bytes()
    if data.startswith(ARCHIVES):
        raise InventoryError(f"{path}: a spreadsheet or archive, not text; save the table as CSV in UTF-8")
    if not data.isascii():
        data = _utf8(data, path)
    # Old programs end lines by a carriage return alone.
    if data.count(b"\r") == data.count(b"\r\n"):
        return data
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _utf8(data: bytes, path: Path) -> bytes:
    marked = next((name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(marked)
    except UnicodeDecodeError:
        return b"\n".join(_line(line, path) for line in data.removeprefix(codecs.BOM_UTF8).split(b"\n"))
    return data.removeprefix(codecs.BOM_UTF8) if marked == "utf-8" else _encoded(text)


def _line(line: bytes, path: Path) -> bytes:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        try:
            return line.decode("cp1252").encode("utf-8")
        except UnicodeDecodeError as error:
            raise InventoryError(f"{path}: neither UTF-8 nor Windows-1252 text; save it as UTF-8") from error
    return line


def _encoded(text: str) -> bytes:
    return text.removeprefix("\ufeff").encode("utf-8")
