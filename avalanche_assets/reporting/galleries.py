"""Galleries of patches with the map that their score comes from: what a detector saw, missed and mistook."""

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.detectors.base import load_detector, model_name
from avalanche_assets.detectors.evaluation import Evaluation
from avalanche_assets.detectors.scored import ScoredLabels
from avalanche_assets.patches.correction import load_as_set
from avalanche_assets.patches.loading import tensors
from avalanche_assets.reporting.learning_figures import patch_gallery, patch_sheet
from avalanche_assets.reporting.style import png
from avalanche_assets.settings import Settings
from avalanche_assets.tables import PATCH_SIZE

SHOWN = 5
RESIDUALS_SHOWN = 12


def galleries(
    settings: Settings, catalogue: AcquisitionCatalogue, evaluation: Evaluation
) -> dict[str, bytes]:
    """PNGs by name: the most anomalous test pairs, the missed ones and the false alarms of the detector.

    A gallery without a pair is left out.

    Raises:
        TableError: Patches of a test date are missing or damaged.
        DetectorError: The detector cannot be loaded.
    """
    choice, test = settings.detection, evaluation.test
    if choice.detector not in test.scores:
        return {}
    detector = load_detector(choice.detector, settings.layout.model(model_name(choice.detector)))
    note = f"detector {choice.detector}" + (", SIMULATED DATA" if settings.simulated else "")
    pictures = {}
    for name, rows in chosen_rows(settings, evaluation).items():
        if not len(rows):
            continue
        days = sorted({test.dates[row] for row in rows})
        samples = load_as_set(settings, catalogue, days, [test.corridor_ids[row] for row in rows]).samples
        place = {
            key: index for index, key in enumerate(zip(samples.dates, samples.corridor_ids, strict=True))
        }
        shown = samples.subset(np.array([place[test.dates[row], test.corridor_ids[row]] for row in rows]))
        figure = patch_gallery(
            shown,
            range(len(shown)),
            [_caption(test, choice.detector, choice.label_window, row) for row in rows],
            PATCH_SIZE * settings.grid.resolution_m,
            f"{name}; {note}",
            detector.anomaly_map(shown),
        )
        pictures[name] = png(figure)
    return pictures


def chosen_rows(settings: Settings, evaluation: Evaluation) -> dict[str, NDArray[np.int64]]:
    """Rows of the test pairs of each gallery, at most `SHOWN`, the clearest first."""
    choice, test = settings.detection, evaluation.test
    scores, states = test.scores[choice.detector], test.states[choice.label_window]
    threshold = evaluation.threshold(choice.detector, choice.label_window, choice.operating_point)
    falling = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")
    rows = {"most anomalous": falling[np.isfinite(scores[falling])]}
    if threshold is not None:
        rising = falling[::-1]
        missed = (states[rising] == "positive") & (scores[rising] < threshold)
        mistaken = (states[falling] == "negative") & (scores[falling] >= threshold)
        rows |= {"missed": rising[missed], "false alarms": falling[mistaken]}
    return {name: found[:SHOWN] for name, found in rows.items()}


def _caption(test: ScoredLabels, detector: str, window: str, row: int) -> str:
    return (
        f"{test.corridor_ids[row]}\n{test.dates[row]}\n{test.states[window][row]}\n"
        f"score {test.scores[detector][row]:.1f}"
    )


def residual_picture(frame: gpd.GeoDataFrame, residuals: pa.Table) -> bytes:
    """The maps behind the strongest detections of a date as a PNG.

    Args:
        frame: `tables.DETECTIONS` with at least one detection.
        residuals: `tables.RESIDUALS` of the same date.
    """
    scores = frame.set_index("detection_id")["score"]
    ids: Sequence[str] = residuals["detection_id"].to_pylist()
    order = np.argsort([-scores[name] for name in ids], kind="stable")[:RESIDUALS_SHOWN]
    captions = [f"{residuals['corridor_id'][int(row)]}\nscore {scores[ids[row]]:.1f}" for row in order]
    return png(patch_sheet(tensors(residuals["residual"])[order].astype(np.float32), captions, "residual"))
