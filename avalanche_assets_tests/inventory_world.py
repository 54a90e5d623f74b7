"""A slope that falls southward, and corridors on it."""

from pathlib import Path

import geopandas as gpd
import numpy as np
from shapely.geometry import Polygon, box

from avalanche_assets.grid import Grid

GRID = Grid("EPSG:32632", 20.0, 512_000.0, 5_120_000.0, 256, 256)
DEM = np.repeat(2500.0 - 5.0 * np.arange(256, dtype=np.float32)[:, None], 256, axis=1)
"""Falls southward by 5 m a row."""
WEST, NORTH = 512_000.0, 5_120_000.0


def rectangle(east=1000.0, south=2000.0, width=400.0, height=1000.0) -> Polygon:
    """Rectangle by the metres of its north-west corner east and south of the grid's corner."""
    return box(WEST + east, NORTH - south - height, WEST + east + width, NORTH - south)


def write(path: Path, shapes, crs="EPSG:32632", **columns) -> Path:
    frame = gpd.GeoDataFrame(columns, geometry=shapes, crs=crs)
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path)
    return path
