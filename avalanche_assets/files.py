"""Files that appear whole or not at all."""

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from avalanche_assets.stored_path import in_bucket


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Gives a temporary local path; what is there becomes `target` when the block succeeds.

    It lies beside a local `target` and is renamed; to a bucket it is uploaded, and appears there when the
    last byte has come. The suffix is kept, because drivers choose the format by it. On any error the
    temporary file is removed and an existing `target` stays untouched.
    """
    remote = in_bucket(target)
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
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            yield
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
