"""One HTTP service: requests that are tried again where that can help, and resumable downloads.

TLS certificates are always verified, an https address never leads to http, and credentials reach no host
other than the one they were given for.
"""

import json
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from avalanche_assets.errors import CatalogueError, TransientError
from avalanche_assets.services.download import CHUNK_BYTES, Download, Remote, Watch, chunks
from avalanche_assets.services.http_failures import (
    GONE,
    AgainError,
    NotThereError,
    failure_of,
    place,
    require_success,
)
from avalanche_assets.services.progress import Progress
from avalanche_assets.settings import TransferSettings

__all__ = ["Authorise", "HttpService", "Remote"]

_LOGGER = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

Authorise = Callable[[bool], Mapping[str, str]]
"""Headers of a request; True asks for fresh credentials because the last ones were refused (401)."""


class HttpService:
    """Requests to one service.

    Attributes:
        settings: Waits, tries and limits.
    """

    def __init__(
        self,
        settings: TransferSettings,
        authorise: Authorise | None = None,
        credentials: str = "the credentials in the environment",
    ) -> None:
        """`credentials` tells, in messages, where wrong ones come from: names of environment variables."""
        self.settings = settings
        self._authorise = authorise
        self._credentials = credentials
        self._session = _Session()

    def close(self) -> None:
        """Ends its connections; a request after that opens new ones."""
        self._session.close()

    def json(self, url: str, params: Mapping[str, str] | None = None) -> Any:
        """The JSON answer to a GET.

        Raises:
            CatalogueError: Refused, not there or not JSON; `TransientError` when it may pass.
        """
        return self.retried(lambda: self._json(url, params))

    def content(self, url: str, params: Mapping[str, str] | None = None) -> bytes:
        """The whole answer to a GET.

        Raises:
            CatalogueError: Refused or not there; `TransientError` when it may pass.
        """
        return self.retried(lambda: self._content(url, params))

    def post_form(self, url: str, fields: Mapping[str, str]) -> Any:
        """The JSON answer to a posted form; the fields appear in no log and no error.

        Raises:
            RefusedError: The service refused the fields.
            CatalogueError: As `json`.
        """
        return self.retried(lambda: self._post_form(url, fields))

    def download(
        self, remote: Remote, folder: Path, check: Callable[[Path], None], progress: Progress
    ) -> Path:
        """The whole file in `folder`, resumed where an earlier attempt left off, in whichever process.

        Args:
            remote: What to fetch; size and MD5 are compared where they are known.
            folder: Receives the file; it appears under its name only when everything about it was right.
            check: Looks into the fetched file and raises an `AvalancheError` when its content is wrong.
            progress: Called about once a second and at the end.

        Raises:
            CatalogueError: It cannot be had (`TransientError`: later maybe), its bytes are wrong each time,
                or the disk is full; what was fetched is kept for the next attempt unless it was wrong.
        """
        return Download(self, remote, folder, progress).run(check)

    def retried(self, work: Callable[[], _Answer]) -> _Answer:
        """What `work` gives; on a failure that may pass it is tried again, after longer and longer waits."""
        retrying = Retrying(
            retry=retry_if_exception_type(AgainError),
            stop=stop_after_attempt(self.settings.attempts),
            wait=self._wait_s,
            before_sleep=_log_failure,
            retry_error_callback=_give_up,
        )
        return retrying(work)

    @contextmanager
    def stream(self, url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        """The answer to one GET whose body is still to be read; raises where the status is no success."""
        response = self._get(url, headers=headers, stream=True)
        try:
            require_success(response, self._credentials)
            yield response
        finally:
            response.close()

    def _json(self, url: str, params: Mapping[str, str] | None) -> Any:
        return _parsed(self._content(url, params), url)

    def _content(self, url: str, params: Mapping[str, str] | None) -> bytes:
        return self._whole(self._get(url, params=params, stream=True))

    def _post_form(self, url: str, fields: Mapping[str, str]) -> Any:
        # A redirect would carry the fields to another host.
        options = {"data": dict(fields), "allow_redirects": False, "stream": True}
        return _parsed(self._whole(self._send("POST", url, {}, **options)), url)

    def _whole(self, response: requests.Response) -> bytes:
        """The body of a successful answer."""
        with response:
            require_success(response, self._credentials)
            watch = Watch(self.settings.stalled_s, response.url)
            body = bytearray()
            for chunk in chunks(response, CHUNK_BYTES, decode=True):
                body += chunk
                watch.saw(len(chunk))
            return bytes(body)

    def _get(self, url: str, **options: Any) -> requests.Response:
        if self._authorise is None:
            return self._send("GET", url, {}, **options)
        response = self._send("GET", url, self._authorise(False), **options)
        if response.status_code == 401:
            response.close()
            response = self._send("GET", url, self._authorise(True), **options)
        return response

    def _send(
        self, method: str, url: str, credentials: Mapping[str, str], **options: Any
    ) -> requests.Response:
        def authorised(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers.update(credentials)
            return request

        require_secure(url)
        try:
            # A callable, even without credentials: otherwise requests would look into ~/.netrc.
            return self._session.request(
                method, url, auth=authorised, timeout=self.settings.stalled_s, **options
            )
        except requests.RequestException as error:
            raise failure_of(error, url) from None

    def _wait_s(self, state: RetryCallState) -> float:
        first, longest = self.settings.first_wait_s, self.settings.longest_wait_s
        backoff = wait_exponential(multiplier=first, max=longest)(state) + random.uniform(0, first)
        error = state.outcome.exception() if state.outcome else None
        asked = min(error.wait_s, longest) if isinstance(error, AgainError) else 0.0
        return max(backoff, asked)


class _Session(requests.Session):
    """Follows redirects, but neither from https to http nor with credentials to another host."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target and urlsplit(target).scheme:
            require_secure(target, resp.url)
        return target

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        # As in the base class, which would also look into ~/.netrc for the new host.
        before, after = response.request.url or "", prepared_request.url or ""
        if self.should_strip_auth(before, after):  # type: ignore[no-untyped-call]
            prepared_request.headers.pop("Authorization", None)


def require_secure(url: str, origin: str = "http:") -> None:
    """Refuses plain http, save between servers on this machine.

    Raises:
        CatalogueError: It is neither https nor http on this machine, or leads from https to http.
    """
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
    if parts.scheme != "https" and not (local and origin.startswith("http:")):
        raise CatalogueError(f"{place(url)}: not an https address; nothing was sent there")


def _parsed(body: bytes, url: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise AgainError(f"{place(url)}: the answer is not JSON") from None


def _log_failure(state: RetryCallState) -> None:
    error, wait_s = state.outcome and state.outcome.exception(), state.upcoming_sleep
    _LOGGER.warning("%s; try %d follows in %.0f s", error, state.attempt_number + 1, wait_s)


def _give_up(state: RetryCallState) -> Any:
    error = state.outcome and state.outcome.exception()
    if isinstance(error, NotThereError):
        raise CatalogueError(f"{error} in {state.attempt_number} tries; {GONE}")
    raise TransientError(f"{error}; given up after {state.attempt_number} tries, try again later")
