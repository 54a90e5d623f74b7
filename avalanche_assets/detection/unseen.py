"""Why a corridor could not be judged, beyond what its scores say: wet snow, and which way terrain hid it.

Under wet snow a corridor is dark and so may be a deposit in it: a score that stays below the threshold there
is no "nothing detected". A score above it stays a detection, of lower quality. The limit is a setting
(`detection.max_wet_snow_fraction`) and our choice.
"""

from collections.abc import Callable, Collection, Mapping

import geopandas as gpd
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avalanche_assets.grid import Grid, Window
from avalanche_assets.patches.observability import HIDDEN
from avalanche_assets.sentinel1.visibility import Visibility
from avalanche_assets.tables import PATCH_SIZE

WET_SNOW, LAYOVER, SHADOW = "wet snow", "layover", "shadow"

SHARE_OF_BOTH = 0.25
"""Layover and shadow are both named where the lesser one covers at least this share of what is hidden."""


def hide_wet_snow(scores: pa.Table, wet: Mapping[str, float], threshold: float, limit: float) -> pa.Table:
    """Scores without those below the threshold whose corridor lies in wet snow: they have a reason instead.

    Args:
        scores: Rows of an anomaly-score table of one detector and date.
        wet: Share of wet snow in each corridor's patch, 0 to 1, NaN where unknown.
        threshold: A score at or above it is a detection.
        limit: Largest share at which a corridor without detection can be judged.
    """
    rows = scores.to_pylist()
    for row in rows:
        quiet = row["observable"] and row["score"] < threshold
        if quiet and wet.get(row["corridor_id"], 0.0) > limit:
            row |= {"observable": False, "score": None, "peak_x": None, "peak_y": None, "reason": WET_SNOW}
    return pa.Table.from_pylist(rows, schema=scores.schema)


def name_obstructions(
    scores: pa.Table,
    corridors: gpd.GeoDataFrame,
    grid: Grid,
    read_flags: Callable[[Window], NDArray[np.floating]],
) -> pa.Table:
    """Scores whose reason "layover or shadow" says which of the two.

    Args:
        scores: Rows of an anomaly-score table of one detector and date.
        corridors: `tables.CORRIDORS`.
        grid: The analysis grid.
        read_flags: Gives the `Visibility` bits in a window that lies on the grid.
    """
    rows = scores.to_pylist()
    hidden: Collection[str] = {row["corridor_id"] for row in rows if row["reason"] == HIDDEN}
    places = corridors[corridors["corridor_id"].isin(hidden)]
    causes = {
        place.corridor_id: obstruction(read_flags(_patch(place.deposit_x, place.deposit_y, grid)))
        for place in places.itertuples()
    }
    for row in rows:
        if row["reason"] == HIDDEN:
            row["reason"] = causes.get(row["corridor_id"], HIDDEN)
    return pa.Table.from_pylist(rows, schema=scores.schema)


def obstruction(flags: NDArray[np.floating]) -> str:
    """``layover``, ``shadow`` or, where both matter, ``layover or shadow``."""
    bits = np.nan_to_num(flags).astype(np.uint8)
    layover, shadow = (np.count_nonzero(bits & flag) for flag in (Visibility.LAYOVER, Visibility.SHADOW))
    if min(layover, shadow) >= SHARE_OF_BOTH * max(layover, shadow):
        return HIDDEN
    return LAYOVER if layover > shadow else SHADOW


def _patch(x: float, y: float, grid: Grid) -> Window:
    """The part of the patch around a deposit point that lies on the grid."""
    around = grid.window_around(x, y, PATCH_SIZE)
    row, col = max(around.row, 0), max(around.col, 0)
    inside = Window(row, col, around.row + PATCH_SIZE - row, around.col + PATCH_SIZE - col)
    return inside.within(grid.shape)
