"""A GeoServer with the inventory's layers on this machine.

No recorded answer of the real service is public, so this is modelled on GeoServer's manual and source: types
described as JSON with the workspace's prefix, GeoJSON with `numberMatched` and a member `crs`, features with
ids `layer.number`, errors as OWS reports with status 400 (or 200, which older versions send), a cap on the
features of an answer, and "Cannot do natural order without a primary key" for pages of a view without sortBy.
Names of layers and attributes are made up.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import shapely
from loopback.server import Answer, LoopbackServer, Request

PATH = "/geoserver/siavalanches/wfs"
PREFIX = "siavalanches"


@dataclass
class FakeLayer:
    """Rows of one layer; shapes in the coordinate system `crs`, none in a table."""

    rows: list[dict[str, Any]]
    shapes: list[Any] | None = None
    crs: str = "EPSG:2154"
    primary_key: bool = True
    extra: dict[str, str] = field(default_factory=dict)

    def properties(self) -> list[dict[str, Any]]:
        kinds = {str: "xsd:string", int: "xsd:int", float: "xsd:number", bool: "xsd:boolean"}
        first = self.rows[0] if self.rows else {}
        types = {name: kinds.get(type(value), "xsd:string") for name, value in first.items()} | self.extra
        if self.shapes is not None:
            types["geom"] = "gml:Geometry"
        return [{"name": name, "nillable": True, "type": kind} for name, kind in types.items()]


class FakeWfs(LoopbackServer):
    """The service.

    Attributes:
        layers: By name without prefix.
        cap: Most features of one answer.
        error_status: Of refusals: 400, or 200 as from older versions.
        on_page: Called before a page is answered, with its first index.
        matched: What `numberMatched` says; None for the truth.
        pages: Whether `startIndex` is heeded.
    """

    def __init__(self, layers: dict[str, FakeLayer]) -> None:
        super().__init__()
        self.layers = layers
        self.cap = 10_000
        self.error_status = 400
        self.on_page: Callable[[int], None] = lambda start: None
        self.matched: int | str | None = None
        self.pages = True
        self.routes[PATH] = self._answer

    @property
    def wfs_url(self) -> str:
        return self.url + PATH

    def questions(self, request: str) -> list[dict[str, str]]:
        """The parameters of all requests of a kind."""
        asked = [dict(parse_qsl(seen.query)) for seen in self.seen]
        return [question for question in asked if question["request"] == request]

    def _answer(self, request: Request) -> Answer:
        question = dict(parse_qsl(request.query))
        if question.get("service") != "WFS" or question.get("version") != "2.0.0":
            return self._refused("Could not determine service")
        if question.get("outputFormat") != "application/json":
            return self._refused("only JSON is modelled")
        name = question.get("typeNames", "").removeprefix(f"{PREFIX}:")
        if name and name not in self.layers:
            return self._refused(f"Feature type {PREFIX}:{name} unknown")
        if question["request"] == "DescribeFeatureType":
            return self._described([name] if name else list(self.layers))
        return self._features(name, question)

    def _described(self, names: list[str]) -> Answer:
        types = [{"typeName": name, "properties": self.layers[name].properties()} for name in names]
        return _json({"elementFormDefault": "qualified", "targetPrefix": PREFIX, "featureTypes": types})

    def _features(self, name: str, question: dict[str, str]) -> Answer:
        layer, start = self.layers[name], int(question.get("startIndex", 0))
        self.on_page(start)
        if not layer.primary_key and "sortBy" not in question:
            return self._refused("Cannot do natural order without a primary key")
        if question.get("srsName", layer.crs) != layer.crs:
            return self._refused(f"only {layer.crs} is modelled")
        numbers = range(len(layer.rows))
        try:
            chosen = [i for i in numbers if self._passes(layer, i, question.get("CQL_FILTER", ""))]
            keys = [key for key in question.get("sortBy", "").split(",") if key]
            chosen.sort(key=lambda i: [str(layer.rows[i][key]) for key in keys])
        except (KeyError, ValueError) as error:
            return self._refused(f"Illegal property name or filter: {error}")
        if not self.pages:
            start = 0
        page = chosen[start : start + min(self.cap, int(question["count"]))]
        return _json(
            {
                "type": "FeatureCollection",
                "features": [self._feature(name, i) for i in page],
                "totalFeatures": len(chosen),
                "numberMatched": len(chosen) if self.matched is None else self.matched,
                "numberReturned": len(page),
                "timeStamp": "2026-11-24T10:00:00.000Z",
                "crs": layer.shapes and {"type": "name", "properties": {"name": _urn(layer.crs)}},
            }
        )

    def _feature(self, name: str, i: int) -> dict[str, Any]:
        layer = self.layers[name]
        shape = layer.shapes and json.loads(shapely.to_geojson(layer.shapes[i]))
        number = f"{name}.{i + 1}" if layer.primary_key else f"{name}.fid--{i:x}"
        return {"type": "Feature", "id": number, "geometry": shape, "properties": layer.rows[i]}

    def _passes(self, layer: FakeLayer, i: int, cql: str) -> bool:
        """Filters such as ``(insee = '73040') AND BBOX(geom,1,2,3,4,'EPSG:2154')``."""
        for part in filter(None, cql.split(" AND ")):
            box = re.fullmatch(r"BBOX\(geom,(-?\d+),(-?\d+),(-?\d+),(-?\d+),'([^']+)'\)", part)
            equal = re.fullmatch(r"\((\w+) = '([^']*)'\)", part)
            if box:
                inside = layer.shapes[i].intersects(shapely.box(*map(int, box.groups()[:4])))
            elif equal:
                inside = str(layer.rows[i][equal[1]]) == equal[2]
            else:
                raise ValueError(part)
            if not inside:
                return False
        return True

    def _refused(self, text: str) -> Answer:
        report = (
            '<?xml version="1.0" encoding="UTF-8"?><ows:ExceptionReport version="2.0.0"><ows:Exception '
            f'exceptionCode="InvalidParameterValue"><ows:ExceptionText>{text}</ows:ExceptionText>'
            "</ows:Exception></ows:ExceptionReport>"
        )
        return Answer(self.error_status, report.encode(), {"Content-Type": "application/xml"})


def _json(content: object) -> Answer:
    return Answer(200, json.dumps(content).encode(), {"Content-Type": "application/json;charset=UTF-8"})


def _urn(crs: str) -> str:
    return crs.replace("EPSG:", "urn:ogc:def:crs:EPSG::")
