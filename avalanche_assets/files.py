"""Files that appear whole or not at all."""

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avalanche_assets.errors import DiskError


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
    """Gives a temporary path beside `target`; renames it to `target` when the block succeeds.

    The suffix is kept, because drivers choose the format by it. On any error the temporary file is
    removed and an existing `target` stays untouched; a disk that is full is a `DiskError`.
    """
    with writing(target):
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


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def file_md5(path: Path) -> str:
    """Hexadecimal MD5 of a file's bytes, as archives and manifests state it."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
