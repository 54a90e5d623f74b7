"""Corridors of the avalanche inventory from maps of polygons, site outlines or points.

The official corridor map holds lines: CODE 1 is the outline of a site as an open polyline whose end gap
(about 86 m) has to be closed, CODE 2 to 4 are talweg, observation line and alert line. Ready polygons carry
``corridor_id`` or INSEE code and site number. Points stand for corridors where nothing else is known; they
become circles, and the point itself is the deposit point.

Source: Enquête permanente sur les avalanches (EPA), corridor map and site numbering.
"""

from collections import Counter
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from avalanche_assets.errors import InventoryError
from avalanche_assets.grid import Grid
from avalanche_assets.inventory.columns import CORRIDOR_NAMES, corridor_ids, find_columns
from avalanche_assets.inventory.massifs import assign_massifs, read_massifs
from avalanche_assets.inventory.report import ReadReport, Rejection
from avalanche_assets.inventory.vector import polygonal, read_features
from avalanche_assets.tables import CORRIDORS
from avalanche_assets.terrain.deposit_point import DepositPoint, deposit_point

NAMES = {
    **CORRIDOR_NAMES,
    "name": ("name", "nom", "nom_du_site", "nom_site"),
    "massif_id": ("massif_id", "id_massif"),
    "massif": ("massif", "nom_du_massif"),
    "observed": ("observed",),
    "code": ("code",),
}
OUTLINE_CODE = 1
POINT_RADIUS_M = 300.0
"""Radius of the circle a point becomes: its area is about the median corridor's (26 ha)."""
MIN_KNOWN_SHARE = 0.9
"""A corridor with less of its area on the elevation model has no trustworthy lowest part."""
FALSE_WORDS = {"", "0", "0.0", "false", "f", "no", "n", "non"}


def read_corridors(
    path: Path, massifs_path: Path | None, dem: NDArray[np.float32] | None, grid: Grid
) -> tuple[gpd.GeoDataFrame, ReadReport]:
    """Corridors on the analysis grid's coordinate system, with massif and deposit point.

    Args:
        path: GeoPackage, Shapefile, GeoJSON or GeoParquet file in any coordinate system.
        massifs_path: Polygons of the massifs; without it the file's own massif columns count.
        dem: Heights in metres of the grid's shape, or None: then corridors must be points, and their
            elevations are NaN.
        grid: Analysis grid.

    Returns:
        A frame in order of corridor id with the columns of `tables.CORRIDORS` and ``geometry``, and the
        report. A corridor is rejected, with its reason, when its id is missing or repeated, its geometry has
        no area, the elevation model does not cover it, or its patch window leaves the grid.

    Raises:
        InventoryError: The file or the massifs cannot be read, have no id column or no coordinate system, or
            no corridor is left.
    """
    features = read_features(path, "inventory.corridors")
    columns = find_columns(features.columns, NAMES)
    frame = _plain_frame(features, columns, path).to_crs(grid.crs)
    rejected: list[Rejection] = []
    mended: Counter[str] = Counter()
    if frame.geom_type.isin(["LineString", "MultiLineString"]).any():
        frame = _close_outlines(frame, features, columns, path, mended)
    read = len(frame)
    points = _points(frame, mended)
    frame = _valid_polygons(frame, mended, rejected)
    frame = _unique_ids(frame, rejected)
    frame = _with_deposit_points(frame, points, dem, grid, path, rejected)
    report = ReadReport(path, read, len(frame), dict(mended), tuple(rejected))
    if frame.empty:
        raise InventoryError(
            f"{path}: no corridor can be used ({report.summary()}); check inventory.corridors and grid.bounds"
        )
    if massifs_path is not None:
        massifs = read_massifs(massifs_path, grid.crs)
        frame["massif_id"], frame["massif"] = assign_massifs(frame.geometry, massifs)
    frame["area_m2"] = frame.area
    ordered = frame.sort_values("corridor_id", ignore_index=True)
    return ordered[[*CORRIDORS.names, "geometry"]].astype({"massif_id": "int16"}), report


