"""The object store behind a data root: one client, errors that name the remedy, and locks.

An object appears whole or not at all: a PUT, or the completion of an upload in parts, is one step. There are
no folders to make or rename.

Source: Amazon S3 API reference, conditional writes (If-None-Match, If-Match) and error responses.
"""

import logging
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from botocore.exceptions import ConnectionError as UnconnectedError
from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem
from upath import UPath

from avalanche_assets.errors import AvalancheError, StorageError, TransientError

_LOGGER = logging.getLogger(__name__)

DENIED = {
    "403",
    "AccessDenied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
AWAY = {"500", "503", "InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown"}
"""The store cannot answer now, and has said so to every attempt."""
TAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
"""A conditional write was refused: somebody else wrote before."""
LEASE_S = 60.0
"""For so long a lock is believed to be held without a word of its holder."""
KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the role of the machine"


class ObjectStore(S3FileSystem):  # type: ignore[misc]
    """s3fs with our errors. It makes neither folders, which there are none of, nor buckets."""

    async def _call_s3(self, method: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super()._call_s3(method, *args, **kwargs)
        except (OSError, BotoCoreError) as error:
            named = self._named(error, method, kwargs.get("Bucket", ""))
            if named is None:
                raise
            raise named from error

    def _named(self, error: Exception, method: str, bucket: str) -> AvalancheError | None:
        """What a person can mend; None for the rest, such as a missing object."""
        where, code = f"s3://{bucket}", code_of(error)
        if code == "NoSuchBucket":
            return StorageError(f"{where}: there is no such bucket{self._at}; create it, or mend data_root")
        if code in DENIED:
            return StorageError(
                f"{where}: {method} is denied ({code}){self._at}; check the keys ({KEYS}) and the policy of "
                "docs/security.md"
            )
        if isinstance(error, NoCredentialsError):
            return StorageError(f"{where}: no keys for the object store; set {KEYS}")
        if isinstance(error, HTTPClientError | UnconnectedError):
            return TransientError(
                f"{where}: not reached{self._at} ({type(error).__name__}); check AWS_ENDPOINT_URL_S3 and the "
                "network"
            )
        if code in AWAY:
            return TransientError(
                f"{where}: {method} is not answered now ({code}){self._at}; try again later"
            )
        if isinstance(error, BotoCoreError):
            return StorageError(f"{where}: {method} failed ({error}); check data_root and AWS_* variables")
        return None

    @property
    def _at(self) -> str:
        return f" at {urlsplit(self.endpoint_url).netloc}" if self.endpoint_url else ""

    async def _mkdir(self, path: str, *args: Any, **kwargs: Any) -> None:
        """Nothing: s3fs would create a missing bucket."""

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Nothing, as `_mkdir`."""

    async def _rm(self, path: str | list[str], recursive: bool = False, **kwargs: Any) -> None:
        """One object by a request of its own: a bulk deletion hides its errors in the answer."""
        if recursive or not isinstance(path, str):
            await super()._rm(path, recursive=recursive, **kwargs)
        else:
            await self._rm_file(path)

    call_s3 = sync_wrapper(_call_s3)
    rm = sync_wrapper(_rm)
    mkdir = sync_wrapper(_mkdir)
    makedirs = sync_wrapper(_makedirs)


def code_of(error: BaseException) -> str:
    """The store's own code of an error, empty without one."""
    cause = error if isinstance(error, ClientError) else error.__cause__
    return str(cause.response["Error"].get("Code", "")) if isinstance(cause, ClientError) else ""


def try_out(root: UPath) -> float:
    """Does with one object below `root` all that the pipeline does with objects; the seconds that it took.

    Raises:
        StorageError: Something is denied, or done otherwise than by Amazon's S3.
        TransientError: The store is not reached.
    """
    probe, content = root / f".probe-{uuid.uuid4().hex}", uuid.uuid4().bytes
    bucket, key, _ = root.fs.split_path(probe.path)
    place = {"Bucket": bucket, "Key": key}
    begun = time.monotonic()
    written = root.fs.call_s3("put_object", **place, Body=content, IfNoneMatch="*")
    try:
        refused = {"IfNoneMatch": "*"}, {"IfMatch": '"0123456789abcdef0123456789abcdef"'}
        for condition in refused:
            if _put(root.fs, place, b"", condition):
                raise StorageError(
                    f"{root}: the store ignores conditions of a PUT ({next(iter(condition))}), which locks "
                    "are made of; take a store that has them, or newer programs of this one"
                )
        if not _put(root.fs, place, content, {"IfMatch": written["ETag"]}):
            raise StorageError(f"{root}: an object is not found again by its tag; ask who runs the store")
        if probe.read_bytes() != content or probe not in list(root.glob(".probe-*")):
            raise StorageError(f"{root}: what is written is not there at once; ask who runs the store")
    finally:
        probe.unlink()
    if probe.exists():
        raise StorageError(f"{root}: what is deleted stays; ask who runs the store")
    return time.monotonic() - begun


@contextmanager
def lease(path: UPath, seconds: float = LEASE_S) -> Iterator[None]:
    """Holds an object that one process at a time can have; waits for another that holds it.

    It is written on condition that it is not there, and written again while it is held. One that was not for
    `seconds`, by the store's clock, was left by a process that died: it is taken over.
    """
    held = _Lease(path, seconds)
    while not held.taken():
        time.sleep(min(1.0, seconds / 10))
    stop = threading.Event()
    keeper = threading.Thread(target=held.keep, args=(stop,), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join()
        held.give_back()


class _Lease:
    """One attempt to hold `path`; `etag` names what this process wrote last."""

    def __init__(self, path: UPath, seconds: float) -> None:
        self._fs, self._path, self._seconds = path.fs, path, seconds
        bucket, key, _ = path.fs.split_path(path.path)
        self._object = {"Bucket": bucket, "Key": key}
        self._etag = ""

    def taken(self) -> bool:
        """Whether it is ours now."""
        if self._write(IfNoneMatch="*"):
            return True
        try:
            found = self._fs.call_s3("head_object", **self._object)
        except FileNotFoundError:
            return False  # given back meanwhile: the next attempt gets it
        now = parsedate_to_datetime(found["ResponseMetadata"]["HTTPHeaders"]["date"])
        if (now - found["LastModified"]).total_seconds() <= self._seconds:
            return False
        return self._write(IfMatch=found["ETag"])

    def keep(self, stop: threading.Event) -> None:
        """Writes it again until told to stop."""
        while not stop.wait(self._seconds / 3):
            try:
                if not self._write(IfMatch=self._etag):
                    _LOGGER.warning("%s: another process took it over", self._path)
                    return
            except (AvalancheError, OSError) as error:
                _LOGGER.warning("%s: not renewed (%s)", self._path, error)

    def give_back(self) -> None:
        """Removes it unless another process has taken it over."""
        with suppress(FileNotFoundError):
            if self._fs.call_s3("head_object", **self._object)["ETag"] == self._etag:
                self._fs.call_s3("delete_object", **self._object)

    def _write(self, **condition: str) -> bool:
        # A body of its own for each writing: equal bodies have equal tags.
        tag = _put(self._fs, self._object, uuid.uuid4().bytes, condition)
        self._etag = tag or self._etag
        return bool(tag)


def _put(store: ObjectStore, place: Mapping[str, str], body: bytes, condition: Mapping[str, str]) -> str:
    """Writes an object on a condition; its tag, or nothing when somebody else wrote before."""
    try:
        return str(store.call_s3("put_object", **place, Body=body, **condition)["ETag"])
    except OSError as error:
        if code_of(error) in TAKEN or isinstance(error, FileExistsError | FileNotFoundError):
            return ""
        raise
