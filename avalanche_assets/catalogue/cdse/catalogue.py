"""The Copernicus Data Space as a catalogue: searched over OData v4, fetched over https or S3.

The search needs no account. It is always ordered: without an order, pages overlap and miss entries. While the
service takes in products a page can miss one all the same, hence whoever polls by publication date should
look back a day, and know products by their ids.

Source: Copernicus Data Space documentation, OData API.
"""

import logging
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from avalanche_assets.catalogue.cdse.entities import deleted_id, orbit_offer, page, product_offer
from avalanche_assets.catalogue.cdse.filter import orbit_files_filter, products_filter, withdrawn_filter
from avalanche_assets.catalogue.cdse.https import HttpsArchive
from avalanche_assets.catalogue.cdse.token import CdseToken
from avalanche_assets.catalogue.interface import OrbitOffer, ProductOffer, ProductQuery
from avalanche_assets.catalogue.verification import copies
from avalanche_assets.errors import CatalogueError, OfflineError
from avalanche_assets.sentinel1.orbit_file import OrbitFile, utc64
from avalanche_assets.services.credentials import cdse_account, cdse_s3_keys
from avalanche_assets.services.http_service import HttpService
from avalanche_assets.services.progress import Progress
from avalanche_assets.settings import CdseSettings, TransferSettings

_LOGGER = logging.getLogger(__name__)

PAGE_SIZE = 100
MAX_PAGES = 100
"""The service skips at most 10,000 entries."""


class Archive(Protocol):
    """The way in which files of the Data Space are fetched."""

    def fetch(self, offer: ProductOffer, folder: Path, progress: Progress) -> Path:
        """As in `Catalogue`."""
        ...

    def fetch_orbit_file(self, offer: OrbitOffer, folder: Path, progress: Progress) -> Path:
        """As in `Catalogue`."""
        ...


class CdseCatalogue:
    """The Copernicus Data Space.

    Args:
        cdse: Its addresses, and the way in which files are fetched.
        transfer: Waits, tries and limits.
    """

    def __init__(self, cdse: CdseSettings, transfer: TransferSettings) -> None:
        self._cdse, self._transfer = cdse, transfer
        self._host = urlsplit(cdse.catalogue_url).netloc
        # Without credentials: the catalogue needs none.
        self._service = HttpService(transfer)

    @property
    def address(self) -> str:
        """Of the catalogue."""
        return self._cdse.catalogue_url

    def try_account(self) -> str:
        """Logs in; keys of the object store are only looked for. Raises as `Catalogue.try_account`."""
        if self._cdse.transfer == "s3":
            return f"{cdse_s3_keys().variables} are set; the first download tries them"
        account = cdse_account()
        CdseToken(HttpService(self._transfer), self._cdse.token_url, account)(False)
        return f"the account of {account.variables} was let in"

    def search(self, query: ProductQuery) -> list[ProductOffer]:
        """Products on offer, duplicates included, in order of time.

        An entry that is not as documented is left out with a warning: it must not hold up the others.

        Raises:
            CatalogueError: The service cannot answer, or no entry is as documented.
        """
        order = "PublicationDate" if query.published_after else "ContentDate/Start"
        offers: list[ProductOffer] = []
        refused: list[CatalogueError] = []
        for entry in self._entries("Products", products_filter(query), order):
            try:
                offers.append(product_offer(entry, query, self._host))
            except CatalogueError as error:
                refused.append(error)
        if refused and not offers:
            raise refused[0]
        for reason in refused:
            _LOGGER.warning("%s. Left out, the other %d products count", reason, len(offers))
        # The same entry can come twice while the service takes in products.
        distinct = {offer.id: offer for offer in offers}
        return sorted(distinct.values(), key=lambda offer: (offer.start, offer.name))

    def withdrawn(self, query: ProductQuery, since: datetime) -> set[str]:
        """Ids of products of the query that were deleted since an instant; raises as `search`."""
        entries = self._entries("DeletedProducts", withdrawn_filter(query, since), "DeletionDate")
        return {deleted_id(entry, self._host) for entry in entries}

    def search_orbit_files(self, platform: str, start: datetime, stop: datetime) -> list[OrbitOffer]:
        """Orbit files that cover a span of time with the margin that processing needs; raises as `search`."""
        question = orbit_files_filter(platform, start, stop)
        entries = self._entries("Products", question, "ContentDate/Start")
        offers = {offer.id: offer for offer in (orbit_offer(entry, self._host) for entry in entries)}
        return [offer for offer in offers.values() if _covers(offer.name, platform, start, stop)]

    def fetch(self, offer: ProductOffer, folder: Path, progress: Progress) -> Path:
        """The whole, verified product in `folder`: a zip over https, a SAFE folder over S3.

        Raises:
            OfflineError: It is not at hand.
            CatalogueError: It cannot be had, or its bytes are wrong.
        """
        if not offer.online and not copies(offer.name, folder):
            raise OfflineError(
                f"{self._host}: {offer.name}: field Online is false: it is in the long-term archive, which "
                "cannot be ordered from here; order it in the Data Workspace of the Copernicus Data Space, "
                "it is looked at again once a day, or with register_season"
            )
        return self._archive.fetch(offer, folder, progress)

    def fetch_orbit_file(self, offer: OrbitOffer, folder: Path, progress: Progress) -> Path:
        """The whole, verified orbit file in `folder`; raises as `fetch`."""
        return self._archive.fetch_orbit_file(offer, folder, progress)

    @cached_property
    def _archive(self) -> Archive:
        """Opened with the first fetch: searching needs no account."""
        if self._cdse.transfer == "s3":
            from avalanche_assets.catalogue.cdse.s3 import S3Archive

            return S3Archive.open(self._cdse, self._transfer)
        return HttpsArchive.open(self._cdse, self._transfer)

    def _entries(self, collection: str, question: str, order: str) -> Iterator[Any]:
        """Entries of all pages of an answer."""
        url = f"{self._cdse.catalogue_url}/{collection}"
        parameters: dict[str, str] | None = {
            "$filter": question,
            "$orderby": f"{order} asc",
            "$top": str(PAGE_SIZE),
            "$expand": "Attributes",
        }
        for _ in range(MAX_PAGES):
            answer = page(self._service.json(url, parameters), self._host)
            yield from answer.value
            if not answer.next_link:
                return
            url, parameters = self._own(answer.next_link), None
        raise CatalogueError(
            f"{self._host}: more than {MAX_PAGES * PAGE_SIZE} answers, or pages without end; "
            "ask for a shorter time or a smaller area"
        )

    def _own(self, url: str) -> str:
        """The address of the next page, which lies on the same host."""
        own, other = urlsplit(self._cdse.catalogue_url), urlsplit(url)
        if (other.scheme, other.netloc) != (own.scheme, own.netloc):
            raise CatalogueError(
                f"{self._host}: field @odata.nextLink leads to {other.scheme}://{other.hostname}, another "
                "server; it was not asked: check source.cdse.catalogue_url"
            )
        return url


def _covers(name: str, platform: str, start: datetime, stop: datetime) -> bool:
    file = OrbitFile.named(Path(name))
    return file is not None and file.platform == platform and file.covers(utc64(start), utc64(stop))
