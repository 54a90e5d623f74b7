"""Compiles every kernel of the processing once, so that containers start with a filled NUMBA_CACHE_DIR.

One simulated acquisition goes from products to sigma0, and its track through the static geometry. Code is
compiled for the processor it runs on: on another model a container compiles again, at its first use.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas as gpd

from avalanche_assets.backscatter.sigma0_file import write_sigma0
from avalanche_assets.rasters import read_bands, read_grid
from avalanche_assets.sentinel1.product import Product
from avalanche_assets.sentinel1.slices import SliceStack
from avalanche_assets.sentinel1.track_geometry import track_geometry
from avalanche_assets.simulation.season import simulate_season


def main() -> None:
    """Leaves nothing but the cache."""
    with TemporaryDirectory() as folder:
        season = Path(folder) / "season"
        simulate_season(season, "tiny")
        products = [Product.open(path) for path in sorted((season / "products").glob("*.zip"))]
        first_day = [product for product in products if product.datatake_id == products[0].datatake_id]
        stack, dem = SliceStack.of(first_day), season / "dem.tif"
        grid = read_grid(dem)
        x, y = grid.pixel_centre(grid.height / 2, grid.width / 2)
        corridor = {"corridor_id": ["any"], "deposit_x": x, "deposit_y": y, "deposit_elevation_m": 0.0}
        table = gpd.GeoDataFrame(corridor, geometry=gpd.points_from_xy([x], [y]), crs=grid.crs)
        write_sigma0(Path(folder) / "sigma0.tif", stack, stack.orbit, dem, table, None, {})
        track_geometry(stack.orbit, read_bands(dem)["elevation"], grid)


if __name__ == "__main__":
    main()
