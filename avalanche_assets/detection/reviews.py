"""Reviews: what people say of detections, in a small table that belongs to them.

The table is a CSV file or a GeoPackage (layer `reviews`) edited in QGIS. The pipeline reads it and never
writes it: `create_reviews` makes an empty one, and refuses where a file is. A row is a corridor, a date and
a verdict; whatever cannot be understood is an error that names file, row, field and remedy, because a review
that is silently ignored is worse than a run that stops.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, NoReturn

import geopandas as gpd
import pandas as pd
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from avalanche_assets.detection.geopackage import add_styles
from avalanche_assets.detection.qgis_style import choices_qml
from avalanche_assets.errors import InventoryError, ReviewError
from avalanche_assets.inventory.csv_text import DelimitedText
from avalanche_assets.settings import Settings

Verdict = Literal["confirm", "reject", "add"]

VERDICTS: dict[str, Verdict] = {
    **dict.fromkeys(("confirm", "confirmed", "confirmer"), "confirm"),
    **dict.fromkeys(("reject", "rejected", "rejeter"), "reject"),
    **dict.fromkeys(("add", "added", "ajouter"), "add"),
}
REQUIRED = ("corridor_id", "acquisition_date", "verdict")
COLUMNS = (*REQUIRED, "first_seen", "reviewer", "comment")
LAYER = "reviews"
SETTING = "detection.reviews"
EPOCH = "1970-01-01T00:00:00.000Z"
"""An empty table tells nothing, not even when it was made."""
DATE_FORMS = ("%Y-%m-%d", "%d/%m/%Y")


@dataclass(frozen=True)
class Review:
    """One verdict.

    Attributes:
        row: Where it stands, such as ``line 3``.
        corridor_id: The corridor.
        day: Acquisition date of the bulletin that was looked at.
        verdict: ``confirm`` or ``reject`` what was detected, or ``add`` what was not.
        first_seen: First acquisition that shows the deposit; `day` unless the reviewer says otherwise.
        reviewer: Who, empty if not said.
        comment: What the reviewer noted.
        outline: A drawn outline in the coordinate system of the file, for what is added; empty without.
    """

    row: str
    corridor_id: str
    day: date
    verdict: Verdict
    first_seen: date
    reviewer: str = ""
    comment: str = ""
    outline: BaseGeometry = Polygon()  # noqa: RUF009  immutable


def reviews_file(settings: Settings) -> Path:
    """Where the deployment keeps its reviews."""
    return settings.detection.reviews or settings.layout.reviews


def reviews_of(settings: Settings, corridors: gpd.GeoDataFrame, dates: Collection[str]) -> list[Review]:
    """The reviews of a deployment; none where there is no table and none is named in the settings.

    Args:
        settings: Where the table is.
        corridors: `tables.CORRIDORS`: the corridors and the coordinate system wanted for outlines.
        dates: Acquisition dates, ``YYYY-MM-DD``.

    Raises:
        ReviewError: The table is missing though it is named, or a row of it cannot be used.
    """
    path = reviews_file(settings)
    if not path.exists():
        if settings.detection.reviews is None:
            return []
        raise ReviewError(
            f"{path}: file not found; `avalanche reviews` makes an empty one, or remove {SETTING}"
        )
    reviews = read_reviews(path, str(corridors.crs))
    _check_known(path, reviews, set(corridors["corridor_id"]), dates)
    return reviews


def read_reviews(path: Path, crs: str) -> list[Review]:
    """Reads a table of reviews (``.csv`` or ``.gpkg``) in its own order, outlines in `crs`.

    Raises:
        ReviewError: The table or a row of it cannot be used.
    """
    rows = _read_geopackage(path, crs) if path.suffix.lower() == ".gpkg" else _read_csv(path)
    reviews: dict[tuple[str, date], Review] = {}
    for name, row in rows:
        review = _review(path, name, row)
        key = review.corridor_id, review.day
        if key in reviews:
            _refuse(path, name, "corridor_id", review.corridor_id, f"{reviews[key].row} reviews it on the "
                    f"same date; keep one of the two")  # fmt: skip
        reviews[key] = review
    return list(reviews.values())


def create_reviews(path: Path, crs: str) -> None:
    """Makes an empty table of reviews, ``.csv`` or ``.gpkg`` in `crs`; never replaces a file.

    Raises:
        ReviewError: There is a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        raise ReviewError(f"{path}: there is a file already; it is never overwritten")
    if path.suffix.lower() != ".gpkg":
        with path.open("x", encoding="utf-8") as file:
            file.write(",".join(COLUMNS) + "\n")
        return
    empty = gpd.GeoDataFrame({name: pd.Series([], dtype=str) for name in COLUMNS}, geometry=[], crs=crs)
    pyogrio.write_dataframe(empty, path, layer=LAYER, driver="GPKG", geometry_type="MultiPolygon")
    add_styles(path, {LAYER: choices_qml("verdict", ("confirm", "reject", "add"))}, EPOCH)


