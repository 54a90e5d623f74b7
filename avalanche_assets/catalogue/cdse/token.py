"""Access tokens of the Copernicus Data Space, renewed before they expire.

An access token lives for 10 minutes and its refresh token for 60, so a download of hours needs many of
them. Each password login opens one of at most 100 sessions of the account: tokens are refreshed as long as
that is possible.

Source: Copernicus Data Space documentation, access token (Keycloak, public client ``cdse-public``).
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, SecretStr, ValidationError

from avalanche_assets.errors import AccountError, CatalogueError, RefusedError
from avalanche_assets.services.credentials import Account
from avalanche_assets.services.http_failures import place
from avalanche_assets.services.http_service import HttpService

CLIENT = "cdse-public"
MARGIN = 0.1
"""A token is renewed when this share of its life is left: a minute of ten."""


def _header_safe(token: SecretStr) -> SecretStr:
    text = token.get_secret_value()
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("not a token")
    return token


class _Answer(BaseModel):
    """What the service answers to a login or a refresh."""

    access_token: Annotated[SecretStr, AfterValidator(_header_safe)]
    expires_in: float
    refresh_token: SecretStr | None = None
    refresh_expires_in: float = 0


@dataclass(frozen=True)
class _Token:
    """A token and the instant until which it is used."""

    text: SecretStr
    good_until: float


class CdseToken:
    """The `Authorise` of an account; threads may share it, and one at a time asks for a token."""

    def __init__(
        self,
        service: HttpService,
        token_url: str,
        account: Account,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`service` sends the requests for tokens, without credentials of its own."""
        self._service, self._url, self._account, self._clock = service, token_url, account, clock
        self._lock = threading.Lock()
        self._access: _Token | None = None
        self._refresh: _Token | None = None
        self._handed_out = threading.local()

    def __call__(self, refused: bool) -> Mapping[str, str]:
        """The header of a request.

        Args:
            refused: Whether the service did not accept the token that this thread got last.

        Raises:
            AccountError: User name or password are wrong.
            CatalogueError: No token can be had; `TransientError` when it may pass.
        """
        with self._lock:
            last = getattr(self._handed_out, "token", None)
            # Another thread may have renewed the token that was refused.
            if not self._usable(self._access) or (refused and self._access is last):
                self._renew()
            token = self._access
            self._handed_out.token = token
        assert token is not None
        return {"Authorization": f"Bearer {token.text.get_secret_value()}"}

    def _usable(self, token: _Token | None) -> bool:
        return token is not None and self._clock() < token.good_until

    def _renew(self) -> None:
        if self._refresh and self._usable(self._refresh):
            try:
                self._ask(grant_type="refresh_token", refresh_token=self._refresh.text.get_secret_value())
            except RefusedError:
                self._refresh = None  # The session was ended, e.g. by an administrator: log in again.
            else:
                return
        try:
            self._ask(
                grant_type="password",
                username=self._account.username.get_secret_value(),
                password=self._account.password.get_secret_value(),
            )
        except RefusedError:
            raise AccountError(
                f"{place(self._url)}: login refused; check {self._account.variables}. An account with a "
                "second factor cannot log in unattended: use one without"
            ) from None

    def _ask(self, **fields: str) -> None:
        asked = self._clock()
        try:
            answer = _Answer.model_validate(
                self._service.post_form(self._url, {"client_id": CLIENT, **fields})
            )
        except ValidationError as error:
            wrong = sorted({".".join(map(str, item["loc"])) or "all" for item in error.errors()})
            # The library's text would show the values.
            raise CatalogueError(
                f"{place(self._url)}: fields of the token are missing or wrong: {', '.join(wrong)}; "
                "check source.cdse.token_url"
            ) from None
        self._access = _Token(answer.access_token, asked + (1 - MARGIN) * answer.expires_in)
        self._refresh = None
        if answer.refresh_token:
            until = asked + (1 - MARGIN) * answer.refresh_expires_in
            self._refresh = _Token(answer.refresh_token, until)
