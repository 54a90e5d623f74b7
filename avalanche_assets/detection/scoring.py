"""The anomaly scores of one date as a table, with where each anomaly peaks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.catalogue.acquisitions import Acquisition
from avalanche_assets.detection.outline import peak_pixel
from avalanche_assets.detectors.base import load_detector, names_of
from avalanche_assets.grid import Grid
from avalanche_assets.patches.loading import LoadedSamples
from avalanche_assets.patches.observability import NO_PREVIOUS, NOT_PROCESSED
from avalanche_assets.tables import ANOMALY_SCORES, PATCH_SIZE

NO_VALUE = "no value common to both acquisitions"


def score_table(
    loaded: LoadedSamples,
    corridors: gpd.GeoDataFrame,
    grid: Grid,
    folders: Mapping[str, Path],
    current: Acquisition,
    previous: Acquisition | None,
) -> pa.Table:
    """Scores every corridor with every detector.

    Args:
        loaded: Samples of this date, with observability.
        corridors: `tables.CORRIDORS`, every corridor of the inventory.
        grid: Analysis grid.
        folders: Folder of every model; all scores it gives are stored.
        current: This acquisition.
        previous: The previous acquisition, or None.

    Returns:
        `tables.ANOMALY_SCORES`: one row per corridor and detector; corridors that cannot be scored have a
        reason instead of a score.

    Raises:
        DetectorError: A detector cannot be loaded.
    """
    rows: list[dict[str, Any]] = []
    seen = loaded.samples.subset(loaded.observable)
    reasons = dict(zip(loaded.samples.corridor_ids, loaded.reasons, strict=True))
    missing = NO_PREVIOUS if previous is None else NO_VALUE if len(loaded.samples) else NOT_PROCESSED
    places = corridors.set_index("corridor_id")[["deposit_x", "deposit_y"]]
    for model, folder in folders.items():
        detector = load_detector(model, folder)
        versions, seen_at = detector.versions, detector.look_at(seen)
        peaks = {
            corridor: _peak(anomaly, grid, *places.loc[corridor])
            for corridor, anomaly in zip(seen.corridor_ids, seen_at.anomaly, strict=True)
            if np.isfinite(anomaly).any()
        }
        for name in names_of(model):
            scores = seen_at.scores[name.removeprefix(model).removeprefix("_")]
            scored = {
                corridor: {"score": float(score), **peaks[corridor]}
                for corridor, score in zip(seen.corridor_ids, scores, strict=True)
                if np.isfinite(score)
            }
            for corridor in corridors["corridor_id"]:
                row = {
                    "corridor_id": corridor,
                    "acquisition_date": current.date,
                    "previous_date": previous.date if previous else None,
                    "gap_days": (current.date - previous.date).days if previous else None,
                    "detector": name,
                    "detector_version": versions[name],
                    "observable": corridor in scored,
                }
                if corridor in scored:
                    row |= scored[corridor]
                else:
                    row["reason"] = reasons.get(corridor) or missing
                rows.append(row)
    return pa.Table.from_pylist(rows, schema=ANOMALY_SCORES)


def _peak(anomaly: NDArray[np.float32], grid: Grid, x: float, y: float) -> dict[str, float]:
    pixel = peak_pixel(anomaly)
    window = grid.window_around(x, y, PATCH_SIZE)
    peak_x, peak_y = grid.pixel_centre(window.row + pixel[0], window.col + pixel[1])
    return {"peak_x": peak_x, "peak_y": peak_y}
