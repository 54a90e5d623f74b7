"""The detections table of one date: one row a corridor, whether detected, quiet or not observable.

A corridor that could not be seen is listed with the reason and never as quiet: an operator must be able to
tell "no avalanche detected" from "nobody could look".
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from shapely.geometry import Point, Polygon

from avalanche_assets.catalogue.acquisitions import Acquisition
from avalanche_assets.detection.outline import Outline, outline_anomaly, outline_statistics
from avalanche_assets.detection.quality import quality_class, score_spread
from avalanche_assets.detection.tracks import Sighting, detection_id, last_detected, sightings, track
from avalanche_assets.errors import DetectorError
from avalanche_assets.grid import Grid
from avalanche_assets.patches.samples import PatchSamples
from avalanche_assets.tables import DETECTIONS

SIGHT = ("visible_fraction", "wet_snow_fraction", "previous_wet_snow_fraction")
"""How well a corridor was seen: columns of the patches that the detections keep."""

NOT_SCORED = "no patch: the corridor lies outside the processed area"


@dataclass(frozen=True)
class DecisionRule:
    """What turns a score into a detection.

    Attributes:
        detector: Name of the detector.
        detector_version: Version of the trained detector.
        operating_point: How the threshold was chosen.
        threshold: A score at or above it is a detection.
    """

    detector: str
    detector_version: str
    operating_point: str
    threshold: float

    def __post_init__(self) -> None:
        """Refuses an undefined threshold: every corridor would silently count as quiet.

        Raises:
            DetectorError: The threshold is not a finite number.
        """
        if not np.isfinite(self.threshold):
            raise DetectorError(
                f"thresholds: the threshold of {self.detector!r} at operating point "
                f"{self.operating_point!r} is {self.threshold}; the validation dates hold too few labels: "
                "add validation dates (settings, learning.validation_dates) or choose another operating point"
            )


def detected_corridors(scores: pa.Table, rule: DecisionRule) -> list[str]:
    """Ids of the corridors whose score is at or above the threshold, in the table's order.

    Args:
        scores: Rows of `tables.PUBLISHED_SCORES` of one date.
        rule: The decision rule.
    """
    ids, values, observable = (scores[name].to_pylist() for name in ("corridor_id", "score", "observable"))
    return [
        corridor
        for corridor, score, seen in zip(ids, values, observable, strict=True)
        if seen and score >= rule.threshold
    ]


def build_detections(
    corridors: gpd.GeoDataFrame,
    scores: pa.Table,
    patches: pa.Table,
    samples: PatchSamples,
    anomaly_maps: NDArray[np.float32],
    rule: DecisionRule,
    current: Acquisition,
    previous: Acquisition | None,
    earlier_scores: pa.Table,
    grid: Grid,
) -> gpd.GeoDataFrame:
    """Builds the detections table of one date.

    Args:
        corridors: `tables.CORRIDORS` with the polygon geometry on the analysis grid.
        scores: `tables.PUBLISHED_SCORES` of this date.
        patches: `corridor_id`, `visible_fraction` and `wet_snow_fraction` of `tables.CORRIDOR_PATCHES`, and
            `previous_wet_snow_fraction`, that of the previous acquisition.
        samples: This date's samples of at least every detected corridor, with both polarisations and the
            terrain channels elevation, slope and aspect.
        anomaly_maps: The detector's anomaly map of every sample, (len(samples), 64, 64), larger is more
            anomalous, NaN where no value.
        rule: Detector, version, operating point and threshold.
        current: This acquisition.
        previous: The previous acquisition, or None.
        earlier_scores: Rows of `tables.PUBLISHED_SCORES` of the same model at the season's earlier
            dates, from which the tracks follow; no rows at the first date.
        grid: The analysis grid.

    Returns:
        `tables.DETECTIONS` in the corridors' order with `geometry` (anomaly outline, empty without a
        detection) and `corridor_geometry` (the corridor's polygon).

    Raises:
        DetectorError: A detected corridor has no sample.
    """
    score_rows = {row["corridor_id"]: row for row in scores.to_pylist()}
    patch_rows = {row["corridor_id"]: row for row in patches.to_pylist()}
    detected = set(detected_corridors(scores, rule))
    sample_rows = {corridor: row for row, corridor in enumerate(samples.corridor_ids)}
    missing = sorted(detected - set(sample_rows))
    if missing:
        raise DetectorError(f"detections of {current.date}: no patches of the detected corridors {missing}")
    spread = score_spread(np.array([row["score"] for row in score_rows.values()], dtype=np.float64))
    before = sightings(earlier_scores, rule.threshold)

    rows = []
    for corridor in corridors.itertuples():
        score_row = score_rows.get(corridor.corridor_id)
        patch_row = patch_rows.get(corridor.corridor_id, {})
        row = _row(corridor, score_row, patch_row, rule, current, previous)
        row["last_seen"] = last_detected(before.get(corridor.corridor_id, ()))
        if corridor.corridor_id in detected:
            index = sample_rows[corridor.corridor_id]
            outline = _outline(corridor, anomaly_maps[index], grid)
            margin = (row["score"] - rule.threshold) / spread
            row |= _evidence(row, outline, samples, index, margin, before)
        rows.append(row)
    return _frame(rows, corridors)


def _row(
    corridor: Any,
    score_row: Mapping[str, Any] | None,
    patch_row: Mapping[str, Any],
    rule: DecisionRule,
    current: Acquisition,
    previous: Acquisition | None,
) -> dict[str, Any]:
    observable = score_row is not None and score_row["observable"]
    score = score_row["score"] if score_row is not None and observable else None
    reason = None if observable else score_row["reason"] if score_row is not None else NOT_SCORED
    return dict.fromkeys(DETECTIONS.names) | {
        "detection_id": detection_id(corridor.corridor_id, current.date, rule.detector),
        "corridor_id": corridor.corridor_id,
        "corridor_name": corridor.name,
        "massif_id": corridor.massif_id,
        "massif": corridor.massif,
        "acquisition_date": current.date,
        "window_start": previous.overpass if previous else None,
        "window_end": current.overpass,
        **asdict(rule),
        "score": score,
        "raw_score": score_row["raw_score"] if score is not None and score_row is not None else None,
        "is_detection": score is not None and score >= rule.threshold,
        "observable": observable,
        "reason": reason,
        **{name: patch_row.get(name) for name in SIGHT},
        "place": Point(corridor.deposit_x, corridor.deposit_y),
        "geometry": Polygon(),
        "corridor_geometry": corridor.geometry,
    }


def _outline(corridor: Any, anomaly: NDArray[np.float32], grid: Grid) -> Outline | None:
    window = grid.window_around(corridor.deposit_x, corridor.deposit_y, anomaly.shape[0])
    return outline_anomaly(anomaly, grid.subgrid(window).transform)


def _evidence(
    row: Mapping[str, Any],
    outline: Outline | None,
    samples: PatchSamples,
    index: int,
    margin: float,
    before: Mapping[str, Sequence[Sighting]],
) -> dict[str, Any]:
    polygon = outline.polygon if outline else Polygon()
    seen = track(polygon, row["acquisition_date"], before.get(row["corridor_id"], ()))
    evidence: dict[str, Any] = {
        "geometry": polygon,
        "track_id": detection_id(row["corridor_id"], seen.first_seen, row["detector"]),
        "new_or_persisting": seen.state,
        "first_seen": seen.first_seen,
        "last_seen": row["acquisition_date"],
        "times_seen": seen.times_seen,
        "margin": margin,
        "quality": quality_class(
            margin=margin,
            visible_fraction=_number(row["visible_fraction"]),
            # NaN if either is unknown.
            wet_snow_fraction=float(
                np.maximum(_number(row["wet_snow_fraction"]), _number(row["previous_wet_snow_fraction"]))
            ),
            times_seen=seen.times_seen,
        ),
    }
    if outline:
        evidence["place"] = polygon.representative_point()
        names = ("elevation", "slope", "aspect", "dvv", "dvh")
        channels = {name: samples.channel(name, np.array([index]))[0] for name in names}
        evidence |= asdict(outline_statistics(outline, **channels))
    return evidence


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _frame(rows: list[dict[str, Any]], corridors: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """A GeoDataFrame whose columns convert to the schema's types, nulls included."""
    places = gpd.GeoSeries([row["place"] for row in rows], crs=corridors.crs).to_crs("EPSG:4326")
    for row, place in zip(rows, places, strict=True):
        # Seven decimals are a centimetre.
        row["longitude"], row["latitude"] = round(place.x, 7), round(place.y, 7)
    plain = pa.Table.from_pylist([{name: row[name] for name in DETECTIONS.names} for row in rows], DETECTIONS)
    frame: pd.DataFrame = plain.to_pandas(types_mapper=_NULLABLE.get, date_as_object=True)
    outlines = gpd.GeoSeries([row["geometry"] for row in rows], index=frame.index, crs=corridors.crs)
    polygons = gpd.GeoSeries([row["corridor_geometry"] for row in rows], index=frame.index, crs=corridors.crs)
    return gpd.GeoDataFrame(frame.assign(corridor_geometry=polygons), geometry=outlines)


_NULLABLE = {pa.int16(): pd.Int16Dtype()}
"""Integers with nulls stay integers instead of becoming floats."""
