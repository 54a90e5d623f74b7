"""Every source by its kind: its catalogue, and which acquisitions it has."""

from avalanche_assets.catalogue.acquisitions import SourceListing
from avalanche_assets.catalogue.interface import Catalogue
from avalanche_assets.catalogue.raster_folder import find_rasters
from avalanche_assets.catalogue.safe_folder import list_safe_folder
from avalanche_assets.errors import CatalogueError
from avalanche_assets.settings import Settings


def open_catalogue(settings: Settings) -> Catalogue:
    """The catalogue of the configured source; its client is imported only here.

    Raises:
        CatalogueError: The source has none: ready-made rasters are no products.
    """
    source = settings.source
    if source.kind == "cdse":
        from avalanche_assets.catalogue.cdse import CdseCatalogue

        return CdseCatalogue(source.cdse, source.transfer)
    if source.kind == "dhus" and source.dhus is not None:
        from avalanche_assets.catalogue.credentials import dhus_account
        from avalanche_assets.catalogue.dhus import DhusCatalogue

        return DhusCatalogue(source.dhus.url, source.transfer, dhus_account())
    if source.kind == "safe_folder":
        from avalanche_assets.catalogue.local import LocalCatalogue

        return LocalCatalogue(source.folder, source.orbits)
    raise CatalogueError(f"source.kind {source.kind} has no catalogue of products; choose another source")


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
