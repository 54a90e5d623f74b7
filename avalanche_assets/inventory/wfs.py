"""A Web Feature Service: which layers it has, and all features of one, page by page.

GeoJSON is asked for, in a projected coordinate system: for geographic ones versions and servers differ about
the order of axes.

Source: OGC Web Feature Service 2.0 (09-025r2), key-value requests and response paging; GeoServer's manual for
GeoJSON, descriptions as JSON and CQL_FILTER.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import pandas as pd

from avalanche_assets.errors import CatalogueError, RefusedError, TransientError
from avalanche_assets.services.http_failures import place
from avalanche_assets.services.http_service import HttpService

COMMON = {"service": "WFS", "version": "2.0.0"}
SHOWN = 300
"""Characters of a service's own words in an error."""

Told = Callable[[str], None]


@dataclass(frozen=True)
class Layer:
    """A layer as the service describes it.

    Attributes:
        name: With the prefix of its workspace.
        attributes: Name to type, such as ``xsd:string``; geometries are ``gml:...``.
    """

    name: str
    attributes: Mapping[str, str]

    @property
    def short_name(self) -> str:
        """Without the prefix."""
        return self.name.split(":")[-1]

    @property
    def geometry(self) -> str | None:
        """The attribute that holds shapes."""
        return next((name for name, kind in self.attributes.items() if kind.startswith("gml:")), None)

    @property
    def fields(self) -> list[str]:
        """Attributes that hold no shapes."""
        return [name for name, kind in self.attributes.items() if not kind.startswith("gml:")]

    def described(self) -> str:
        """Name and attributes, for errors."""
        return f"{self.name} ({', '.join(self.attributes)})"


