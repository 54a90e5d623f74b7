"""Acquisitions of a folder with one ready-made terrain-corrected GeoTIFF a date."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, time
from pathlib import Path

from avalanche_assets.catalogue.acquisitions import Acquisition, roles_by_month, season_of
from avalanche_assets.errors import CatalogueError

_DATE = re.compile(r"(?<!\d)(20\d{2})-?(\d{2})-?(\d{2})(?!\d)")


def find_rasters(
    folder: Path, reference_months: Iterable[int], overpass: time = time(6)
) -> list[Acquisition]:
    """One acquisition for every GeoTIFF whose name holds a date (``YYYYMMDD`` or ``YYYY-MM-DD``).

    The files do not tell the time of day; `overpass` (UTC) stands in for it.

    Raises:
        CatalogueError: No such folder, a file without a date, or two files of one date.
    """
    if not folder.is_dir():
        raise CatalogueError(f"{folder}: folder not found; set source.folder in the settings")
    files: dict[datetime, Path] = {}
    for path in sorted(folder.glob("*.tif*")):
        match = _DATE.search(path.name)
        if match is None:
            raise CatalogueError(f"{path}: no date YYYYMMDD in the file name; rename the file")
        year, month, day = (int(part) for part in match.groups())
        instant = datetime.combine(datetime(year, month, day, tzinfo=UTC), overpass, UTC)
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
            True,
            (path.name,),
        )
        for instant, path in files.items()
    ]