def in_force(reviews: Sequence[Review], corridor_id: str, since: date, day: date) -> Review | None:
    """The latest review of a corridor from `since`, when what is looked at was first seen, to `day`.

    What was rejected or confirmed once need not be reviewed at every pass at which it persists.
    """
    found = [item for item in reviews if item.corridor_id == corridor_id and since <= item.day <= day]
    return max(found, key=lambda item: item.day, default=None)


def _read_csv(path: Path) -> list[tuple[str, dict[str, Any]]]:
    try:
        text = DelimitedText.open(path, SETTING)
        headers = {name.strip().lower(): name for name in text.headers}
        _check_headers(path, headers)
        frame, malformed = text.columns([headers[name] for name in COLUMNS if name in headers])
    except InventoryError as error:
        raise ReviewError(str(error)) from error
    if malformed:
        _refuse(
            path, malformed[0].record, "the row", malformed[0].reason, "quote texts that hold the delimiter"
        )
    frame.columns = [name.strip().lower() for name in frame.columns]
    return [(f"line {line}", row) for line, row in zip(frame.index, frame.to_dict("records"), strict=True)]


def _read_geopackage(path: Path, crs: str) -> list[tuple[str, dict[str, Any]]]:
    try:
        frame = pyogrio.read_dataframe(path, layer=LAYER, fid_as_index=True)
    except (DataSourceError, DataLayerError) as error:
        raise ReviewError(
            f"{path}: no readable GeoPackage with a layer {LAYER!r} ({error}); `avalanche reviews` makes one"
        ) from error
    _check_headers(path, frame.columns)
    outlines = frame.geometry.to_crs(crs) if frame.crs is not None else frame.geometry
    rows = frame.drop(columns=frame.geometry.name).astype(object)
    rows = rows.where(rows.notna(), "").assign(outline=outlines.to_numpy())
    return [(f"feature {fid}", row) for fid, row in zip(rows.index, rows.to_dict("records"), strict=True)]


def _check_headers(path: Path, headers: Collection[str]) -> None:
    missing = [name for name in REQUIRED if name not in headers]
    if missing:
        raise ReviewError(
            f"{path}: the columns {missing} are missing, found {sorted(headers)}; "
            f"the header is {','.join(COLUMNS)}"
        )


def _review(path: Path, name: str, row: dict[str, Any]) -> Review:
    word = str(row["verdict"]).strip().lower()
    if word not in VERDICTS:
        _refuse(path, name, "verdict", row["verdict"], "write confirm, reject or add")
    day = _day(path, name, "acquisition_date", row["acquisition_date"])
    first_seen = row.get("first_seen", "")
    outline = row.get("outline")
    return Review(
        row=name,
        # Spreadsheets take the leading zero of departments 01 to 09 away.
        corridor_id=str(row["corridor_id"]).strip().zfill(8),
        day=day,
        verdict=VERDICTS[word],
        first_seen=_day(path, name, "first_seen", first_seen) if first_seen else day,
        reviewer=str(row.get("reviewer", "")).strip(),
        comment=str(row.get("comment", "")).strip(),
        outline=outline if isinstance(outline, Polygon | MultiPolygon) else Polygon(),
    )


def _day(path: Path, row: str, field: str, value: Any) -> date:
    if isinstance(value, date):
        return value.date() if isinstance(value, datetime) else value
    for form in DATE_FORMS:
        with suppress(ValueError):
            return datetime.strptime(str(value).strip(), form).date()
    return _refuse(path, row, field, value, "write it as 2018-01-03")


def _check_known(path: Path, reviews: Sequence[Review], corridors: set[str], dates: Collection[str]) -> None:
    for review in reviews:
        if review.corridor_id not in corridors:
            remedy = "give the id of a corridor of the inventory, as the bulletin's table has it"
            _refuse(path, review.row, "corridor_id", review.corridor_id, remedy)
        for field, day in (("acquisition_date", review.day), ("first_seen", review.first_seen)):
            if str(day) not in dates:
                near = min(dates, key=lambda one: abs(date.fromisoformat(one) - day), default="none")
                _refuse(path, review.row, field, day, f"no acquisition of a winter; the nearest is {near}")
        if review.first_seen > review.day:
            _refuse(path, review.row, "first_seen", review.first_seen, "it is after acquisition_date")


def _refuse(path: Path, row: str, field: str, value: object, remedy: str) -> NoReturn:
    raise ReviewError(f"{path}, {row}: {field} is {value!s:.60}: {remedy}")
