"""What reviews change: in the detections that are published, and in the labels that detectors learn from."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import geopandas as gpd
import pandas as pd
import pyarrow as pa
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from avalanche_assets.detection.reviews import Review, in_force
from avalanche_assets.detection.unseen import WET_SNOW
from avalanche_assets.tables import CORRIDOR_LABELS

CONFIRMED, REJECTED, ADDED = "confirmed", "rejected", "added"
REVIEWED_QUALITY = "A"

_OF_A_DETECTION = (
    *("new_or_persisting", "last_seen", "times_seen", "quality", "margin"),
    *("area_m2", "elevation_min_m", "elevation_max_m", "slope_deg", "aspect_deg"),
    *("dvv_mean_db", "dvv_max_db", "dvh_mean_db", "dvh_max_db"),
)


def apply_reviews(
    detections: gpd.GeoDataFrame, reviews: Sequence[Review], wet_limit: float = 1.0
) -> gpd.GeoDataFrame:
    """The detections of one date as they are published once people have looked at them.

    A rejected detection becomes a corridor where nothing was detected, a confirmed one is of quality A, and
    what was added, or confirmed where the detector now finds nothing, is a new detection of quality A. A
    verdict also holds at later dates for as long as the same anomaly persists.

    Args:
        detections: `tables.DETECTIONS` of one date, as the detector made them.
        reviews: Those of all dates.
        wet_limit: Share of wet snow beyond which a corridor without detection is not observable; a rejected
            detection leaves it so.
    """
    if not reviews:
        return detections
    reviewed = detections.copy()
    for index, row in detections.iterrows():
        review = _review_of(row, reviews)
        if review is not None:
            for column, value in _changes(row, review, detections.crs, wet_limit).items():
                reviewed.loc[index, column] = value
    return reviewed


def awaits_reviews(detections: gpd.GeoDataFrame, reviews: Sequence[Review]) -> bool:
    """Whether stored detections of a date were made before the reviews became what they are now."""
    for _, row in detections.iterrows():
        review = _review_of(row, reviews)
        said = "" if review is None else REJECTED if review.verdict == "reject" else CONFIRMED
        known = "" if pd.isna(row["review"]) else row["review"].replace(ADDED, CONFIRMED)
        if said != known:
            return True
    return False


def _review_of(row: pd.Series, reviews: Sequence[Review]) -> Review | None:
    """The review in force of a row, of any table before or after reviews were applied to it."""
    day, first_seen = row["acquisition_date"], row["first_seen"]
    return in_force(reviews, row["corridor_id"], day if pd.isna(first_seen) else first_seen, day)


def _changes(row: pd.Series, review: Review, crs: Any, wet_limit: float) -> dict[str, Any]:
    said = {"reviewer": review.reviewer or None, "review_comment": review.comment or None}
    if review.verdict == "reject":
        nothing = dict.fromkeys(_OF_A_DETECTION) | {"geometry": Polygon()}
        if row["wet_snow_fraction"] > wet_limit:
            nothing |= {"observable": False, "reason": WET_SNOW, "score": None}
        return said | {"review": REJECTED, "is_detection": False} | (nothing if row["is_detection"] else {})
    if row["is_detection"]:
        return said | {"review": CONFIRMED, "quality": REVIEWED_QUALITY}
    return said | _added(row, review) | _drawn(review.outline, crs)


def _added(row: pd.Series, review: Review) -> dict[str, Any]:
    day = row["acquisition_date"]
    return {
        "review": ADDED,
        "is_detection": True,
        "observable": True,
        "reason": None,
        "track_id": row["detection_id"],
        "new_or_persisting": "new" if review.first_seen == day else "persisting",
        "first_seen": review.first_seen,
        "last_seen": day,
        "times_seen": 1,
        "quality": REVIEWED_QUALITY,
    }


def _drawn(outline: BaseGeometry, crs: Any) -> dict[str, Any]:
    if outline.is_empty:
        return {}
    (place,) = gpd.GeoSeries([outline.representative_point()], crs=crs).to_crs("EPSG:4326")
    return {
        "geometry": outline,
        "area_m2": float(outline.area),
        "longitude": round(place.x, 7),
        "latitude": round(place.y, 7),
    }


def reviewed_labels(labels: pa.Table, reviews: Sequence[Review], recent_days: int) -> pa.Table:
    """Labels that know what people saw, for training, thresholds and evaluation.

    A deposit that was confirmed or added makes the window `new` positive at the first acquisition that
    shows it, and `recent` for `recent_days` from then on. A rejected detection makes both negative at its
    date; where the inventory has an avalanche there, the two contradict each other and the label is
    ambiguous.

    Args:
        labels: `tables.CORRIDOR_LABELS` of any dates.
        reviews: Those of all dates.
        recent_days: Length of the window `recent`.
    """
    by_corridor: dict[str, list[Review]] = {}
    for review in reviews:
        by_corridor.setdefault(review.corridor_id, []).append(review)
    rows = labels.to_pylist()
    for row in rows:
        for review in sorted(by_corridor.get(row["corridor_id"], ()), key=lambda item: item.day):
            row |= _states(row, review, recent_days)
    return pa.Table.from_pylist(rows, schema=CORRIDOR_LABELS)


def _states(row: dict[str, Any], review: Review, recent_days: int) -> dict[str, str]:
    day: date = row["acquisition_date"]
    if review.verdict == "reject":
        if day != review.day:
            return {}
        return {
            window: "ambiguous" if row[window] == "positive" else "negative" for window in ("new", "recent")
        }
    states = {}
    if day == review.first_seen:
        states["new"] = "positive"
    if review.first_seen <= day <= review.first_seen + timedelta(recent_days):
        states["recent"] = "positive"
    return states
