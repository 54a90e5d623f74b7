"""Products and orbit files of the Copernicus Data Space out of its object store.

A product is a folder of some thirty objects. They are fetched one by one, each checked against the manifest,
into a hidden folder that gets its name when the whole product is verified; a later attempt goes on where an
earlier one ended. boto3 lists the objects and signs the requests; their bytes come through the same downloads
as everything else, with the same waits, limits and checks.

Source: Copernicus Data Space documentation, S3 access (path-style addresses, region ``default``); Amazon S3,
Signature Version 4.
"""

import logging
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from avalanche_assets.catalogue.cdse.https import download_orbit_file
from avalanche_assets.catalogue.interface import OrbitOffer, ProductOffer
from avalanche_assets.catalogue.verification import copies
from avalanche_assets.errors import AccountError, CatalogueError, RefusedError, SafeError, TransientError
from avalanche_assets.files import writing
from avalanche_assets.sentinel1.hostile_zip import MAX_UNPACKED_BYTES
from avalanche_assets.sentinel1.safe import MANIFEST, SafeArchive, parse_data_objects
from avalanche_assets.services.credentials import Account, cdse_s3_keys
from avalanche_assets.services.download import require_room
from avalanche_assets.services.http_failures import AgainError, NotThereError
from avalanche_assets.services.http_service import HttpService, Remote
from avalanche_assets.services.part_file import only_writer
from avalanche_assets.services.progress import Progress, Transferred
from avalanche_assets.settings import CdseSettings, TransferSettings

# At DEBUG it logs what it signs, and with it the access key.
logging.getLogger("botocore").setLevel(logging.INFO)

REGION = "default"
MAX_OBJECTS = 1000
_PLAIN_PART = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*", re.ASCII)
"""One step of a path: no hidden file, no way out of the folder, nothing that a file system could bend."""


@dataclass(frozen=True)
class _Object:
    """One object of a product.

    Attributes:
        key: In the bucket.
        member: Path inside the product.
        size_bytes: As listed.
    """

    key: str
    member: str
    size_bytes: int


