"""One question to every source: which acquisitions are there?"""

from avalanche_assets.catalogue.acquisitions import SourceListing
from avalanche_assets.catalogue.raster_folder import find_rasters
from avalanche_assets.catalogue.safe_folder import list_safe_folder
from avalanche_assets.errors import CatalogueError
from avalanche_assets.settings import Settings


def list_source(settings: Settings) -> SourceListing:
    """Acquisitions of the configured source, in order of date, and the duplicates passed over.

    Raises:
        CatalogueError: The source cannot be read or holds nothing; the message names folder or file.
    """
    months, folder = settings.season.reference_months, settings.source.folder
    if settings.source.kind == "raster_folder":
        found, wanted = SourceListing(tuple(find_rasters(folder, months))), "GeoTIFF"
    else:
        found = list_safe_folder(folder, settings.track, months)
        wanted = f"IW GRDH 1SDV product of relative orbit {settings.track.relative_orbit}"
    if not found.acquisitions:
        # An empty answer would wipe every known date out of the catalogue.
        raise CatalogueError(f"{folder}: no {wanted}; put one there, or set source.folder or [track]")
    return found
