"""Bulletin and season report from the stored tables to their places in the data layout."""

from datetime import date
from pathlib import Path

import geopandas as gpd
import pyarrow.compute as pc

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.detection.plausible import held_back, require_plausible
from avalanche_assets.errors import TableError
from avalanche_assets.grid import Grid
from avalanche_assets.inventory.massifs import read_massifs
from avalanche_assets.inventory.sources import massifs_file
from avalanche_assets.layout import DataLayout
from avalanche_assets.rasters import read_bands, read_grid
from avalanche_assets.reporting.bulletin import Bulletin, BulletinContent, write_bulletin
from avalanche_assets.reporting.charts import DateActivity
from avalanche_assets.reporting.season_report import SeasonDate, SeasonReport, write_season_report
from avalanche_assets.reporting.summary import activity_index, count
from avalanche_assets.settings import Settings
from avalanche_assets.stored_path import link
from avalanche_assets.tables import CORRIDOR_LABELS, DETECTIONS, EVALUATION, read_geotable, read_table


def publish_bulletin(settings: Settings, catalogue: AcquisitionCatalogue, day: date | str) -> Bulletin:
    """Writes the bulletin of one date.

    Raises:
        TableError: Detections or elevation model are missing or damaged.
        DetectorError: The date is held back: too many corridors are detected.
        InventoryError: The massifs of the settings cannot be read.
    """
    layout = settings.layout
    grid = read_grid(layout.dem)
    current, previous = catalogue.get(day), catalogue.previous(day)
    folder = layout.bulletin(day)
    detections = read_geotable(layout.detections(day), DETECTIONS)
    require_plausible(detections, settings.detection, str(layout.detections(day)))
    before = _stored(layout, previous.date) if previous else None
    doubtful = before is not None and held_back(before, settings.detection)
    content = BulletinContent(
        detections=detections,
        elevation=read_bands(layout.dem, ["elevation"])["elevation"],
        grid=grid,
        current=current,
        previous=previous,
        massifs=_massifs(settings, grid),
        before=None if doubtful else before,
        previous_held_back=doubtful,
        season=season_so_far(settings, catalogue, day),
        table=link(layout.detections(day), folder),
        previous_folder=link(layout.bulletin(previous.date), folder) if previous and not doubtful else "",
        season_folder=link(layout.season_report(current.season), folder),
    )
    return write_bulletin(folder, content, settings)


def season_so_far(settings: Settings, catalogue: AcquisitionCatalogue, day: date | str) -> list[DateActivity]:
    """Activity at the dates of the season up to `day` that have detections; unknown where held back."""
    layout = settings.layout
    days = catalogue.dates("winter", catalogue.get(day).season)
    found = []
    for one in days:
        table = _stored(layout, one) if one <= str(day) else None
        if table is None:
            continue
        if held_back(table, settings.detection):
            found.append(DateActivity(date.fromisoformat(one), None, 0))
        else:
            counts = count(table)
            acquisition, previous = catalogue.get(one), catalogue.previous(one)
            gap = None if previous is None else (acquisition.date - previous.date).days
            found.append(DateActivity(acquisition.date, activity_index(counts, gap), counts.new))
    return found


def _stored(layout: DataLayout, day: date | str) -> gpd.GeoDataFrame | None:
    """Detections of another date, None where they are missing or damaged: they hold up no bulletin."""
    try:
        return read_geotable(layout.detections(day), DETECTIONS)
    except TableError:
        return None


def publish_season_report(settings: Settings, catalogue: AcquisitionCatalogue, season: str) -> SeasonReport:
    """Writes the report of one season over the dates that have detections and are not held back.

    Raises:
        TableError: No date of the season has such detections, or a table is damaged.
    """
    layout = settings.layout
    days = [day for day in catalogue.dates("winter", season) if layout.detections(day).exists()]
    stored = [_season_date(layout, season, day) for day in days]
    dates = [item for item in stored if not held_back(item.detections, settings.detection)]
    if not dates:
        raise TableError(
            f"{layout.detections('<date>')}: no date of season {season} has detections to be published; "
            "materialise them"
        )
    evaluation = read_table(layout.evaluation, EVALUATION) if layout.evaluation.exists() else None
    shown = {item.day for item in dates}
    doubtful = [item.day for item in stored if item.day not in shown]
    return write_season_report(layout.season_report(season), season, dates, settings, evaluation, doubtful)


def _massifs(settings: Settings, grid: Grid) -> gpd.GeoDataFrame | None:
    file: Path | None = massifs_file(settings)
    return None if file is None else read_massifs(file, grid.crs, settings.inventory.massif_columns)


def _season_date(layout: DataLayout, season: str, day: str) -> SeasonDate:
    folder = layout.bulletin(day)
    page = link(folder, layout.season_report(season)) if folder.exists() else ""
    detections = read_geotable(layout.detections(day), DETECTIONS)
    return SeasonDate(date.fromisoformat(day), detections, page, _recorded(layout, day))


def _recorded(layout: DataLayout, day: str) -> int | None:
    path = layout.corridor_labels(day)
    if not path.exists():
        return None
    states = read_table(path, CORRIDOR_LABELS, ["new"])["new"]
    return int(pc.sum(pc.equal(states, "positive")).as_py() or 0)
