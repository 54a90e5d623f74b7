"""Files that appear whole or not at all."""

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from avalanche_assets.errors import DiskError
from avalanche_assets.stored_path import in_bucket


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Names what keeps `target` from being written: a full disk, or a missing right.

    Raises:
        DiskError: As said.
    """
    try:
        yield
    except OSError as error:
        # Libraries derive errors of their own, without a number, from this class.
        if error.errno is None or isinstance(error, FileNotFoundError):
            raise
        raise DiskError(
            f"{error.filename or target}: cannot be read or written ({error.strerror}); make room there, or "
            "give this user the right, and try again: what was there before is kept"
        ) from error


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Gives a temporary local path; what is there becomes `target` when the block succeeds.

    It lies beside a local `target` and is renamed; to a bucket it is uploaded, and appears there when the
    last byte has come. The suffix is kept, because drivers choose the format by it. On any error the
    temporary file is removed and an existing `target` stays untouched; a disk that is full is a `DiskError`.
    """
    remote = in_bucket(target)
    with writing(target):
        if remote is not None:
            with TemporaryDirectory(prefix="avalanche-") as scratch:
                temporary = Path(scratch) / target.name
                yield temporary
                remote.fs.put_file(str(temporary), remote.path)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.stem}.{uuid.uuid4().hex[:8]}{target.suffix}")
        try:
            yield temporary
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Writes `text` to `target` atomically as UTF-8."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Lets one process at a time into the block, by a lock of the data root."""
    remote = in_bucket(lock)
    if remote is None:
        held = FileLock(lock)
        with writing(lock):
            lock.parent.mkdir(parents=True, exist_ok=True)
            held.acquire()
        try:
            yield
        finally:
            held.release()
        return
    from avalanche_assets.object_store import lease

    with lease(remote):
        yield


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def file_md5(path: Path) -> str:
    """Hexadecimal MD5 of a file's bytes, as archives and manifests state it."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