def _plain_frame(features: gpd.GeoDataFrame, columns: dict[str, str], path: Path) -> gpd.GeoDataFrame:
    """The features under our column names, with a label for each that reports can name."""
    if "corridor_id" not in columns and not {"insee", "site"} <= set(columns):
        found = [name for name in features.columns if name != features.geometry.name]
        raise InventoryError(
            f"{path}: no id column: give corridor_id, or INSEE code and site number "
            f"(accepted headers: {CORRIDOR_NAMES}); found {found}"
        )
    count = len(features)
    data = {
        "corridor_id": corridor_ids(features, columns),
        "name": _text(features, columns.get("name")),
        "massif": _text(features, columns.get("massif")),
        "massif_id": pd.Series(np.zeros(count, np.int16), features.index),
        "observed": pd.Series(np.ones(count, bool), features.index),
        "feature": [f"feature {i + 1}" for i in range(count)],
    }
    if "massif_id" in columns:
        numbers = pd.to_numeric(features[columns["massif_id"]], errors="coerce")
        data["massif_id"] = numbers.fillna(0).astype(np.int16)
    if "observed" in columns:
        # A null becomes an empty word: where nobody knows whether a site is watched, it counts as not.
        data["observed"] = ~_text(features, columns["observed"]).str.lower().isin(FALSE_WORDS)
    return gpd.GeoDataFrame(data, geometry=features.geometry.to_numpy(), crs=features.crs)


def _text(features: gpd.GeoDataFrame, column: str | None) -> "pd.Series[str]":
    if column is None:
        return pd.Series([""] * len(features), features.index, dtype=str)
    return features[column].astype("string").fillna("").str.strip().astype(str)


def _close_outlines(
    frame: gpd.GeoDataFrame,
    features: gpd.GeoDataFrame,
    columns: dict[str, str],
    path: Path,
    mended: Counter[str],
) -> gpd.GeoDataFrame:
    """One polygon a site from the outline lines; the other kinds of lines are not corridors."""
    if "code" not in columns:
        raise InventoryError(
            f"{path}: holds lines but no column CODE that tells outlines (1) from talwegs; give polygons"
        )
    codes = pd.to_numeric(features[columns["code"]], errors="coerce").to_numpy()
    outlines = frame[codes == OUTLINE_CODE]
    if outlines.empty:
        raise InventoryError(f"{path}: no line has CODE {OUTLINE_CODE} (site outline); found {set(codes)}")
    sites = outlines.drop_duplicates("corridor_id").set_index("corridor_id", drop=False)
    shapes = {
        name: _close(shapely.get_parts(lines.to_numpy()))
        for name, lines in outlines.groupby("corridor_id").geometry
    }
    mended["closed outlines"] = len(shapes)
    return sites.set_geometry(gpd.GeoSeries(shapes, crs=frame.crs)).reset_index(drop=True)


def _close(lines: NDArray[np.object_]) -> BaseGeometry:
    """The area inside outlines drawn in one or several strokes."""
    merged = shapely.get_parts(shapely.line_merge(shapely.multilinestrings(lines)))
    rings = [shapely.Polygon(line) for line in merged if len(line.coords) >= 3]
    return shapely.union_all(shapely.make_valid(rings)) if rings else shapely.Polygon()


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
    broken = ~shapely.is_valid(shapes)
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
    repeated = frame.corridor_id.duplicated() & ~unnamed
    rejected += [Rejection(feature, "no corridor id") for feature in frame.feature[unnamed]]
    rejected += [
        Rejection(feature, f"corridor id {name!r} appears before; the first is kept")
        for feature, name in zip(frame.feature[repeated], frame.corridor_id[repeated], strict=True)
    ]
    return frame[~unnamed & ~repeated]


def _with_deposit_points(
    frame: gpd.GeoDataFrame,
    points: dict[int, shapely.Point],
    dem: NDArray[np.float32] | None,
    grid: Grid,
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
        point, reason = _locate(shape, points.get(row), dem, grid)
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
    shape: BaseGeometry, given: shapely.Point | None, dem: NDArray[np.float32] | None, grid: Grid
) -> tuple[DepositPoint | None, str]:
    """The deposit point of one corridor, or the reason why it has none."""
    from_dem = deposit_point(shape, dem, grid) if dem is not None else None
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
