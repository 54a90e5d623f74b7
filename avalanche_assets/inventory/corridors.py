"""Corridors of the avalanche inventory from maps of polygons, site outlines or points.

The official corridor map holds lines (`outlines`). Ready polygons carry ``corridor_id`` or INSEE code and
site number. Points stand for corridors where nothing else is known; they become circles, and the point itself
is the deposit point.

Source: Enquête permanente sur les avalanches (EPA), corridor map and site numbering.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from avalanche_assets.errors import InventoryError
from avalanche_assets.grid import Grid
from avalanche_assets.inventory.columns import (
    CORRIDOR_NAMES,
    CORRIDOR_REQUIRED,
    as_text,
    corridor_ids,
    require_columns,
)
from avalanche_assets.inventory.massifs import assign_massifs
from avalanche_assets.inventory.outlines import LINES, close_outlines
from avalanche_assets.inventory.report import ReadReport, Rejection
from avalanche_assets.inventory.site_status import STATUS_NAMES, flags, observation, status_of_sites
from avalanche_assets.inventory.vector import polygonal, read_features
from avalanche_assets.inventory.wkt_table import TEXT_SUFFIXES, read_wkt_table
from avalanche_assets.tables import CORRIDORS
from avalanche_assets.terrain.deposit_point import DepositPoint, Rule, deposit_point

SETTING = "inventory.corridors"
COLUMNS_SETTING = "inventory.corridor_columns"
NAMES = {
    **CORRIDOR_NAMES,
    **STATUS_NAMES,
    "name": ("name", "nom", "nom_du_site", "nom_site"),
    "massif_id": ("massif_id", "id_massif"),
    "massif": ("massif", "nom_du_massif"),
    "observed": ("observed",),
    "code": ("code",),
}
COMPOSED_ID = r"(?:\d{5}|2[AB]\d{3})\d{3}"
"""INSEE code and site number; Corsica's codes hold a letter."""
POINT_RADIUS_M = 300.0
"""Radius of the circle a point becomes: its area is about the median corridor's (26 ha)."""
POLYGONS = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
MIN_KNOWN_SHARE = 0.9
"""A corridor with less of its area on the elevation model has no trustworthy lowest part."""