class WebFeatureService:
    """One service.

    Attributes:
        url: Its address.
        where: Host and path, for messages.
    """

    def __init__(self, url: str, crs: str, page_size: int, http: HttpService) -> None:
        """`crs` is a projected coordinate system, such as EPSG:2154, that the service gives shapes in."""
        self.url, self.where = url, place(url)
        self._crs, self._page_size, self._http = crs, page_size, http

    def layers(self, name: str = "") -> list[Layer]:
        """All layers, or the one with this name; none where the service knows no such layer.

        Raises:
            CatalogueError: The service cannot be asked, or does not describe layers as JSON.
        """
        asked = {"typeNames": name} if name else {}
        try:
            answer = self._json({"request": "DescribeFeatureType", **asked})
        except RefusedError:
            if name:
                return []
            raise
        prefix = answer.get("targetPrefix", "")
        return [
            Layer(
                f"{prefix}:{found['typeName']}" if prefix else found["typeName"],
                {item["name"]: str(item.get("type", "")) for item in found.get("properties", [])},
            )
            for found in answer.get("featureTypes", [])
        ]

    def features(self, layer: Layer, cql: str, sort_by: Sequence[str], told: Told) -> gpd.GeoDataFrame:
        """All features of a layer that a filter lets through.

        Args:
            layer: Which.
            cql: Filter; all features when empty.
            sort_by: Attributes that give pages an order.
            told: Receives a sentence a page.

        Returns:
            A frame with the attributes and ``geometry``, which is None in a layer without shapes; a frame
            without coordinate system then.

        Raises:
            TransientError: The layer changed while it was read.
            CatalogueError: The service refuses the question, or its pages do not fit together.
        """
        found: list[dict[str, Any]] = []
        features: list[dict[str, Any]] = []
        total: int | None = None
        crs: str | None = None
        while total is None or len(found) < total:
            page = self._page(layer, cql, sort_by, len(found))
            matched = page.get("numberMatched", page.get("totalFeatures"))
            matched = matched if isinstance(matched, int) else None
            if total is not None and matched != total:
                raise TransientError(
                    f"{self.where}: {layer.name} changed from {total} to {matched} features while it was "
                    "read; try again"
                )
            before, features, total = features, page.get("features", []), matched
            if len(features) > 1 and _content(features) == _content(before):
                raise CatalogueError(
                    f"{self.where}: two pages of {layer.name} are the same, so the service ignores "
                    f"startIndex; set inventory.wfs.page_size above {total or 'the number of features'}"
                )
            crs = crs or _crs_of(page)
            found += features
            told(f"{layer.name}: {len(found)} of {'?' if total is None else total} features")
            if not features:
                break
        if total is not None and len(found) != total:
            raise CatalogueError(
                f"{self.where}: {layer.name} ended after {len(found)} of {total} features; set "
                "inventory.wfs.page_size lower"
            )
        self._require_distinct(found, layer)
        return _frame(found, layer, crs)

    def _page(self, layer: Layer, cql: str, sort_by: Sequence[str], start: int) -> Mapping[str, Any]:
        question = {
            "request": "GetFeature",
            "typeNames": layer.name,
            "srsName": self._crs,
            "count": str(self._page_size),
            "startIndex": str(start),
            "sortBy": ",".join(sort_by),
            "CQL_FILTER": cql,
        }
        try:
            return self._json({name: value for name, value in question.items() if value})
        except RefusedError as error:
            raise RefusedError(
                f"{error}; {layer.described()} was asked for in {self._crs}, sorted by {list(sort_by)}, with "
                f"the filter {cql!r}: check inventory.wfs"
            ) from None

    def _json(self, question: Mapping[str, str]) -> Mapping[str, Any]:
        body = self._http.content(self.url, {**COMMON, **question, "outputFormat": "application/json"})
        if body.lstrip().startswith(b"<"):
            # Some servers report errors as a document with the status of a success.
            raise RefusedError(f"{self.where}: refused {question['request']}: {_words(body)}")
        try:
            answer = json.loads(body)
        except ValueError:
            raise CatalogueError(
                f"{self.where}: {question['request']} gave no JSON; check inventory.wfs.url"
            ) from None
        if not isinstance(answer, dict):
            raise CatalogueError(f"{self.where}: {question['request']} gave no object; check the address")
        return answer

    def _require_distinct(self, found: Sequence[Mapping[str, Any]], layer: Layer) -> None:
        ids = [feature["id"] for feature in found if feature.get("id")]
        repeated = len(ids) - len(set(ids))
        if repeated:
            raise CatalogueError(
                f"{self.where}: {repeated} features of {layer.name} came twice, so others are missing: its "
                f"pages have no fixed order; set inventory.wfs.page_size above {len(found)}"
            )


def _content(features: Sequence[Mapping[str, Any]]) -> list[tuple[Any, Any]]:
    """Without ids, which services make up anew for views without a key."""
    return [(feature.get("properties"), feature.get("geometry")) for feature in features]


def _frame(found: Sequence[Mapping[str, Any]], layer: Layer, crs: str | None) -> gpd.GeoDataFrame:
    rows = pd.DataFrame([feature.get("properties") or {} for feature in found], columns=layer.fields)
    for name in rows.select_dtypes(exclude=["number", "bool"]).columns:
        rows[name] = rows[name].map(_text)
    if layer.geometry is None:
        return gpd.GeoDataFrame(rows, geometry=[None] * len(rows))
    shapes = gpd.GeoDataFrame.from_features(
        [{"properties": {}, "geometry": feature.get("geometry")} for feature in found], columns=["geometry"]
    ).geometry
    # Without a member `crs` GeoJSON is in longitude and latitude (RFC 7946).
    return gpd.GeoDataFrame(rows, geometry=shapes.to_numpy(), crs=crs or "OGC:CRS84")


def _text(value: Any) -> str | None:
    return None if value is None or value != value else str(value)


def _crs_of(page: Mapping[str, Any]) -> str | None:
    name = ((page.get("crs") or {}).get("properties") or {}).get("name")
    return str(name) if name else None


def _words(document: bytes) -> str:
    """What a document says to people, without its markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", document.decode("utf-8", "replace")).split())[:SHOWN]