class S3Archive:
    """The object store; an `Archive` of `CdseCatalogue`."""

    def __init__(self, cdse: CdseSettings, transfer: TransferSettings, keys: Account) -> None:
        self._url, self._bucket, self._transfer, self._keys = cdse.s3_url, cdse.s3_bucket, transfer, keys
        self._client = _client(cdse.s3_url, transfer, keys)

    @classmethod
    def open(cls, cdse: CdseSettings, transfer: TransferSettings) -> "S3Archive":
        """With the keys in the environment; raises `CatalogueError` when there are none."""
        return cls(cdse, transfer, cdse_s3_keys())

    def fetch(self, offer: ProductOffer, folder: Path, progress: Progress) -> Path:
        """The verified SAFE folder of a product in `folder`; raises as `CdseCatalogue.fetch`."""
        final = folder / offer.name
        with writing(final), only_writer(folder, offer.name):
            if here := copies(offer.name, folder):
                return here[0]  # A folder gets its name when it has been verified.
            objects = self._objects(offer)
            hidden = folder / f".{offer.name}.part"
            self._fill(hidden, offer, objects, progress)
            try:
                SafeArchive.open(hidden).verify()
            except SafeError as error:
                shutil.rmtree(hidden)
                raise TransientError(
                    f"{error}; nothing was kept: maybe the store does not hold all of it yet, try again later"
                ) from error
            return hidden.rename(final)

    def fetch_orbit_file(self, offer: OrbitOffer, folder: Path, progress: Progress) -> Path:
        """The verified orbit file in `folder`; raises as `CdseCatalogue.fetch`."""
        url = self._address(self._key(offer))
        with closing(self._signed(url)) as service:
            return download_orbit_file(service, url, offer, folder, progress)

    def _fill(self, hidden: Path, offer: ProductOffer, objects: list[_Object], progress: Progress) -> None:
        """Brings every object that is not yet there; each one appears whole."""
        total = sum(item.size_bytes for item in objects)
        present = [item for item in objects if _has_size(hidden / item.member, item.size_bytes)]
        done = sum(item.size_bytes for item in present)
        hidden.mkdir(exist_ok=True)
        require_room(hidden, offer.name, total - done, self._transfer)
        checksums: dict[str, tuple[int, str]] = {}
        for item in objects:
            path = hidden / item.member
            if item not in present:
                _, md5 = checksums.get(item.member, (0, ""))
                self._bring(item, path, md5, _share(progress, offer.name, done, total))
                done += item.size_bytes
            if item.member == MANIFEST:
                checksums = parse_data_objects(path.read_bytes(), f"{offer.name}/{MANIFEST}")

    def _bring(self, item: _Object, path: Path, md5: str, progress: Progress) -> None:
        url = self._address(item.key)
        remote = Remote(url, path.name, item.size_bytes, md5)
        check = _check_manifest if item.member == MANIFEST else _accept
        # Closed at once: an account has few connections, and there are thirty objects.
        with closing(self._signed(url)) as service:
            service.download(remote, path.parent, check, progress)

    def _objects(self, offer: ProductOffer) -> list[_Object]:
        """Objects of a product, its manifest first.

        Raises:
            CatalogueError: There are none, or their keys or sizes are no product's.
        """
        prefix = f"{self._key(offer)}/"
        service = HttpService(self._transfer)
        listed = service.retried(lambda: self._list(prefix))
        objects = [_Object(key, key.removeprefix(prefix), size) for key, size in listed if key != prefix]
        where = f"{self._url}: {offer.name}"
        for item in objects:
            # Markers of folders end in a slash.
            parts = item.member.removesuffix("/").split("/")
            if not (item.key.startswith(prefix) and all(_PLAIN_PART.fullmatch(part) for part in parts)):
                raise CatalogueError(f"{where}: object {item.key!r} does not stay in its folder; refused")
        objects = [item for item in objects if not item.member.endswith("/")]
        if len(objects) > MAX_OBJECTS or sum(item.size_bytes for item in objects) > MAX_UNPACKED_BYTES:
            raise CatalogueError(f"{where}: {len(objects)} objects of absurd size; refused")
        if MANIFEST not in (item.member for item in objects):
            raise TransientError(f"{where}: the store holds no {MANIFEST} of it yet; try again later")
        return sorted(objects, key=lambda item: (item.member != MANIFEST, item.member))

    def _list(self, prefix: str) -> list[tuple[str, int]]:
        from botocore.exceptions import BotoCoreError, ClientError

        where = f"{self._url}/{self._bucket}/{prefix}"
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        try:
            found = [(item["Key"], item["Size"]) for page in pages for item in page.get("Contents", ())]
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            code = error.response["Error"].get("Code", "")
            if status in (408, 429) or status >= 500:
                raise AgainError(f"{where}: answered {status} {code}") from None
            if status in (401, 403):
                raise AccountError(
                    f"{where}: answered {status} {code}; check {self._keys.variables}"
                ) from None
            raise RefusedError(
                f"{where}: answered {status} {code}; check source.cdse.s3_url and s3_bucket"
            ) from None
        except BotoCoreError as error:
            raise AgainError(f"{where}: {type(error).__name__}") from None
        if not found:
            raise NotThereError(f"{where}: no objects")
        return found

    def _key(self, offer: ProductOffer | OrbitOffer) -> str:
        """Key of a product in the bucket, from the path that the catalogue names."""
        root, key = f"/{self._bucket}/", offer.location
        if not key.startswith(root) or not key.endswith(f"/{offer.name}"):
            raise CatalogueError(
                f"{self._url}: {offer.name}: field S3Path is {key[:200]!r}, not a place of it in {root}; "
                "check source.cdse.s3_bucket, or set source.cdse.transfer to https"
            )
        return key.removeprefix(root)

    def _address(self, key: str) -> str:
        return f"{self._url}/{self._bucket}/{quote(key)}"

    def _signed(self, url: str) -> HttpService:
        """A service whose requests for one object are signed."""
        return HttpService(self._transfer, _signature(url, self._keys), self._keys.variables)


def _signature(url: str, keys: Account) -> Callable[[bool], Mapping[str, str]]:
    """Headers that sign a GET of one object; a range of bytes may be added to a signed request."""

    def sign(_refused: bool) -> Mapping[str, str]:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        request = AWSRequest(method="GET", url=url)
        S3SigV4Auth(Credentials(_text(keys.username), _text(keys.password)), "s3", REGION).add_auth(request)
        return dict(request.headers.items())

    return sign


def _client(url: str, transfer: TransferSettings, keys: Account) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise CatalogueError(
            "source.cdse.transfer is s3, which needs boto3: pip install 'avalanche-assets[s3]', "
            "or set it to https"
        ) from error
    config = Config(
        s3={"addressing_style": "path"},
        connect_timeout=transfer.stalled_s,
        read_timeout=transfer.stalled_s,
        retries={"total_max_attempts": 1},
    )
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=_text(keys.username),
        aws_secret_access_key=_text(keys.password),
        config=config,
    )


def _check_manifest(path: Path) -> None:
    parse_data_objects(path.read_bytes(), MANIFEST)


def _accept(_: Path) -> None:
    """Size and MD5 were compared, and the whole product is verified at the end."""


def _text(secret: SecretStr) -> str:
    return secret.get_secret_value()


def _share(progress: Progress, name: str, before: int, total: int) -> Progress:
    """Progress of the whole product from that of one object."""
    return lambda part: progress(Transferred(name, before + part.done_bytes, total, part.bytes_per_s))


def _has_size(path: Path, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == size_bytes
