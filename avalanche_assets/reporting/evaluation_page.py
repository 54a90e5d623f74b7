"""The evaluation as a Markdown page with pictures beside it, written by `avalanche evaluate`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from avalanche_assets.detectors.against_truth import FALSE_ALARM_RATES, AgainstTruth, Value
from avalanche_assets.detectors.bootstrap import REPLICATES
from avalanche_assets.detectors.evaluation import Evaluation
from avalanche_assets.detectors.metrics import RIVAL
from avalanche_assets.detectors.scored import ScoredLabels
from avalanche_assets.files import atomic_path, write_text
from avalanche_assets.reporting.evaluation_text import (
    evaluation_markdown,
    gains_text,
    markdown,
    measures_markdown,
    thresholds_markdown,
)
from avalanche_assets.settings import Settings

SIMULATED = (
    "**All numbers of this project below come from simulated data**, until somebody brings the inventory and "
    "real acquisitions: the same command then fills this page with real ones. The paper's numbers come from "
    "real data and are a yardstick, not a result of this project."
)
REAL = "All numbers below come from the data of this deployment; the paper's come from its own."
PICTURES = {
    "curves": "ROC, and precision over recall, on the test dates.",
    "thresholds": "What each threshold would give on the test dates; it was chosen on the validation dates.",
    "most anomalous": "The test pairs with the highest scores.",
    "missed": "Recorded avalanches with the lowest scores.",
    "false alarms": "Detections without a record, the highest scores; the inventory misses deposits too.",
}


def write_evaluation_page(
    page: Path,
    settings: Settings,
    evaluation: Evaluation,
    pictures: Mapping[str, bytes],
    truth: AgainstTruth | None = None,
) -> None:
    """Writes the page and, in `pictures` beside it, its pictures; each file atomically."""
    choice = settings.detection
    points = tuple(dict.fromkeys(("balanced", choice.operating_point)))
    sections = [
        "# Evaluation",
        "Written by `avalanche evaluate`; do not edit by hand.",
        SIMULATED if settings.simulated else REAL,
        _how(evaluation.test, settings),
        "## Table 1",
        evaluation_markdown(evaluation.table, points),
        f"AP over rival: average precision less that of `{RIVAL}`, which has no network, on the same draws.",
        *(f"- {line}" for line in gains_text(evaluation.table)),
        "## All measures",
        measures_markdown(evaluation.table),
        f"## Thresholds for `{choice.label_window}` labels",
        thresholds_markdown(evaluation.thresholds, choice.label_window),
        *([] if truth is None else _truth_sections(truth)),
        "## Pictures",
        *(f"![{name}](pictures/{_file(name)})\n\n{PICTURES[name]}" for name in PICTURES if name in pictures),
    ]
    for name, content in pictures.items():
        with atomic_path(page.parent / "pictures" / _file(name)) as temporary:
            temporary.write_bytes(content)
    write_text(page, "\n\n".join(sections) + "\n")


def _file(name: str) -> str:
    return f"evaluation_{name.replace(' ', '_')}.png"


def _how(test: ScoredLabels, settings: Settings) -> str:
    days = sorted(set(test.dates))
    left_out = f"; left out: {', '.join(map(str, test.left_out))}" if test.left_out else ""
    return (
        f"Test pairs: {len(test):,} of {len(days)} dates ({', '.join(map(str, days))}{left_out}), split by "
        f"{settings.learning.split_by}. Levels come from the training pairs, thresholds from the validation "
        f"pairs; both were frozen before one test. Brackets: 95 % intervals from {REPLICATES:,} bootstrap "
        "replicates of whole massif and date clusters; with few clusters they are too narrow. With several "
        "trainings a value is their mean, and its interval holds their spread too."
    )


def _truth_sections(truth: AgainstTruth) -> Sequence[str]:
    percent = [f"{100 * rate:g} %" for rate in FALSE_ALARM_RATES]
    header = (
        "detector", "ROC AUC", "AP", "AP over rival",
        *(f"{what} at {rate}" for rate in percent for what in ("recall", "false alarms", "precision")),
    )  # fmt: skip
    rows = [
        (
            name,
            _cell(found.roc_auc),
            _cell(found.average_precision),
            "—" if found.gain is None else _cell(found.gain, "+.2f"),
            *(
                _cell(values[rate], form)
                for rate in FALSE_ALARM_RATES
                for values, form in (
                    (found.recall, ".2f"),
                    (found.false_alarms, ".3f"),
                    (found.precision, ".2f"),
                )
            ),
        )
        for name, found in truth.detectors.items()
    ]
    ceiling = ", ".join(
        f"{name} {truth.ceiling[key]:.2f}"
        for name, key in (
            ("balanced accuracy", "balanced_accuracy"),
            ("F1", "f1"),
            ("AP", "average_precision"),
        )
        if truth.ceiling[key] is not None
    )
    return [
        "## Against the true deposits",
        f"{truth.visible:,} of {truth.pairs:,} test pairs hold a new deposit that the radar can see. "
        "Thresholds of the nominal false-alarm rates come from the validation labels. A perfect detector of "
        f"these deposits would reach against the labels only: {ceiling or 'nothing that could be measured'}.",
        markdown(header, rows, 1),
        f"Recall at the operating point `{truth.operating_point}`, by size of all deposits, else of visible "
        "ones:",
        *(_stratum(division, classes, list(truth.detectors)) for division, classes in truth.strata.items()),
    ]


def _stratum(
    division: str, classes: Mapping[str, tuple[int, Mapping[str, Value]]], detectors: Sequence[str]
) -> str:
    rows = [
        (name, f"{count:,}", *(_cell(recalls[detector]) for detector in detectors))
        for name, (count, recalls) in classes.items()
    ]
    return markdown((division, "deposits", *detectors), rows, 1)


def _cell(value: Value, form: str = ".2f") -> str:
    if value.value is None:
        return "—"
    ends = "" if value.low is None else f" [{value.low:{form}}, {value.high:{form}}]"
    return f"{value.value:{form}}{ends}"
