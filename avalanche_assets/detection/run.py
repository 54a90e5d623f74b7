"""The detections of one date from the promoted model and the stored tables: scores, patches, terrain."""

from collections.abc import Sequence
from datetime import date

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.detection.plausible import too_many
from avalanche_assets.detection.reviewing import apply_reviews
from avalanche_assets.detection.reviews import Review, reviews_of
from avalanche_assets.detection.table import DecisionRule, build_detections, detected_corridors
from avalanche_assets.detection.unseen import hide_wet_snow, name_obstructions
from avalanche_assets.detectors.base import Detector, load_detector
from avalanche_assets.detectors.card import ModelCard
from avalanche_assets.detectors.registry import require_promoted
from avalanche_assets.errors import DetectorError
from avalanche_assets.layout import DataLayout
from avalanche_assets.patches.correction import load_as_set
from avalanche_assets.patches.samples import PatchSamples
from avalanche_assets.rasters import band_reader, read_grid
from avalanche_assets.settings import DetectionSettings, Settings
from avalanche_assets.tables import (
    CORRIDOR_PATCHES,
    CORRIDORS,
    PATCH_SIZE,
    PUBLISHED_SCORES,
    RESIDUALS,
    read_geotable,
    read_table,
)

FRACTIONS = ("corridor_id", "visible_fraction", "wet_snow_fraction")
PREVIOUS_WET = "previous_wet_snow_fraction"


def detections_of_date(
    settings: Settings, catalogue: AcquisitionCatalogue, day: date | str
) -> tuple[gpd.GeoDataFrame, pa.Table]:
    """The detections of one date by the promoted model, at the operating point of the settings.

    Args:
        settings: Data root and which label window and operating point to use.
        catalogue: Knows the date, the previous one and the season's earlier ones.
        day: Acquisition date.

    Returns:
        `tables.DETECTIONS` with `geometry` and `corridor_geometry`, see `build_detections`, and
        `tables.RESIDUALS`, the map behind each detection.

    Raises:
        DetectorError: No model is promoted, it does not fit the data, its threshold is undefined, or the
            date's scores are those of another one.
        TableError: A stored table of this date is missing or damaged.
    """
    layout, current, previous = settings.layout, catalogue.get(day), catalogue.previous(day)
    model, choice = require_promoted(layout), settings.detection
    model.card.require_fit(settings)
    rule = decision_rule(model.card, choice)
    corridors = read_geotable(layout.corridors, CORRIDORS)
    scores = _scores(layout, day, rule, choice)
    if scores.num_rows == 0:
        raise DetectorError(
            f"{layout.published_scores(day)}: not the scores of the promoted model {model.version}; "
            "materialise published_scores of this date again"
        )
    ids = detected_corridors(scores, rule)
    samples = load_as_set(settings, catalogue, [day], ids).samples
    reviews = reviews_of(settings, corridors, catalogue.dates("winter"))
    maps = _anomaly_maps(load_detector(model.card.detector, model.folder), samples)
    frame = build_detections(
        corridors,
        _with_named_obstructions(layout, scores, corridors),
        _sight(layout, day, previous.date if previous else None),
        samples,
        maps,
        rule,
        current,
        previous,
        _earlier_scores(layout, catalogue, day, rule, choice, reviews),
        read_grid(layout.dem),
    )
    reviewed = apply_reviews(frame, reviews, settings.detection.max_wet_snow_fraction)
    return reviewed, _residuals(frame, samples, maps)


def decision_rule(card: ModelCard, choice: DetectionSettings) -> DecisionRule:
    """The frozen threshold of the chosen label window and operating point.

    Raises:
        DetectorError: There is none, or it is undefined.
    """
    threshold = card.threshold(choice.label_window, choice.operating_point)
    return DecisionRule(card.detector, card.version, choice.operating_point, threshold)


def _residuals(frame: gpd.GeoDataFrame, samples: PatchSamples, maps: NDArray[np.float32]) -> pa.Table:
    if not len(samples):
        return RESIDUALS.empty_table()
    ids = frame.set_index("corridor_id")["detection_id"]
    patches = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(maps, np.float16))
    columns = [
        pa.array([ids[corridor] for corridor in samples.corridor_ids], pa.string()),
        pa.array(samples.corridor_ids, pa.string()),
        pa.array(samples.dates, pa.date32()),
        patches,
    ]
    return pa.table(columns, schema=RESIDUALS)


def _scores(layout: DataLayout, day: date | str, rule: DecisionRule, choice: DetectionSettings) -> pa.Table:
    """Scores of one date by the model of the rule, without those that wet snow makes worthless."""
    table = read_table(layout.published_scores(day), PUBLISHED_SCORES)
    mine = table.filter(pc.equal(table["model"], rule.detector_version))
    wet = read_table(layout.corridor_patches(day), CORRIDOR_PATCHES, FRACTIONS).to_pandas()
    shares = wet.set_index("corridor_id")["wet_snow_fraction"].to_dict()
    return hide_wet_snow(mine, shares, rule.threshold, choice.max_wet_snow_fraction)


def _earlier_scores(
    layout: DataLayout,
    catalogue: AcquisitionCatalogue,
    day: date | str,
    rule: DecisionRule,
    choice: DetectionSettings,
    reviews: Sequence[Review],
) -> pa.Table:
    """Scores of the season's earlier dates; a date that failed has none and counts as not seen.

    So does one that another model scored, whose scores mean something else, and one that is held back.
    """
    season = catalogue.dates("winter", catalogue.get(day).season)
    earlier = [one for one in season if one < str(day) and layout.published_scores(one).exists()]
    scores = {one: _scores(layout, one, rule, choice) for one in earlier}
    accepted = [
        table
        for one, table in scores.items()
        if not too_many(
            _unrejected(table, rule, one, reviews), pc.sum(table["observable"]).as_py() or 0, choice
        )
    ]
    return pa.concat_tables([PUBLISHED_SCORES.empty_table(), *accepted])


def _unrejected(scores: pa.Table, rule: DecisionRule, day: str, reviews: Sequence[Review]) -> int:
    """Detections of a date less those that people rejected at it."""
    rejected = {item.corridor_id for item in reviews if item.verdict == "reject" and str(item.day) == day}
    return len(set(detected_corridors(scores, rule)) - rejected)


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
