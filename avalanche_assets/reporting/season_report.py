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
from avalanche_assets.detection.season_tracks import season_tracks, write_tracks
from avalanche_assets.files import write_text
from avalanche_assets.reporting import bulletin_text as words
from avalanche_assets.reporting.bulletin import band_cells
from avalanche_assets.reporting.charts import DateActivity, activity_bars, aspect_rose
from avalanche_assets.reporting.evaluation_plain import evaluation_cells
from avalanche_assets.reporting.language import DASH, NAMES, Language, marked, page_name
from avalanche_assets.reporting.pages import inline, render, write_bytes
from avalanche_assets.reporting.style import (
    ENGLISH,
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
from avalanche_assets.reporting.summary import (
    Counts,
    activity_index,
    count,
    count_by_aspect,
    count_by_elevation,
    count_by_massif,
)
from avalanche_assets.settings import Settings
from avalanche_assets.tables import SEASON_SUMMARY, SEASON_TRACKS, write_geotable, write_table

ACTIVITY_KB, THUMBNAIL_KB = 300, 100
BAR_DAYS = 3.6

CAVEATS = (
    marked(
        "A detection counts once as new; at later passes the same deposit counts as persisting. The sum of "
        "both is not a number of avalanches."
    ),
    marked(
        "Recorded corridors are those whose event in the inventory falls between two passes. The inventory "
        "knows few avalanches outside watched corridors, so a detection without a record may be right."
    ),
    marked("A date with many corridors not observable says little about activity, even without detections."),
)

SHADES = ("#fff3e6", "#fdd9b0", "#f7b267", "#e0813a", "#b8501f", "#7d2a0e")
"""From little to much activity; one hue that darkens, so that it reads in grey too."""


@dataclass(frozen=True)
class SeasonDate:
    """One date of a season.

    Attributes:
        day: Acquisition date.
        detections: `tables.DETECTIONS` of the date.
        bulletin: Address of its bulletin's folder relative to the report, empty for none.
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
    held_back: Sequence[date] = (),
) -> SeasonReport:
    """Writes a page and a picture in each language and the tables of a season to `folder`.

    `summary.parquet` has a row a date and massif, `tracks.parquet` (GeoParquet) and `tracks.gpkg` a row an
    anomaly. Each file appears whole or not at all.

    Args:
        folder: Where the files go; created if needed.
        season: The winter, e.g. ``2017-18``.
        dates: Its dates in order, at least one.
        settings: Track, languages, operating point and the mark of simulated data.
        evaluation: `tables.EVALUATION`, or None before there is one.
        held_back: Dates whose detections are too many to be true; they are named and counted nowhere.
    """
    counts = [count(item.detections) for item in dates]
    languages = settings.reporting.languages
    pictures = {}
    for code in languages:
        language = Language(code)
        track = settings.track.relative_orbit, settings.track.direction
        note = footer_text(*track, simulated=settings.simulated, language=language)
        pictures[code] = png(activity_figure(dates, counts, season, note, language), ACTIVITY_KB, 140)
        write_bytes(folder / page_name("activity", ".png", language, languages), pictures[code])
        page = _page(season, dates, counts, settings, evaluation, pictures[code], language)
        page["warnings"] = words.held_back_warning(held_back, language)
        write_text(
            folder / page_name("season_report", ".html", language, languages),
            render("season_report.html", language, **page),
        )
    summary, tracks = season_summary(dates), season_tracks([item.detections for item in dates])
    write_table(folder / "summary.parquet", summary, SEASON_SUMMARY)
    write_geotable(folder / "tracks.parquet", tracks, SEASON_TRACKS)
    write_tracks(folder / "tracks.gpkg", tracks, dates[-1].day)
    return SeasonReport(
        folder / "season_report.html",
        folder / "activity.png",
        folder / "summary.parquet",
        smaller(pictures[languages[0]], THUMBNAIL_KB),
        sum(item.new for item in counts),
    )


def _page(
    season: str,
    dates: Sequence[SeasonDate],
    counts: Sequence[Counts],
    settings: Settings,
    evaluation: pa.Table | None,
    picture: bytes,
    language: Language,
) -> dict[str, Any]:
    languages = settings.reporting.languages
    bulletin = page_name("bulletin", ".html", language, languages)
    everything = pd.concat([item.detections for item in dates])
    # Every anomaly once, at the date on which it was new.
    fresh = everything[(everything["new_or_persisting"] == "new").to_numpy(bool, na_value=False)]
    return {
        "season": season,
        "orbit": words.orbit_words(settings, language),
        "publisher": settings.reporting.publisher,
        "simulated": settings.simulated,
        "versions": [
            (
                NAMES[code],
                page_name("season_report", ".html", Language(code), languages),
                code == language.code,
            )
            for code in languages
        ],
        "window": language.say(
            "{start} to {end}", start=language.long_date(dates[0].day), end=language.long_date(dates[-1].day)
        ),
        "lead": _lead(dates, counts, language),
        "counts": _headline(counts, language),
        "activity": inline(picture),
        "activity_file": page_name("activity", ".png", language, languages),
        "activity_caption": _caption(dates, language),
        "bars": activity_bars(_activity(dates, counts), language),
        "dates": _date_cells(dates, counts, bulletin, language),
        "with_recorded": _with_recorded(dates),
        "massifs": _massif_cells(season_summary(dates), language),
        "matrix": _matrix(dates, language),
        **band_cells(count_by_elevation(fresh), language),
        "rose": aspect_rose(count_by_aspect(fresh), language),
        "evaluation": evaluation_cells(evaluation, settings.detection, language),
        "caveats": [language.say(text) for text in CAVEATS],
    }


def _activity(dates: Sequence[SeasonDate], counts: Sequence[Counts]) -> list[DateActivity]:
    return [
        DateActivity(item.day, activity_index(tally, item.gap_days), tally.new)
        for item, tally in zip(dates, counts, strict=True)
    ]


def _matrix(dates: Sequence[SeasonDate], language: Language) -> dict[str, Any]:
    """The activity index of every massif at every date, as shaded cells."""
    by_date = [(item, count_by_massif(item.detections)) for item in dates]
    names = sorted({key for _, parts in by_date for key in parts})
    values = {
        key: [activity_index(parts[key], item.gap_days) if key in parts else None for item, parts in by_date]
        for key in names
    }
    top = max([1.0, *(value for row in values.values() for value in row if value is not None)])
    return {
        "days": [language.short_date(item.day) for item in dates],
        "rows": [
            (words.massif_name(*key, language), [_shaded(value, top, language) for value in values[key]])
            for key in names
        ],
    }


def _shaded(value: float | None, top: float, language: Language) -> tuple[str, str, str]:
    """Text, background and ink of one cell."""
    if value is None:
        return "", "unknown", INK
    if value == 0:
        return "·", "#fff", INK
    step = min(int(len(SHADES) * np.sqrt(value / top)), len(SHADES) - 1)
    return language.number(value), SHADES[step], PAPER if step >= 3 else INK


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


def activity_figure(
    dates: Sequence[SeasonDate],
    counts: Sequence[Counts],
    season: str,
    note: str,
    language: Language = ENGLISH,
) -> Figure:
    """Detections per date, new and persisting, recorded corridors if known, and the share not observable.

    The bars stand at their dates, so that a missing pass is a gap.
    """
    figure = new_figure(9.0, 4.6)[0]
    figure.clear()
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    days = np.array([item.day.toordinal() for item in dates])
    new = np.array([item.new for item in counts])
    persisting = np.array([item.persisting for item in counts])
    above.bar(days, new, BAR_DAYS, color=NEW, label=language.say("new detections"))
    above.bar(
        days, persisting, BAR_DAYS, bottom=new, color=PERSISTING, label=language.say("persisting detections")
    )
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
            label=language.say("recorded corridors"),
        )
    hidden = [100 * item.hidden / item.total for item in counts]
    below.bar(days, hidden, BAR_DAYS, color=PAPER, edgecolor=NOT_OBSERVABLE, hatch="/////", lw=0.8)
    below.set_ylim(0, 100)
    chart_axes(above, "", language.say("corridors"))
    chart_axes(below, "", language.say("% not observable"))
    above.set_ylim(bottom=0)
    above.tick_params(labelbottom=False)
    below.set_xticks(days, [language.short_date(item.day) for item in dates], rotation=60, ha="right")
    above.legend(
        fontsize=8.5, frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 0.99), labelcolor=INK
    )
    title(above, language.say("Deposits seen by radar, {season}", season=season))
    footer(figure, note)
    return figure


def _with_recorded(dates: Sequence[SeasonDate]) -> bool:
    return any(item.recorded is not None for item in dates)


def _caption(dates: Sequence[SeasonDate], language: Language) -> str:
    recorded = (
        " " + language.say("Diamonds: corridors with an event recorded between the two passes.")
        if _with_recorded(dates)
        else ""
    )
    shown = language.say("Detections per acquisition date.")
    hatched = language.say("Hatched: share of the corridors that could not be judged on that date.")
    return f"{shown}{recorded} {hatched}"


def _lead(dates: Sequence[SeasonDate], counts: Sequence[Counts], language: Language) -> str:
    say, say_n = language.say, language.say_n
    new = sum(item.new for item in counts)
    if new == 0:
        return say("No deposit was detected on any date of this season.")
    busiest = max(range(len(dates)), key=lambda index: counts[index].new)
    where = say_n("{n} corridor", "{n} corridors", counts[0].total)
    when = say_n("{n} date", "{n} dates", len(dates))
    found = say_n(
        "{n} new deposit detected in {where} over {when}.",
        "{n} new deposits detected in {where} over {when}.",
        new,
        where=where,
        when=when,
    )
    most = say(
        "The busiest date was {date} with {number}.",
        date=language.long_date(dates[busiest].day),
        number=language.number(counts[busiest].new),
    )
    return f"{found} {most}"


def _headline(counts: Sequence[Counts], language: Language) -> dict[str, str]:
    looks, hidden = sum(item.total for item in counts), sum(item.hidden for item in counts)
    return {
        "dates": language.number(len(counts)),
        "new": language.number(sum(item.new for item in counts)),
        "persisting": language.number(sum(item.persisting for item in counts)),
        "hidden_share": language.percent(hidden, looks),
    }


def _date_cells(
    dates: Sequence[SeasonDate], counts: Sequence[Counts], bulletin: str, language: Language
) -> list[dict[str, Any]]:
    return [
        {
            "date": language.long_date(item.day),
            "link": f"{item.bulletin}/{bulletin}" if item.bulletin else "",
            "gap": DASH if item.gap_days is None else item.gap_days,
            "new": tally.new,
            "persisting": tally.persisting,
            "index": DASH if index is None else language.number(index, 1),
            "A": tally.a,
            "B": tally.b,
            "C": tally.c,
            "quiet": tally.quiet,
            "hidden": tally.hidden,
            "recorded": DASH if item.recorded is None else item.recorded,
        }
        for item, tally in zip(dates, counts, strict=True)
        for index in (activity_index(tally, item.gap_days),)
    ]


def _massif_cells(summary: pa.Table, language: Language) -> list[dict[str, Any]]:
    cells = []
    for (identifier, name), rows in summary.to_pandas().groupby(["massif_id", "massif"], sort=True):
        new, looks = int(rows["new"].sum()), int(rows["corridors"].sum())
        busiest = rows.loc[rows["new"].idxmax(), "acquisition_date"]
        corridors = int(rows["corridors"].max())
        cells.append(
            {
                "massif": words.massif_name(identifier, name, language),
                "corridors": corridors,
                "new": new,
                "rate": language.number(100 * new / corridors, 1),
                "busiest": language.long_date(busiest) if new else DASH,
                "hidden_share": language.percent(int(rows["not_observable"].sum()), looks),
            }
        )
    return cells
