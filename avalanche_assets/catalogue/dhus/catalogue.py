"""A DHuS archive (a national mirror or one's own) as a catalogue, through sentinelsat.

The public hub that sentinelsat was made for closed in 2023; the Copernicus Data Space is another interface
(`cdse`). sentinelsat is GPL-3.0-or-later, and imported nowhere else.

sentinelsat asks, parses, resumes (``.incomplete``) and compares checksums. Around it, requests stay with the
archive's own host, whatever host its answers name; failures that may pass are tried again; a product gets its
name when it was verified; and the words of answers, which may name the account, stay out of errors and logs.

Source: DHuS Open Search and OData v1 interfaces, as sentinelsat 1.2 uses them.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import requests
from sentinelsat import SentinelAPI
from sentinelsat.exceptions import (
    InvalidChecksumError,
    InvalidKeyError,
    LTAError,
    LTATriggered,
    SentinelAPIError,
)
from shapely import box

from avalanche_assets.catalogue.dhus.transport import Bar, OneHost
from avalanche_assets.catalogue.interface import OrbitOffer, ProductOffer, ProductQuery
from avalanche_assets.catalogue.product_name import ProductName
from avalanche_assets.catalogue.verification import fetch_product
from avalanche_assets.errors import AccountError, CatalogueError, OfflineError, SafeError
from avalanche_assets.services.credentials import Account
from avalanche_assets.services.download import ADVANCE_BYTES, RESTARTS, identity, require_room
from avalanche_assets.services.http_failures import AgainError, failure_of, place
from avalanche_assets.services.http_service import HttpService, Remote
from avalanche_assets.services.part_file import only_writer
from avalanche_assets.services.progress import Progress
from avalanche_assets.settings import TransferSettings

POLARISATIONS = {"VV VH", "VH VV"}
"""Both orders occur in the attribute `polarisationmode`."""

_LOGGER = logging.getLogger(__name__)
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
        self._service = HttpService(settings)

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

        An offline product is ordered from the long-term archive, which is what sentinelsat does when one asks
        for its bytes; asked for again when it has arrived, it is fetched.

        Raises:
            OfflineError: It is offline: ordered now, or the order was not accepted.
            CatalogueError: It cannot be had, its bytes are wrong each time, or the disk is full.
        """
        url = f"{self._url}/odata/v1/Products('{offer.id}')/$value"
        remote = Remote(url, f"{offer.name}.zip", offer.size_bytes, offer.md5)
        transfer = _Transfer(offer.id, self._settings, self._archive, self._answer)
        return fetch_product(transfer, remote, folder, progress, offer.id)

    def search_orbit_files(self, platform: str, start: datetime, stop: datetime) -> list[OrbitOffer]:
        """None: these archives hold products; orbit files are put into the folder `source.orbits` by hand."""
        return []

    def fetch_orbit_file(self, offer: OrbitOffer, folder: Path, progress: Progress) -> Path:
        """Nothing: no orbit file is on offer.

        Raises:
            CatalogueError: Always.
        """
        raise CatalogueError(f"{place(self._url)}: {offer.name}: DHuS offers no orbit files")

    def _archive(self, progress: Progress | None = None) -> "_Archive":
        return _Archive(self._url, self._settings, self._account, progress)

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
class _Transfer:
    """The download of one product, in the way `fetch_product` asks for it.

    Attributes:
        uuid: What the archive calls it.
        settings: Waits, tries and limits.
        archive: Gives a connection that tells its progress.
        answer: Tries again while failures may pass.
    """

    uuid: str
    settings: TransferSettings
    archive: Callable[[Progress], "_Archive"]
    answer: Callable[[str, Callable[[], Path | None]], Path | None]

    def download(
        self, remote: Remote, folder: Path, check: Callable[[Path], None], progress: Progress
    ) -> Path:
        """As `HttpService.download`."""
        final, landing = folder / remote.name, folder / f".{remote.name}.dhus"
        before = identity(final)
        with only_writer(folder, remote.name):
            if identity(final) not in (None, before):
                return final  # The process that was waited for has just put it there.
            try:
                self._right(remote, landing, check, progress).replace(final)
            finally:
                with suppress(OSError):
                    landing.rmdir()  # unless it holds bytes for the next attempt
        return final

    def _right(
        self, remote: Remote, landing: Path, check: Callable[[Path], None], progress: Progress
    ) -> Path:
        """The checked product in the folder `landing`, its bytes on disk."""
        wrong = ""
        for _ in range(1 + RESTARTS):
            missing = max(0, (remote.size_bytes or 0) - _bytes_in(landing))
            require_room(landing.parent, remote.name, missing, self.settings)
            try:
                path = self._complete(remote, landing, progress)
                check(path)
            except (InvalidChecksumError, SafeError) as error:
                wrong = f"{place(remote.url)}: {remote.name}: {error}"
                shutil.rmtree(landing)
                _LOGGER.warning("%s; fetched again from its first byte", wrong)
                time.sleep(self.settings.first_wait_s)
            else:
                with path.open("rb") as handle:
                    os.fsync(handle.fileno())
                return path
        raise CatalogueError(
            f"{wrong}; fetched {1 + RESTARTS} times, nothing was kept: tell the operator of the archive"
        )

    def _complete(self, remote: Remote, landing: Path, progress: Progress) -> Path:
        """The product in the folder `landing`, its checksum compared; tries that bring bytes do not count."""
        while True:
            path = self.answer(remote.name, lambda: self._advance(remote, landing, progress))
            if path:
                return path
            time.sleep(self.settings.first_wait_s)

    def _advance(self, remote: Remote, landing: Path, progress: Progress) -> Path | None:
        """One download, resumed; None when it broke off after it had brought many bytes."""
        landing.mkdir(exist_ok=True)
        before = _bytes_in(landing)
        try:
            details = self.archive(progress).download(self.uuid, landing)
        except requests.RequestException as error:
            if _bytes_in(landing) - before < ADVANCE_BYTES:
                raise
            _LOGGER.warning("%s: %s; going on from there", remote.name, failure_of(error, remote.url))
            return None
        if remote.md5 and details.get("md5", "").lower() != remote.md5:
            shutil.rmtree(landing)
            raise CatalogueError(
                f"{place(remote.url)}: {remote.name}: replaced since the search; materialise "
                "acquisition_catalogue"
            )
        return Path(details["path"])


