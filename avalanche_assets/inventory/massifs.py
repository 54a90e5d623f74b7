"""The massif of every corridor: the one whose polygon holds the largest part of it."""

from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from avalanche_assets.errors import InventoryError
from avalanche_assets.inventory.columns import require_columns
from avalanche_assets.inventory.vector import read_features

NAMES = {
    "massif_id": ("massif_id", "id_massif", "code"),
    "massif": ("massif", "nom_massif", "title", "name", "nom"),
}
"""Accepted headers; ``code`` and ``title`` are those of the public map of the 23 Alpine massifs."""
REQUIRED = (("massif_id",), ("massif",))
COLUMNS_SETTING = "inventory.massif_columns"


def read_massifs(path: Path, crs: str, chosen: Mapping[str, str] | None = None) -> gpd.GeoDataFrame:
    """Massif polygons with columns massif_id and massif in the coordinate system `crs`.

    `chosen` names the headers of these columns in other maps.

    Raises:
        InventoryError: The file cannot be read, or lacks its number or name column.
    """
    features = read_features(path, "inventory.massifs")
    headers = [str(name) for name in features.columns if name != features.geometry.name]
    columns = require_columns(headers, NAMES, REQUIRED, chosen or {}, str(path), COLUMNS_SETTING)
    numbers = pd.to_numeric(features[columns["massif_id"]], errors="coerce")
    if numbers.isna().any():
        wrong = sorted(set(features[columns["massif_id"]][numbers.isna()].astype(str)))
        raise InventoryError(
            f"{path}: {columns['massif_id']} is no number: {wrong[:5]}; name the column of the massif's "
            f"number in {COLUMNS_SETTING}"
        )
    return gpd.GeoDataFrame(
        {
            "massif_id": numbers.astype("int16"),
            "massif": features[columns["massif"]].astype(str),
        },
        geometry=shapely.make_valid(features.geometry.to_numpy()),
        crs=features.crs,
    ).to_crs(crs)


def assign_massifs(corridors: gpd.GeoSeries, massifs: gpd.GeoDataFrame) -> tuple[list[int], list[str]]:
    """Number and name of the massif with the largest overlap of each corridor; 0 and empty outside all."""
    shapes = corridors.to_numpy()
    areas = massifs.geometry.to_numpy()
    first, second = shapely.STRtree(areas).query(shapes, predicate="intersects")
    overlap = shapely.area(shapely.intersection(shapes[first], areas[second]))
    order = np.argsort(overlap, kind="stable")  # the last assignment, so the largest overlap, wins
    chosen = np.full(len(shapes), -1)
    chosen[first[order]] = second[order]
    numbers, names = massifs["massif_id"].tolist(), massifs["massif"].tolist()
    return [numbers[i] if i >= 0 else 0 for i in chosen], [names[i] if i >= 0 else "" for i in chosen]
