import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Point, Polygon, box

from avalanche_assets.grid import Grid
from avalanche_assets.terrain.deposit_point import deposit_point

GRID = Grid("EPSG:32632", 20.0, 512_000.0, 5_120_000.0, 128, 128)


def falling_south() -> np.ndarray:
    """Heights that fall by 10 m a row from 2,500 m."""
    return np.repeat(2500.0 - 10.0 * np.arange(128, dtype=np.float32)[:, None], 128, axis=1)


def rectangle(first_row: int, last_row: int, first_col: int, last_col: int) -> Polygon:
    """Polygon over whole pixels, both ends included."""
    north, south = 5_120_000.0 - first_row * 20.0, 5_120_000.0 - (last_row + 1) * 20.0
    return box(512_000.0 + first_col * 20.0, south, 512_000.0 + (last_col + 1) * 20.0, north)


def test_deposit_point_is_the_middle_of_the_lowest_tenth():
    # rows 20..100 drop 800 m; the lowest 80 m are rows 92..100, their middle row 96, and column 50
    point = deposit_point(rectangle(20, 100, 40, 60), falling_south(), GRID)
    assert (point.x, point.y) == GRID.pixel_centre(96, 50)
    assert point.elevation_m == 2500.0 - 960.0
    assert point.top_elevation_m == 2500.0 - 200.0
    assert point.known_share == 1.0


def test_deposit_point_of_a_forked_runout_lies_on_one_of_its_branches():
    fork = rectangle(20, 60, 60, 64).union(rectangle(60, 62, 40, 84))
    fork = fork.union(rectangle(60, 100, 40, 44)).union(rectangle(60, 100, 80, 84))
    point = deposit_point(fork, falling_south(), GRID)
    assert fork.contains(Point(point.x, point.y))
    # between the two branches lies open ground: columns 45..79
    row, col = GRID.row_col(point.x, point.y)
    assert (row, col) in {(96, 44), (96, 80)}


def test_voids_are_left_out_and_counted():
    heights = falling_south()
    heights[90:, :] = np.nan
    point = deposit_point(rectangle(10, 109, 40, 60), heights, GRID)
    assert point.known_share == pytest.approx(0.8)
    assert point.elevation_m == pytest.approx(2500.0 - 850.0, abs=20.0)


def test_corridor_without_heights_has_no_deposit_point():
    assert deposit_point(rectangle(10, 20, 10, 20), np.full(GRID.shape, np.nan, np.float32), GRID) is None
    assert deposit_point(box(0.0, 0.0, 100.0, 100.0), falling_south(), GRID) is None


def test_corridor_smaller_than_a_pixel_uses_the_pixel_it_touches():
    x, y = GRID.pixel_centre(30, 30)
    point = deposit_point(box(x + 3.0, y + 3.0, x + 5.0, y + 5.0), falling_south(), GRID)
    assert (point.x, point.y) == (x, y)


def test_part_beyond_the_grid_lowers_the_known_share():
    point = deposit_point(rectangle(100, 147, 10, 20), falling_south(), GRID)
    assert point.known_share == pytest.approx(28 / 48)


@given(
    corners=st.lists(
        st.tuples(st.floats(5.0, 120.0), st.floats(5.0, 120.0)), min_size=3, max_size=8, unique=True
    ),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_deposit_point_always_touches_its_corridor(corners, seed):
    polygon = Polygon([(512_000.0 + 20.0 * c, 5_120_000.0 - 20.0 * r) for r, c in corners]).buffer(1.0)
    heights = np.random.default_rng(seed).uniform(500.0, 3000.0, GRID.shape).astype(np.float32)
    point = deposit_point(polygon, heights, GRID)
    half = 10.0 + 1e-6
    assert polygon.intersects(box(point.x - half, point.y - half, point.x + half, point.y + half))
    assert point.elevation_m <= point.top_elevation_m


def test_lowest_pixel_is_the_lowest_pixel():
    heights = falling_south()
    heights[97, 43] = 900.0
    point = deposit_point(rectangle(20, 100, 40, 60), heights, GRID, "lowest_pixel")
    assert (point.x, point.y) == GRID.pixel_centre(97, 43)
    assert point.elevation_m == 900.0
