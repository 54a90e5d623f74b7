"""Finding the columns of inventory files, whose headers differ in language, accents and case."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from avalanche_assets.errors import InventoryError

CORRIDOR_NAMES: Mapping[str, tuple[str, ...]] = {
    "corridor_id": ("corridor_id", "corridor_i"),
    "insee": ("insee", "insee_de_la_commune", "insee_de_l", "code_insee", "insee_com"),
    "site": ("site_number", "site_numbe", "site", "numero_du_site", "numero_du", "numero_site", "num_site"),
}
"""Headers, as `plain` writes them, of the columns that make a corridor id. Shapefiles cut them to
ten signs."""
CORRIDOR_REQUIRED = (("corridor_id", "insee"), ("corridor_id", "site"))
"""Of each group one column must be there."""


def plain(header: str) -> str:
    """A header in lower case without accents, runs of other signs as one underscore."""
    bare = "".join(sign for sign in unicodedata.normalize("NFKD", header) if not unicodedata.combining(sign))
    return re.sub(r"[^a-z0-9]+", "_", bare.lower()).strip("_")


def find_columns(
    headers: Iterable[str], names: Mapping[str, Sequence[str]], chosen: Mapping[str, str] | None = None
) -> dict[str, str]:
    """For every field of `names` that the file has: the header of its column.

    `chosen` names the headers of some fields; for these no other header counts.
    """
    known = list(headers)
    by_plain: dict[str, str] = {}
    for header in known:
        by_plain.setdefault(plain(header), header)
    found = {}
    for field, accepted in names.items():
        wanted = (chosen or {}).get(field)
        if wanted in known:
            found[field] = wanted
            continue
        candidates = accepted if wanted is None else (plain(wanted),)
        matches = [by_plain[name] for name in candidates if name in by_plain]
        if matches:
            found[field] = matches[0]
    return found


def require_columns(
    headers: Sequence[str],
    names: Mapping[str, Sequence[str]],
    required: Sequence[Sequence[str]],
    chosen: Mapping[str, str],
    where: str,
    setting: str,
) -> dict[str, str]:
    """As `find_columns`, of a file or layer that has to have some of them.

    Args:
        headers: Those of the file.
        names: Field to accepted headers, as `plain` writes them.
        required: Groups of fields; of each group the file must have one.
        chosen: Field to header, as the user set it.
        where: The file or layer, for errors.
        setting: The setting that `chosen` comes from.

    Raises:
        InventoryError: A chosen header is not there, or no column of a group; lists the headers found.
    """
    columns = find_columns(headers, names, chosen)
    strange = {field: header for field, header in chosen.items() if field not in columns}
    if strange:
        raise InventoryError(f"{where}: no column for {strange} of {setting}; found {list(headers)}")
    missing = [" or ".join(group) for group in required if not set(group) & set(columns)]
    if missing:
        accepted = sorted({name for group in required for field in group for name in names[field]})
        raise InventoryError(
            f"{where}: no column for {missing}; accepted are {accepted}, or name yours in {setting}; "
            f"found {list(headers)}"
        )
    return columns


def corridor_ids(frame: pd.DataFrame, columns: Mapping[str, str]) -> "pd.Series[str]":
    """The corridor id of every row, empty where it is unknown.

    The id is the column ``corridor_id`` where there is one, else the INSEE code (5 digits) followed by the
    site number (3 digits); leading zeros that a spreadsheet took are put back.
    """
    if "corridor_id" in columns:
        return _digits(frame[columns["corridor_id"]], 8)
    insee, site = _digits(frame[columns["insee"]], 5), _digits(frame[columns["site"]], 3)
    return (insee + site).where((insee != "") & (site != ""), "")


def as_text(frame: pd.DataFrame, column: str | None) -> "pd.Series[str]":
    """A column as stripped text, empty where a value or the whole column is missing."""
    if column is None:
        return pd.Series([""] * len(frame), frame.index, dtype=str)
    return frame[column].astype("string").fillna("").str.strip().astype(str)


def _digits(values: "pd.Series[str]", width: int) -> "pd.Series[str]":
    """Values as text; whole numbers (``4001``, ``4001.0``) padded with zeros to `width`."""
    text = values.astype("string").fillna("").str.strip()
    text = text.str.replace(r"^(\d+)\.0+$", r"\1", regex=True)
    numeric = text.str.fullmatch(r"\d+")
    return text.where(~numeric, text.str.zfill(width)).astype(str)
