"""The area that acquisitions have to cover and elevation models are fetched for."""

from pathlib import Path

from avalanche_assets.errors import SettingsError, TerrainError
from avalanche_assets.settings import Settings

FRENCH_ALPS = (5.4, 43.9, 7.8, 46.5)
"""West, south, east, north in degrees: from Lake Geneva to the hinterland of Nice."""

_EDGE_POINTS = 65
"""Points per side when a rectangle is carried from one coordinate system to another."""


def area_of_interest(settings: Settings) -> tuple[float, float, float, float]:
    """West, south, east, north of the area in degrees.

    The first of these that is there counts: `source.area`, the bounds of the grid, the extent of the
    elevation model file, the French Alps.

    Raises:
        SettingsError: The coordinate system of the grid is unknown.
        TerrainError: The elevation model file is missing, unreadable or without coordinate system.
    """
    if settings.source.area is not None:
        return settings.source.area
    if settings.grid.bounds is not None:
        return lonlat_bounds(settings.grid.bounds, settings.grid.crs)
    if settings.terrain is not None and settings.terrain.dem is not None:
        return _extent(settings.terrain.dem)
    return FRENCH_ALPS


def lonlat_bounds(bounds: tuple[float, float, float, float], crs: str) -> tuple[float, float, float, float]:
    """A rectangle of the analysis grid's coordinate system as west, south, east, north in degrees.

    Raises:
        SettingsError: The coordinate system is unknown.
    """
    return _carried(bounds, crs, "EPSG:4326")


def grid_bounds(area: tuple[float, float, float, float], crs: str) -> tuple[float, float, float, float]:
    """The rectangle of the analysis grid's coordinate system around an area in degrees; raises as above."""
    return _carried(area, "EPSG:4326", crs)


def _carried(
    bounds: tuple[float, float, float, float], source: str, target: str
) -> tuple[float, float, float, float]:
    from pyproj import Transformer
    from pyproj.exceptions import CRSError

    try:
        transformer = Transformer.from_crs(source, target, always_xy=True)
    except CRSError as error:
        raise SettingsError(f"grid.crs: not a coordinate system PROJ knows ({error})") from error
    return transformer.transform_bounds(*bounds, densify_pts=_EDGE_POINTS)


def _extent(dem: Path) -> tuple[float, float, float, float]:
    import rasterio
    from rasterio.errors import RasterioIOError

    try:
        with rasterio.open(dem) as dataset:
            if dataset.crs is None:
                raise TerrainError(f"{dem}: unknown coordinate system; set it, or set source.area")
            crs, bounds = dataset.crs.to_wkt(), tuple(dataset.bounds)
    except RasterioIOError as error:
        raise TerrainError(f"{dem}: not a readable raster ({error}); set terrain.dem to a GeoTIFF") from error
    return lonlat_bounds(bounds, crs)
