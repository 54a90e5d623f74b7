"""The bytes so far of one file that is being fetched, hidden beside its final name until all is right."""

import hashlib
import logging
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from avalanche_assets.files import file_md5

MAX_PENDING = 8
"""Chunks that may wait for their digest; more would only fill memory."""

_LOGGER = logging.getLogger(__name__)


class PartFile:
    """`.{name}.part` in a folder, open for appending; a later process finds it and goes on.

    Attributes:
        size: Bytes so far.
    """

    def __init__(self, folder: Path, name: str, digested: bool = True) -> None:
        """With `digested`, the MD5 is worked out while bytes arrive."""
        self.path = folder / f".{name}.part"
        self._final = folder / name
        self._file = self.path.open("ab", buffering=0)
        self.size = self._file.tell()
        self._digested = digested
        self._digest = _StreamDigest() if digested and self.size == 0 else None

    def append(self, chunk: bytes) -> None:
        """Adds bytes at the end; when that fails, the part is of no more use in this process."""
        rest = memoryview(chunk)
        while rest:
            written = self._file.write(rest)
            self.size += written
            rest = rest[written:]
        if self._digest:
            self._digest.update(chunk)

    def restart(self) -> None:
        """Forgets all bytes."""
        self._file.truncate(0)
        self.size = 0
        if self._digest:
            self._digest.close()
        self._digest = _StreamDigest() if self._digested else None

    def md5(self) -> str:
        """Hexadecimal MD5 of the bytes so far; they are read again only if an earlier process began them."""
        if self._digest:
            return self._digest.hexdigest()
        return file_md5(self.path)

    def publish(self) -> Path:
        """Gives the file its final name, after its bytes have reached the disk."""
        os.fsync(self._file.fileno())
        self.path.replace(self._final)
        folder = os.open(self._final.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return self._final

    def __enter__(self) -> "PartFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._digest:
            self._digest.close()
        if self.size == 0:
            self.path.unlink(missing_ok=True)


class _StreamDigest:
    """MD5 of a stream, worked out beside it: chunks are digested while the next ones arrive."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._worker = ThreadPoolExecutor(1)
        self._pending: deque[Future[None]] = deque()

    def update(self, chunk: bytes) -> None:
        if len(self._pending) == MAX_PENDING:
            self._pending.popleft().result()
        self._pending.append(self._worker.submit(self._md5.update, chunk))

    def hexdigest(self) -> str:
        while self._pending:
            self._pending.popleft().result()
        return self._md5.hexdigest()

    def close(self) -> None:
        self._worker.shutdown()


@contextmanager
def only_writer(folder: Path, name: str) -> Iterator[None]:
    """Keeps other processes from fetching the same file meanwhile; waits for one that does."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f".{name}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        _LOGGER.info("%s: another process fetches it; waiting for that one", folder / name)
        lock.acquire(poll_interval=0.5)
    try:
        yield
    finally:
        # Whoever waits notices that the file of the lock is gone and makes a new one.
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
