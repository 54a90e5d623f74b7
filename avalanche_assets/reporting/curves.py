"""Curves of the evaluation: ROC, precision over recall, and what each threshold of a detector would give."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from avalanche_assets.detectors.evaluation import Evaluation
from avalanche_assets.detectors.metrics import RIVAL
from avalanche_assets.detectors.scored import labelled
from avalanche_assets.reporting.style import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    VERMILION,
    chart_axes,
    footer,
    new_figure,
    png,
    title,
)
from avalanche_assets.settings import Settings
from avalanche_assets.tables import OPERATING_POINTS

Labelled = tuple[NDArray[np.float64], NDArray[np.bool_]]
LEGEND = {"fontsize": 7.5, "frameon": False}


def curve_pictures(settings: Settings, evaluation: Evaluation) -> dict[str, bytes]:
    """PNGs by name: curves of all detectors, and thresholds of the settings' one; none without positives."""
    window, chosen = settings.detection.label_window, settings.detection.detector
    scored: dict[str, Labelled] = {}
    for name, values in evaluation.test.scores.items():
        scores, positive, _ = labelled(values, evaluation.test.states[window])
        if positive.any() and not positive.all():
            scored[name] = scores, positive
    if not scored:
        return {}
    note = "SIMULATED DATA" if settings.simulated else ""
    pictures = {"curves": png(detector_curves(scored, chosen, note))}
    if chosen in scored:
        points = {
            point: threshold
            for point in OPERATING_POINTS
            if (threshold := evaluation.threshold(chosen, window, point)) is not None
        }
        pictures["thresholds"] = png(threshold_curves(*scored[chosen], points, chosen, note))
    return pictures


def detector_curves(scored: Mapping[str, Labelled], chosen: str, note: str = "") -> Figure:
    """ROC, and precision over recall, of every detector; the chosen one and the rival stand out.

    Args:
        scored: Scores and positive flags of the test samples by detector, with both classes.
        chosen: The detector of operations.
        note: Footer.
    """
    figure, (left, right) = new_figure(9.6, 4.2, 1, 2)
    for name, (scores, positive) in scored.items():
        look = _look(name, chosen)
        false_alarms, hits, _ = roc_curve(positive, scores)
        left.plot(false_alarms, hits, label=f"{name} {roc_auc_score(positive, scores):.2f}", **look)
        precision, recall, _ = precision_recall_curve(positive, scores)
        area = average_precision_score(positive, scores)
        right.plot(recall, precision, label=f"{name} {area:.2f}", **look)
    left.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=":")
    prevalence = float(np.mean(next(iter(scored.values()))[1]))
    right.axhline(prevalence, color=MUTED, lw=0.8, ls=":")
    _unit_axes(left, "false-alarm rate", "recall")
    _unit_axes(right, "recall", "precision")
    title(left, "ROC", "with the area below; dotted: guessing")
    title(right, "Precision over recall", f"with average precision; dotted: prevalence {prevalence:.3f}")
    footer(figure, note)
    return figure


def _look(name: str, chosen: str) -> dict[str, Any]:
    if name == chosen:
        return {"color": VERMILION, "lw": 2.0, "zorder": 3}
    if name == RIVAL:
        return {"color": BLUE, "lw": 2.0, "zorder": 2}
    return {"lw": 0.9, "alpha": 0.8}


def threshold_curves(
    scores: NDArray[np.float64],
    positive: NDArray[np.bool_],
    points: Mapping[str, float],
    detector: str,
    note: str = "",
) -> Figure:
    """Recall, precision, F1 and balanced accuracy at every threshold, the frozen ones marked.

    Args:
        scores: Normalised scores (N,) of the test samples.
        positive: Labels (N,), with both classes.
        points: Frozen threshold of every defined operating point.
        detector: Its name.
        note: Footer.
    """
    figure, (axes,) = new_figure(7.0, 4.0)
    false_alarms, recall, cuts = (
        values[1:] for values in roc_curve(positive, scores, drop_intermediate=False)
    )
    hits, alarms = recall * positive.sum(), false_alarms * (~positive).sum()
    precision = hits / (hits + alarms)
    f1 = 2 * hits / (positive.sum() + hits + alarms)
    lines = {
        "recall": (recall, BLUE),
        "precision": (precision, ORANGE),
        "F1": (f1, INK),
        "balanced accuracy": ((recall + 1 - false_alarms) / 2, VERMILION),
    }
    for name, (values, colour) in lines.items():
        axes.plot(cuts, values, color=colour, lw=1.4, label=name)
    for (name, value), style in zip(points.items(), ("-", "--", "-.", ":"), strict=False):
        axes.axvline(value, color=MUTED, lw=1, ls=style, label=f"{name}: {value:.2f}")
    axes.set_xlim(float(np.quantile(scores, 0.5)), float(scores.max()))
    axes.set_ylim(0, 1.02)
    chart_axes(axes, f"threshold on the normalised score of {detector}", "on the test dates")
    axes.legend(**LEGEND)
    title(axes, "What a threshold gives", "vertical lines: thresholds chosen on the validation dates")
    footer(figure, note)
    return figure


def _unit_axes(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    chart_axes(axes, xlabel, ylabel)
    axes.legend(**LEGEND)
