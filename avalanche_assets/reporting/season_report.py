"""The season report: activity over the dates, massifs, evaluation, and links to the bulletins."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.figure import Figure

from avalanche_assets.detection.palette import NEW, NOT_OBSERVABLE, PERSISTING, RECORDED
from avalanche_assets.files import write_text
from avalanche_assets.reporting.evaluation_text import (
    HEADER,
    PAPER_NOTE,
    TEXT_COLUMNS,
    evaluation_rows,
    paper_rows,
)
from avalanche_assets.reporting.pages import inline, long_date, number, percent, render, write_bytes
from avalanche_assets.reporting.style import (
    INK,
    PAPER,
    chart_axes,
    footer,
    footer_text,
    new_figure,
    png,
    smaller,
    title,
)
from avalanche_assets.reporting.summary import Counts, count, count_by_massif
from avalanche_assets.settings import Settings
from avalanche_assets.tables import SEASON_SUMMARY, write_table

ACTIVITY_KB, THUMBNAIL_KB = 300, 100
BAR_DAYS = 3.6

CAVEATS = (
    "A detection counts once as new; at later passes the same deposit counts as persisting. The sum of both "
    "is not a number of avalanches.",
    "Recorded corridors are those whose event in the inventory falls between two passes. The inventory knows "
    "few avalanches outside watched corridors, so a detection without a record may be right.",
    "A date with many corridors not observable says little about activity, even without detections.",
)


@dataclass(frozen=True)
class SeasonDate:
    """One date of a season.

    Attributes:
        day: Acquisition date.
        detections: `tables.DETECTIONS` of the date.
        bulletin: Address of its bulletin relative to the report, empty for none.
        recorded: Corridors with a recorded new event since the previous pass; None when unknown.
    """

    day: date
    detections: gpd.GeoDataFrame
    bulletin: str = ""
    recorded: int | None = None

    @property
    def gap_days(self) -> int | None:
        """Days since the previous acquisition, None without one."""
        start, end = self.detections["window_start"].iloc[0], self.detections["window_end"].iloc[0]
        return None if pd.isna(start) else (end.date() - start.date()).days


@dataclass(frozen=True)
class SeasonReport:
    """What `write_season_report` made.

    Attributes:
        page: The HTML page.
        activity: The picture of the activity as PNG.
        summary: `tables.SEASON_SUMMARY` as Parquet.
        thumbnail: The picture as a PNG of at most 100 kB.
        detections: New detections of the season.
    """

    page: Path
    activity: Path
    summary: Path
    thumbnail: bytes
    detections: int


def write_season_report(
    folder: Path,
    season: str,
    dates: Sequence[SeasonDate],
    settings: Settings,
    evaluation: pa.Table | None = None,
) -> SeasonReport:
    """Writes `season_report.html`, `activity.png` and `summary.parquet` to `folder`, each file atomically.

    Args:
        folder: Where the files go; created if needed.
        season: The winter, e.g. ``2017-18``.
        dates: Its dates in order, at least one.
        settings: Track, operating point and the mark of simulated data.
        evaluation: `tables.EVALUATION`, or None before there is one.
    """
    counts = [count(item.detections) for item in dates]
    track = settings.track
    note = footer_text(track.relative_orbit, track.direction, simulated=settings.simulated)
    figure = activity_figure(dates, counts, season, note)
    picture = png(figure, ACTIVITY_KB, 140)
    summary = season_summary(dates)
    points = ("balanced", settings.detection.operating_point)
    page = render(
        "season_report.html",
        season=season,
        orbit=track.relative_orbit,
        direction=track.direction.lower(),
        simulated=settings.simulated,
        window=f"{long_date(dates[0].day)} to {long_date(dates[-1].day)}",
        lead=_lead(dates, counts),
        counts=_headline(counts),
        activity=inline(picture),
        activity_caption=_caption(dates),
        dates=_date_cells(dates, counts),
        with_recorded=_with_recorded(dates),
        massifs=_massif_cells(summary),
        evaluation=[] if evaluation is None else evaluation_rows(evaluation, points),
        evaluation_header=HEADER,
        text_columns=TEXT_COLUMNS,
        paper=paper_rows(),
        paper_note=PAPER_NOTE,
        caveats=CAVEATS,
    )
    report = SeasonReport(
        folder / "season_report.html",
        folder / "activity.png",
        folder / "summary.parquet",
        smaller(picture, THUMBNAIL_KB),
        sum(item.new for item in counts),
    )
    write_table(report.summary, summary, SEASON_SUMMARY)
    write_bytes(report.activity, picture)
    write_text(report.page, page)
    return report


def season_summary(dates: Sequence[SeasonDate]) -> pa.Table:
    """`tables.SEASON_SUMMARY`: one row a date and massif."""
    rows = [
        {
            "acquisition_date": item.day,
            "gap_days": item.gap_days,
            "massif_id": identifier,
            "massif": name,
            "corridors": counts.total,
            "new": counts.new,
            "persisting": counts.persisting,
            "quality_a": counts.a,
            "quality_b": counts.b,
            "quality_c": counts.c,
            "quiet": counts.quiet,
            "not_observable": counts.hidden,
        }
        for item in dates
        for (identifier, name), counts in count_by_massif(item.detections).items()
    ]
    return pa.Table.from_pylist(rows, SEASON_SUMMARY)


def activity_figure(dates: Sequence[SeasonDate], counts: Sequence[Counts], season: str, note: str) -> Figure:
    """Detections per date, new and persisting, recorded corridors if known, and the share not observable.

    The bars stand at their dates, so that a missing pass is a gap.
    """
    figure = new_figure(9.0, 4.6)[0]
    figure.clear()
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    days = np.array([item.day.toordinal() for item in dates])
    new = np.array([item.new for item in counts])
    persisting = np.array([item.persisting for item in counts])
    above.bar(days, new, BAR_DAYS, color=NEW, label="new detections")
    above.bar(days, persisting, BAR_DAYS, bottom=new, color=PERSISTING, label="persisting detections")
    if _with_recorded(dates):
        recorded = [np.nan if item.recorded is None else item.recorded for item in dates]
        above.plot(
            days,
            recorded,
            color=RECORDED,
            ls="none",
            marker="D",
            ms=5,
            mfc=PAPER,
            clip_on=False,
            label="recorded corridors",
        )
    hidden = [100 * item.hidden / item.total for item in counts]
    below.bar(days, hidden, BAR_DAYS, color=PAPER, edgecolor=NOT_OBSERVABLE, hatch="/////", lw=0.8)
    below.set_ylim(0, 100)
    chart_axes(above, "", "corridors")
    chart_axes(below, "", "% not observable")
    above.set_ylim(bottom=0)
    above.tick_params(labelbottom=False)
    below.set_xticks(days, [f"{item.day:%d %b}" for item in dates], rotation=60, ha="right")
    above.legend(
        fontsize=8.5, frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 0.99), labelcolor=INK
    )
    title(above, f"Deposits seen by radar, {season}")
    footer(figure, note)
    return figure


def _with_recorded(dates: Sequence[SeasonDate]) -> bool:
    return any(item.recorded is not None for item in dates)


def _caption(dates: Sequence[SeasonDate]) -> str:
    recorded = (
        " Diamonds: corridors with an event recorded between the two passes." if _with_recorded(dates) else ""
    )
    return (
        f"Detections per acquisition date.{recorded} Hatched: share of the corridors that could not be "
        "judged on that date."
    )


def _lead(dates: Sequence[SeasonDate], counts: Sequence[Counts]) -> str:
    new = sum(item.new for item in counts)
    if new == 0:
        return "No deposit was detected on any date of this season."
    busiest = max(range(len(dates)), key=lambda index: counts[index].new)
    return (
        f"{number(new, 'new deposit')} detected in {number(counts[0].total, 'corridor')} over "
        f"{number(len(dates), 'date')}. "
        f"The busiest date was {long_date(dates[busiest].day)} with {counts[busiest].new:,}."
    )


def _headline(counts: Sequence[Counts]) -> dict[str, Any]:
    return {
        "dates": len(counts),
        "new": sum(item.new for item in counts),
        "persisting": sum(item.persisting for item in counts),
        "hidden_share": percent(sum(item.hidden for item in counts), sum(item.total for item in counts)),
    }


def _date_cells(dates: Sequence[SeasonDate], counts: Sequence[Counts]) -> list[dict[str, Any]]:
    return [
        {
            "date": long_date(item.day),
            "link": item.bulletin,
            "gap": "—" if item.gap_days is None else item.gap_days,
            "new": tally.new,
            "persisting": tally.persisting,
            "A": tally.a,
            "B": tally.b,
            "C": tally.c,
            "quiet": tally.quiet,
            "hidden": tally.hidden,
            "recorded": "—" if item.recorded is None else item.recorded,
        }
        for item, tally in zip(dates, counts, strict=True)
    ]


def _massif_cells(summary: pa.Table) -> list[dict[str, Any]]:
    cells = []
    for (_, name), rows in summary.to_pandas().groupby(["massif_id", "massif"], sort=True):
        new, looks = int(rows["new"].sum()), int(rows["corridors"].sum())
        busiest = rows.loc[rows["new"].idxmax(), "acquisition_date"]
        corridors = int(rows["corridors"].max())
        cells.append(
            {
                "massif": name,
                "corridors": corridors,
                "new": new,
                "rate": f"{100 * new / corridors:.1f}",
                "busiest": long_date(busiest) if new else "—",
                "hidden_share": percent(int(rows["not_observable"].sum()), looks),
            }
        )
    return cells
