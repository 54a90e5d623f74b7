"""Massif polygons of a simulated landscape: official numbers and names on invented borders.

A jittered lattice of cells is joined into massifs laid out roughly as in the Alps, Haute-Maurienne being the
largest, as it is in the study that the season imitates.
"""

from functools import lru_cache

import geopandas as gpd
import numpy as np
import shapely
from shapely import MultiPoint, Point, Polygon, box

from avalanche_assets.grid import Grid

MASSIFS = {
    1: "Chablais", 2: "Aravis", 3: "Mont-Blanc", 4: "Bauges", 5: "Beaufortain", 6: "Haute-Tarentaise",
    7: "Chartreuse", 8: "Belledonne", 9: "Maurienne", 10: "Vanoise", 11: "Haute-Maurienne",
    12: "Grandes-Rousses", 13: "Thabor", 14: "Vercors", 15: "Oisans", 16: "Pelvoux", 17: "Queyras",
    18: "Dévoluy", 19: "Champsaur", 20: "Embrunais-Parpaillon", 21: "Ubaye", 22: "Haut-Var Haut-Verdon",
    23: "Mercantour",
}  # fmt: skip
"""Number and name of the 23 massifs of the French avalanche bulletin."""

SMALL_LAYOUT = ((6, 6, 6, 11), (10, 10, 11, 11), (9, 10, 11, 11), (9, 13, 11, 11))
LARGE_LAYOUT = (
    (2, 1, 3, 6, 6, 11),
    (4, 5, 10, 10, 11, 11),
    (8, 9, 9, 11, 11, 11),
    (12, 13, 11, 11, 11, 11),
    (15, 16, 17, 11, 11, 11),
    (18, 19, 20, 21, 11, 11),
)
LARGE_M = 60000.0
"""From this width on, a landscape holds the 19 massifs of `LARGE_LAYOUT`."""


@lru_cache(maxsize=4)
def _polygons(grid: Grid) -> tuple[tuple[int, Polygon], ...]:
    west, south, east, north = grid.bounds
    layout = np.array(LARGE_LAYOUT if east - west >= LARGE_M else SMALL_LAYOUT)
    rng = np.random.default_rng(11)
    rows, cols = np.indices(layout.shape)
    x = west + (cols + 0.5 + rng.uniform(-0.3, 0.3, layout.shape)) * (east - west) / layout.shape[1]
    y = north - (rows + 0.5 + rng.uniform(-0.3, 0.3, layout.shape)) * (north - south) / layout.shape[0]
    seeds = MultiPoint(np.column_stack([x.ravel(), y.ravel()]))
    area = box(west, south, east, north)
    cells = np.array(shapely.voronoi_polygons(seeds, extend_to=area, ordered=True).geoms)
    cells = shapely.intersection(cells, area)
    owners = layout.ravel()
    return tuple((int(number), shapely.union_all(cells[owners == number])) for number in np.unique(owners))


def massif_frame(grid: Grid) -> gpd.GeoDataFrame:
    """Polygons that partition the grid's area: massif_id, massif, simulated (always true), geometry."""
    numbers = [number for number, _ in _polygons(grid)]
    columns = {
        "massif_id": numbers,
        "massif": [MASSIFS[number] for number in numbers],
        "simulated": [True] * len(numbers),
    }
    return gpd.GeoDataFrame(columns, geometry=[polygon for _, polygon in _polygons(grid)], crs=grid.crs)


def massif_of(x: float, y: float, grid: Grid) -> tuple[int, str]:
    """Number and name of the massif at a point of the grid's area."""
    number = min(_polygons(grid), key=lambda item: item[1].distance(Point(x, y)))[0]
    return number, MASSIFS[number]
