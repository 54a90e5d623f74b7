"""The detections of one date from the stored tables: scores, thresholds, patches, terrain and model."""

from datetime import date

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.detection.reviewing import apply_reviews
from avalanche_assets.detection.reviews import reviews_of
from avalanche_assets.detection.table import DecisionRule, build_detections, detected_corridors
from avalanche_assets.detection.unseen import hide_wet_snow, name_obstructions
from avalanche_assets.detectors.base import Detector, load_detector, model_name
from avalanche_assets.errors import DetectorError
from avalanche_assets.layout import DataLayout
from avalanche_assets.patches.correction import load_as_set
from avalanche_assets.patches.samples import PatchSamples
from avalanche_assets.rasters import band_reader, read_grid
from avalanche_assets.settings import DetectionSettings, Settings
from avalanche_assets.tables import (
    ANOMALY_SCORES,
    CORRIDOR_PATCHES,
    CORRIDORS,
    PATCH_SIZE,
    THRESHOLDS,
    read_geotable,
    read_table,
)

FRACTIONS = ("corridor_id", "visible_fraction", "wet_snow_fraction")
PREVIOUS_WET = "previous_wet_snow_fraction"


def detections_of_date(
    settings: Settings, catalogue: AcquisitionCatalogue, day: date | str
) -> gpd.GeoDataFrame:
    """The detections table of one date with the detector and operating point of the settings.

    Args:
        settings: Data root and which detector, label window and operating point to use.
        catalogue: Knows the date, the previous one and the season's earlier ones.
        day: Acquisition date.

    Returns:
        `tables.DETECTIONS` with `geometry` and `corridor_geometry`, see `build_detections`.

    Raises:
        DetectorError: The threshold is undefined, or the detector cannot be loaded.
        TableError: A stored table of this date is missing or damaged.
    """
    layout, choice = settings.layout, settings.detection
    current = catalogue.get(day)
    detector = load_detector(choice.detector, layout.model(model_name(choice.detector)))
    rule = decision_rule(read_table(layout.thresholds, THRESHOLDS), choice, detector.version)
    corridors, previous = read_geotable(layout.corridors, CORRIDORS), catalogue.previous(day)
    scores = _scores(layout, day, choice, rule.threshold)
    ids = detected_corridors(scores, rule)
    samples = load_as_set(settings, catalogue, [day], ids).samples
    frame = build_detections(
        corridors,
        _with_named_obstructions(layout, scores, corridors),
        _sight(layout, day, previous.date if previous else None),
        samples,
        _anomaly_maps(detector, samples),
        rule,
        current,
        previous,
        _earlier_scores(layout, catalogue, day, choice, rule.threshold),
        read_grid(layout.dem),
    )
    return apply_reviews(frame, reviews_of(settings, corridors, catalogue.dates("winter")))


def decision_rule(thresholds: pa.Table, choice: DetectionSettings, version: str) -> DecisionRule:
    """The threshold of the chosen detector, label window and operating point.

    Raises:
        DetectorError: There is none, or it is undefined.
    """
    key = (choice.detector, choice.label_window, choice.operating_point)
    for row in thresholds.to_pylist():
        if (row["detector"], row["label_window"], row["operating_point"]) == key:
            threshold = float("nan") if row["threshold"] is None else row["threshold"]
            return DecisionRule(choice.detector, version, choice.operating_point, threshold)
    raise DetectorError(f"thresholds: no row for {' / '.join(key)}; materialise thresholds again")


def _scores(layout: DataLayout, day: date | str, choice: DetectionSettings, threshold: float) -> pa.Table:
    """Scores of one date by the chosen detector, without those that wet snow makes worthless."""
    table = read_table(layout.anomaly_scores(day), ANOMALY_SCORES)
    mine = table.filter(pc.equal(table["detector"], choice.detector))
    wet = read_table(layout.corridor_patches(day), CORRIDOR_PATCHES, FRACTIONS).to_pandas()
    shares = wet.set_index("corridor_id")["wet_snow_fraction"].to_dict()
    return hide_wet_snow(mine, shares, threshold, choice.max_wet_snow_fraction)


def _earlier_scores(
    layout: DataLayout,
    catalogue: AcquisitionCatalogue,
    day: date | str,
    choice: DetectionSettings,
    threshold: float,
) -> pa.Table:
    """Scores of the season's earlier dates; a date that failed has none and counts as not seen."""
    season = catalogue.dates("winter", catalogue.get(day).season)
    earlier = [one for one in season if one < str(day) and layout.anomaly_scores(one).exists()]
    return pa.concat_tables(
        [ANOMALY_SCORES.empty_table(), *(_scores(layout, one, choice, threshold) for one in earlier)]
    )


def _sight(layout: DataLayout, day: date | str, previous: date | None) -> pa.Table:
    """How well every corridor was seen at this date, and how wet it was at the previous one."""
    now = read_table(layout.corridor_patches(day), CORRIDOR_PATCHES, FRACTIONS).to_pandas()
    now[PREVIOUS_WET] = np.float32("nan")
    if previous is not None:
        before = read_table(layout.corridor_patches(previous), CORRIDOR_PATCHES, FRACTIONS).to_pandas()
        now[PREVIOUS_WET] = now["corridor_id"].map(before.set_index("corridor_id")["wet_snow_fraction"])
    return pa.Table.from_pandas(now, preserve_index=False)


def _with_named_obstructions(layout: DataLayout, scores: pa.Table, corridors: gpd.GeoDataFrame) -> pa.Table:
    """Ready-made rasters have no track geometry, and nothing of theirs is known to be hidden."""
    if not layout.track_geometry.exists():
        return scores
    with band_reader(layout.track_geometry, "visibility") as read_flags:
        return name_obstructions(scores, corridors, read_grid(layout.track_geometry), read_flags)


def _anomaly_maps(detector: Detector, samples: PatchSamples) -> NDArray[np.float32]:
    if len(samples) == 0:
        return np.empty((0, PATCH_SIZE, PATCH_SIZE), np.float32)
    return detector.anomaly_map(samples)
