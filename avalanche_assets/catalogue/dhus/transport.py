"""What sentinelsat leaves to its caller while bytes move: which host is spoken to, for how long, how fast."""

import time
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from avalanche_assets.errors import CatalogueError
from avalanche_assets.services.http_failures import place
from avalanche_assets.services.progress import Progress, Transferred


class OneHost(HTTPAdapter):
    """Refuses every request to another host than the archive, of redirects too; ends silent connections.

    Args:
        url: Any address of the archive.
        stalled_s: How long a connection may say nothing.
    """

    def __init__(self, url: str, stalled_s: float) -> None:
        super().__init__()
        self._origin, self._stalled_s = urlsplit(url)[:2], stalled_s

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Sends a request.

        Raises:
            CatalogueError: It would go to another host, or unencrypted instead of encrypted.
        """
        url = request.url or ""
        if urlsplit(url)[:2] != self._origin:
            raise CatalogueError(
                f"{self._origin[1]}: it leads to {place(url)}; nothing was sent there. If the archive is "
                "there by now, set source.dhus.url"
            )
        return super().send(request, *args, **{**options, "timeout": self._stalled_s})


class Bar:
    """Stands in for a progress bar: tells about once a second how far a download is; keeps it to a rate."""

    def __init__(
        self, name: str, total: int, before: int, progress: Progress, max_mb_per_s: float | None
    ) -> None:
        self._name, self._total, self._before, self._progress = name, total, before, progress
        self._bytes_per_s = max_mb_per_s and max_mb_per_s * 1e6
        self._begun = self._last = time.monotonic()
        self._brought = 0

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *error: object) -> None:
        self._tell()

    def update(self, size: int) -> None:
        """Takes note of bytes that arrived."""
        self._brought += size
        if self._bytes_per_s:
            early_s = self._brought / self._bytes_per_s - (time.monotonic() - self._begun)
            time.sleep(max(0.0, early_s))
        if time.monotonic() - self._last >= 1:
            self._tell()

    def _tell(self) -> None:
        self._last = time.monotonic()
        rate = self._brought / max(self._last - self._begun, 1e-6)
        self._progress(Transferred(self._name, self._before + self._brought, self._total, rate))