@dataclass(frozen=True)
class CorridorReading:
    """How a corridor map is read.

    Attributes:
        columns: Field of `NAMES` to header, for maps with other headers.
        crs: Coordinate system of a text table.
        deposit_point: Which point of a corridor its patch is centred on.
        statuses: What other tables say of the sites (`site_status.read_site_status`).
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    crs: str | None = None
    deposit_point: Rule = "lowest_decile"
    statuses: tuple[pd.DataFrame, ...] = ()


def read_corridors(
    path: Path,
    massifs: gpd.GeoDataFrame | None,
    dem: NDArray[np.float32] | None,
    grid: Grid,
    how: CorridorReading | None = None,
) -> tuple[gpd.GeoDataFrame, ReadReport]:
    """Corridors on the analysis grid's coordinate system, with massif and deposit point.

    Args:
        path: GeoPackage, Shapefile, GeoJSON or GeoParquet file, or a text table with WKT, in any coordinate
            system.
        massifs: `massifs.read_massifs`; without it the map's own massif columns count.
        dem: Heights in metres of the grid's shape, or None: then corridors must be points, and their
            elevations are NaN.
        grid: Analysis grid.
        how: What else to know of the map.

    Returns:
        A frame in order of corridor id with the columns of `tables.CORRIDORS` and ``geometry``, and the
        report. A corridor is rejected, with its reason, when its id is missing, malformed or repeated, its
        geometry has no area, the elevation model does not cover it, or its deposit point lies off the grid.

    Raises:
        InventoryError: The map cannot be read, has no id column or no coordinate system, or no corridor is
            left.
    """
    how = how or CorridorReading()
    rejected: list[Rejection] = []
    mended: Counter[str] = Counter()
    frame = _sites(path, how, grid.crs, mended, rejected)
    read = len(frame) + len(rejected)
    points = _points(frame, mended)
    frame = _valid_polygons(frame, mended, rejected)
    frame = _unique_ids(frame, rejected)
    frame = _with_deposit_points(frame, points, dem, grid, how.deposit_point, path, rejected)
    report = ReadReport(path, read, len(frame), dict(mended), tuple(rejected))
    if frame.empty:
        raise InventoryError(
            f"{path}: no corridor can be used ({report.summary()}); check {SETTING} and grid.bounds"
        )
    if massifs is not None:
        frame["massif_id"], frame["massif"] = assign_massifs(frame.geometry, massifs)
    frame["area_m2"] = frame.area
    ordered = frame.sort_values("corridor_id", ignore_index=True)
    return ordered[[*CORRIDORS.names, "geometry"]].astype({"massif_id": "int16"}), report


def _sites(
    path: Path, how: CorridorReading, crs: str, mended: Counter[str], rejected: list[Rejection]
) -> gpd.GeoDataFrame:
    """The sites of a map under our column names, one a row, lines closed to polygons."""
    if path.suffix.lower() in TEXT_SUFFIXES:
        features, unreadable = read_wkt_table(path, SETTING, how.crs)
        rejected += unreadable
    else:
        features = read_features(path, SETTING)
    headers = [str(name) for name in features.columns if name != features.geometry.name]
    columns = require_columns(headers, NAMES, CORRIDOR_REQUIRED, how.columns, str(path), COLUMNS_SETTING)
    frame = _plain_frame(features, columns, how).to_crs(crs)
    if not frame.geom_type.isin(LINES).any():
        return frame
    if "code" not in columns:
        raise InventoryError(
            f"{path}: holds lines but no column CODE that tells outlines (1) from talwegs; give polygons"
        )
    codes = pd.to_numeric(features[columns["code"]], errors="coerce")
    return close_outlines(frame, codes, str(path), mended, rejected)


def _plain_frame(
    features: gpd.GeoDataFrame, columns: Mapping[str, str], how: CorridorReading
) -> gpd.GeoDataFrame:
    """The features under our column names, with a label for each that reports can name."""
    count, ids = len(features), corridor_ids(features, columns)
    kind = "line" if features.index.name == "line" else "feature"
    first = 0 if kind == "line" else 1
    data = {
        "corridor_id": ids,
        "composed": pd.Series("corridor_id" not in columns, features.index),
        "name": as_text(features, columns.get("name")),
        "massif": as_text(features, columns.get("massif")),
        "massif_id": pd.Series(np.zeros(count, np.int16), features.index),
        "feature": [f"{kind} {label + first}" for label in features.index],
    }
    if "massif_id" in columns:
        numbers = pd.to_numeric(features[columns["massif_id"]], errors="coerce")
        data["massif_id"] = numbers.fillna(0).astype(np.int16)
    # A null becomes an empty word: where nobody knows whether a site is watched, it counts as not.
    own = pd.Series(True, features.index)
    if "observed" in columns:
        own = flags(as_text(features, columns["observed"]))
    statuses = [*how.statuses]
    if set(STATUS_NAMES) & set(columns):
        statuses.append(status_of_sites(features, columns))
    data |= dict(observation(ids, own, statuses).items())
    return gpd.GeoDataFrame(data, geometry=features.geometry.to_numpy(), crs=features.crs)


def _points(frame: gpd.GeoDataFrame, mended: Counter[str]) -> dict[int, shapely.Point]:
    """Turns points into circles in place and gives the points by row label."""
    is_point = (frame.geom_type == "Point") & ~frame.geometry.is_empty
    points: dict[int, shapely.Point] = frame.geometry[is_point].to_dict()
    if points:
        mended["points made circles"] = len(points)
        frame.loc[is_point, "geometry"] = frame.geometry[is_point].buffer(POINT_RADIUS_M)
    return points


def _valid_polygons(
    frame: gpd.GeoDataFrame, mended: Counter[str], rejected: list[Rejection]
) -> gpd.GeoDataFrame:
    shapes = frame.geometry.to_numpy()
    present = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    shapes = np.where(present, shapes, shapely.Polygon())
    broken = ~shapely.is_valid(shapes) | ~np.isin(shapely.get_type_id(shapes), POLYGONS)
    bounded = np.isfinite(shapely.bounds(shapes)).all(axis=1)
    repaired = shapes.copy()
    repaired[bounded] = [polygonal(shape) for shape in shapely.make_valid(shapes[bounded])]
    usable = bounded & (shapely.area(repaired) > 0.0)
    mended["repaired geometries"] = int((broken & usable).sum())
    for feature, has_shape, is_bounded in zip(
        frame.feature[~usable], present[~usable], bounded[~usable], strict=True
    ):
        reason = "geometry without area" if is_bounded else "coordinates outside the grid's projection"
        rejected.append(Rejection(feature, reason if has_shape else "no geometry"))
    return frame.set_geometry(gpd.GeoSeries(repaired, frame.index, crs=frame.crs))[usable]


def _unique_ids(frame: gpd.GeoDataFrame, rejected: list[Rejection]) -> gpd.GeoDataFrame:
    unnamed = frame.corridor_id == ""
    malformed = frame.composed & ~frame.corridor_id.str.fullmatch(COMPOSED_ID) & ~unnamed
    repeated = frame.corridor_id.duplicated() & ~unnamed & ~malformed
    rejected += [Rejection(feature, "no corridor id") for feature in frame.feature[unnamed]]
    rejected += [
        Rejection(feature, f"'{name}' is not an INSEE code of 5 and a site number of 3 digits")
        for feature, name in zip(frame.feature[malformed], frame.corridor_id[malformed], strict=True)
    ]
    rejected += [
        Rejection(feature, f"corridor id {name!r} appears before; the first is kept")
        for feature, name in zip(frame.feature[repeated], frame.corridor_id[repeated], strict=True)
    ]
    return frame[~unnamed & ~malformed & ~repeated]


def _with_deposit_points(
    frame: gpd.GeoDataFrame,
    points: dict[int, shapely.Point],
    dem: NDArray[np.float32] | None,
    grid: Grid,
    rule: Rule,
    path: Path,
    rejected: list[Rejection],
) -> gpd.GeoDataFrame:
    if dem is None and not set(frame.index) <= set(points):
        raise InventoryError(
            f"{path}: polygons need an elevation model to find their deposit points; set terrain.dem, or "
            "give one point a corridor"
        )
    keep: list[bool] = []
    found: list[DepositPoint] = []
    for row, name, shape in zip(frame.index, frame.corridor_id, frame.geometry, strict=True):
        point, reason = _locate(shape, points.get(row), dem, grid, rule)
        if point is not None and not grid.contains(grid.window_around(point.x, point.y, size=1)):
            point, reason = None, "its deposit point lies off the analysis grid"
        if point is None:
            rejected.append(Rejection(name, reason))
        else:
            found.append(point)
        keep.append(point is not None)
    kept = frame[np.array(keep, bool)].copy()
    kept["deposit_x"] = [point.x for point in found]
    kept["deposit_y"] = [point.y for point in found]
    kept["deposit_elevation_m"] = np.array([point.elevation_m for point in found], np.float32)
    kept["top_elevation_m"] = np.array([point.top_elevation_m for point in found], np.float32)
    return kept


def _locate(
    shape: BaseGeometry,
    given: shapely.Point | None,
    dem: NDArray[np.float32] | None,
    grid: Grid,
    rule: Rule,
) -> tuple[DepositPoint | None, str]:
    """The deposit point of one corridor, or the reason why it has none."""
    from_dem = deposit_point(shape, dem, grid, rule) if dem is not None else None
    if given is not None:
        row, col = grid.row_col(given.x, given.y)
        known = dem is not None and 0 <= row < grid.height and 0 <= col < grid.width
        elevation = float(dem[row, col]) if dem is not None and known else float("nan")
        top = from_dem.top_elevation_m if from_dem else float("nan")
        return DepositPoint(given.x, given.y, elevation, top, 1.0), ""
    if from_dem is None:
        return None, "no height of the elevation model inside it"
    if from_dem.known_share < MIN_KNOWN_SHARE:
        return None, f"only '{from_dem.known_share:.0%}' of it lies on the elevation model"
    return from_dem, ""
