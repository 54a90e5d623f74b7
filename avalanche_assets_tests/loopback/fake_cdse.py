"""A Copernicus Data Space on this machine: tokens and downloads; searches are added to `routes`.

No recorded token, download, 401 or 429 of the service is public, so everything here is modelled from its
documentation and from what users reported: Keycloak's password and refresh grants (access tokens of 600 s,
refresh tokens of 3,600 s), bearer tokens on `/odata/v1/Products(id)/$value`, ranges (206 was seen by users,
416 is standard HTTP), 4 connections an account and its words "Max session number 4 exceeded". Bodies of
errors are made up; clients must not depend on them.
"""

import json
import re
import time
from collections.abc import Callable
from itertools import count
from urllib.parse import parse_qsl

from loopback.server import Answer, LoopbackServer, Request

TOKEN_PATH = "/auth/realms/CDSE/protocol/openid-connect/token"
PRODUCTS_PATH = "/odata/v1/Products("
MARK = "S3CRET"
"""Part of every secret there is, so that a search for it finds any of them."""
USERNAME, PASSWORD = f"{MARK}-user@example.org", f"{MARK}-pass&word=1"
ACCESS_S, REFRESH_S = 600.0, 3600.0
MAX_CONNECTIONS = 4


class FakeCdse(LoopbackServer):
    """The service.

    Attributes:
        files: Content of each product by its id.
        logins: Password grants so far.
        refreshes: Refresh grants so far.
        clock: Seconds; a test may replace it.
    """

    def __init__(
        self,
        files: dict[str, bytes | memoryview] | None = None,
        certificate: tuple[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(certificate)
        self.files = files or {}
        self.clock = clock
        self.logins = self.refreshes = 0
        self._access: dict[str, float] = {}
        self._refresh: dict[str, float] = {}
        self._numbers = count(1)
        self.routes[TOKEN_PATH] = self._token
        self.routes[PRODUCTS_PATH] = self._product
        self.limits[PRODUCTS_PATH] = MAX_CONNECTIONS
        self.on_fault["expire"] = self.expire_access_tokens

    @property
    def token_url(self) -> str:
        return self.url + TOKEN_PATH

    @property
    def download_url(self) -> str:
        return self.url + "/odata/v1"

    def product_url(self, product_id: str) -> str:
        return self.url + self.product_path(product_id)

    @staticmethod
    def product_path(product_id: str) -> str:
        return f"{PRODUCTS_PATH}{product_id})/$value"

    def expire_access_tokens(self) -> None:
        """From now on the tokens handed out so far are refused."""
        self._access.clear()

    def end_sessions(self) -> None:
        """As `expire_access_tokens`, and refresh tokens too."""
        self._access.clear()
        self._refresh.clear()

    def _token(self, request: Request) -> Answer:
        fields = dict(parse_qsl(request.body.decode()))
        if fields.get("client_id") != "cdse-public":
            return _json(401, {"error": "invalid_client"})
        if fields.get("grant_type") == "password":
            self.logins += 1
            if (fields.get("username"), fields.get("password")) != (USERNAME, PASSWORD):
                return _json(401, {"error": "invalid_grant", "error_description": "Invalid user credentials"})
        else:
            self.refreshes += 1
            if self._refresh.pop(fields.get("refresh_token", ""), 0.0) <= self.clock():
                return _json(400, {"error": "invalid_grant", "error_description": "Token is not active"})
        number = next(self._numbers)
        access, refresh = f"{MARK}-access-{number}", f"{MARK}-refresh-{number}"
        self._access[access] = self.clock() + ACCESS_S
        self._refresh[refresh] = self.clock() + REFRESH_S
        return _json(
            200,
            {
                "access_token": access,
                "expires_in": int(ACCESS_S),
                "refresh_expires_in": int(REFRESH_S),
                "refresh_token": refresh,
                "token_type": "Bearer",
                "not-before-policy": 0,
                "session_state": "00000000-0000-0000-0000-000000000000",
                "scope": "AUDIENCE_PUBLIC openid email profile",
            },
        )

    def _product(self, request: Request) -> Answer:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._access.get(token, 0.0) <= self.clock():
            return _json(401, {"detail": "Expired signature!"})
        match = re.fullmatch(r"/odata/v1/Products\(([^)]+)\)/\$value", request.path)
        if not match or match[1] not in self.files:
            return _json(404, {"detail": "Product not found"})
        return ranged(self.files[match[1]], request.headers.get("range"))


def ranged(content: bytes | memoryview, wanted: str | None) -> Answer:
    """A file, or the part of it that a Range header asks for."""
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
    if not wanted:
        return Answer(200, content, headers)
    first = int(wanted.removeprefix("bytes=").rstrip("-"))
    if first >= len(content):
        return Answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
    headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
    return Answer(206, content[first:], headers)


def _json(status: int, content: object) -> Answer:
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})
