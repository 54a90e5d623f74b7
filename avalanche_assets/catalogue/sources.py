"""One question to every source: which acquisitions are there?"""

from avalanche_assets.catalogue.acquisitions import Acquisition
from avalanche_assets.catalogue.raster_folder import find_rasters
from avalanche_assets.catalogue.safe_folder import find_acquisitions as find_in_safe_folder
from avalanche_assets.settings import Settings


def find_acquisitions(settings: Settings) -> list[Acquisition]:
    """Acquisitions of the configured source, in order of date.

    Raises:
        CatalogueError: The source cannot be read; the message names folder or file.
    """
    months = settings.season.reference_months
    if settings.source.kind == "raster_folder":
        return find_rasters(settings.source.folder, months)
    return find_in_safe_folder(settings.source.folder, settings.track, months)
