"""The transfer of one file: resumed by ranges, paced, checked before it gets its final name."""

import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import requests
import urllib3

from avalanche_assets.errors import AvalancheError, CatalogueError, DiskError
from avalanche_assets.files import file_md5, writing
from avalanche_assets.services.http_failures import AgainError, RangeError, failure_of, place
from avalanche_assets.services.part_file import PartFile, only_writer
from avalanche_assets.services.progress import Progress, Transferred
from avalanche_assets.settings import TransferSettings

CHUNK_BYTES = 1 << 18
"""Large enough to cost little each, small enough to be in the processor's cache when they are digested."""
ADVANCE_BYTES = 1 << 20
"""A try that brings so much counts as progress: tries are counted anew."""
CRAWL_BYTES = 1 << 16
"""A stream that brings less while it might as well have said nothing (`stalled_s`) is a stalled one too."""
RESTARTS = 2
"""How often a file with wrong bytes is fetched again from its first byte."""
GB = 1e9

_LOGGER = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Remote:
    """One file of a service.

    Attributes:
        url: Where it is.
        name: Its final file name, without folders.
        size_bytes: None while unknown.
        md5: Hexadecimal; empty while unknown.
    """

    url: str
    name: str
    size_bytes: int | None = None
    md5: str = ""


class Service(Protocol):
    """What a transfer needs of a service; `HttpService` has it."""

    settings: TransferSettings

    def stream(self, url: str, headers: Mapping[str, str]) -> AbstractContextManager[requests.Response]:
        """The answer to one GET whose body is still to be read."""
        ...

    def retried(self, work: Callable[[], _Answer]) -> _Answer:
        """What `work` gives, tried again while failures may pass."""
        ...


class _WrongBytesError(Exception):
    """What was fetched is not the file that was promised."""


class Download:
    """One file on its way into a folder."""

    def __init__(self, service: Service, remote: Remote, folder: Path, progress: Progress) -> None:
        if not re.fullmatch(r"[^./\\\0][^/\\\0]*", remote.name):
            raise CatalogueError(f"{place(remote.url)}: {remote.name!r} is no plain file name; refused")
        self._service, self._remote, self._folder = service, remote, folder
        self._settings = service.settings
        self._report = _Report(remote, progress)
        self._total = remote.size_bytes
        self._most = 0

    def run(self, check: Callable[[Path], None]) -> Path:
        """Fetches and checks the file; see `HttpService.download`."""
        with writing(self._folder / self._remote.name):
            return self._run(check)

    def _run(self, check: Callable[[Path], None]) -> Path:
        final = self._folder / self._remote.name
        before = identity(final)
        with only_writer(self._folder, self._remote.name):
            if identity(final) not in (None, before) and self._is_right(final, check):
                return final  # The process that was waited for has just put it there.
            wrong = None
            for _ in range(1 + RESTARTS):
                with PartFile(self._folder, self._remote.name, digested=bool(self._remote.md5)) as part:
                    try:
                        self._fill(part)
                        self._verify(part, check)
                    except _WrongBytesError as error:
                        wrong = error
                        part.restart()
                        self._total = self._remote.size_bytes
                        _LOGGER.warning("%s; fetched again from its first byte", wrong)
                        time.sleep(self._settings.first_wait_s)
                    else:
                        self._report.send(part.size, self._total)
                        return part.publish()
        raise CatalogueError(
            f"{wrong}; fetched {1 + RESTARTS} times, nothing was kept: tell the operator of the service"
        )

    def _fill(self, part: PartFile) -> None:
        """Makes requests until the file is whole, as far as its length tells."""
        while self._total is None or part.size != self._total:
            if self._service.retried(lambda: self._advance(part)):
                break

    def _advance(self, part: PartFile) -> bool:
        """One request for the bytes that lack; whether it brought all of them, False if most."""
        self._most = max(self._most, part.size)
        headers = {"Accept-Encoding": "identity"}
        if part.size:
            headers["Range"] = f"bytes={part.size}-"
        try:
            with self._service.stream(self._remote.url, headers) as response:
                self._begin(response, part)
                self._receive(response, part)
        except RangeError as error:
            raise _WrongBytesError(str(error)) from None
        except AgainError as error:
            # Against the most there ever was: a service that cannot resume would begin anew for ever.
            advance = part.size - self._most
            if advance < ADVANCE_BYTES:
                raise
            _LOGGER.warning("%s after %d bytes more; going on from there", error, advance)
            time.sleep(self._settings.first_wait_s)
            return False
        return True

    def _begin(self, response: requests.Response, part: PartFile) -> None:
        """Compares what the answer announces with what was asked for."""
        length = response.headers.get("Content-Length", "")
        announced = int(length) if length.isdigit() else None
        if response.status_code == 206:
            start, announced = _content_range(response)
            if start != part.size:
                raise _WrongBytesError(
                    f"{place(self._remote.url)}: sent bytes from {start} on instead of {part.size}"
                )
        elif part.size:
            _LOGGER.info("%s: it cannot resume; from the first byte again", place(self._remote.url))
            part.restart()
        if announced is not None and self._total not in (None, announced):
            raise _WrongBytesError(
                f"{place(self._remote.url)}: it has {announced} bytes instead of {self._total}"
            )
        self._total = self._total if announced is None else announced

    def _receive(self, response: requests.Response, part: PartFile) -> None:
        """Appends the body of an answer."""
        self._require_room(part)
        self._report.begin(part.size)
        pace = _Pace(self._settings.max_mb_per_s)
        watch = Watch(self._settings.stalled_s, self._remote.url)
        for chunk in chunks(response, pace.chunk_bytes):
            if self._total is not None and part.size + len(chunk) > self._total:
                raise _WrongBytesError(
                    f"{place(self._remote.url)}: it sends more than the {self._total} bytes it has"
                )
            part.append(chunk)
            pace.after(len(chunk))
            watch.saw(len(chunk))
            if self._report.due():
                self._require_room(part)
                self._report.send(part.size, self._total)
        if self._total is not None and part.size < self._total:
            raise AgainError(f"{place(self._remote.url)}: the answer ended early")

    def _require_room(self, part: PartFile) -> None:
        missing = 0 if self._total is None else self._total - part.size
        require_room(self._folder, self._remote.name, missing, self._settings)

    def _verify(self, part: PartFile, check: Callable[[Path], None]) -> None:
        where, expected = place(self._remote.url), self._remote.md5.lower()
        if expected and (found := part.md5()) != expected:
            raise _WrongBytesError(f"{where}: MD5 is {found}, the catalogue says {expected}")
        try:
            check(part.path)
        except AvalancheError as error:
            raise _WrongBytesError(f"{where}: {error}") from None

    def _is_right(self, final: Path, check: Callable[[Path], None]) -> bool:
        """Whether a file that another process fetched is the one that was promised here."""
        if self._remote.md5 and file_md5(final) != self._remote.md5.lower():
            return False
        try:
            check(final)
        except AvalancheError:
            return False
        return True


