"""How well avalanches are found, in words and numbers that need no statistics, for the season report.

Everything is a number out of 100. The measures by their names, all operating points and all areas are in the
asset `evaluation` and on the page of `avalanche evaluate`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from avalanche_assets.reporting.evaluation_text import PAPER_TABLE_1
from avalanche_assets.reporting.language import DASH, Language, marked
from avalanche_assets.settings import DetectionSettings

ALL = marked("All massifs")
DETECTORS = {
    "change_threshold": marked("change in brightness alone"),
    "local_contrast": marked("contrast with the surroundings"),
    "dual_contrast": marked("contrast with the surroundings, both polarisations"),
    "random_forest": marked("random forest"),
    "gradient_boosting": marked("boosted trees"),
    "cnn": marked("neural network taught with recorded avalanches"),
    "autoencoder": marked("neural network taught with quiet corridors"),
    "vae": marked("neural network taught with quiet corridors, with uncertainty (VAE)"),
}
PAPER = {
    "Baseline": DETECTORS["change_threshold"],
    "CNN": DETECTORS["cnn"],
    "VAE": DETECTORS["vae"],
    "VAE*": DETECTORS["vae"],
}
WINDOWS = {
    "new": marked(
        "On dates that had no part in its making, {name} was compared with the avalanches that the inventory "
        "records between two passes."
    ),
    "recent": marked(
        "On dates that had no part in its making, {name} was compared with the avalanches that the inventory "
        "records in the 30 days before a pass."
    ),
}


def evaluation_cells(
    evaluation: pa.Table | None, choice: DetectionSettings, language: Language
) -> dict[str, Any] | None:
    """What `evaluation.html` shows: the published detector by area, and all of them side by side.

    None before there is an evaluation, or where it lacks the published detector.

    Args:
        evaluation: `tables.EVALUATION`.
        choice: Detector, label window and operating point that are published.
        language: Of the page.
    """
    rows = [
        row
        for row in ([] if evaluation is None else evaluation.to_pylist())
        if (row["label_window"], row["operating_point"]) == (choice.label_window, choice.operating_point)
    ]
    mine = [row for row in rows if row["detector"] == choice.detector]
    if not mine:
        return None
    quoted = language.say("“{name}”", name=_name(choice.detector, language))
    return {
        "intro": language.say(WINDOWS[choice.label_window], name=quoted),
        "areas": [_area(row, language) for row in mine],
        "detectors": [
            (_name(row["detector"], language), row["detector"] == choice.detector, *_rates(row, language))
            for row in rows
            if row["area"] == ALL and row["detector"] in {*DETECTORS, choice.detector}
        ],
        "paper": _paper(choice, language),
    }


def _area(row: Mapping[str, Any], language: Language) -> dict[str, str]:
    found, alarms, right = (_of_100(row, name, language) for name in ("recall", "specificity", "precision"))
    return {
        "name": language.say(row["area"]),
        "recorded": language.number(row["positives"]),
        "found": found,
        "alarms": alarms,
        "right": right,
    }


def _rates(row: Mapping[str, Any], language: Language) -> tuple[str, ...]:
    return tuple(_of_100(row, name, language) for name in ("recall", "specificity", "balanced_accuracy"))


def _of_100(row: Mapping[str, Any], name: str, language: Language) -> str:
    """A share out of 100 with its range; false alarms are what is missing to a specificity of 100."""
    shares: Sequence[float | None] = [row[f"{name}{end}"] for end in ("", "_low", "_high")]
    if name == "specificity":
        value, low, high = (None if share is None else 1 - share for share in shares)
        shares = value, high, low
    number, least, most = (DASH if share is None else language.number(100 * share) for share in shares)
    return number if DASH in (number, least) else f"{number} ({least}\N{EN DASH}{most})"


def _name(detector: str, language: Language) -> str:
    return language.say(DETECTORS.get(detector, detector))


def _paper(choice: DetectionSettings, language: Language) -> list[tuple[str, str]]:
    """Names and balanced accuracy of the paper's rows for the same labels, all massifs."""
    return [
        (language.say(PAPER[row.detector]), language.number(100 * row.balanced_accuracy))
        for row in PAPER_TABLE_1
        if row.label_window == choice.label_window and row.area == "All Alps"
    ]
