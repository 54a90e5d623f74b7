"""The evaluation table as Markdown, as plain text for a terminal, and as rows for a page.

The paper's own numbers stand beside ours, always marked as the paper's: they come from other data and other
labels, and are a yardstick, not a result of this project.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from avalanche_assets.detectors.metrics import RIVAL
from avalanche_assets.tables import OPERATING_POINTS

HEADER = (
    "detector", "label window", "area", "operating point",
    "balanced accuracy", "F1", "AP", "AP over rival", "prevalence", "positives / n",
)  # fmt: skip
TEXT_COLUMNS = 4
MEASURES_SHOWN = {
    "recall": "recall",
    "specificity": "specificity",
    "precision": "precision",
    "f2": "F2",
    "roc_auc": "ROC AUC",
    "false_alarms_per_hit": "false alarms per hit",
    "f1_all_positive": "F1 of all positive",
}
"""Columns of the second table and their headings; the first table has the rest."""

PAPER_NOTE = (
    "Paper: Sinha et al. 2019 (NeurIPS workshop Tackling Climate Change with AI), Table 1, "
    "winter 2017-18, real data"
)


@dataclass(frozen=True)
class PaperRow:
    """One line of the paper's Table 1."""

    detector: str
    label_window: str
    area: str
    balanced_accuracy: float
    f1: float


PAPER_TABLE_1 = (
    PaperRow("Baseline", "new", "All Alps", 0.58, 0.05),
    PaperRow("Baseline", "new", "Haute-Maurienne", 0.58, 0.12),
    PaperRow("CNN", "new", "All Alps", 0.55, 0.12),
    PaperRow("CNN", "new", "Haute-Maurienne", 0.55, 0.17),
    PaperRow("VAE", "new", "All Alps", 0.63, 0.11),
    PaperRow("VAE", "new", "Haute-Maurienne", 0.62, 0.23),
    PaperRow("VAE*", "recent", "All Alps", 0.62, 0.35),
    PaperRow("VAE*", "recent", "Haute-Maurienne", 0.68, 0.66),
)


def evaluation_rows(
    evaluation: pa.Table, operating_points: Sequence[str] = OPERATING_POINTS
) -> list[tuple[str, ...]]:
    """Cells of `tables.EVALUATION` under `HEADER`, some operating points only; a dash for null."""
    return [
        (
            *(row[name] for name in ("detector", "label_window", "area", "operating_point")),
            *(with_interval(row, name) for name in ("balanced_accuracy", "f1", "average_precision")),
            with_interval(row, "gain", "+.2f"),
            _percent(row["prevalence"]),
            f"{row['positives']:,} / {row['positives'] + row['negatives']:,}",
        )
        for row in evaluation.to_pylist()
        if row["operating_point"] in operating_points
    ]


def with_interval(row: Mapping[str, Any], name: str, form: str = ".2f") -> str:
    """A measure with its 95 % interval in brackets, as far as both are known."""
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return "—"
    return f"{value:{form}}" if low is None else f"{value:{form}} [{low:{form}}, {high:{form}}]"


def paper_rows() -> list[tuple[str, ...]]:
    """Cells of the paper's Table 1 under `HEADER`."""
    return [
        (
            f"paper: {row.detector}",
            row.label_window,
            row.area,
            "—",
            f"{row.balanced_accuracy:.2f}",
            f"{row.f1:.2f}",
            *["—"] * (len(HEADER) - TEXT_COLUMNS - 2),
        )
        for row in PAPER_TABLE_1
    ]


def evaluation_markdown(evaluation: pa.Table, operating_points: Sequence[str] = OPERATING_POINTS) -> str:
    """The evaluation and the paper's Table 1 as one Markdown table with a note."""
    lines = [*evaluation_rows(evaluation, operating_points), *paper_rows()]
    return f"{markdown(HEADER, lines, TEXT_COLUMNS)}\n\n{PAPER_NOTE}.\n"


def measures_markdown(evaluation: pa.Table, operating_points: Sequence[str] = OPERATING_POINTS) -> str:
    """The measures that the first table leaves out."""
    lines = [
        (
            *(row[name] for name in ("detector", "label_window", "area", "operating_point")),
            *(
                with_interval(row, name) if f"{name}_low" in row else _number(row[name], 2)
                for name in MEASURES_SHOWN
            ),
            str(row["clusters"]),
            str(row["trainings"]),
        )
        for row in evaluation.to_pylist()
        if row["operating_point"] in operating_points
    ]
    header = (*HEADER[:TEXT_COLUMNS], *MEASURES_SHOWN.values(), "clusters", "trainings")
    return markdown(header, lines, TEXT_COLUMNS)


def thresholds_markdown(thresholds: pa.Table, label_window: str) -> str:
    """Thresholds of one label window with their intervals and what is behind them."""
    lines = [
        (
            row["detector"],
            row["operating_point"],
            with_interval(row, "threshold"),
            _number(row["value"], 3),
            f"{row['positives']:,}",
            f"{row['negatives']:,}",
            row["reason"] or "",
        )
        for row in thresholds.to_pylist()
        if row["label_window"] == label_window
    ]
    header = ("detector", "operating point", "threshold", "criterion", "positives", "negatives", "remark")
    return markdown(header, lines, 2)


def gains_text(evaluation: pa.Table) -> list[str]:
    """A sentence for every detector and label window: is it better than the rival that needs no network?"""
    rows = {
        (row["detector"], row["label_window"]): row
        for row in evaluation.to_pylist()
        if row["area"] == "All massifs" and row["detector"] != RIVAL
    }
    return [
        f"{detector}, {window} labels: average precision {with_interval(row, 'gain', '+.3f')} over {RIVAL}: "
        f"{_verdict(row)}."
        for (detector, window), row in rows.items()
        if row["gain"] is not None
    ] or [f"{RIVAL} is not among the detectors, or the test pairs hold no positive: no comparison."]


def _verdict(row: Mapping[str, Any]) -> str:
    if row["gain_low"] is None:
        return "too few clusters to tell"
    if row["gain_low"] > 0:
        return "better"
    return "worse" if row["gain_high"] < 0 else "no difference shown"


def markdown(header: Sequence[str], lines: Iterable[Sequence[str]], texts: int) -> str:
    """A Markdown table whose first `texts` columns are texts and the others numbers."""
    rule = ["---"] * texts + ["---:"] * (len(header) - texts)
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |"
        for line in [header, rule, *lines]
    )


def evaluation_text(evaluation: pa.Table, operating_points: Sequence[str] = OPERATING_POINTS) -> str:
    """The evaluation and the paper's Table 1 in aligned columns for a terminal."""
    ours, paper = evaluation_rows(evaluation, operating_points), paper_rows()
    widths = [max(len(line[i]) for line in (HEADER, *ours, *paper)) for i in range(len(HEADER))]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [_aligned(HEADER, widths), rule, *(_aligned(row, widths) for row in ours), rule]
    return "\n".join([*lines, *(_aligned(row, widths) for row in paper), rule, PAPER_NOTE])


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    texts = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)][:TEXT_COLUMNS]
    numbers = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)][TEXT_COLUMNS:]
    return "  ".join([*texts, *numbers]).rstrip()


def _number(value: float | None, digits: int) -> str:
    return "—" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "—" if value is None else f"{100 * value:.1f} %"
