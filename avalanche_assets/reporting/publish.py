"""Bulletin and season report from the stored tables to their places in the data layout."""

import os
from datetime import date

import pyarrow.compute as pc

from avalanche_assets.catalogue.acquisitions import AcquisitionCatalogue
from avalanche_assets.errors import TableError
from avalanche_assets.inventory.massifs import read_massifs
from avalanche_assets.inventory.sources import massifs_file
from avalanche_assets.layout import DataLayout
from avalanche_assets.rasters import read_bands, read_grid
from avalanche_assets.reporting.bulletin import Bulletin, write_bulletin
from avalanche_assets.reporting.season_report import SeasonDate, SeasonReport, write_season_report
from avalanche_assets.settings import Settings
from avalanche_assets.tables import CORRIDOR_LABELS, DETECTIONS, EVALUATION, read_geotable, read_table


def publish_bulletin(settings: Settings, catalogue: AcquisitionCatalogue, day: date | str) -> Bulletin:
    """Writes the bulletin of one date.

    Raises:
        TableError: Detections or elevation model are missing or damaged.
        InventoryError: The massifs of the settings cannot be read.
    """
    layout = settings.layout
    grid = read_grid(layout.dem)
    massifs = massifs_file(settings)
    return write_bulletin(
        layout.bulletin(day),
        read_geotable(layout.detections(day), DETECTIONS),
        read_bands(layout.dem, ["elevation"])["elevation"],
        grid,
        catalogue.get(day),
        catalogue.previous(day),
        settings,
        None if massifs is None else read_massifs(massifs, grid.crs, settings.inventory.massif_columns),
    )


def publish_season_report(settings: Settings, catalogue: AcquisitionCatalogue, season: str) -> SeasonReport:
    """Writes the report of one season over the dates that have detections.

    Raises:
        TableError: No date of the season has detections, or a table is damaged.
    """
    layout = settings.layout
    days = [day for day in catalogue.dates("winter", season) if layout.detections(day).exists()]
    if not days:
        raise TableError(
            f"{layout.detections('<date>')}: no date of season {season} has detections; materialise them"
        )
    evaluation = read_table(layout.evaluation, EVALUATION) if layout.evaluation.exists() else None
    dates = [_season_date(layout, season, day) for day in days]
    return write_season_report(layout.season_report(season), season, dates, settings, evaluation)


def _season_date(layout: DataLayout, season: str, day: str) -> SeasonDate:
    page = layout.bulletin(day) / "bulletin.html"
    link = os.path.relpath(page, layout.season_report(season)) if page.exists() else ""
    detections = read_geotable(layout.detections(day), DETECTIONS)
    return SeasonDate(date.fromisoformat(day), detections, link, _recorded(layout, day))


def _recorded(layout: DataLayout, day: str) -> int | None:
    path = layout.corridor_labels(day)
    if not path.exists():
        return None
    states = read_table(path, CORRIDOR_LABELS, ["new"])["new"]
    return int(pc.sum(pc.equal(states, "positive")).as_py() or 0)
