"""Every source by its kind: its catalogue, and which acquisitions it has.

A folder is listed anew each time and its dates count as they are. What a remote source was found to offer is
kept in the ledger: it is asked only for what is new, and its dates wait for late slices.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from avalanche_assets.area import area_of_interest
from avalanche_assets.catalogue.acquisitions import Acquisition, SourceListing, read_catalogue, season_of
from avalanche_assets.catalogue.interface import Catalogue, ProductOffer, ProductQuery
from avalanche_assets.catalogue.ledger import (
    Ledger,
    list_span,
    poll,
    read_ledger,
    scope_of,
    withdrawals_warning,
    write_ledger,
)
from avalanche_assets.catalogue.raster_folder import find_rasters
from avalanche_assets.catalogue.registration import acquisitions_of, offers_of
from avalanche_assets.catalogue.season import SeasonOutlook, in_season, season_outlook, season_spans
from avalanche_assets.catalogue.silence import silence_warning
from avalanche_assets.catalogue.verification import compare_late_md5, copies
from avalanche_assets.errors import CatalogueError
from avalanche_assets.files import exclusive
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
        from avalanche_assets.catalogue.cdse.catalogue import CdseCatalogue

        return CdseCatalogue(source.cdse, source.transfer)
    if source.kind == "dhus" and source.dhus is not None:
        from avalanche_assets.catalogue.dhus.catalogue import DhusCatalogue
        from avalanche_assets.services.credentials import dhus_account

        return DhusCatalogue(source.dhus.url, source.transfer, dhus_account())
    if source.kind == "safe_folder":
        from avalanche_assets.catalogue.local import LocalCatalogue

        return LocalCatalogue(source.folder, source.orbits)
    raise CatalogueError(f"source.kind {source.kind} has no catalogue of products; choose another source")


@contextmanager
def only_listing(settings: Settings) -> Iterator[None]:
    """Keeps other processes from listing meanwhile: each would write what only it found."""
    with exclusive(settings.layout.source_ledger.with_suffix(".lock")):
        yield


def list_source(settings: Settings, now: datetime, season: str | None = None) -> SourceListing:
    """Acquisitions of the configured source in order of date, those that wait, and products passed over.

    To be called, and its result stored, within `only_listing`.

    Args:
        settings: Of the deployment.
        now: UTC.
        season: A past season to list beside what is new, ``2017-18``.

    Raises:
        CatalogueError: The source cannot answer or holds nothing; the message names folder, host or file.
    """
    source, track = settings.source, settings.track
    if source.kind == "raster_folder":
        found = SourceListing(tuple(find_rasters(source.folder, settings.season.reference_months)))
        wanted = "GeoTIFF"
    else:
        found = _registered(settings, _asked(settings, now, season), now)
        wanted = f"IW GRDH 1SDV product of relative orbit {track.relative_orbit}"
    if not found.acquisitions and not found.pending:
        # An empty answer would wipe every known date out of the catalogue.
        if source.remote:
            remedy = "list a season with `avalanche season`, or set [source] and [track]"
        else:
            remedy = "put one there, or set source.folder or [track]"
        raise CatalogueError(f"{source.kind if source.remote else source.folder}: no {wanted}; {remedy}")
    for item in found.dropped:
        _LOGGER.warning("%s", item)
    return found


def offers(settings: Settings, acquisition: Acquisition) -> list[ProductOffer]:
    """The products of a registered acquisition as the source offers them, in order of time.

    Raises:
        CatalogueError: None is on offer, or one is not any more.
    """
    if not acquisition.products:
        raise CatalogueError(f"{acquisition.date}: {acquisition.reason}; there is nothing to fetch")
    if settings.source.remote:
        return offers_of(_ledger(settings), acquisition)
    day = datetime.combine(acquisition.date, time(), UTC)
    query = replace(_query(settings), start=day, stop=day + timedelta(days=1))
    return offers_of(_listed(settings, query, day), acquisition)


def late_checksums(settings: Settings) -> list[str]:
    """What is wrong with fetched products whose MD5 the source told later; empty when nothing is.

    Each product is read for it once, unless it is wrong.
    """
    if not settings.source.remote:
        return []
    return [
        problem
        for offer in _ledger(settings).on_offer
        if offer.md5
        for problem in compare_late_md5(offer.name, offer.md5, settings.source.folder)
    ]


def outlook(settings: Settings, season: str, now: datetime) -> SeasonOutlook:
    """How a season stands that `list_source` has listed.

    Raises:
        CatalogueError: No season is called so.
    """
    remote, folder = settings.source.remote, settings.source.folder
    ledger = _ledger(settings) if remote else _listed(settings, _query(settings), now)
    return season_outlook(
        season,
        ledger,
        _registered(settings, ledger, now),
        settings.season.reference_months,
        lambda offer: bool(copies(offer.name, folder)),
        (settings.source.transfer.max_mb_per_s or USUAL_MB_PER_S) * 1e6,
        now,
    )


def _asked(settings: Settings, now: datetime, season: str | None) -> Ledger:
    """What is known once the source has been asked; of a remote one it is kept in the ledger."""
    query = _query(settings)
    if not settings.source.remote:
        return _listed(settings, query, now)
    catalogue, kind, path = open_catalogue(settings), settings.source.kind, settings.layout.source_ledger
    months = settings.season.reference_months
    begin, _ = season_spans(season_of(now.date()), months)[0]
    current = replace(query, start=begin)
    known = read_ledger(path, kind, current)
    ledger = poll(known, catalogue, current, now)
    # Dates once registered stay, also when the ledger was lost.
    lost = set() if known.offers else set(read_catalogue(settings.layout.acquisition_catalogue).seasons)
    for name in sorted(lost | ({season} if season else set())):
        for first, stop in season_spans(name, months):
            ledger = list_span(ledger, catalogue, replace(query, start=first, stop=stop), now)
    write_ledger(path, ledger)
    return ledger


def _listed(settings: Settings, query: ProductQuery, now: datetime) -> Ledger:
    """What a folder holds."""
    ledger = Ledger(scope_of(settings.source.kind, query))
    return list_span(ledger, open_catalogue(settings), query, now)


def _registered(settings: Settings, ledger: Ledger, now: datetime) -> SourceListing:
    months, area, track = settings.season.reference_months, area_of_interest(settings), settings.track
    if not settings.source.remote:
        # Nothing more comes into a folder by itself: its dates are taken as they are.
        return acquisitions_of(ledger, area, months, now, timedelta(0))
    before = {item.date for item in read_catalogue(settings.layout.acquisition_catalogue).acquisitions}
    found = acquisitions_of(ledger, area, months, now, registered_before=before)
    return SourceListing(
        tuple(item for item in found.acquisitions if in_season(item.date, months)),
        found.dropped,
        tuple(item for item in found.pending if in_season(item.date, months)),
        silence_warning(found.acquisitions, track.relative_orbit, track.direction, now),
        withdrawals_warning(ledger, now),
    )


def _ledger(settings: Settings) -> Ledger:
    return read_ledger(settings.layout.source_ledger, settings.source.kind, _query(settings))


def _query(settings: Settings) -> ProductQuery:
    track = settings.track
    return ProductQuery(track.relative_orbit, track.direction, area_of_interest(settings))
