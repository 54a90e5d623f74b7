"""The bulletin of one acquisition date: a page that opens anywhere, its map, and the GeoPackage.

The page needs no network and no other file. It says what was seen, how sure that is, what could not be
seen, and how it was made, in words a forecaster reads; the numbers are those of the detections table.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from avalanche_assets.catalogue.acquisitions import Acquisition
from avalanche_assets.detection.geopackage import write_geopackage
from avalanche_assets.files import write_text
from avalanche_assets.grid import Grid
from avalanche_assets.reporting.maps import bulletin_map
from avalanche_assets.reporting.pages import (
    inline,
    instant,
    long_date,
    number,
    percent,
    render,
    write_bytes,
)
from avalanche_assets.reporting.style import Floats, footer_text, png, smaller
from avalanche_assets.reporting.summary import Counts, count, count_by_massif, massif_name, reasons
from avalanche_assets.settings import DetectionSettings, Settings

MAP_KB, MAP_DPI = 1500, 140
THUMBNAIL_KB = 100
USUAL_GAP_DAYS = 6
WET_SNOW_WARNING = 0.3
"""Median share of wet-snow pixels from which the bulletin warns first of all."""

SMALLEST_DEPOSIT_M2 = 2000
"""Deposits below this area are mostly invisible to Sentinel-1.

Source: Leinss et al. 2020, NHESS 20, 1783: cut-off area of 2,000 m2.
"""

COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")


@dataclass(frozen=True)
class Bulletin:
    """What `write_bulletin` made.

    Attributes:
        page: The HTML page.
        map: The map as PNG.
        geopackage: Detections and corridors for QGIS.
        thumbnail: The map as a PNG of at most 100 kB.
        counts: Corridors by outcome.
    """

    page: Path
    map: Path
    geopackage: Path
    thumbnail: bytes
    counts: Counts


def write_bulletin(
    folder: Path,
    detections: gpd.GeoDataFrame,
    elevation: Floats,
    grid: Grid,
    current: Acquisition,
    previous: Acquisition | None,
    settings: Settings,
    massifs: gpd.GeoDataFrame | None = None,
) -> Bulletin:
    """Writes `bulletin.html`, `map.png` and `detections.gpkg` to `folder`, each file atomically.

    Args:
        folder: Where the files go; created if needed.
        detections: `tables.DETECTIONS` of the date with `geometry` and `corridor_geometry`.
        elevation: Elevation model on `grid`, metres.
        grid: The analysis grid.
        current: The acquisition.
        previous: The previous acquisition, or None.
        settings: Track, detection settings and the mark of simulated data.
        massifs: Massif polygons with a column `massif` for the map.
    """
    counts = count(detections)
    track = settings.track
    note = footer_text(track.relative_orbit, track.direction, current, previous, simulated=settings.simulated)
    heading = f"Avalanche deposits seen by radar, {long_date(current.date)}"
    lead = _lead(counts, previous)
    figure = bulletin_map(detections, elevation, grid, heading, _subtitle(counts), note, massifs)
    picture = png(figure, MAP_KB, MAP_DPI)
    page = render(
        "bulletin.html",
        day=long_date(current.date),
        year=current.date.year,
        orbit=track.relative_orbit,
        direction=track.direction.lower(),
        simulated=settings.simulated,
        window=_window(current, previous),
        lead=lead,
        none_detected=_none_detected(counts),
        counts=counts,
        map=inline(picture),
        detections=detection_cells(detections),
        massifs=_massif_cells(detections, counts),
        reasons=reasons(detections),
        caveats=caveats(detections, counts, current, previous),
        facts=_facts(detections, current, settings),
    )
    bulletin = Bulletin(
        folder / "bulletin.html",
        folder / "map.png",
        folder / "detections.gpkg",
        smaller(picture, THUMBNAIL_KB),
        counts,
    )
    write_geopackage(bulletin.geopackage, detections)
    write_bytes(bulletin.map, picture)
    write_text(bulletin.page, page)
    return bulletin


def _window(current: Acquisition, previous: Acquisition | None) -> str:
    if previous is None:
        return f"{instant(current.overpass)} · no previous acquisition to compare with"
    days = number((current.date - previous.date).days, "day")
    return f"{instant(previous.overpass)} to {instant(current.overpass)} ({days})"


def _lead(counts: Counts, previous: Acquisition | None) -> str:
    if counts.observable == 0:
        corridors = number(counts.total, "corridor")
        return f"None of {corridors} could be judged on this date: no statement about avalanches is possible."
    seen = f"{counts.observable:,} of {number(counts.total, 'corridor')} could be judged."
    if counts.detections == 0:
        return f"No deposit detected. {seen}"
    since = f" since {long_date(previous.date)}" if previous else ""
    return (
        f"{number(counts.detections, 'deposit')} detected: {counts.new:,} new{since}, "
        f"{counts.persisting:,} already seen at the previous pass. {seen}"
    )


def _subtitle(counts: Counts) -> str:
    return (
        f"{number(counts.detections, 'detection')} ({counts.new:,} new, {counts.persisting:,} persisting) "
        f"in {number(counts.total, 'corridor')}; {counts.hidden:,} not observable"
    )


def _none_detected(counts: Counts) -> str:
    if counts.observable == 0:
        return "None possible: no corridor could be judged on this date."
    return "None. No corridor that could be judged reaches the threshold."


def detection_cells(detections: gpd.GeoDataFrame) -> list[dict[str, str]]:
    """Text of every detection's cells, by quality and then score; a dash where a measure is missing."""
    found = detections[detections["is_detection"].to_numpy(bool)]
    ordered = found.sort_values(["quality", "score", "corridor_id"], ascending=[True, False, True])
    return [
        {
            "quality": row.quality,
            "corridor": row.corridor_id,
            "massif": massif_name(row.massif_id, row.massif),
            "state": _state(row),
            "score": f"{row.score:.2f}",
            "area": _measure(row.area_m2, "{:,.0f} m²"),
            "elevation": _elevation(row),
            "aspect": compass(row.aspect_deg),
            "slope": _measure(row.slope_deg, "{:.0f}°"),
            "dvv": f"{_measure(row.dvv_mean_db, '{:+.1f}')} / {_measure(row.dvv_max_db, '{:+.1f} dB')}",
            "dvh": _measure(row.dvh_mean_db, "{:+.1f} dB"),
        }
        for row in ordered.itertuples()
    ]


