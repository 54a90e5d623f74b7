"""The anomalies of a season, each once: from the first pass that shows it to the last."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio

from avalanche_assets.detection.geopackage import STYLES, add_styles
from avalanche_assets.files import atomic_path
from avalanche_assets.tables import SEASON_TRACKS

LAYER = "tracks"


def season_tracks(dates: Sequence[gpd.GeoDataFrame]) -> gpd.GeoDataFrame:
    """`tables.SEASON_TRACKS` with the outline of each first detection, in order of date and corridor.

    Args:
        dates: `tables.DETECTIONS` of the season's dates in order, at least one.
    """
    found = pd.concat([table[table["is_detection"].to_numpy(bool)] for table in dates], ignore_index=True)
    found = found.drop(columns="corridor_geometry")
    groups = found.groupby("track_id", sort=False)
    first = found.loc[groups.head(1).index].set_index("track_id")
    tracks = first.assign(
        last_seen=groups["acquisition_date"].max(),
        times_seen=groups.size().astype("int16"),
        quality=groups["quality"].min(),
        review=groups["review"].last(),
        area_m2=groups["area_m2"].max(),
    ).reset_index()
    return gpd.GeoDataFrame(tracks[[*SEASON_TRACKS.names, "geometry"]], crs=dates[0].crs)


def write_tracks(path: Path, tracks: gpd.GeoDataFrame, last_day: date) -> None:
    """Writes the tracks as a GeoPackage that QGIS opens styled by quality, atomically.

    `last_day` is the stamp of the file, so that equal inputs give equal bytes.
    """
    with atomic_path(path) as temporary:
        pyogrio.write_dataframe(
            tracks,
            temporary,
            layer=LAYER,
            driver="GPKG",
            geometry_type="MultiPolygon",
            promote_to_multi=True,
            use_arrow=True,
        )
        add_styles(temporary, {LAYER: STYLES["detections"]}, f"{last_day}T00:00:00.000Z")
