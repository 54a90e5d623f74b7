"""What a failed request means: worth another try, or not.

Messages name host and path only. Query strings, headers, bodies and the texts of library errors, which hold
whole URLs, stay out of them: a signature or a token may be in any of these.
"""

import logging
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from avalanche_assets.errors import AccountError, CatalogueError, OfflineError, RefusedError, TransientError

TRANSIENT_STATUSES = (408, 425, 429)
"""Besides 404 and 5xx: request timeout, too early, too many requests."""

PASSING = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
"""Errors of a connection or an answer; the others of `requests` are about the request."""

GONE = (
    "it was withdrawn or the address is wrong: check the address in the settings. A withdrawn product leaves "
    "its date when acquisition_catalogue asks for withdrawals, once a day: materialise the date again then"
)
"""What to do about something that a service does not have, or has no more."""


class AgainError(TransientError):
    """A failure that may pass.

    Attributes:
        wait_s: How long the service asked to wait.
    """

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class NotThereError(AgainError):
    """Not found (404), which services also answer now and then for things that exist."""


class RangeError(CatalogueError):
    """The service has no bytes where a download wants to go on (416)."""


def place(url: str) -> str:
    """Host and path of a URL, without query and credentials, for messages and logs."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.hostname}{port}{parts.path}"


def require_success(response: requests.Response, credentials: str) -> None:
    """Raises what a status other than 200 and 206 means; `credentials` names where they come from."""
    status, where = response.status_code, place(response.url)
    if status in (200, 206):
        return
    if status == 202:
        raise OfflineError(
            f"{where}: not at hand (202), it is being brought from an archive; try again later"
        )
    if status == 401:
        raise AccountError(f"{where}: credentials refused (401); check {credentials}")
    if status == 403:
        raise AccountError(
            f"{where}: forbidden (403): no permission or quota used up; check the account of {credentials}"
        )
    if status == 404:
        raise NotThereError(f"{where}: not found (404)")
    if status == 410:
        raise CatalogueError(f"{where}: gone (410); {GONE}")
    if status == 416:
        raise RangeError(f"{where}: it has no bytes at the place asked for (416)")
    if status in TRANSIENT_STATUSES or status >= 500:
        raise AgainError(f"{where}: answered {status}", asked_wait_s(response))
    raise RefusedError(f"{where}: answered {status}; check the address and the query")


def failure_of(error: Exception, url: str) -> CatalogueError:
    """What an error of the network libraries means."""
    where = place(url)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return CatalogueError(
            f"{where}: its TLS certificate cannot be verified; nothing was sent. Check the address and the "
            "clock; behind a proxy that opens TLS, set REQUESTS_CA_BUNDLE to its certificate"
        )
    if isinstance(error, requests.RequestException) and not isinstance(error, PASSING):
        return CatalogueError(f"{where}: it leads nowhere ({type(error).__name__}); check the address")
    return AgainError(f"{where}: {_reason(error)}")


def _reason(error: Exception) -> str:
    text = f"{type(error).__name__} {error}".lower()
    reasons = {
        "timed out": "it said nothing for too long",
        "timeout": "it said nothing for too long",
        "incomplete": "the answer ended early",
        "refused": "connection refused",
        "resolve": "host name not found",
        "reset": "connection reset",
        "without response": "connection closed without an answer",
        "decode": "the answer is garbled",
    }
    found = (reason for mark, reason in reasons.items() if mark in text)
    return next(found, f"connection failed ({type(error).__name__})")


def asked_wait_s(response: requests.Response) -> float:
    """How long an answer asks to wait (``Retry-After``); 0 where it does not."""
    with suppress(InvalidHeader):
        return Retry().parse_retry_after(response.headers.get("Retry-After", "0"))
    return 0.0


class _WithoutQueries(logging.Filter):
    """Takes query strings out of the request lines that urllib3 logs at DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_without_query(part) for part in record.args)
        return True


def _without_query(part: Any) -> Any:
    return part.split("?")[0] if isinstance(part, str) else part


logging.getLogger("urllib3.connectionpool").addFilter(_WithoutQueries())
