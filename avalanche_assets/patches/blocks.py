"""Which blocks of the analysis grid patches need, so that nothing else is computed."""

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from avalanche_assets.grid import TILE_PX, Grid
from avalanche_assets.tables import PATCH_SIZE


def blocks_of_patches(corridors: gpd.GeoDataFrame, grid: Grid) -> NDArray[np.bool_]:
    """Blocks of `TILE_PX` x `TILE_PX` pixels that any corridor's patch touches.

    Args:
        corridors: `tables.CORRIDORS`; patches lie on the grid.
        grid: Analysis grid, a whole number of blocks high and wide.

    Returns:
        Booleans of shape (grid.height / TILE_PX, grid.width / TILE_PX).
    """
    blocks = np.zeros((grid.height // TILE_PX, grid.width // TILE_PX), bool)
    for x, y in zip(corridors["deposit_x"], corridors["deposit_y"], strict=True):
        window = grid.window_around(x, y, PATCH_SIZE)
        last_row, last_col = window.row + window.height - 1, window.col + window.width - 1
        blocks[
            window.row // TILE_PX : last_row // TILE_PX + 1, window.col // TILE_PX : last_col // TILE_PX + 1
        ] = True
    return blocks
