"""Finding the columns of inventory files, whose headers differ in language, accents and case."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

CORRIDOR_NAMES: Mapping[str, tuple[str, ...]] = {
    "corridor_id": ("corridor_id",),
    "insee": ("insee", "insee_de_la_commune", "code_insee", "insee_com"),
    "site": ("site_number", "site", "numero_du_site", "numero_site", "num_site"),
}
"""Headers, as `plain` writes them, of the columns that make a corridor id."""


def plain(header: str) -> str:
    """A header in lower case without accents, runs of other signs as one underscore."""
    ascii_only = unicodedata.normalize("NFKD", header).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", ascii_only.lower()).strip("_")


def find_columns(headers: Iterable[str], names: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """For every field of `names` that the file has: the header of its column."""
    by_plain: dict[str, str] = {}
    for header in headers:
        by_plain.setdefault(plain(header), header)
    found = {}
    for field, accepted in names.items():
        matches = [by_plain[name] for name in accepted if name in by_plain]
        if matches:
            found[field] = matches[0]
    return found


def corridor_ids(frame: pd.DataFrame, columns: Mapping[str, str]) -> "pd.Series[str]":
    """The corridor id of every row, empty where it is unknown.

    The id is the column ``corridor_id`` where there is one, else the INSEE code (5 digits) followed by the
    site number (3 digits); leading zeros that a spreadsheet took are put back.
    """
    if "corridor_id" in columns:
        return _digits(frame[columns["corridor_id"]], 8)
    insee, site = _digits(frame[columns["insee"]], 5), _digits(frame[columns["site"]], 3)
    return (insee + site).where((insee != "") & (site != ""), "")


def _digits(values: "pd.Series[str]", width: int) -> "pd.Series[str]":
    """Values as text; whole numbers (``4001``, ``4001.0``) padded with zeros to `width`."""
    text = values.astype("string").fillna("").str.strip()
    text = text.str.replace(r"^(\d+)\.0+$", r"\1", regex=True)
    numeric = text.str.fullmatch(r"\d+")
    return text.where(~numeric, text.str.zfill(width)).astype(str)