class _Archive(SentinelAPI):  # type: ignore[misc]
    """sentinelsat, kept to one host and to our name for the file."""

    logger = _QUIET

    def __init__(
        self, url: str, settings: TransferSettings, account: Account, progress: Progress | None
    ) -> None:
        self._settings, self._progress = settings, progress
        super().__init__(None, None, api_url=url, show_progressbars=False)
        # As bytes, because requests would send text in Latin-1.
        secrets = account.username, account.password
        self.session.auth = tuple(secret.get_secret_value().encode() for secret in secrets)
        # Ranges count bytes of the product, not of a compressed answer.
        self.session.headers["Accept-Encoding"] = "identity"
        for scheme in ("https://", "http://"):
            self.session.mount(scheme, OneHost(url, settings.stalled_s))

    def get_product_odata(self, id: str, full: bool = False) -> dict[str, Any]:
        """As the base class, but with an address below the archive's own, whatever host the answer names."""
        return {**super().get_product_odata(id, full), "url": self._get_download_url(id)}

    def _get_filename(self, product_info: dict[str, Any]) -> str:
        # A name that the archive gives could lead out of the folder.
        return "product.zip"

    def _tqdm(self, **options: Any) -> Any:
        if self._progress and options.get("unit") == "B" and "initial" in options:
            name, limit = options["desc"].split()[-1], self._settings.max_mb_per_s
            return Bar(name, options["total"], options["initial"], self._progress, limit)
        return super()._tqdm(**options)


def _meaning(error: SentinelAPIError, where: str, account: Account) -> CatalogueError:
    """What an error of sentinelsat means; its text quotes the answer and stays out."""
    if isinstance(error, LTATriggered):
        return OfflineError(f"{where}: offline; ordered from the long-term archive, try again in some hours")
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
    if status == 403 and "concurrent flows" not in error.msg:
        return AccountError(
            f"{where}: forbidden (403): no permission or quota used up; check the account of "
            f"{account.variables}"
        )
    if status == 200:
        return AgainError(f"{where}: it sent a page instead of an answer")
    if status in (403, 404, 408, 416, 425, 429) or status >= 500:
        return AgainError(f"{where}: answered {status}")
    return CatalogueError(f"{where}: answered {status}; check source.dhus.url")


def _renamed(error: CatalogueError, subject: str) -> CatalogueError:
    return type(error)(f"{subject}: {error}")


def _bytes_in(folder: Path) -> int:
    with suppress(FileNotFoundError):
        return sum(file.stat().st_size for file in folder.iterdir())
    return 0


def _utc(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC)
