"""The map inside a page: relief as a picture, everything else as vectors in it, no file and no network.

Coordinates are whole units of `UNIT_M` east of the grid's western edge and south of its northern one.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely
from PIL import Image
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from avalanche_assets.detection.geopackage import DETECTED_STATUS, NOT_OBSERVABLE_STATUS, corridor_status
from avalanche_assets.grid import Grid
from avalanche_assets.reporting.language import Language
from avalanche_assets.reporting.pages import inline
from avalanche_assets.reporting.style import Floats, hillshade, reduced

UNIT_M = 5.0
RELIEF_PX, RELIEF_QUALITY = 1800, 72
DRAWN_PX = 820
"""Width at which the map is drawn before a script knows better."""
SIMPLIFIED_M = 8.0
"""Outlines may move by this much: less than half a radar pixel."""
DARKEST, LIGHTEST = 0.42, 1.0


@dataclass(frozen=True)
class Shape:
    """A corridor or an outline: SVG path, CSS class, what a pointer over it says, and its corridor."""

    path: str
    css: str
    title: str
    corridor: str


@dataclass(frozen=True)
class Symbol:
    """A detection's symbol: place, CSS classes of quality and state, title and corridor."""

    x: int
    y: int
    quality: str
    state: str
    title: str
    corridor: str


@dataclass(frozen=True)
class Label:
    """A massif's name and where it stands."""

    x: int
    y: int
    text: str


@dataclass(frozen=True)
class WebMap:
    """Everything that the template draws.

    Attributes:
        width: Width of the map in units.
        height: Height of the map in units.
        relief: The hillshade as base64 JPEG.
        corridors: Corridors, those with a detection last.
        outlines: Outlines of the detections.
        symbols: Symbols of the detections, the best quality last.
        massifs: Path of the massifs' boundaries.
        labels: Their names.
        geography: JSON for the script: unit in metres, and longitude and latitude of nine points.
        scale: Units per pixel as the map is drawn first.
    """

    width: int
    height: int
    relief: str
    corridors: list[Shape]
    outlines: list[Shape]
    symbols: list[Symbol]
    massifs: str
    labels: list[Label]
    geography: str

    @property
    def scale(self) -> float:
        """Units per pixel as the map is drawn first."""
        return round(self.width / DRAWN_PX, 3)


def web_map(
    detections: gpd.GeoDataFrame,
    elevation: Floats,
    grid: Grid,
    language: Language,
    massifs: gpd.GeoDataFrame | None = None,
) -> WebMap:
    """Prepares the map of one date's detections.

    Args:
        detections: `tables.DETECTIONS` with `geometry` and `corridor_geometry`.
        elevation: Elevation model on `grid`, metres.
        grid: The analysis grid.
        language: Of what pointers say.
        massifs: Polygons with a column `massif`, drawn as outlines with their names.
    """
    boundaries, labels = ("", []) if massifs is None else _massifs(massifs, grid)
    return WebMap(
        width=round(grid.width * grid.resolution / UNIT_M),
        height=round(grid.height * grid.resolution / UNIT_M),
        relief=inline(relief(elevation, grid)),
        corridors=_corridors(detections, grid, language),
        outlines=_outlines(detections, grid),
        symbols=list(_symbols(detections, grid, language)),
        massifs=boundaries,
        labels=labels,
        geography=json.dumps({"unit": UNIT_M, "places": _nine_places(grid)}),
    )


def relief(elevation: Floats, grid: Grid) -> bytes:
    """The hillshade as JPEG, light, so that lines and symbols stand out."""
    heights, small = reduced(elevation, grid, RELIEF_PX)
    shade = DARKEST + (LIGHTEST - DARKEST) * hillshade(heights, small.resolution) ** 0.8
    # A little blue in the shadows and warmth in the light, as on printed relief maps.
    tint = np.stack([shade**1.06, shade**1.01, shade**0.94], axis=-1)
    buffer = io.BytesIO()
    Image.fromarray((255 * np.clip(tint, 0, 1)).astype(np.uint8)).save(
        buffer, format="JPEG", quality=RELIEF_QUALITY, optimize=True
    )
    return buffer.getvalue()


def svg_path(geometry: BaseGeometry, grid: Grid) -> str:
    """Rings and lines of a geometry as an SVG path in units; empty for an empty geometry."""
    simple = shapely.simplify(geometry, SIMPLIFIED_M)
    parts = []
    for line in _lines(simple):
        steps = np.diff(_units(shapely.get_coordinates(line), grid), axis=0, prepend=0)
        moves = " ".join(f"{x} {y}" for x, y in steps[1:])
        parts.append(f"M{steps[0][0]} {steps[0][1]}l{moves}")
    return "".join(parts)


