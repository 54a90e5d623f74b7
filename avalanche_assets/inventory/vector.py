"""Reading vector maps of any common format, with errors that name file and setting."""

from contextlib import suppress
from pathlib import Path

import geopandas as gpd
import pyarrow as pa
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from shapely.geometry.base import BaseGeometry

from avalanche_assets.errors import InventoryError

PARQUET_SUFFIXES = {".parquet", ".geoparquet"}


def read_features(path: Path, setting: str) -> gpd.GeoDataFrame:
    """The only layer of a GeoPackage, Shapefile, GeoJSON or GeoParquet file, without heights.

    Args:
        path: The file.
        setting: The setting that names it, for errors.

    Raises:
        InventoryError: The file is missing, unreadable, without features or without coordinate system, or
            has several layers of shapes.
    """
    if not path.exists():
        raise InventoryError(f"{path}: file not found; set {setting} to a map of polygons, lines or points")
    try:
        is_parquet = path.suffix.lower() in PARQUET_SUFFIXES
        features = _read_parquet(path) if is_parquet else _read(path, setting)
    except (DataSourceError, DataLayerError, pa.ArrowInvalid, ValueError) as error:
        raise InventoryError(
            f"{path}: not a readable vector map ({error}); give GeoPackage, Shapefile, GeoJSON or GeoParquet"
        ) from error
    if not isinstance(features, gpd.GeoDataFrame) or features.empty:
        raise InventoryError(f"{path}: holds no features with geometry; set {setting} to a map that does")
    if features.crs is None:
        raise InventoryError(
            f"{path}: unknown coordinate system; add it (the .prj file of a Shapefile, the crs of a layer)"
        )
    return features.set_geometry(shapely.force_2d(features.geometry.to_numpy()), crs=features.crs)


def _read_parquet(path: Path) -> gpd.GeoDataFrame:
    with path.open("rb") as file:
        return gpd.read_parquet(file)


def _read(path: Path, setting: str) -> gpd.GeoDataFrame:
    layers = [str(name) for name, geometry in pyogrio.list_layers(path) if geometry is not None]
    if len(layers) > 1:
        raise InventoryError(
            f"{path}: holds the layers {layers}; give {setting} a file with the right one alone"
        )
    if path.suffix.lower() == ".shp" and not path.with_suffix(".cpg").exists():
        # GDAL takes the table for Latin-1 then; text in that is practically never valid UTF-8.
        with suppress(UnicodeDecodeError):
            return gpd.read_file(path, encoding="utf-8")
    return gpd.read_file(path, layer=layers[0] if layers else None)


def polygonal(geometry: BaseGeometry) -> BaseGeometry:
    """The polygon parts of a geometry as Polygon or MultiPolygon; empty when there are none."""
    if geometry.geom_type in ("Polygon", "MultiPolygon"):
        return geometry
    parts = [part for part in shapely.get_parts(geometry) if part.geom_type in ("Polygon", "MultiPolygon")]
    return shapely.union_all(parts) if parts else shapely.Polygon()
