"""How a DHuS archive is spoken to: at its own host alone, and with an account."""

from base64 import b64encode
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from avalanche_assets.errors import AccountError, CatalogueError
from avalanche_assets.services.credentials import Account
from avalanche_assets.services.http_failures import AgainError, asked_wait_s, place
from avalanche_assets.services.http_service import HttpService
from avalanche_assets.settings import TransferSettings


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


class DhusDownloads(HttpService):
    """Downloads with an account, from the archive's own host alone.

    Args:
        url: Any address of the archive.
        settings: Waits, tries and limits.
        account: Who asks.
    """

    def __init__(self, url: str, settings: TransferSettings, account: Account) -> None:
        def authorise(refused: bool) -> dict[str, str]:
            if refused:
                raise AccountError(f"{place(url)}: credentials refused (401); check {account.variables}")
            name, secret = account.username.get_secret_value(), account.password.get_secret_value()
            return {"Authorization": f"Basic {b64encode(f'{name}:{secret}'.encode()).decode()}"}

        super().__init__(settings, authorise, account.variables)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, OneHost(url, settings.stalled_s))

    def _get(self, url: str, **options: Any) -> requests.Response:
        response = super()._get(url, **options)
        if response.status_code == 403 and "concurrent flows" in response.headers.get("cause-message", ""):
            response.close()
            raise AgainError(f"{place(url)}: all connections of the account are busy", asked_wait_s(response))
        return response
