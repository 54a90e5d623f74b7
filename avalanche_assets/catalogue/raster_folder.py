"""Acquisitions of a folder with one ready-made terrain-corrected GeoTIFF a date."""

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, time
from pathlib import Path

from avalanche_assets.catalogue.acquisitions import Acquisition, roles_by_month, season_of
from avalanche_assets.errors import CatalogueError

_DATE = re.compile(r"(?<!\d)(20\d{2})-?(\d{2})-?(\d{2})(?!\d)")


def find_rasters(
    folder: Path, reference_months: Iterable[int], overpass: time = time(6)
) -> list[Acquisition]:
    """One acquisition for every GeoTIFF, in order of the dates in their names.

    A date is written ``YYYYMMDD`` or ``YYYY-MM-DD``; no file tells the time of day, `overpass` (UTC) stands
    in for it.

    Raises:
        CatalogueError: No such folder, a file name without a date, or two files of one date.
    """
    if not folder.is_dir():
        raise CatalogueError(f"{folder}: folder not found; set source.folder in the settings")
    files: dict[datetime, Path] = {}
    # Programs that only looked at a raster leave files such as x.tif.aux.xml beside it.
    for path in sorted(item for item in folder.iterdir() if item.suffix in (".tif", ".tiff")):
        instant = datetime.combine(_date(path), overpass, UTC)
        if instant in files:
            raise CatalogueError(f"{path}: same date as {files[instant].name}; keep one of them")
        files[instant] = path
    roles = roles_by_month([instant.date() for instant in files], reference_months)
    return [
        Acquisition(
            instant.date(),
            instant,
            path.name[:3],
            0,
            roles[instant.date()],
            season_of(instant.date()),
            "complete",
            (path.name,),
            size_bytes=path.stat().st_size,
        )
        for instant, path in sorted(files.items())
    ]


def _date(path: Path) -> date:
    for match in _DATE.finditer(path.name):
        with suppress(ValueError):
            return date(*(int(part) for part in match.groups()))
    raise CatalogueError(f"{path}: no date YYYYMMDD in the file name; rename the file")
