"""The scores of the promoted model on one date, normalised: what is published and what thresholds act on."""

from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.detection.scoring import score_table
from avalanche_assets.detectors.base import model_name
from avalanche_assets.detectors.card import ModelCard
from avalanche_assets.detectors.drift import (
    ALARMS,
    Drift,
    drift_of,
    patch_statistics,
    score_statistics,
)
from avalanche_assets.detectors.normalisation import date_level
from avalanche_assets.detectors.registry import RegisteredModel
from avalanche_assets.patches.correction import load_as_set
from avalanche_assets.rasters import read_grid
from avalanche_assets.settings import Settings
from avalanche_assets.tables import (
    ANOMALY_SCORES,
    CORRIDORS,
    PUBLISHED_SCORES,
    read_geotable,
    read_table,
)


def publish_scores(
    settings: Settings, catalogue: AcquisitionCatalogue, day: date | str, model: RegisteredModel
) -> pa.Table:
    """Scores of every corridor at one date by the promoted model, in spreads above the date's median.

    The stored anomaly scores are used where they come from this very model; otherwise, after a later
    training, the promoted one scores the date here.

    Returns:
        `tables.PUBLISHED_SCORES`.

    Raises:
        TableError: A table of this date is missing or damaged.
        DetectorError: The model does not fit the data, cannot be loaded, or the scores do not vary.
    """
    model.card.require_fit(settings)
    stored = read_table(settings.layout.anomaly_scores(day), ANOMALY_SCORES)
    table = stored.filter(
        pc.and_(
            pc.equal(stored["detector"], model.card.detector),
            pc.equal(stored["detector_version"], model.card.model_version),
        )
    )
    if table.num_rows == 0:
        layout = settings.layout
        table = score_table(
            load_as_set(settings, catalogue, [day]),
            read_geotable(layout.corridors, CORRIDORS),
            read_grid(layout.dem),
            {model_name(model.card.detector): model.folder},
            catalogue.get(day),
            catalogue.previous(day),
        )
        table = table.filter(pc.equal(table["detector"], model.card.detector))
    return normalised_table(table, model.card)


def normalised_table(raw: pa.Table, card: ModelCard) -> pa.Table:
    """Rows of `tables.ANOMALY_SCORES` of one date and detector as `tables.PUBLISHED_SCORES`."""
    scores = raw["score"].to_numpy()
    normalised = scores
    if np.isfinite(scores).any():
        normalised = date_level(scores, card.normalisation).normalise(scores, card.detector)
    columns = {name: raw[name] for name in ANOMALY_SCORES.names} | {
        "score": pa.array(normalised, pa.float64(), from_pandas=True),
        "raw_score": raw["score"],
        "model": [card.version] * raw.num_rows,
    }
    return pa.table([columns[name] for name in PUBLISHED_SCORES.names], schema=PUBLISHED_SCORES)


def drift_of_date(settings: Settings, day: date | str, scores: pa.Table, card: ModelCard) -> list[Drift]:
    """Score quantiles, patches and alarms of one date against the training season.

    Args:
        settings: Where the date's patches lie, and which threshold counts alarms.
        day: Acquisition date.
        scores: `tables.PUBLISHED_SCORES` of the date.
        card: Card of the promoted model.

    Raises:
        TableError: The patches are missing or damaged.
        DetectorError: The card has no background.
    """
    found = score_statistics(scores["raw_score"].to_numpy()) | patch_statistics(settings.layout, day)
    seen = pd.Series(scores["score"].to_numpy()).dropna()
    chosen = (settings.detection.label_window, settings.detection.operating_point)
    for item in card.thresholds:
        if (item.label_window, item.operating_point) == chosen and item.threshold is not None and len(seen):
            found[ALARMS] = float((seen >= item.threshold).mean())
    return list(drift_of(found, card.background))
