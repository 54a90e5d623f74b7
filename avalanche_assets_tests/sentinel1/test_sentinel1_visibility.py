"""Incidence, layover and shadow on terrain with known answers."""

import numpy as np
import pytest
import tiny_safe
from pyproj import Transformer

from avalanche_assets.grid import Grid
from avalanche_assets.sentinel1.orbit import Orbit
from avalanche_assets.sentinel1.visibility import Visibility, track_geometry

TIMES = np.arange(0.0, 130.0, 10.0)
ORBIT = Orbit(tiny_safe.EPOCH, TIMES, tiny_safe.position(TIMES))
CRS = "EPSG:32632"


def _grid() -> Grid:
    middle = tiny_safe.ground_point(60.0, 902e3)
    x, y, _ = Transformer.from_crs("EPSG:4979", CRS, always_xy=True).transform(*middle)
    return Grid(CRS, 20.0, round(x - 2560), round(y + 2560), 256, 256)


GRID = _grid()
FLAT = np.full(GRID.shape, 800.0, np.float32)


def outward_direction() -> tuple[float, float]:
    """Easting and northing of a unit step away from the radar, from two points of one azimuth time."""
    transformer = Transformer.from_crs("EPSG:4979", CRS, always_xy=True)
    near = transformer.transform(*tiny_safe.ground_point(60.0, 902.0e3, 800.0))
    far = transformer.transform(*tiny_safe.ground_point(60.0, 903.0e3, 800.0))
    east, north = far[0] - near[0], far[1] - near[1]
    return east / np.hypot(east, north), north / np.hypot(east, north)


def distance_outward() -> np.ndarray:
    """Metres along the range direction from the middle of the grid, growing away from the radar."""
    east, north = outward_direction()
    cols, rows = np.meshgrid(np.arange(256) - 127.5, np.arange(256) - 127.5)
    return 20.0 * (cols * east - rows * north)


INNER = np.hypot(*np.meshgrid(np.arange(256) - 127.5, np.arange(256) - 127.5)) < 90


def test_flat_ground_is_visible_and_local_incidence_is_incidence():
    track = track_geometry(ORBIT, FLAT, GRID)
    assert (track.visibility == 0).all()
    inside = (slice(1, -1), slice(1, -1))
    # Single precision of the heights and the curved ellipsoid under a plane of cells.
    np.testing.assert_allclose(
        track.local_incidence_deg[inside], track.incidence_deg[inside], atol=0.01, rtol=0
    )


@pytest.mark.parametrize("slope_deg", [-20.0, 15.0, 25.0])
def test_local_incidence_on_a_ramp_is_incidence_less_its_slope_towards_the_radar(slope_deg):
    # A positive slope rises away from the radar, so it faces the radar.
    ramp = (800 + distance_outward() * np.tan(np.radians(slope_deg))).astype(np.float32)
    track = track_geometry(ORBIT, ramp, GRID)
    difference = (track.incidence_deg - track.local_incidence_deg)[INNER]
    # Grid scale (4e-4) and the range direction's turn over the grid stay below this.
    np.testing.assert_allclose(difference, slope_deg, atol=0.05, rtol=0)


def ridge(height_m: float, foot_m: float) -> np.ndarray:
    """A straight ridge across the range direction, falling to both sides."""
    return (800 + height_m * np.clip(1 - np.abs(distance_outward()) / foot_m, 0, None)).astype(np.float32)


def test_gentle_ridge_is_visible():
    assert (track_geometry(ORBIT, ridge(300, 800), GRID).visibility == 0).all()


def test_steep_ridge_lays_over_as_far_as_its_height_over_the_tangent():
    height, foot = 600.0, 400.0  # 56 degrees, steeper than the incidence
    track = track_geometry(ORBIT, ridge(height, foot), GRID)
    incidence = np.radians(float(track.incidence_deg[128, 128]))
    distance, layover = distance_outward(), (track.visibility & Visibility.LAYOVER) > 0
    assert layover[INNER & (np.abs(distance + foot / 2) < 150)].all()  # active: the slope itself
    # Passive: flat ground nearer than the foot whose range equals that of the slope up to the top.
    reach = height / np.tan(incidence)
    before = INNER & (distance < -foot - 30)
    assert layover[before & (distance > -reach + 30)].all()
    assert not layover[before & (distance < -reach - 30)].any()


def test_shadow_reaches_as_far_as_the_ray_over_the_crest():
    height, foot = 700.0, 300.0  # falls at 67 degrees, more than 90 less the incidence
    track = track_geometry(ORBIT, ridge(height, foot), GRID)
    incidence = np.radians(float(track.incidence_deg[128, 128]))
    distance, shadow = distance_outward(), (track.visibility & Visibility.SHADOW) > 0
    reach = height * np.tan(incidence)
    assert reach > foot
    assert shadow[INNER & (distance > 40) & (distance < reach - 30)].all()
    assert not shadow[INNER & ((distance < -10) | (distance > reach + 30))].any()
    lit_from_behind = INNER & (distance > 40) & (distance < foot - 40)
    assert (track.local_incidence_deg[lit_from_behind] > 90).all()


def test_unknown_height_is_outside_and_hides_nothing():
    dem = FLAT.copy()
    dem[100:140, 100:140] = np.nan
    track = track_geometry(ORBIT, dem, GRID)
    hole = np.isnan(dem)
    assert (track.visibility[hole] == Visibility.OUTSIDE).all()
    assert (track.visibility[~hole] == 0).all()
    assert np.isnan(track.local_incidence_deg[hole]).all()
    assert np.isfinite(track.local_incidence_deg[~hole]).all()