def compass(direction_deg: float) -> str:
    """One of eight compass points for a direction clockwise from north, a dash for NaN."""
    if pd.isna(direction_deg):
        return "—"
    return COMPASS[round(direction_deg / 45) % 8]


def _state(row: Any) -> str:
    if row.new_or_persisting == "new":
        return "new"
    return f"persisting: {int(row.times_seen)} passes, since {row.first_seen:%d %b}"


def _elevation(row: Any) -> str:
    if pd.isna(row.elevation_min_m):
        return "—"
    return f"{row.elevation_min_m:,.0f}\u2013{row.elevation_max_m:,.0f} m"


def _measure(value: float, form: str) -> str:
    return "—" if pd.isna(value) else form.format(value)


def _massif_cells(detections: gpd.GeoDataFrame, total: Counts) -> list[dict[str, Any]]:
    by_massif = [(name, counts) for (_, name), counts in count_by_massif(detections).items()]
    return [
        {
            "massif": massif,
            "new": counts.new,
            "persisting": counts.persisting,
            "A": counts.a,
            "B": counts.b,
            "C": counts.c,
            "quiet": counts.quiet,
            "hidden": counts.hidden,
        }
        for massif, counts in [*by_massif, ("All", total)]
    ]


def caveats(
    detections: gpd.GeoDataFrame, counts: Counts, current: Acquisition, previous: Acquisition | None
) -> list[str]:
    """What limits this date's bulletin, the particular before the general."""
    found = []
    if previous is None:
        found.append(
            "There is no previous acquisition to compare with, so new deposits cannot be told apart."
        )
    elif (days := (current.date - previous.date).days) > USUAL_GAP_DAYS:
        found.append(
            f"{days} days lie between the two passes instead of {USUAL_GAP_DAYS}: deposits may have faded "
            "or been covered, and the time of an avalanche is less certain."
        )
    if not current.complete:
        found.append("The acquisition is incomplete: some of its products are missing.")
    wet = detections.loc[detections["observable"].to_numpy(bool), "wet_snow_fraction"].median()
    if pd.notna(wet):
        share = f"In half of the judged corridors {100 * wet:.0f} % or more is as dark as wet snow"
        if wet >= WET_SNOW_WARNING:
            found.append(
                f"{share} (or the whole scene is darker). Wet snow hides deposits, and refreezing looks like "
                "them: expect both misses and false alarms."
            )
        else:
            found.append(f"{share}: wet snow hardly limits this date.")
    found.append(
        f"Coverage: {percent(counts.observable, counts.total)} of the corridors could be judged "
        f"({counts.observable:,} of {counts.total:,})."
    )
    found.append(
        f"Radar sees the rough deposit, not the release or the track, and mostly misses deposits smaller "
        f"than about {SMALLEST_DEPOSIT_M2:,} m². Nothing detected does not mean that no avalanche came down."
    )
    return found


def operating_point_words(detection: DetectionSettings) -> str:
    """What the operating point means, in a sentence."""
    share = (
        f"at most about {100 * detection.false_alarm_rate:g} % of the corridors without an avalanche raise"
    )
    if detection.alarms_per_date is not None:
        share = f"at most about {detection.alarms_per_date:g} corridors without an avalanche a date raise"
    return {
        "balanced": "avalanche and no avalanche are recognised equally well (best balanced accuracy)",
        "mapping": "false alarms and misses weigh alike (best F1)",
        "screening": "misses weigh more than false alarms (best F2)",
        "budget": f"{share} a false alarm",
    }[detection.operating_point]


def _facts(detections: gpd.GeoDataFrame, current: Acquisition, settings: Settings) -> list[tuple[str, str]]:
    row = detections.iloc[0]
    return [
        (
            "Acquisition",
            f"{instant(current.overpass)}, {current.platform}, absolute orbit {current.absolute_orbit}",
        ),
        ("Products", ", ".join(current.products)),
        ("Detector", f"{row['detector']}, version {row['detector_version']}"),
        (
            "Threshold",
            f"{row['threshold']:.3g}, operating point “{row['operating_point']}”: chosen on the validation "
            f"dates so that {operating_point_words(settings.detection)}",
        ),
        ("Map grid", f"{detections.crs.to_string()}, {settings.grid.resolution_m} m pixels"),
    ]