def _lines(geometry: BaseGeometry) -> Iterator[BaseGeometry]:
    for part in shapely.get_parts(geometry):
        if part.geom_type == "Polygon":
            yield from (part.exterior, *part.interiors)
        elif part.geom_type == "LineString":
            yield part


def _units(points: Floats, grid: Grid) -> np.ndarray:
    offsets = np.column_stack([points[:, 0] - grid.west, grid.north - points[:, 1]])
    return np.rint(offsets / UNIT_M).astype(int)


def _corridors(detections: gpd.GeoDataFrame, grid: Grid, language: Language) -> list[Shape]:
    css = {NOT_OBSERVABLE_STATUS: "hidden", DETECTED_STATUS: "hit"}
    order = {"hidden": 0, "quiet": 1, "hit": 2}
    shapes = [
        Shape(
            svg_path(row.corridor_geometry, grid),
            css.get(status, "quiet"),
            _corridor_title(row, status, language),
            row.corridor_id,
        )
        for row, status in zip(detections.itertuples(), corridor_status(detections), strict=True)
    ]
    return sorted(shapes, key=lambda shape: order[shape.css])


def _corridor_title(row: object, status: str, language: Language) -> str:
    name = corridor_name(row)
    if status == NOT_OBSERVABLE_STATUS:
        reason = language.say(str(getattr(row, "reason", "")))
        return language.say("{corridor}: not observable ({reason})", corridor=name, reason=reason)
    if status == DETECTED_STATUS:
        return name
    return language.say("{corridor}: seen, nothing detected", corridor=name)


def corridor_name(row: object) -> str:
    """Name and id of a corridor, the id alone where it has no name or its name is the id."""
    name, identifier = getattr(row, "corridor_name", None), getattr(row, "corridor_id", "")
    return identifier if not name or name == identifier else f"{name} ({identifier})"


def _outlines(detections: gpd.GeoDataFrame, grid: Grid) -> list[Shape]:
    found = detections[detections["is_detection"].to_numpy(bool) & ~detections.geometry.is_empty]
    return [
        Shape(svg_path(row.geometry, grid), f"q{row.quality}", corridor_name(row), row.corridor_id)
        for row in found.itertuples()
    ]


def _symbols(detections: gpd.GeoDataFrame, grid: Grid, language: Language) -> Iterator[Symbol]:
    found = detections[detections["is_detection"].to_numpy(bool)].sort_values("quality", ascending=False)
    places = gpd.GeoSeries.from_xy(found["longitude"], found["latitude"], crs="EPSG:4326").to_crs(grid.crs)
    points = _units(np.column_stack([places.x, places.y]), grid)
    for row, (x, y) in zip(found.itertuples(), points.tolist(), strict=True):
        state = language.say(row.new_or_persisting)
        title = language.say(
            "{corridor}: quality {quality}, {state}",
            corridor=corridor_name(row),
            quality=row.quality,
            state=state,
        )
        yield Symbol(x, y, row.quality, row.new_or_persisting, title, row.corridor_id)


def _massifs(massifs: gpd.GeoDataFrame, grid: Grid) -> tuple[str, list[Label]]:
    west, south, east, north = grid.bounds
    shown = massifs.to_crs(grid.crs).clip((west, south, east, north))
    # The frame of the map is no boundary.
    frame = shapely.box(west, south, east, north).boundary.buffer(1.0)
    lines = shown.boundary.union_all().difference(frame)
    labels = []
    for row in shown.itertuples():
        ((x, y),) = _units(shapely.get_coordinates(row.geometry.representative_point()), grid).tolist()
        labels.append(Label(x, y, row.massif))
    return svg_path(lines, grid), labels


def _nine_places(grid: Grid) -> list[list[float]]:
    """Longitude and latitude of corners, middles of sides and centre, row by row from the north-west.

    The script interpolates between them by quadratics, which is exact to some metres over 300 km.
    """
    west, south, east, north = grid.bounds
    to_degrees = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    places = []
    for y in (north, (north + south) / 2, south):
        for x in (west, (west + east) / 2, east):
            lon, lat = to_degrees.transform(x, y)
            places.append([round(lon, 6), round(lat, 6)])
    return places
