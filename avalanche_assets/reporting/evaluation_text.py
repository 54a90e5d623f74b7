"""The evaluation table as Markdown, as plain text for a terminal, and as rows for a page.

The paper's own numbers stand beside ours, always marked as the paper's: they come from other data and other
labels, and are a yardstick, not a result of this project.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from avalanche_assets.tables import OPERATING_POINTS

HEADER = (
    "detector", "label window", "area", "operating point",
    "balanced accuracy", "F1", "AP", "prevalence", "positives / n",
)  # fmt: skip
TEXT_COLUMNS = 4

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
            row["detector"],
            row["label_window"],
            row["area"],
            row["operating_point"],
            _number(row["balanced_accuracy"], 2),
            _number(row["f1"], 2),
            _number(row["average_precision"], 2),
            _percent(row["prevalence"]),
            f"{row['positives']:,} / {row['positives'] + row['negatives']:,}",
        )
        for row in evaluation.to_pylist()
        if row["operating_point"] in operating_points
    ]


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
            "—",
            "—",
            "—",
        )
        for row in PAPER_TABLE_1
    ]


def evaluation_markdown(evaluation: pa.Table, operating_points: Sequence[str] = OPERATING_POINTS) -> str:
    """The evaluation and the paper's Table 1 as one Markdown table with a note."""
    rule = ["---"] * TEXT_COLUMNS + ["---:"] * (len(HEADER) - TEXT_COLUMNS)
    lines = [HEADER, rule, *evaluation_rows(evaluation, operating_points), *paper_rows()]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    return f"{table}\n\n{PAPER_NOTE}.\n"


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
