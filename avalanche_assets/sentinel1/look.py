"""The direction in which the radar looks at points of the map, the same on every date of a track."""

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from avalanche_assets.sentinel1.geocoding import geodetic_to_ecef, zero_doppler
from avalanche_assets.sentinel1.orbit import Orbit

Floats = NDArray[np.float64]

STEP_M = 500.0
"""Half the distance over which the slant range is differenced; the direction turns by 0.005 degrees in it."""


def look_azimuth_deg(orbit: Orbit, x: Floats, y: Floats, height_m: Floats, crs: str) -> Floats:
    """Direction in which the slant range grows, degrees clockwise from grid north, 0 to 360.

    Args:
        orbit: Path of the platform on any date of the track.
        x: Eastings on the grid's coordinate system, metres, (n,).
        y: Northings, (n,).
        height_m: Heights over the ellipsoid, (n,); NaN counts as 0, which turns the look by under 0.1 deg.
        crs: Coordinate system of the grid.

    Returns:
        Azimuths (n,), NaN where the orbit does not see the point.
    """
    to_geodetic = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    height = np.nan_to_num(height_m, nan=0.0)

    def slant_range(east: float, north: float) -> Floats:
        lon, lat = to_geodetic.transform(x + east, y + north)
        return zero_doppler(orbit, geodetic_to_ecef(lon, lat, height))[1]

    eastward = slant_range(STEP_M, 0.0) - slant_range(-STEP_M, 0.0)
    northward = slant_range(0.0, STEP_M) - slant_range(0.0, -STEP_M)
    return np.asarray(np.degrees(np.arctan2(eastward, northward)) % 360.0)
