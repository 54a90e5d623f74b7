"""The bulletin of one acquisition date: pages that open anywhere, their pictures, and the GeoPackage.

A page needs no network and no other file; a policy in its head keeps browsers from asking for any. It says
what was seen, how sure that is, what could not be seen, and how it was made, in words a forecaster reads; the
numbers are those of the detections table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd

from avalanche_assets.catalogue.acquisitions import Acquisition
from avalanche_assets.detection.geopackage import write_geopackage
from avalanche_assets.files import write_text
from avalanche_assets.grid import Grid
from avalanche_assets.reporting import bulletin_text as words
from avalanche_assets.reporting.charts import ActivityBars, DateActivity, activity_bars, aspect_rose
from avalanche_assets.reporting.language import NAMES, Language, page_name
from avalanche_assets.reporting.maps import bulletin_map
from avalanche_assets.reporting.pages import render, write_bytes
from avalanche_assets.reporting.stac import write_item
from avalanche_assets.reporting.style import Floats, footer_text, png, smaller
from avalanche_assets.reporting.summary import (
    Counts,
    Part,
    activity_index,
    change_since,
    count,
    count_by_aspect,
    count_by_elevation,
    count_by_massif,
    reasons,
)
from avalanche_assets.reporting.web_map import web_map
from avalanche_assets.settings import Settings

MAP_KB, MAP_DPI = 1500, 140
THUMBNAIL_KB = 100


@dataclass(frozen=True)
class BulletinContent:
    """What a bulletin is made from.

    Attributes:
        detections: `tables.DETECTIONS` of the date with `geometry` and `corridor_geometry`.
        elevation: Elevation model on `grid`, metres.
        grid: The analysis grid.
        current: The acquisition.
        previous: The previous acquisition, or None.
        massifs: Massif polygons with a column `massif` for the map, or None.
        before: Detections of the previous acquisition, or None where there are none that were published.
        previous_held_back: Whether those were too many to be true, and not published.
        season: Activity at the season's dates up to this one, in order.
        table: Address of the detections table relative to the bulletin, empty for none.
        previous_folder: That of the previous bulletin's folder, empty for none.
        season_folder: That of the season report's folder, empty for none.
    """

    detections: gpd.GeoDataFrame
    elevation: Floats
    grid: Grid
    current: Acquisition
    previous: Acquisition | None
    massifs: gpd.GeoDataFrame | None = None
    before: gpd.GeoDataFrame | None = None
    previous_held_back: bool = False
    season: Sequence[DateActivity] = ()
    table: str = ""
    previous_folder: str = ""
    season_folder: str = ""


@dataclass(frozen=True)
class Bulletin:
    """What `write_bulletin` made.

    Attributes:
        page: The HTML page in the first language.
        map: The map as PNG in the first language.
        geopackage: Detections and corridors for QGIS.
        item: The STAC item.
        thumbnail: The map as a PNG of at most 100 kB.
        counts: Corridors by outcome.
        index: Activity index, None where it is unknown.
    """

    page: Path
    map: Path
    geopackage: Path
    item: Path
    thumbnail: bytes
    counts: Counts
    index: float | None


def write_bulletin(folder: Path, content: BulletinContent, settings: Settings) -> Bulletin:
    """Writes a page and a map in each language, `detections.gpkg` and `item.json`, each file atomically.

    Args:
        folder: Where the files go; created if needed.
        content: What the bulletin is made from.
        settings: Track, languages, detection settings and the mark of simulated data.
    """
    languages = settings.reporting.languages
    counts = count(content.detections)
    pictures = {}
    for code in languages:
        language = Language(code)
        pictures[code] = _picture(content, counts, settings, language)
        write_bytes(folder / page_name("map", ".png", language, languages), pictures[code])
        page = render("bulletin.html", language, **_page(content, counts, settings, language))
        write_text(folder / page_name("bulletin", ".html", language, languages), page)
    write_geopackage(folder / "detections.gpkg", content.detections)
    index = activity_index(counts, _gap_days(content))
    passes = content.current, content.previous
    item = write_item(folder, content.grid, *passes, counts, index, content.table, settings)
    return Bulletin(
        folder / "bulletin.html",
        folder / "map.png",
        folder / "detections.gpkg",
        item,
        smaller(pictures[languages[0]], THUMBNAIL_KB),
        counts,
        index,
    )


def _gap_days(content: BulletinContent) -> int | None:
    previous = content.previous
    return None if previous is None else (content.current.date - previous.date).days


def _picture(content: BulletinContent, counts: Counts, settings: Settings, language: Language) -> bytes:
    heading = language.say(
        "Avalanche deposits seen by radar, {date}", date=language.long_date(content.current.date)
    )
    note = footer_text(
        settings.track.relative_orbit,
        settings.track.direction,
        content.current,
        content.previous,
        simulated=settings.simulated,
        language=language,
    )
    figure = bulletin_map(
        content.detections,
        content.elevation,
        content.grid,
        heading,
        words.subtitle(counts, language),
        note,
        content.massifs,
        language,
    )
    return png(figure, MAP_KB, MAP_DPI)


def _page(content: BulletinContent, counts: Counts, settings: Settings, language: Language) -> dict[str, Any]:
    detections, current, previous = content.detections, content.current, content.previous
    languages = settings.reporting.languages
    index = activity_index(counts, _gap_days(content))
    return {
        "day": language.long_date(current.date),
        "year": current.date.year,
        "orbit": words.orbit_words(settings, language),
        "platform": current.platform,
        "descending": settings.track.direction == "DESCENDING",
        "publisher": settings.reporting.publisher,
        "simulated": settings.simulated,
        "window": words.window_words(current, previous, language),
        "versions": [
            (NAMES[code], page_name("bulletin", ".html", Language(code), languages), code == language.code)
            for code in languages
        ],
        "previous": _neighbour(content, language, languages),
        "report": _inside(content.season_folder, page_name("season_report", ".html", language, languages)),
        "lead": words.lead(counts, previous, language),
        "counts": counts,
        "index": None if index is None else language.number(index, 1),
        "warnings": words.warnings(
            detections, counts, current, previous, language, previous_held_back=content.previous_held_back
        ),
        "map": web_map(detections, content.elevation, content.grid, language, content.massifs),
        "map_file": page_name("map", ".png", language, languages),
        "bars": _bars(content, language),
        "changes": _changes(content, counts, language),
        "since": "" if previous is None else language.long_date(previous.date),
        "detections": words.detection_cells(detections, language),
        "massifs": _massif_cells(detections, counts, language),
        **band_cells(count_by_elevation(detections), language),
        "rose": aspect_rose(count_by_aspect(detections), language),
        "reasons": [(language.say(reason), number) for reason, number in reasons(detections)],
        "notes": words.notes(detections, counts, language),
        "facts": words.facts(detections, current, settings, language),
        "table": content.table,
    }


def band_cells(bands: Sequence[Part], language: Language) -> dict[str, Any]:
    """What `bands.html` draws."""
    return {
        "bands": [(words.band_words(part, language), part.new, part.persisting) for part in bands],
        "largest_band": max(1, *(part.new + part.persisting for part in bands)),
    }


def _inside(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else ""


def _neighbour(content: BulletinContent, language: Language, languages: Sequence[str]) -> tuple[str, str]:
    """Address and date of the previous bulletin; empty without one."""
    if content.previous is None or not content.previous_folder:
        return "", ""
    page = _inside(content.previous_folder, page_name("bulletin", ".html", language, languages))
    return page, language.long_date(content.previous.date)


def _bars(content: BulletinContent, language: Language) -> ActivityBars | None:
    return activity_bars(content.season, language, content.current.date) if len(content.season) > 1 else None


def _changes(content: BulletinContent, counts: Counts, language: Language) -> list[tuple[str, int]]:
    if content.before is None:
        return []
    return words.change_cells(change_since(content.before, content.detections), counts, language)


def _massif_cells(detections: gpd.GeoDataFrame, total: Counts, language: Language) -> list[dict[str, Any]]:
    parts = [
        (words.massif_name(identifier, name, language), counts)
        for (identifier, name), counts in count_by_massif(detections).items()
    ]
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
        for massif, counts in [*parts, (language.say("All"), total)]
    ]
