"""A DHuS archive (a national mirror or one's own) as a catalogue, through sentinelsat.

The public hub that sentinelsat was made for closed in 2023; the Copernicus Data Space is another interface
(`cdse`). sentinelsat is GPL-3.0-or-later, and imported nowhere else.

sentinelsat asks, parses and orders offline products. Around it, requests stay with the archive's own host,
whatever host its answers name; failures that may pass are tried again; and the words of answers, which may
name the account, stay out of errors and logs. The bytes come as those of every other source do (`services`),
since sentinelsat neither notices a stream that only drips nor one that begins anew for ever.

Source: DHuS Open Search and OData v1 interfaces, as sentinelsat 1.2 uses them.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import requests
from sentinelsat import SentinelAPI
from sentinelsat.exceptions import InvalidKeyError, LTAError, SentinelAPIError
from shapely import box

from avalanche_assets.catalogue.dhus.transport import DhusDownloads, OneHost
from avalanche_assets.catalogue.interface import OrbitOffer, ProductOffer, ProductQuery
from avalanche_assets.catalogue.product_name import ProductName
from avalanche_assets.catalogue.verification import fetch_product
from avalanche_assets.errors import AccountError, CatalogueError, OfflineError
from avalanche_assets.services.credentials import Account
from avalanche_assets.services.http_failures import AgainError, asked_wait_s, failure_of, place
from avalanche_assets.services.http_service import HttpService, Remote
from avalanche_assets.services.progress import Progress
from avalanche_assets.settings import TransferSettings

POLARISATIONS = {"VV VH", "VH VV"}
"""Both orders occur in the attribute `polarisationmode`."""

_QUIET = logging.Logger("sentinelsat")
_QUIET.addHandler(logging.NullHandler())
_Answer = TypeVar("_Answer")


class DhusCatalogue:
    """One DHuS archive.

    Args:
        url: Base address, e.g. ``https://dhus.example.org/dhus``.
        settings: Waits, tries and limits.
        account: Who asks; DHuS answers nobody else.
    """

    def __init__(self, url: str, settings: TransferSettings, account: Account) -> None:
        self._url, self._settings, self._account = url, settings, account
        self._service = DhusDownloads(url, settings, account)

    @property
    def address(self) -> str:
        """Of the archive."""
        return self._url

    def try_account(self) -> str:
        """DHuS has no login of its own."""
        return f"{self._account.variables} are set; the catalogue tries them"

    def search(self, query: ProductQuery) -> list[ProductOffer]:
        """IW GRDH 1SDV products on offer, duplicates included, in order of time.

        No attribute of DHuS tells high resolution (GRDH) from medium: the name of the product does, at a
        fixed place. One request brings a hundred products; one more for each tells size, checksum and state.

        Raises:
            CatalogueError: The archive cannot answer.
        """
        archive = self._archive()
        entries = self._answer(
            "search",
            lambda: archive.query(
                area=box(*query.area).wkt,
                date=(query.start, query.stop and query.stop + timedelta(seconds=1)),
                order_by="beginposition",
                platformname="Sentinel-1",
                producttype="GRD",
                sensoroperationalmode="IW",
                polarisationmode=POLARISATIONS,
                relativeorbitnumber=query.relative_orbit,
                orbitdirection=query.direction,
                ingestiondate=(query.published_after, None),
            ),
        )
        offers = [self._offer(archive, uuid, entry, query) for uuid, entry in entries.items()]
        return sorted((offer for offer in offers if offer), key=lambda offer: (offer.start, offer.name))

    def withdrawn(self, query: ProductQuery, since: datetime) -> set[str]:
        """None that it tells of: DHuS keeps no list of what it no longer holds."""
        return set()

    def fetch(self, offer: ProductOffer, folder: Path, progress: Progress) -> Path:
        """The verified zip of a product in `folder`.

        An offline product is ordered from the long-term archive; asked for again when it has arrived, it is
        fetched.

        Raises:
            OfflineError: It is offline: ordered now, or the order was not accepted.
            CatalogueError: It cannot be had, its bytes are wrong each time, or the disk is full.
        """
        url = f"{self._url}/odata/v1/Products('{offer.id}')/$value"
        remote = Remote(url, f"{offer.name}.zip", offer.size_bytes, offer.md5)
        downloads = _AtHand(lambda: self._require_at_hand(offer), self._service)
        return fetch_product(downloads, remote, folder, progress, offer.id)

    def search_orbit_files(self, platform: str, start: datetime, stop: datetime) -> list[OrbitOffer]:
        """None: these archives hold products; orbit files are put into the folder `source.orbits` by hand."""
        return []

    def fetch_orbit_file(self, offer: OrbitOffer, folder: Path, progress: Progress) -> Path:
        """Nothing: no orbit file is on offer.

        Raises:
            CatalogueError: Always.
        """
        raise CatalogueError(f"{place(self._url)}: {offer.name}: DHuS offers no orbit files")

    def _archive(self) -> "_Archive":
        return _Archive(self._url, self._settings, self._account)

    def _require_at_hand(self, offer: ProductOffer) -> None:
        """Orders an offline product, and refuses one that is no longer that of the search."""
        archive, where = self._archive(), f"{place(self._url)}: {offer.name}"
        details = self._answer(offer.name, lambda: archive.get_product_odata(offer.id))
        if offer.md5 and details.get("md5", "").lower() != offer.md5:
            raise CatalogueError(f"{where}: replaced since the search; materialise acquisition_catalogue")
        # False where it has come online in this instant.
        if not details["Online"] and self._answer(
            offer.name, lambda: archive.trigger_offline_retrieval(offer.id)
        ):
            raise OfflineError(
                f"{where}: offline; ordered from the long-term archive, try again in some hours"
            )

    def _offer(
        self, archive: "_Archive", uuid: str, entry: dict[str, Any], query: ProductQuery
    ) -> ProductOffer | None:
        """The offer of one entry; None when it is of another kind or outside the bounds."""
        name = ProductName.parse(f"{entry.get('identifier')}.SAFE")
        if name is None:
            return None
        try:
            start, published = _utc(entry["beginposition"]), _utc(entry["ingestiondate"])
            stop, orbit, footprint = _utc(entry["endposition"]), entry["orbitnumber"], entry["footprint"]
        except KeyError as error:
            raise CatalogueError(f"{place(self._url)}: {name.stem}: no attribute {error}") from None
        # Its bounds are cut to whole seconds and both inside; ours are finer, and the last one is outside.
        if (query.start and start < query.start) or (query.stop and start >= query.stop):
            return None
        if query.published_after and published <= query.published_after:
            return None
        known = query.known.get(uuid)
        if known is not None and known.published == published:
            return known
        details = self._answer(name.stem, lambda: archive.get_product_odata(uuid))
        return ProductOffer(
            name=name.name,
            platform=name.platform,
            absolute_orbit=orbit,
            start=start,
            stop=stop,
            id=uuid,
            slice_number=entry.get("slicenumber"),
            published=published,
            online=details["Online"],
            size_bytes=details["size"],
            md5=details.get("md5", "").lower(),
            footprint=footprint,
        )

    def _answer(self, subject: str, work: Callable[[], _Answer]) -> _Answer:
        """What `work` gives, tried again while failures may pass."""

        def once() -> _Answer:
            try:
                return work()
            except SentinelAPIError as error:
                raise _meaning(error, f"{place(self._url)}: {subject}", self._account) from None
            except requests.RequestException as error:
                raise _renamed(failure_of(error, self._url), subject) from None
            except (LookupError, TypeError, ValueError):
                raise CatalogueError(
                    f"{place(self._url)}: {subject}: not what a DHuS answers; check source.dhus.url"
                ) from None

        return self._service.retried(once)


@dataclass(frozen=True)
class _AtHand:
    """Downloads of a product that is at hand; in the way `fetch_product` asks for them.

    Attributes:
        require: Raises when it is not.
        service: Fetches it.
    """

    require: Callable[[], None]
    service: HttpService

    def download(
        self, remote: Remote, folder: Path, check: Callable[[Path], None], progress: Progress
    ) -> Path:
        """As `HttpService.download`."""
        self.require()
        return self.service.download(remote, folder, check, progress)


class _Archive(SentinelAPI):  # type: ignore[misc]
    """sentinelsat, kept to one host."""

    logger = _QUIET

    def __init__(self, url: str, settings: TransferSettings, account: Account) -> None:
        super().__init__(None, None, api_url=url, show_progressbars=False)
        # As bytes, because requests would send text in Latin-1.
        secrets = account.username, account.password
        self.session.auth = tuple(secret.get_secret_value().encode() for secret in secrets)
        for scheme in ("https://", "http://"):
            self.session.mount(scheme, OneHost(url, settings.stalled_s))


def _meaning(error: SentinelAPIError, where: str, account: Account) -> CatalogueError:
    """What an error of sentinelsat means; its text quotes the answer and stays out."""
    if isinstance(error, LTAError):
        return OfflineError(
            f"{where}: offline, and the long-term archive takes no order now (quota used up, or busy); try "
            "again later"
        )
    if isinstance(error, InvalidKeyError):
        return CatalogueError(f"{where}: no longer in the archive; materialise acquisition_catalogue")
    status = error.response.status_code if error.response is not None else 0
    if status == 401:
        return AccountError(f"{where}: credentials refused (401); check {account.variables}")
    if status == 403:
        return AccountError(
            f"{where}: forbidden (403): no permission or quota used up; check the account of "
            f"{account.variables}"
        )
    if status == 200:
        return AgainError(f"{where}: it sent a page instead of an answer")
    if status in (404, 408, 425, 429) or status >= 500:
        return AgainError(f"{where}: answered {status}", asked_wait_s(error.response))
    return CatalogueError(f"{where}: answered {status}; check source.dhus.url")


def _renamed(error: CatalogueError, subject: str) -> CatalogueError:
    return type(error)(f"{subject}: {error}")


def _utc(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC)
