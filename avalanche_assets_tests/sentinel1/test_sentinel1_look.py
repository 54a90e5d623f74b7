"""The direction of look on the map, against the path of the made-up platform and the track geometry."""

import numpy as np
from tiny_terrain import CRS, EAST, FLAT, GRID, INNER, NORTH, ORBIT, plane

from avalanche_assets.sentinel1.look import look_azimuth_deg
from avalanche_assets.sentinel1.track_geometry import track_geometry
from avalanche_assets.terrain.slope import horn_slope_aspect


def look_at_the_middle() -> float:
    x, y = (np.array([value]) for value in GRID.pixel_centre(127.5, 127.5))
    return float(look_azimuth_deg(ORBIT, x, y, np.array([800.0]), CRS)[0])


def test_look_is_the_line_of_constant_azimuth_time_away_from_the_platform():
    expected = np.degrees(np.arctan2(EAST, NORTH)) % 360
    # The platform's path is not level over the point, which turns the line of constant time by 0.2 degrees.
    assert abs(look_at_the_middle() - expected) < 0.3


def test_slope_and_aspect_against_the_look_give_the_local_incidence():
    dem = plane(18.0, 25.0)
    slope, aspect = (np.radians(values) for values in horn_slope_aspect(dem, GRID.resolution))
    incidence = np.radians(track_geometry(ORBIT, FLAT, GRID).incidence_deg)
    facing_away = np.cos(aspect - np.radians(look_at_the_middle()))
    cosine = np.cos(incidence) * np.cos(slope) - np.sin(incidence) * np.sin(slope) * facing_away
    stored = track_geometry(ORBIT, dem, GRID).local_incidence_deg
    # One look for the whole grid, heights that change the incidence by 0.02 degrees.
    np.testing.assert_allclose(np.degrees(np.arccos(cosine))[INNER], stored[INNER], atol=0.1, rtol=0)
