"""Height of the geoid above the WGS84 ellipsoid, from a grid that is really there.

PROJ does not fail when a geoid grid is missing: it silently leaves heights as they are ("ballpark
transformation"), which would shift every pixel by about 60 m. So a transformation counts only if it
contains a vertical grid shift, and its result only if it is an undulation the Earth has.

Grids are looked for in this order: the file of the setting `terrain.geoid_grid`, PROJ's own folders, an
installed package that ships the grid. Otherwise the elevation model is refused.

Source: PROJ documentation, ``vgridshift``; NGA EGM96 (15') and EGM2008 (2.5') undulation grids.
"""

import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import rasterio.warp
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError
from pyproj.transformer import TransformerGroup
from rasterio.enums import Resampling

from avalanche_assets.errors import TerrainError
from avalanche_assets.grid import Grid, Window

VERTICAL_CRS = {"EGM96": "EPSG:5773", "EGM2008": "EPSG:3855"}
"""Vertical datum to its coordinate system."""

GRID_FILES = {"EGM96": "us_nga_egm96_15.tif", "EGM2008": "us_nga_egm08_25.tif"}
"""The grid PROJ needs for each vertical datum."""

PACKAGED = {"EGM96": ("dem_stitcher", "data/egm96_15.gtx")}
"""Python package and path inside it of grids that wheels ship."""

UNDULATION_M = (-110.0, 90.0)
"""Lowest and highest geoid on Earth: south of India, and New Guinea."""

STEP_PX = 16
"""The undulation is evaluated at every 16th pixel (320 m), far finer than the geoid grids (5 to 28 km)."""


def undulation(
    grid: Grid, vertical_datum: str, path: Path, geoid_grid: Path | None = None
) -> NDArray[np.float32]:
    """Metres to add to heights above the geoid to get ellipsoidal heights, at every pixel of `grid`.

    Args:
        grid: Analysis grid.
        vertical_datum: ``EGM96`` or ``EGM2008``.
        path: The elevation model it is for, named in errors.
        geoid_grid: File with the undulation in metres over longitude and latitude, GeoTIFF or GTX.

    Raises:
        TerrainError: No geoid grid is there, it is none, or it does not cover the analysis grid.
    """
    margin = STEP_PX
    whole = grid.subgrid(Window(-margin, -margin, grid.height + 2 * margin, grid.width + 2 * margin))
    coarse = Grid(
        grid.crs,
        grid.resolution * STEP_PX,
        whole.west,
        whole.north,
        whole.height // STEP_PX,
        whole.width // STEP_PX,
    )
    x = coarse.west + (np.arange(coarse.width) + 0.5) * coarse.resolution
    y = coarse.north - (np.arange(coarse.height) + 0.5) * coarse.resolution
    x, y = np.meshgrid(x, y)
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    shifts = _grid_shifts(vertical_datum, path, geoid_grid)
    lattices = ((np.asarray(shift.transform(lon, lat, 0.0 * lon)[2]), source) for shift, source in shifts)
    known = next(((lattice, source) for lattice, source in lattices if np.isfinite(lattice).all()), None)
    if known is None:
        raise TerrainError(
            f"{path}: the geoid grid {shifts[-1][1]} does not cover the analysis grid; give a global one in "
            "terrain.geoid_grid, or convert the elevation model to ellipsoidal heights"
        )
    lattice, source = known
    lowest, highest = float(lattice.min()), float(lattice.max())
    if lowest < UNDULATION_M[0] or highest > UNDULATION_M[1] or lowest == highest == 0.0:
        raise TerrainError(
            f"{path}: {source} gives undulations of {lowest:.1f} to {highest:.1f} m, which no geoid has; "
            "set terrain.geoid_grid to a grid of geoid heights in metres"
        )
    result = np.empty(grid.shape, np.float32)
    rasterio.warp.reproject(
        lattice,
        result,
        src_transform=coarse.transform,
        src_crs=grid.crs,
        dst_transform=grid.transform,
        dst_crs=grid.crs,
        resampling=Resampling.bilinear,
    )
    return result


def _grid_shifts(vertical_datum: str, path: Path, geoid_grid: Path | None) -> list[tuple[Transformer, str]]:
    """Transformations from heights above the geoid to ellipsoidal ones, best first, and the grids they use.

    More than one: PROJ believes in a grid that it may fetch from a network, and gives infinity without one.
    """
    if geoid_grid is not None:
        return [(_shift_by_file(geoid_grid), str(geoid_grid))]
    name = GRID_FILES[vertical_datum]
    with warnings.catch_warnings():
        # pyproj warns of the missing grid; the error below does too.
        warnings.simplefilter("ignore", UserWarning)
        vertical = VERTICAL_CRS[vertical_datum].removeprefix("EPSG:")
        group = TransformerGroup(f"EPSG:4326+{vertical}", "EPSG:4979", always_xy=True)
    shifts = [(shift, name) for shift in group.transformers if "vgridshift" in shift.definition]
    packaged = _packaged_grid(vertical_datum)
    if packaged is not None:
        shifts.append((_shift_by_file(packaged), str(packaged)))
    if shifts:
        return shifts
    raise TerrainError(
        f"{path}: terrain.vertical_datum is {vertical_datum!r}, but PROJ lacks the geoid grid {name} and "
        f"would leave the heights about 50 m wrong; get it with "
        f"`pyproj sync --file {name.removesuffix('.tif')}`, or name a file of it in terrain.geoid_grid, or "
        "convert the elevation model to ellipsoidal heights and set terrain.vertical_datum to 'ellipsoidal'"
    )


def _packaged_grid(vertical_datum: str) -> Path | None:
    """The grid inside an installed package, which is found without importing it."""
    package, member = PACKAGED.get(vertical_datum, ("", ""))
    spec = find_spec(package) if package else None
    folders = (spec.submodule_search_locations if spec else None) or []
    return next((file for folder in folders if (file := Path(folder) / member).is_file()), None)


def _shift_by_file(file: Path) -> Transformer:
    """The shift by one grid file; nothing is added to PROJ's own search path."""
    if not file.is_file():
        raise TerrainError(f"{file}: geoid grid not found; set terrain.geoid_grid to a GeoTIFF or GTX file")
    try:
        return Transformer.from_pipeline(
            "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad "
            f'+step +proj=vgridshift +grids="{file.resolve()}" +multiplier=1 '
            "+step +proj=unitconvert +xy_in=rad +xy_out=deg"
        )
    except ProjError as error:
        raise TerrainError(
            f"{file}: PROJ cannot use it as a geoid grid ({error}); set terrain.geoid_grid to a GeoTIFF or "
            "GTX file of geoid heights whose path has no comma or quotation mark"
        ) from error