class _Report:
    """Tells about once a second how far a download is."""

    def __init__(self, remote: Remote, progress: Progress) -> None:
        self._name, self._progress = remote.name, progress
        self.begin(0)

    def begin(self, size: int) -> None:
        self._begun, self._size = time.monotonic(), size
        self._last = self._begun

    def due(self) -> bool:
        return time.monotonic() - self._last >= 1

    def send(self, size: int, total: int | None) -> None:
        self._last = time.monotonic()
        rate = (size - self._size) / max(self._last - self._begun, 1e-6)
        self._progress(Transferred(self._name, size, total, rate))


class Watch:
    """Gives up a stream that still says something, but hardly anything."""

    def __init__(self, stalled_s: float, url: str) -> None:
        self._stalled_s, self._url = stalled_s, url
        self._begun, self._bytes = time.monotonic(), 0

    def saw(self, size: int) -> None:
        """To be told of all bytes; raises `AgainError` when there are too few of them for too long."""
        self._bytes += size
        if time.monotonic() - self._begun > self._stalled_s:
            if self._bytes < CRAWL_BYTES:
                raise AgainError(f"{place(self._url)}: hardly anything comes any more")
            self._begun, self._bytes = time.monotonic(), 0


class _Pace:
    """Keeps a stream below a rate by pausing after each chunk."""

    def __init__(self, max_mb_per_s: float | None) -> None:
        self._bytes_per_s = max_mb_per_s * 1e6 if max_mb_per_s else None
        self._begun, self._bytes = time.monotonic(), 0
        quarter_second = int(self._bytes_per_s / 4) if self._bytes_per_s else CHUNK_BYTES
        self.chunk_bytes = min(CHUNK_BYTES, max(quarter_second, 1024))

    def after(self, size: int) -> None:
        if self._bytes_per_s:
            self._bytes += size
            time.sleep(max(0.0, self._bytes / self._bytes_per_s - (time.monotonic() - self._begun)))


def require_room(folder: Path, name: str, missing_bytes: int, settings: TransferSettings) -> None:
    """Refuses to fill the disk of `folder` with the bytes that `name` still lacks.

    Raises:
        DiskError: Less would stay free than the settings ask for.
    """
    free, kept = shutil.disk_usage(folder).free, settings.keep_free_gb * GB
    if free - missing_bytes < kept:
        raise DiskError(
            f"{folder}: {free / GB:.1f} GB are free, {name} needs {missing_bytes / GB:.1f} GB more and "
            f"{kept / GB:.1f} GB stay free; make room, or set source.transfer.keep_free_gb"
        )


def chunks(response: requests.Response, size: int, decode: bool = False) -> Iterator[bytes]:
    """The body as it arrives, so that nothing that came before a failure is lost; unpacked with `decode`."""
    try:
        while chunk := response.raw.read1(size, decode_content=decode):
            yield chunk
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise failure_of(error, response.url) from None


def _content_range(response: requests.Response) -> tuple[int, int | None]:
    """First byte of a partial answer and bytes of the whole file."""
    text = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", text, re.ASCII)
    if not match:
        raise _WrongBytesError(f"{place(response.url)}: field Content-Range is {text[:60]!r}")
    return int(match[1]), None if match[2] == "*" else int(match[2])


def identity(path: Path) -> tuple[int, int] | None:
    """Tells a file from one that replaced it; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
