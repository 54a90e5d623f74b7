"""A DHuS on this machine: OpenSearch in JSON, OData v2 in JSON, products with ranges, a long-term archive.

Modelled on recorded answers of a real DHuS: a feed without an entry has no field `entry`, one with a single
entry has an object instead of a list; numbers are text; addresses in answers name the host that the archive
believes to have, not the one it was asked under. Products are ours.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs

from loopback.fake_cdse import MARK, PASSWORD, USERNAME, ranged
from loopback.server import Answer, LoopbackServer, Request
from shapely import from_wkt

INNER_ADDRESS = "http://dhus-backend.invalid:8080"
REFUSED = b"<!doctype html><html><body><h1>HTTP Status 401</h1><p>Unauthorized</p></body></html>"
MAINTENANCE = b"<html><body><p>The archive is under maintenance.</p></body></html>"
FLOWS = f"An exception occured while creating a stream: Maximum number of 4 concurrent flows achieved: {MARK}"
QUOTA = f"User '{USERNAME}' offline products retrieval quota exceeded (20 fetches max)"


@dataclass
class FakeProduct:
    """One product; `orders` counts how often it was asked for while offline."""

    uuid: str
    title: str
    content: bytes
    start: datetime
    stop: datetime
    ingested: datetime
    orbit: int = 8510
    relative_orbit: int = 139
    direction: str = "DESCENDING"
    footprint: str = "POLYGON ((5 44, 8 44, 8 46, 5 46, 5 44))"
    slice_number: int | None = 1
    mode: str = "IW"
    kind: str = "GRD"
    polarisation: str = "VV VH"
    online: bool = True
    orders: int = 0

    @property
    def attributes(self) -> dict[str, dict[str, str]]:
        numbers = {"orbitnumber": str(self.orbit), "relativeorbitnumber": str(self.relative_orbit)}
        if self.slice_number is not None:
            numbers["slicenumber"] = str(self.slice_number)
        return {
            "date": {
                "beginposition": _stamp(self.start),
                "endposition": _stamp(self.stop),
                "ingestiondate": _stamp(self.ingested),
            },
            "int": numbers,
            "str": {
                "sensoroperationalmode": self.mode,
                "orbitdirection": self.direction,
                "producttype": self.kind,
                "platformname": "Sentinel-1",
                "filename": f"{self.title}.SAFE",
                "polarisationmode": self.polarisation,
                "size": f"{len(self.content) / 2**30:.2f} GB",
                "footprint": self.footprint,
                "identifier": self.title,
                "uuid": self.uuid,
            },
        }

    @property
    def flat(self) -> dict[str, str]:
        return {name: value for part in self.attributes.values() for name, value in part.items()}


class FakeDhus(LoopbackServer):
    """The archive; its faults are those of any loopback server.

    Attributes:
        products: What it holds.
        quota_used_up: Whether it takes no more orders of offline products.
        answers: Given instead of the real answers, by path, each once.
    """

    def __init__(self, products: list[FakeProduct] | None = None) -> None:
        super().__init__()
        self.products = products or []
        self.quota_used_up = False
        self.answers: dict[str, list[Answer]] = {}
        self.routes["/dhus/"] = self._serve

    @property
    def dhus_url(self) -> str:
        return f"{self.url}/dhus"

    @staticmethod
    def value_path(uuid: str) -> str:
        return f"/dhus/odata/v1/Products('{uuid}')/$value"

    def asked(self, ending: str) -> list[Request]:
        return [request for request in self.seen if request.path.endswith(ending)]

    def _serve(self, request: Request) -> Answer:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        # RFC 7617 leaves the encoding open; DHuS reads UTF-8.
        if scheme != "Basic" or base64.b64decode(token).decode() != f"{USERNAME}:{PASSWORD}":
            return Answer(401, REFUSED, {"Content-Type": "text/html", "WWW-Authenticate": 'Basic realm="x"'})
        if waiting := self.answers.get(request.path):
            return waiting.pop(0)
        if request.path == "/dhus/search":
            return self._search({name: values[0] for name, values in parse_qs(request.query).items()})
        match = re.fullmatch(r"/dhus/odata/v1/Products\('([^']*)'\)(|/\$value|/Online/\$value)", request.path)
        product = next((item for item in self.products if match and item.uuid == match[1]), None)
        if match is None:
            return _error(f"Resource not found for the segment {request.path}")
        if product is None:
            return _error(f"Invalid key ({match[1]}) to access Products")
        if match[2] == "/Online/$value":
            return _json(product.online)
        if match[2] == "":
            return _json({"d": _odata(product)})
        return (
            ranged(product.content, request.headers.get("range")) if product.online else self._order(product)
        )

    def _search(self, query: dict[str, str]) -> Answer:
        found = [item for item in self.products if matches(query["q"], item)]
        for part in reversed(query.get("orderby", "").split(",")):
            if part:
                name, order = part.split()
                found.sort(key=lambda item, name=name: item.flat[name], reverse=order == "desc")
        first = int(query["start"])
        entries = [_entry(item) for item in found[first : first + min(int(query["rows"]), 100)]]
        feed: dict[str, object] = {"opensearch:totalResults": str(len(found))}
        if entries:
            feed["entry"] = entries if len(entries) > 1 else entries[0]
        return _json({"feed": feed})

    def _order(self, product: FakeProduct) -> Answer:
        if self.quota_used_up:
            return Answer(403, b"", {"cause-message": QUOTA})
        product.orders += 1
        return Answer(202)


def matches(query: str, product: FakeProduct) -> bool:
    """Whether a product answers a query of space-separated clauses, as Solr reads them."""
    clause = r'\((?:[^"()]|"[^"]*")*\)|\w+:(?:"[^"]*"|\[[^\]]*\]|\S+)'
    if rest := re.sub(clause, "", query).strip():
        raise ValueError(f"not understood: {rest!r} of {query!r}")
    return all(_holds(part, product) for part in re.findall(clause, query))


def _holds(clause: str, product: FakeProduct) -> bool:
    if clause.startswith("("):
        return any(_holds(part, product) for part in clause[1:-1].split(" OR "))
    name, _, wanted = clause.partition(":")
    value = product.flat[name.lower()]
    if name == "footprint":
        area = re.fullmatch(r'"Intersects\((.*)\)"', wanted)
        return from_wkt(value).intersects(from_wkt(area[1]))
    if wanted.startswith("["):
        low, high = (bound.strip('"') for bound in wanted[1:-1].split(" TO "))
        at = datetime.fromisoformat(value)
        after = low == "*" or at >= datetime.fromisoformat(low)
        return after and (high == "*" or at <= datetime.fromisoformat(high))
    return value == wanted.strip('"')


def _entry(product: FakeProduct) -> dict[str, object]:
    parts = {
        kind: [{"name": name, "content": value} for name, value in values.items()]
        for kind, values in product.attributes.items()
    }
    address = f"{INNER_ADDRESS}/odata/v1/Products('{product.uuid}')"
    links = [{"href": f"{address}/$value"}, {"rel": "alternative", "href": f"{address}/"}]
    return {"title": product.title, "link": links, "id": product.uuid, "ondemand": "false", **parts}


def _odata(product: FakeProduct) -> dict[str, object]:
    address = f"{INNER_ADDRESS}/odata/v1/Products('{product.uuid}')"
    corners = " ".join(f"{lat},{lon}" for lon, lat in from_wkt(product.footprint).exterior.coords)
    return {
        "__metadata": {"id": address, "type": "DHuS.Product", "media_src": f"{address}/$value"},
        "Id": product.uuid,
        "Name": product.title,
        "ContentLength": str(len(product.content)),
        "CreationDate": _ticks(product.ingested),
        "IngestionDate": _ticks(product.ingested),
        "Online": product.online,
        "ContentDate": {"Start": _ticks(product.start), "End": _ticks(product.stop)},
        "Checksum": {"Algorithm": "MD5", "Value": hashlib.md5(product.content).hexdigest().upper()},
        "ContentGeometry": (
            '<gml:Polygon xmlns:gml="http://www.opengis.net/gml"><gml:outerBoundaryIs><gml:LinearRing>'
            f"<gml:coordinates>{corners}</gml:coordinates>"
            "</gml:LinearRing></gml:outerBoundaryIs></gml:Polygon>"
        ),
        "Attributes": {"__deferred": {"uri": f"{address}/Attributes"}},
    }


def _error(text: str) -> Answer:
    return _json({"error": {"code": None, "message": {"lang": "en", "value": text}}}, 404)


def _json(content: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})


def _stamp(instant: datetime) -> str:
    """As DHuS writes times: milliseconds without trailing zeros."""
    fraction = f".{instant.microsecond // 1000:03d}".rstrip("0").rstrip(".")
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _ticks(instant: datetime) -> str:
    return f"/Date({round(instant.timestamp() * 1000)})/"
