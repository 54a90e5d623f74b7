"""Every source by its kind: its catalogue, and which acquisitions it has.

What a source was found to offer is kept in the ledger. A folder is listed anew each time and its dates count
as they are; a remote source is asked only for what is new, and its dates wait for late slices.
"""

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from avalanche_assets.area import area_of_interest
from avalanche_assets.catalogue.acquisitions import Acquisition, SourceListing, season_of
from avalanche_assets.catalogue.interface import Catalogue, ProductOffer, ProductQuery
from avalanche_assets.catalogue.ledger import Ledger, list_span, poll, read_ledger, scope_of, write_ledger
from avalanche_assets.catalogue.products import is_here
from avalanche_assets.catalogue.raster_folder import find_rasters
from avalanche_assets.catalogue.registration import WAIT, acquisitions_of, offers_of
from avalanche_assets.catalogue.season import SeasonOutlook, season_outlook, season_spans
from avalanche_assets.errors import CatalogueError
from avalanche_assets.settings import Settings

_LOGGER = logging.getLogger(__name__)

USUAL_MB_PER_S = 10.0
"""Of one connection to the Copernicus Data Space; users report 4 to 20."""


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


def list_source(settings: Settings, now: datetime, season: str | None = None) -> SourceListing:
    """Acquisitions of the configured source in order of date, those that wait, and products passed over.

    Args:
        settings: Of the deployment.
        now: UTC.
        season: A past season to list beside what is new, ``2017-18``.

    Raises:
        CatalogueError: The source cannot answer or holds nothing; the message names folder, host or file.
    """
    months, source = settings.season.reference_months, settings.source
    if source.kind == "raster_folder":
        found = SourceListing(tuple(find_rasters(source.folder, months)))
    else:
        ledger = _asked(settings, now, season)
        write_ledger(settings.layout.source_ledger, ledger)
        found = _registered(settings, ledger, now)
        for item in found.dropped:
            _LOGGER.warning("%s", item)
    if not found.acquisitions and not found.pending:
        # An empty answer would wipe every known date out of the catalogue.
        kind = "GeoTIFF" if source.kind == "raster_folder" else "IW GRDH 1SDV product"
        track = f"relative orbit {settings.track.relative_orbit} {settings.track.direction}"
        raise CatalogueError(
            f"{source.folder if not source.remote else source.kind}: no {kind} of {track}; put one into "
            "source.folder, list a season (avalanche season), or set [source] and [track]"
        )
    return found


def offers(settings: Settings, acquisition: Acquisition) -> list[ProductOffer]:
    """The products of a registered acquisition as the source offers them, in order of time.

    Raises:
        CatalogueError: One is not on offer any more.
    """
    return offers_of(_ledger(settings), acquisition)


def outlook(settings: Settings, season: str, now: datetime) -> SeasonOutlook:
    """How a season stands that `list_source` has listed.

    Raises:
        CatalogueError: No season is called so.
    """
    ledger, folder = _ledger(settings), settings.source.folder
    return season_outlook(
        season,
        ledger,
        _registered(settings, ledger, now),
        settings.season.reference_months,
        lambda offer: is_here(offer, folder),
        (settings.source.transfer.max_mb_per_s or USUAL_MB_PER_S) * 1e6,
        now,
    )


def _asked(settings: Settings, now: datetime, season: str | None) -> Ledger:
    """What is known once the source has been asked."""
    catalogue, query = open_catalogue(settings), _query(settings)
    if not settings.source.remote:
        return list_span(Ledger(scope_of(settings.source.kind, query)), catalogue, query, now)
    months = settings.season.reference_months
    begin, _ = season_spans(season_of(now.date()), months)[0]
    current = replace(query, start=begin)
    ledger = read_ledger(settings.layout.source_ledger, settings.source.kind, current)
    ledger = poll(ledger, catalogue, current, now)
    for first, stop in season_spans(season, months) if season else ():
        ledger = list_span(ledger, catalogue, replace(query, start=first, stop=stop), now)
    return ledger


def _ledger(settings: Settings) -> Ledger:
    return read_ledger(settings.layout.source_ledger, settings.source.kind, _query(settings))


def _query(settings: Settings) -> ProductQuery:
    track = settings.track
    return ProductQuery(track.relative_orbit, track.direction, area_of_interest(settings))


def _registered(settings: Settings, ledger: Ledger, now: datetime) -> SourceListing:
    # Nothing more is coming into a folder by itself: its dates are taken as they are.
    wait = WAIT if settings.source.remote else timedelta(0)
    months = settings.season.reference_months
    return acquisitions_of(ledger, area_of_interest(settings), months, now, wait)
