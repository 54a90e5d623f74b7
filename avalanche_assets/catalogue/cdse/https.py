"""Products and orbit files of the Copernicus Data Space over its download service.

A product comes as one zip; an orbit file comes as it is.

Source: Copernicus Data Space documentation, OData API, product download. That ``$value`` of an orbit file is
the plain file, with the length and the MD5 of its entry, is what public clients rely on.
"""

from pathlib import Path

from avalanche_assets.catalogue.cdse.token import CdseToken
from avalanche_assets.catalogue.interface import OrbitOffer, ProductOffer
from avalanche_assets.catalogue.verification import fetch_product
from avalanche_assets.sentinel1.orbit_file import check_orbit_file
from avalanche_assets.services.credentials import cdse_account
from avalanche_assets.services.http_service import HttpService, Remote
from avalanche_assets.services.progress import Progress
from avalanche_assets.settings import CdseSettings, TransferSettings


class HttpsArchive:
    """The download service; an `Archive` of `CdseCatalogue`."""

    def __init__(self, url: str, service: HttpService) -> None:
        """`service` carries the token of an account."""
        self._url, self._service = url, service

    @classmethod
    def open(cls, cdse: CdseSettings, transfer: TransferSettings) -> "HttpsArchive":
        """With the account in the environment; raises `CatalogueError` when there is none."""
        account = cdse_account()
        token = CdseToken(HttpService(transfer), cdse.token_url, account)
        return cls(cdse.download_url, HttpService(transfer, token, account.variables))

    def fetch(self, offer: ProductOffer, folder: Path, progress: Progress) -> Path:
        """The verified zip of a product in `folder`; raises as `CdseCatalogue.fetch`."""
        name = f"{offer.name.removesuffix('.SAFE')}.SAFE.zip"
        remote = Remote(self._value(offer.id), name, offer.size_bytes, offer.md5)
        return fetch_product(self._service, remote, folder, progress, offer.id)

    def fetch_orbit_file(self, offer: OrbitOffer, folder: Path, progress: Progress) -> Path:
        """The verified orbit file in `folder`; raises as `CdseCatalogue.fetch`."""
        return download_orbit_file(self._service, self._value(offer.id), offer, folder, progress)

    def _value(self, product_id: str) -> str:
        return f"{self._url}/Products({product_id})/$value"


def download_orbit_file(
    service: HttpService, url: str, offer: OrbitOffer, folder: Path, progress: Progress
) -> Path:
    """The verified orbit file in `folder`; one that is there in the right size is not fetched again.

    Raises:
        CatalogueError: As `HttpService.download`.
    """
    path = folder / offer.name
    if path.is_file() and offer.size_bytes in (None, path.stat().st_size):
        return path
    remote = Remote(url, offer.name, offer.size_bytes, offer.md5)
    return service.download(remote, folder, check_orbit_file, progress)
